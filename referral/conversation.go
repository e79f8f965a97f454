package referral

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/format"
)

// A referral that was made of a question has its conversation as a file, which programs read like any other (e-RS: "Advice and guidance conversation - 000000070000.pdf"). It is kept nowhere: it is
// drawn of what was said each time that somebody reads it, and its id is a UUID that ends in the number.
const conversationForm = "c0e7a5a7-1034-4a5d-9f0c-"

func conversationID(u ident.UBRN) string { return conversationForm + u.String() }

// conversationOf is the number in the id of a conversation; ok is false for the ids of other files.
func conversationOf(id string) (u ident.UBRN, ok bool) {
	number, ok := strings.CutPrefix(id, conversationForm)
	if !ok {
		return u, false
	}
	u, err := ident.ParseUBRN(number)
	return u, err == nil
}

// ConversationFile is what is said of the file of a referral's conversation; ok is false for a referral that was not made of a question. It is for whoever may read the referral.
func (s *Referrals) ConversationFile(ctx context.Context, r Referral) (a Attachment, ok bool, err error) {
	if !r.FromAdvice {
		return a, false, nil
	}
	a, _, err = s.drawConversation(ctx, r.UBRN)
	return a, err == nil, err
}

// drawConversation draws the conversation of which a referral was made. Error: access.NotHere for any other number.
func (s *Referrals) drawConversation(ctx context.Context, u ident.UBRN) (a Attachment, pdf []byte, err error) {
	var of Advice
	var person Person
	err = s.read(ctx, func(tx *store.Tx) error {
		chart, err := s.chartOf(tx, u)
		if err != nil {
			return err
		}
		r, err := s.load(tx, chart, u)
		if err != nil {
			return err
		}
		if !r.FromAdvice {
			return access.NotHere()
		}
		if of, err = s.loadAdvice(tx, chart, u); err != nil {
			return err
		}
		person, err = s.personIn(tx, chart)
		person.Restricted = true // where they live is no part of what was said
		return err
	})
	if err != nil {
		return a, nil, err
	}
	l := s.conversation(ctx, of, person)
	last := of.Remarks[len(of.Remarks)-1]
	l.At, l.Date = last.At, format.DateTime(last.At) // so that the same words make the same file
	if pdf, err = l.PDF(); err != nil {
		return a, nil, err
	}
	sum := sha256.Sum256(pdf)
	return Attachment{ID: conversationID(u), Name: "Advice and guidance conversation - " + u.String() + ".pdf", Type: "application/pdf", Size: int64(len(pdf)), Hash: hex.EncodeToString(sum[:]),
		Kind: FromReferrer, By: last.For, Organisation: last.Organisation, At: last.At}, pdf, nil
}

// openConversation is a conversation as an opened file, for a caller who may read it.
func (s *Referrals) openConversation(ctx context.Context, u ident.UBRN) (Opened, error) {
	a, pdf, err := s.drawConversation(ctx, u)
	return Opened{Attachment: a, ReadSeeker: bytes.NewReader(pdf)}, err
}

// conversationFor is what is said of the file of a conversation, to whoever may read it: that is on the account.
func (s *Referrals) conversationFor(ctx context.Context, c Caller, of, u ident.UBRN) (a Attachment, err error) {
	if !of.IsZero() && of != u {
		return a, access.NotHere()
	}
	chart, err := s.ownerOf(ctx, u)
	if err != nil {
		return a, err
	}
	if _, err := c.Ask(access.Act{Action: access.Read, Place: s.place(chart, u, true)}); err != nil {
		return a, err
	}
	a, _, err = s.drawConversation(ctx, u)
	return a, err
}
