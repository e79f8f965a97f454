package tracing

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
)

// filesPath is where programs send files that are traced while they do other things.
const filesPath = "/api/tracing"

// api is what the pages do, for programs: JSON, with the same rules and the same account.
func (o *office) api(roles ...access.Role) []catalogue.Route {
	return []catalogue.Route{
		catalogue.OnBody("POST "+filesPath, o.apiTake, roles...),
		catalogue.OnBody("GET "+filesPath, o.apiList, roles...),
		catalogue.OnBody("GET "+filesPath+"/{job}", o.apiShow, roles...),
		catalogue.OnBody("GET "+filesPath+"/{job}/answer.csv", o.answer, roles...).Streamed(),
		catalogue.OnBody("POST "+filesPath+"/{job}/{act}", o.apiAct, roles...),
	}
}

// fileJSON is a file as the interface says it.
type fileJSON struct {
	File     string                       `json:"file"`
	Name     string                       `json:"name,omitempty"`
	State    string                       `json:"state"` // waiting, running, done, stopped, failed, expired
	Lines    int                          `json:"lines"`
	Traced   int                          `json:"traced"`
	Outcomes map[demographics.Outcome]int `json:"outcomes"`
	Sent     time.Time                    `json:"sent"`
	Ended    *time.Time                   `json:"ended,omitempty"`
	Gone     *time.Time                   `json:"gone,omitempty"` // when what it holds of people will be taken away
	Left     int                          `json:"left,omitempty"` // seconds, as fast as it has gone so far
	Problem  string                       `json:"problem,omitempty"`
	Answer   string                       `json:"answer,omitempty"` // where the answer is, once there is one
}

func (o *office) said(j job) fileJSON {
	said := fileJSON{File: j.ID, Name: j.Name, State: j.shown(), Lines: j.Lines, Traced: j.Traced, Outcomes: j.Outcomes, Sent: j.Made, Problem: j.Error}
	if !j.Ended.IsZero() {
		said.Ended = &j.Ended
	}
	if j.State != expired {
		said.Gone = &j.Expires
	}
	if left, known := j.left(o.k.Clock.Now()); known {
		said.Left = int(left/time.Second) + 1
	}
	if j.answered() {
		said.Answer = filesPath + "/" + j.ID + "/answer.csv"
	}
	return said
}

// tell answers with how far a file is, and with when it is worth asking again.
func (o *office) tell(w http.ResponseWriter, status int, j job) error {
	if j.State == waiting {
		w.Header().Set("Retry-After", strconv.Itoa(int(lookEvery/time.Second)))
	}
	return catalogue.AnswerJSON(w, status, o.said(j))
}

// apiTake keeps the file that a program sends as text/csv, to be traced; the parameter name is what it is called.
func (o *office) apiTake(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := o.here(r); err != nil {
		return err
	}
	if err := isCSV(r); err != nil {
		return err
	}
	id, err := o.submit(r.Context(), ask.Principal, nameOf(r.URL.Query().Get("name")), r.Body)
	if err != nil {
		return err
	}
	j, err := o.jobOf(r.Context(), ask.Principal, id)
	if err != nil {
		return err
	}
	w.Header().Set("Location", filesPath+"/"+id)
	return o.tell(w, http.StatusAccepted, j)
}

// apiList is the caller's files, newest first.
func (o *office) apiList(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	list, err := o.mine(r.Context(), ask.Principal)
	if err != nil {
		return err
	}
	files := []fileJSON{}
	for _, j := range list {
		files = append(files, o.said(j))
	}
	return catalogue.AnswerJSON(w, http.StatusOK, map[string]any{"files": files})
}

func (o *office) apiShow(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	j, err := o.jobOf(r.Context(), ask.Principal, r.PathValue("job"))
	if err != nil {
		return err
	}
	return o.tell(w, http.StatusOK, j)
}

// apiAct stops a file, or takes it away with its answer.
func (o *office) apiAct(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx, id := r.Context(), r.PathValue("job")
	j, err := o.jobOf(ctx, ask.Principal, id)
	if err != nil {
		return err
	}
	switch r.PathValue("act") {
	case "stop":
		err = o.stop(ctx, j)
	case "remove":
		err = o.remove(ctx, j)
	default:
		err = fault.New(fault.NotFound, "A file is stopped, or removed.")
	}
	if err == nil {
		j, err = o.jobOf(ctx, ask.Principal, id)
	}
	if err != nil {
		return err
	}
	return o.tell(w, http.StatusOK, j)
}

// programOf is what a job keeps of the program that sent it: ” of a person on the page, who is looked for anew.
func programOf(who access.Principal) (string, error) {
	if who.Client == "" && who.Role != access.SystemClient {
		return "", nil
	}
	text, err := json.Marshal(who)
	return string(text), fault.Wrap(err, fault.Internal, "who sent a file cannot be kept")
}

// sender is whoever sent a job, as they may now: a program that was not ended, a person in the role that they had, within what their program was granted.
// Error: fault.NotFound when they may not any more.
func (o *office) sender(ctx context.Context, j job) (access.Principal, error) {
	var program access.Principal
	if j.Program != "" {
		if err := json.Unmarshal([]byte(j.Program), &program); err != nil {
			return program, fault.Wrap(err, fault.Internal, "who sent a file cannot be read")
		}
		stands, err := o.k.Gate.Stands(ctx, program)
		if err == nil && !stands {
			err = fault.New(fault.NotFound, "The program has ended.")
		}
		if err != nil || program.Role == access.SystemClient {
			return program, err
		}
	}
	who, err := o.k.Gate.PrincipalOf(ctx, j.Owner, j.Profile)
	who.Assurance = j.Assurance // as they had signed in when they sent it
	who.Client, who.Scopes, who.Confined = program.Client, program.Scopes, program.Confined
	return who, err
}
