package referral

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking/attach"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// A file is uploaded, then attached: looked at as it comes (package attach), kept by the post once by its hash, and told to the hospital beside the case. What nobody attaches is forgotten
// after a week; what was attached stays, also when it is taken off a referral again, for its history speaks of it.

// looseFor is how long an uploaded file waits to be attached.
const looseFor = 7 * 24 * time.Hour

// What can be wrong with attaching; errors.Is finds which.
var (
	ErrSameName = errors.New("referral: two files of one name")
	ErrNoChange = errors.New("referral: nothing would change")
	ErrNoFile   = errors.New("referral: no such file was uploaded")
	ErrUsed     = errors.New("referral: the file goes with something already")
	ErrOther    = errors.New("referral: the file is not of the type that is said")
)

// FileRef names an uploaded file, with what whoever attaches it says of it.
type FileRef struct {
	ID, Description string
	ForPatient      bool   // the patient may read it on their own page
	Type            string // of which they say that it is, as MIME; "" when they do not say
}

// Upload is a file that comes in.
type Upload struct {
	Name     string
	For      ident.UBRN // what it is to be attached to; zero while there is no such thing yet
	OnBehalf string     // the clinician for whom an administrator uploads, as their user id
}

// described is what is said of a file that somebody brings, and its type by its name. Errors: those of package attach.
func described(p access.Principal, u Upload) (a Attachment, t attach.Type, err error) {
	if p.Organisation.IsZero() {
		return a, t, fault.New(fault.Forbidden, "Files are uploaded for an organisation.")
	}
	name, err := attach.Name(u.Name)
	if err != nil {
		return a, t, err
	}
	if t, err = attach.ByName(name); err != nil {
		return a, t, err
	}
	return Attachment{Name: name, Type: t.MIME, By: Staff{p.ID, p.Name}, Organisation: p.Organisation, OnBehalf: u.OnBehalf}, t, nil
}

// loose keeps what is said of a file that is attached to nothing yet, under an id of its own.
func (s *Referrals) loose(ctx context.Context, a Attachment, intended ident.UBRN) (Attachment, error) {
	a.ID = s.o.NewID()
	of := ""
	if !intended.IsZero() {
		of = intended.String()
	}
	err := s.k.DB.Write(ctx, []store.Lane{s.fileLane(a.ID)}, func(tx *store.Tx) error {
		a.At = tx.At()
		return s.keepFile(tx, a, of, "", "")
	})
	return a, err
}

// Upload keeps a file to be attached by the caller's organisation: streamed, never whole in memory. Errors: those of package attach; those of the rules when For is given.
func (s *Referrals) Upload(ctx context.Context, c Caller, u Upload, body io.Reader) (Attachment, error) {
	a, t, err := described(c.Principal, u)
	if err != nil {
		return a, err
	}
	if !u.For.IsZero() {
		chart, err := s.ownerOf(ctx, u.For)
		if err != nil {
			return Attachment{}, err
		}
		if _, err := s.k.Gate.DecideAll(ctx, c.Principal, []access.Act{{Action: access.Update, Place: s.place(chart, u.For, true)}}); err != nil {
			return Attachment{}, err
		}
	}
	look := attach.Look(body, t)
	f, err := s.k.Post().Store(ctx, look, a.Name, t.MIME)
	if wrong := look.Wrong(); wrong != nil {
		return Attachment{}, wrong
	}
	if err != nil {
		return Attachment{}, err
	}
	a.Size, a.Hash = f.Size, hex.EncodeToString(f.Hash[:])
	return s.loose(ctx, a, u.For)
}

// Bring keeps what is said of a file that is brought from elsewhere, where it cannot be read: it waits to be looked at there, or was found wrong. Its bytes do not come, so that nobody reads it
// here either; whoever may see what it goes with sees that there is such a file, why it cannot be read, and whom to ask. Errors: those of package attach; fault.Invalid for a file that can be read.
func (s *Referrals) Bring(ctx context.Context, c Caller, u Upload, size int64, why Availability) (Attachment, error) {
	if size < 0 || !slices.Contains([]Availability{Pending, ThreatsFound, ValidationFailed}, why) {
		return Attachment{}, fault.New(fault.Invalid, "Of a file that cannot be read it is said why.")
	}
	a, _, err := described(c.Principal, u)
	if err != nil {
		return a, err
	}
	a.Size, a.Status = size, why
	return s.loose(ctx, a, u.For)
}

func (s *Referrals) fileLane(id string) store.Lane {
	return s.k.DB.LaneOf(s.k.National.String(), "file/"+id)
}

func (s *Referrals) fileLanes(files []FileRef) (lanes []store.Lane) {
	for _, f := range files {
		lanes = append(lanes, s.fileLane(f.ID))
	}
	return lanes
}

func (s *Referrals) keepFile(tx *store.Tx, a Attachment, intended, ubrn, chart string) error {
	return tx.Queue(`INSERT INTO referral_file (lane, id, ubrn, chart, intended, title, mime, bytes, hash, uploader, uploaded_by, organisation, behalf, at, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, id) DO NOTHING`,
		int64(s.fileLane(a.ID)), a.ID, ubrn, chart, intended, a.Name, a.Type, a.Size, a.Hash, a.By.ID, a.By.Name, a.Organisation.String(), a.OnBehalf, a.At.UnixMicro(), string(a.Status))
}

// fileRow is an uploaded file, and what it is attached to.
type fileRow struct {
	Attachment
	ubrn, chart, intended string
}

// fileOf is the file of an id. Error: fault.NotFound.
func (s *Referrals) fileOf(tx *store.Tx, id string) (f fileRow, err error) {
	var organisation, status string
	var at int64
	err = tx.QueryRow(`SELECT ubrn, chart, intended, title, mime, bytes, hash, uploader, uploaded_by, organisation, behalf, at, status FROM referral_file WHERE lane = ? AND id = ?`, int64(s.fileLane(id)), id).
		Scan(&f.ubrn, &f.chart, &f.intended, &f.Name, &f.Type, &f.Size, &f.Hash, &f.By.ID, &f.By.Name, &organisation, &f.OnBehalf, &at, &status)
	if fault.Is(err, fault.NotFound) {
		return f, access.NotHere()
	}
	if err != nil {
		return f, err
	}
	f.ID, f.At, f.Status = id, fromMicros(at), Availability(status)
	f.Organisation, err = ident.ParseODSCode(organisation)
	return f, err
}

// fileTo is what a list of files is attached to.
type fileTo struct {
	ubrn  ident.UBRN
	chart string
	have  []Attachment // what is attached already
	kind  AttachmentKind
	fresh bool // the UBRN is given in this transaction: what was uploaded for none may go with it
}

// attached are files as they go with a referral or a question from now on; those that are there already stay as they were. It keeps them for good. tx holds the lanes of the files and
// of the UBRN. Errors: ErrNoFile for one that the organisation has not uploaded; fault.Unprocessable for one that was uploaded for something else.
func (s *Referrals) attached(tx *store.Tx, p access.Principal, to fileTo, files []FileRef) (list []Attachment, err error) {
	for _, ref := range files {
		if i := slices.IndexFunc(to.have, func(a Attachment) bool { return a.ID == ref.ID }); i >= 0 {
			list = append(list, to.have[i])
			continue
		}
		f, err := s.fileOf(tx, ref.ID)
		if fault.Is(err, fault.NotFound) || err == nil && f.Organisation != p.Organisation {
			return nil, fault.Wrap(ErrNoFile, fault.NotFound, "There is no uploaded file of this id; upload it first.")
		}
		if err != nil {
			return nil, err
		}
		switch {
		case f.ubrn != "":
			return nil, fault.Wrap(ErrUsed, fault.Unprocessable, "The file %s goes with something already; upload it once more.", f.Name)
		case ref.Type != "" && ref.Type != f.Type:
			return nil, fault.Wrap(ErrOther, fault.Unprocessable, "The file %s is of the type %s, and not %s.", f.Name, f.Type, ref.Type)
		}
		if f.intended != to.ubrn.String() && (f.intended != "" || !to.fresh) {
			return nil, fault.New(fault.Unprocessable, "The file %s was uploaded for something else.", f.Name)
		}
		a := f.Attachment
		a.Description, a.Kind, a.At, a.ForPatient = strings.TrimSpace(ref.Description), to.kind, tx.At(), ref.ForPatient
		if len(a.Description) > mostComment {
			return nil, fault.New(fault.Invalid, "A description has at most %d bytes.", mostComment)
		}
		if err := s.bind(tx, a, to.ubrn, to.chart); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// bind says what a file is attached to, and keeps it for good.
func (s *Referrals) bind(tx *store.Tx, a Attachment, u ident.UBRN, chart string) error {
	if err := tx.Queue(`UPDATE referral_file SET ubrn = ?, chart = ? WHERE lane = ? AND id = ?`, u.String(), chart, int64(s.fileLane(a.ID)), a.ID); err != nil {
		return err
	}
	if a.Availability() != Available { // there are no bytes to keep
		return nil
	}
	f, err := a.file()
	if err != nil {
		return err
	}
	return s.k.Post().Keep(tx, s.ubrnLane(u), "referral/"+u.String(), f)
}

// file is the attachment as the post knows it.
func (a Attachment) file() (messaging.File, error) { return a.booked("").File() }

// addFiles adds what an act attaches, or puts it in place of what that side had. Errors: ErrSameName, ErrNoChange.
func (a Act) addFiles(n *Referral) error {
	list := slices.Clone(n.Attachments)
	if a.Replace {
		list = slices.DeleteFunc(list, func(x Attachment) bool { return x.Kind != FromProvider })
	}
	list = append(list, a.Attachments...)
	if len(list) > attach.MostFiles {
		return fault.New(fault.TooLarge, "At most %d files go with a referral.", attach.MostFiles)
	}
	if err := namesDiffer(list); err != nil {
		return err
	}
	same := len(list) == len(n.Attachments)
	for _, x := range n.Attachments {
		same = same && slices.ContainsFunc(list, func(y Attachment) bool { return x.ID == y.ID })
	}
	if a.Replace && a.Letter == "" && same {
		return fault.Wrap(ErrNoChange, fault.Unprocessable, "These are the files that it has.")
	}
	n.Attachments = list
	return nil
}

// namesDiffer refuses two files of one name: nobody could tell them apart.
func namesDiffer(list []Attachment) error {
	seen := map[string]bool{}
	for _, x := range list {
		name := strings.ToLower(x.Name)
		if seen[name] {
			return fault.Wrap(ErrSameName, fault.Unprocessable, "There is a file called %s already. Give this one another name.", x.Name)
		}
		seen[name] = true
	}
	return nil
}

// Opened is a file that its reader may have.
type Opened struct {
	Attachment
	io.ReadSeeker
}

// OpenFile opens a file that is attached, to a UBRN if one is given, for whoever may read what it is attached to: it is on the account of the person's chart. Errors: access.NotHere; what the rules refuse by;
// fault.Unprocessable when it is not available (Attachment says why).
func (s *Referrals) OpenFile(ctx context.Context, c Caller, of ident.UBRN, id string) (o Opened, err error) {
	a, err := s.FileOf(ctx, c, of, id)
	if err != nil {
		return Opened{Attachment: a}, err
	}
	if u, ok := conversationOf(id); ok {
		return s.openConversation(ctx, u)
	}
	return s.openFile(ctx, a)
}

// FileOf is what is said of an attached file, to whoever may read it; see OpenFile.
func (s *Referrals) FileOf(ctx context.Context, c Caller, of ident.UBRN, id string) (a Attachment, err error) {
	if u, ok := conversationOf(id); ok {
		return s.conversationFor(ctx, c, of, u)
	}
	var f fileRow
	err = s.read(ctx, func(tx *store.Tx) error {
		f, err = s.fileOf(tx, id)
		return err
	})
	if err != nil {
		return a, err
	}
	if f.ubrn == "" || !of.IsZero() && f.ubrn != of.String() {
		return a, access.NotHere()
	}
	u, err := ident.ParseUBRN(f.ubrn)
	if err != nil {
		return a, fault.Wrap(err, fault.Internal, "the number of a file's referral cannot be read")
	}
	if _, err := c.Ask(access.Act{Action: access.Read, Place: s.place(f.chart, u, true)}); err != nil {
		return a, err
	}
	return s.standing(ctx, f, u)
}

// standing is a file as it stands with what it is attached to; access.NotHere when it was taken off.
func (s *Referrals) standing(ctx context.Context, f fileRow, u ident.UBRN) (a Attachment, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		list, err := s.filesWith(tx, f.chart, u)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(x Attachment) bool { return x.ID == f.ID })
		if i < 0 {
			return access.NotHere()
		}
		a = list[i]
		return nil
	})
	return a, err
}

// filesWith are the files that go with a UBRN.
func (s *Referrals) filesWith(tx *store.Tx, chart string, u ident.UBRN) ([]Attachment, error) {
	r, err := s.load(tx, chart, u)
	if fault.Is(err, fault.NotFound) { // it may be a question's number
		a, err := s.loadAdvice(tx, chart, u)
		if errors.Is(err, ErrNotAdvice) {
			return nil, access.NotHere()
		}
		return a.Files(), err
	}
	return r.Attachments, err
}

func (s *Referrals) openFile(ctx context.Context, a Attachment) (o Opened, err error) {
	o.Attachment = a
	if a.Availability() != Available {
		return o, fault.New(fault.Unprocessable, "The file cannot be read: %s.", strings.ToLower(strings.ReplaceAll(string(a.Status), "_", " ")))
	}
	f, err := a.file()
	if err != nil {
		return o, err
	}
	o.ReadSeeker, err = s.k.Post().Open(ctx, f)
	return o, err
}

// ticketLasts is how long the address of a file is good.
const ticketLasts = 2 * time.Minute

// Ticket is a secret by which whoever holds it can have a file for a short while, without showing who they are: the caller may read it, and that is on the account. Errors: those of OpenFile.
func (s *Referrals) Ticket(ctx context.Context, c Caller, id string) (secret string, a Attachment, err error) {
	if a, err = s.FileOf(ctx, c, ident.UBRN{}, id); err != nil {
		return "", a, err
	}
	if a.Availability() != Available {
		_, err = s.openFile(ctx, a)
		return "", a, err
	}
	secret = newKey() + newKey()
	lane, key := s.ticketLane(secret)
	return secret, a, s.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO referral_ticket (lane, ticket, id, until) VALUES (?, ?, ?, ?)`, int64(lane), key, id, tx.At().Add(ticketLasts).UnixMicro())
		return err
	})
}

func (s *Referrals) ticketLane(secret string) (store.Lane, string) {
	key := hashOf(secret)
	return s.k.DB.LaneOf("", "ticket/"+key), key
}

// OpenTicket opens the file of a ticket. Error: access.NotHere when there is none, or its time is over.
func (s *Referrals) OpenTicket(ctx context.Context, secret string) (o Opened, err error) {
	lane, key := s.ticketLane(secret)
	var f fileRow
	var id string
	err = s.read(ctx, func(tx *store.Tx) error {
		var until int64
		err := tx.QueryRow(`SELECT id, until FROM referral_ticket WHERE lane = ? AND ticket = ?`, int64(lane), key).Scan(&id, &until)
		if fault.Is(err, fault.NotFound) || err == nil && !s.k.Clock.Now().Before(fromMicros(until)) {
			return access.NotHere()
		}
		if _, drawn := conversationOf(id); err == nil && !drawn {
			f, err = s.fileOf(tx, id)
		}
		return err
	})
	if err != nil {
		return o, err
	}
	if u, drawn := conversationOf(id); drawn {
		return s.openConversation(ctx, u)
	}
	return s.openFile(ctx, f.Attachment)
}

// forgetFiles drops uploads that nobody attached, and tickets that are over.
func (s *Referrals) forgetFiles(ctx context.Context) error {
	for lane := range s.k.DB.Lanes() {
		err := s.k.DB.Write(ctx, []store.Lane{store.Lane(lane)}, func(tx *store.Tx) error {
			if _, err := tx.Exec(`DELETE FROM referral_ticket WHERE lane = ? AND until < ?`, lane, tx.At().UnixMicro()); err != nil {
				return err
			}
			_, err := tx.Exec(`DELETE FROM referral_file WHERE lane = ? AND ubrn = '' AND at < ?`, lane, tx.At().Add(-looseFor).UnixMicro())
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
