package mesh

import (
	"net/http"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
)

// base is where the interface is, as published.
const base = "/messageexchange/"

// routes are the addresses of the interface. Some of its paths overlap for net/http's mux (a mailbox could be called endpointlookup), so that one
// pattern stands for all of one shape, and says further down which it is.
func (o *Office) routes() []catalogue.Route {
	return []catalogue.Route{
		catalogue.FromPeer("POST /messageexchange/{mailbox}", o.admit, o.handshake),
		catalogue.FromPeer("GET /messageexchange/{mailbox}", o.admit, o.handshake),
		catalogue.FromPeer("GET /messageexchange/{mailbox}/{what}", o.admitOrLookup, o.second),
		catalogue.FromPeer("GET /messageexchange/{mailbox}/{what}/{message}", o.admitOrLookup, o.third).Streamed(),
		catalogue.FromPeer("GET /messageexchange/{mailbox}/{what}/{message}/{chunk}", o.admit, o.fourth).Streamed(),
		catalogue.FromPeer("PUT /messageexchange/{mailbox}/inbox/{message}/status/acknowledged", o.admit, o.acknowledge),
		catalogue.FromPeer("POST /messageexchange/{mailbox}/outbox", o.admit, o.send).Uploaded(MaxChunk),
		catalogue.FromPeer("POST /messageexchange/{mailbox}/outbox/{message}/{chunk}", o.admit, o.sendChunk).Uploaded(MaxChunk),
	}
}

// The first parts of addresses that are not about a mailbox.
const (
	endpointLookup = "endpointlookup"
	workflowSearch = "workflowsearch"
)

// admitOrLookup lets anybody look addresses up, and the program of a mailbox do the rest.
func (o *Office) admitOrLookup(r *http.Request) (caller, error) {
	if first := r.PathValue("mailbox"); first == endpointLookup || first == workflowSearch {
		return o.anybody(r)
	}
	return o.admit(r)
}

func nothingHere() error { return fault.New(fault.NotFound, "There is nothing at this address.") }

// second are the addresses of two parts.
func (o *Office) second(w http.ResponseWriter, r *http.Request, from caller) error {
	first, what := r.PathValue("mailbox"), r.PathValue("what")
	switch {
	case first == workflowSearch:
		return o.searchWorkflow(w, r, from, what)
	case first == endpointLookup:
		return nothingHere()
	case what == "inbox":
		return o.list(w, r, from)
	case what == "count":
		return o.counted(w, r, from)
	}
	return nothingHere()
}

// third are the addresses of three parts.
func (o *Office) third(w http.ResponseWriter, r *http.Request, from caller) error {
	first, what, id := r.PathValue("mailbox"), r.PathValue("what"), r.PathValue("message")
	switch {
	case first == endpointLookup:
		return o.lookup(w, r, from, what, id)
	case first == workflowSearch:
		return nothingHere()
	case what == "inbox":
		return o.read(w, r, from, id)
	case what == "outbox" && id == "tracking":
		return o.trackByID(w, r, from)
	}
	return nothingHere()
}

// fourth are the addresses of four parts.
func (o *Office) fourth(w http.ResponseWriter, r *http.Request, from caller) error {
	what, id, last := r.PathValue("what"), r.PathValue("message"), r.PathValue("chunk")
	switch {
	case what == "inbox":
		return o.readChunk(w, r, from, id, last)
	case what == "outbox" && id == "tracking":
		return o.trackByLocal(w, r, from, last)
	}
	return nothingHere()
}

// handshake keeps that a mailbox is in use, and by which program (published: "Validate a mailbox").
func (o *Office) handshake(w http.ResponseWriter, r *http.Request, from caller) error {
	for _, name := range []string{"mex-clientversion", "mex-osname", "mex-osversion"} {
		if r.Header.Get(name) == "" {
			return invalidAt("header", name, "field required", "value_error.missing")
		}
	}
	program := clip(r.Header.Get("mex-clientversion"), mostName)
	machine := clip(r.Header.Get("mex-osname")+" "+r.Header.Get("mex-osversion")+" "+r.Header.Get("mex-osarchitecture"), mostName)
	err := o.k.DB.Write(r.Context(), []store.Lane{o.lane(from.ID)}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE mesh_seen SET at = ?, shook = ?, program = ?, machine = ? WHERE lane = ? AND mailbox = ?`, tx.At(), tx.At(), plain(program), plain(machine), o.lane(from.ID), from.ID)
		return err
	})
	if err != nil {
		return err
	}
	if from.version == 2 {
		w.Header().Set("Content-Type", mediaType(2))
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return answer(w, http.StatusOK, 1, struct {
		MailboxID string `json:"mailboxId"`
	}{from.ID})
}
