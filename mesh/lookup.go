package mesh

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/store"
)

// plain is text without bytes that are none, for the database.
func plain(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	return headerSafe(strings.ReplaceAll(s, "\x00", ""))
}

// lookup finds the mailboxes of an organisation that take a workflow (published: "Look up MESH address").
func (o *Office) lookup(w http.ResponseWriter, r *http.Request, from caller, ods, workflow string) error {
	list, err := o.registered(r, workflow)
	if err != nil {
		return err
	}
	ods = strings.ToUpper(ods)
	var found []Mailbox
	for _, b := range list {
		if b.ODS.String() == ods {
			found = append(found, b)
		}
	}
	if from.version == 2 {
		return answerMailboxes(w, 2, found)
	}
	type one struct {
		Address     string `json:"address"`
		Description string `json:"description"`
		Type        string `json:"endpoint_type"`
	}
	results := make([]one, len(found))
	for i, b := range found {
		results[i] = one{b.ID, b.Name, "MESH"}
	}
	return answer(w, http.StatusOK, 1, struct {
		QueryID string `json:"query_id"`
		Results []one  `json:"results"`
	}{newID(o.k.Clock.Now()), results})
}

// searchWorkflow finds the mailboxes that take a workflow (published: "Lookup by workflow"): both versions answer alike.
func (o *Office) searchWorkflow(w http.ResponseWriter, r *http.Request, from caller, workflow string) error {
	list, err := o.registered(r, workflow)
	if err != nil {
		return err
	}
	return answerMailboxes(w, from.version, list)
}

func answerMailboxes(w http.ResponseWriter, version int, list []Mailbox) error {
	type one struct {
		ID   string `json:"mailbox_id"`
		Name string `json:"mailbox_name"`
	}
	results := make([]one, len(list))
	for i, b := range list {
		results[i] = one{b.ID, b.Name}
	}
	return answer(w, http.StatusOK, version, struct {
		Results []one `json:"results"`
	}{results})
}

// registered are the open mailboxes that say that they take a workflow.
func (o *Office) registered(r *http.Request, workflow string) (list []Mailbox, err error) {
	if !utf8.ValidString(workflow) || strings.ContainsRune(workflow, 0) {
		return nil, nil
	}
	err = o.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		list, err = readMailboxes(tx, `m.state = ? AND m.mailbox IN (SELECT mailbox FROM mesh_workflow WHERE lane = 0 AND workflow = ? AND takes = 1)`, int64(Open), workflow)
		return err
	})
	return list, err
}
