package mesh

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// trackByID says what became of a message that the mailbox sent (published: "Track outbox").
func (o *Office) trackByID(w http.ResponseWriter, r *http.Request, from caller) error {
	id := strings.ToUpper(r.URL.Query().Get("messageID"))
	if id == "" {
		return invalidAt("query", "messageID", "field required", "value_error.missing")
	}
	var m *Mail
	err := o.k.DB.Read(r.Context(), func(tx *store.Tx) (err error) {
		m, err = o.readMail(tx, from.ID, outbox, id)
		return err
	})
	if err != nil {
		return err
	}
	return o.tracked(w, r, from, m, from.version)
}

// trackByLocal is the same by the sender's own name for the message (published: "Track outbox", deprecated). It answers in version 1.
func (o *Office) trackByLocal(w http.ResponseWriter, r *http.Request, from caller, local string) error {
	var list []Mail
	err := o.k.DB.Read(r.Context(), func(tx *store.Tx) (err error) {
		list, err = readMails(tx, `WHERE lane = ? AND mailbox = ? AND local = ? AND local <> '' AND side = ? ORDER BY at LIMIT 2`, o.lane(from.ID), from.ID, plain(local), int64(outbox))
		return err
	})
	switch {
	case err != nil:
		return err
	case len(list) == 0:
		return fault.New(fault.NotFound, "No message was sent with this local id.")
	case len(list) > 1:
		no := refusal{status: http.StatusMultipleChoices, event: "TRACKING", wording: "Several messages were sent with this local id: ask by messageID."}
		return fault.Wrap(no, fault.Conflict, "%s", no.wording)
	}
	return o.tracked(w, r, from, &list[0], 1)
}

// party is what tracking says of a mailbox.
type party struct{ id, name, ods, organisation string }

func (o *Office) party(ctx context.Context, id string) party {
	p := party{id: id}
	if b, err := o.Mailbox(ctx, id); err == nil {
		p.name, p.ods, p.organisation = b.Name, b.ODS.String(), o.k.Organisation(ctx, b.ODS)
	}
	return p
}

// tracking1 is what version 1 says of a message.
type tracking1 struct {
	AddressType          string  `json:"addressType"`
	Checksum             *string `json:"checksum"`
	ChunkCount           int     `json:"chunkCount"`
	CompressFlag         *string `json:"compressFlag"`
	ContentEncoding      string  `json:"contentEncoding"`
	DownloadTimestamp    *string `json:"downloadTimestamp"`
	DtsID                string  `json:"dtsId"`
	EncryptedFlag        *string `json:"encryptedFlag"`
	ExpiryTime           *string `json:"expiryTime"`
	FailureDate          *string `json:"failureDate"`
	FailureDiagnostic    *string `json:"failureDiagnostic"`
	FileName             string  `json:"fileName"`
	FileSize             int64   `json:"fileSize"`
	IsCompressed         *string `json:"isCompressed"`
	LinkedMsgID          *string `json:"linkedMsgId"`
	LocalID              *string `json:"localId"`
	MeshRecipientOdsCode string  `json:"meshRecipientOdsCode"`
	MessageID            string  `json:"messageId"`
	MessageType          string  `json:"messageType"`
	PartnerID            *string `json:"partnerId"`
	Recipient            string  `json:"recipient"`
	RecipientName        string  `json:"recipientName"`
	RecipientOrgCode     string  `json:"recipientOrgCode"`
	RecipientOrgName     string  `json:"recipientOrgName"`
	RecipientSMTP        string  `json:"recipientSmtp"`
	Sender               string  `json:"sender"`
	SenderName           string  `json:"senderName"`
	SenderOdsCode        string  `json:"senderOdsCode"`
	SenderOrgCode        string  `json:"senderOrgCode"`
	SenderOrgName        string  `json:"senderOrgName"`
	SenderSMTP           string  `json:"senderSmtp"`
	Status               string  `json:"status"`
	StatusCode           *string `json:"statusCode"`
	StatusDescription    *string `json:"statusDescription"`
	StatusEvent          *string `json:"statusEvent"`
	StatusSuccess        *string `json:"statusSuccess"`
	StatusTimestamp      *string `json:"statusTimestamp"`
	Subject              *string `json:"subject"`
	UploadTimestamp      string  `json:"uploadTimestamp"`
	Version              string  `json:"version"`
	WorkflowID           string  `json:"workflowId"`
}

// orNull is nil for nothing, as version 1 writes it.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// statusOf is a message's status, with a capital letter.
func statusOf(s MailState) string {
	t := s.String()
	return strings.ToUpper(t[:1]) + t[1:]
}

// tracked answers with what became of a message.
func (o *Office) tracked(w http.ResponseWriter, r *http.Request, from caller, m *Mail, version int) error {
	to := o.party(r.Context(), m.Other)
	if to.ods == "" {
		to.ods = m.ODS
	}
	if version == 2 {
		return answer(w, http.StatusOK, 2, m.tracking2(to))
	}
	me := o.party(r.Context(), from.ID)
	t := tracking1{AddressType: "ALL", Checksum: orNull(m.Checksum), ChunkCount: m.Chunks, ContentEncoding: m.Encoding, DtsID: m.ID, FileName: nonEmpty(m.File, m.ID+".dat"), FileSize: m.Size,
		LocalID: orNull(m.Local), MeshRecipientOdsCode: to.ods, MessageID: m.ID, MessageType: m.Kind, PartnerID: orNull(m.Partner), Recipient: to.id, RecipientName: to.name, RecipientOrgCode: to.ods, RecipientOrgName: to.organisation,
		Sender: me.id, SenderName: me.name, SenderOdsCode: me.ods, SenderOrgCode: me.ods, SenderOrgName: me.organisation, Status: statusOf(m.State), Subject: orNull(m.Subject), UploadTimestamp: stamp(m.At),
		Version: "1.0", WorkflowID: m.Workflow, ExpiryTime: orNull(stamp(m.Expires))}
	if m.Flags&flagCompressed != 0 || m.Encoding != "" {
		t.IsCompressed, t.CompressFlag = orNull("Y"), orNull("Y")
	}
	if m.Flags&flagEncrypted != 0 {
		t.EncryptedFlag = orNull("Y")
	}
	switch m.State {
	case Acknowledged:
		t.DownloadTimestamp, t.StatusSuccess, t.StatusTimestamp = orNull(stamp(m.Changed)), orNull("SUCCESS"), orNull(stamp(m.Changed))
	case Failed:
		t.FailureDate, t.FailureDiagnostic = orNull(stamp(m.Changed)), orNull(m.Description)
		t.StatusCode, t.StatusDescription, t.StatusEvent = orNull(m.Code), orNull(m.Description), orNull(m.Event)
		t.StatusSuccess, t.StatusTimestamp = orNull("ERROR"), orNull(stamp(m.Changed))
	}
	return answer(w, http.StatusOK, 1, t)
}

// tracking2 is what version 2 says of a message.
func (m *Mail) tracking2(to party) any {
	type tracking struct {
		MessageID         string  `json:"message_id"`
		LocalID           string  `json:"local_id,omitempty"`
		WorkflowID        string  `json:"workflow_id"`
		Filename          string  `json:"filename,omitempty"`
		ExpiryTime        *string `json:"expiry_time,omitempty"`
		UploadTimestamp   string  `json:"upload_timestamp"`
		Recipient         string  `json:"recipient"`
		RecipientName     string  `json:"recipient_name,omitempty"`
		RecipientODSCode  string  `json:"recipient_ods_code"`
		RecipientOrgCode  string  `json:"recipient_org_code"`
		RecipientOrgName  string  `json:"recipient_org_name,omitempty"`
		StatusSuccess     bool    `json:"status_success"`
		Status            string  `json:"status"`
		StatusEvent       string  `json:"status_event,omitempty"`
		StatusTimestamp   string  `json:"status_timestamp"`
		StatusDescription string  `json:"status_description,omitempty"`
		StatusCode        string  `json:"status_code,omitempty"`
	}
	const form = time.RFC3339
	t := tracking{MessageID: m.ID, LocalID: m.Local, WorkflowID: m.Workflow, Filename: m.File, UploadTimestamp: m.At.Format(form), Recipient: to.id, RecipientName: to.name, RecipientODSCode: to.ods, RecipientOrgCode: to.ods,
		RecipientOrgName: to.organisation, StatusSuccess: m.State != Failed, Status: m.State.String(), StatusEvent: m.Event, StatusTimestamp: m.Changed.Format(form), StatusDescription: m.Description, StatusCode: m.Code}
	if !m.Expires.IsZero() {
		t.ExpiryTime = orNull(m.Expires.Format(form))
	}
	return t
}
