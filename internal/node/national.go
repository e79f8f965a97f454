package node

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/demographics/replica"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/network"
)

// What a hospital's node asks the national one over the network: who somebody is, and what an organisation is called.

// registerAsked is what stands on both accounts when a copy of the register asks.
const registerAsked = "a person in the national register"

// How long an answer may take.
const (
	registerWithin = 15 * time.Second
	nameWithin     = 2 * time.Second
)

// pathNames is where an organisation's name is asked for.
const pathNames = "/directory/names/"

// answerPeers serves what hospitals' nodes ask of the national one.
func (n *Node) answerPeers() {
	links := n.kernel.Network
	links.Answer("GET "+demographics.Base+"/", registerAsked, func(w http.ResponseWriter, r *http.Request, by access.Principal) error {
		if by.Role != access.SystemClient {
			return fault.New(fault.Forbidden, "The register is asked over a link by a hospital's system, for its copy.")
		}
		resp, err := n.AskedBy(by.Organisation).RoundTrip(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, err = io.Copy(w, resp.Body)
		return err
	})
	links.Handle("GET "+pathNames+"{code}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, err := ident.ParseODSCode(r.PathValue("code"))
		if err != nil {
			network.Refuse(w, err)
			return
		}
		text, err := json.Marshal(n.organisation(r.Context(), code))
		if err != nil {
			network.Refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write(text); err != nil {
			n.log.Debug("an answer to a peer was cut short", "cause", err)
		}
	}))
}

// AskedBy carries a hospital's questions to this node's register as its system asks them: with this node's rules, and on its account.
func (n *Node) AskedBy(hospital ident.ODSCode) http.RoundTripper {
	return replica.InProcess(http.HandlerFunc(n.ServeHTTP), n.replicaToken(hospital))
}

// overTheLink carries a hospital's questions to the national node's register.
func (n *Node) overTheLink(hospital ident.ODSCode) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		to, err := n.kernel.Network.Route(n.kernel.National)
		if err != nil {
			return nil, err
		}
		return n.kernel.Network.Call(r.Context(), network.Question{To: to, Request: r, What: registerAsked, Within: registerWithin, By: n.replicaPrincipal(r.Context(), hospital)})
	})
}

type tripper func(*http.Request) (*http.Response, error)

// RoundTrip is the function.
func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// askName asks the national node what an organisation is called.
func (n *Node) askName(ctx context.Context, code ident.ODSCode) (name string, err error) {
	to, err := n.kernel.Network.Route(n.kernel.National)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, nameWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, pathNames+code.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := n.kernel.Network.Do(ctx, to, r)
	if err != nil {
		return "", err
	}
	if err := network.FaultOf(resp); err != nil {
		return "", err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, 4096)).Decode(&name)
	return name, err
}
