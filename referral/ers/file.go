package ers

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"github.com/openspine/openspine/booking/attach"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/web"
)

// Codes of the operations about files.
const (
	fileSizeError     code = "FILE_SIZE_ERROR"
	duplicateFilename code = "DUPLICATE_FILENAME"
	noChangesDetected code = "NO_CHANGES_DETECTED"
)

const (
	stu3AttachmentType = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-AttachmentType-1"
	stu3Availability   = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-AvailabilityStatus-1"
	ticketPath         = Base + "/files/"
)

// fileRoutes are the operations about files: A006, A020, A042, A012, and where A042 leads to.
func (a *API) fileRoutes() []catalogue.Route {
	return []catalogue.Route{
		a.onPerson("POST", "/STU3/Binary", (*call).upload, ReferringClinician, ReferringClinicianAdmin, ProviderClinician, ProviderClinicianAdmin).Uploaded(attach.MostBytes + 1<<20),
		a.onPerson("GET", "/STU3/Binary/{id}", (*call).download, anyClinical()...).Streamed(),
		a.onPerson("GET", "/R4/Binary/{id}", (*call).redirect, anyClinical()...),
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.maintainReferralLetter", typed((*call).maintainLetter), ReferringClinician, ReferringClinicianAdmin),
		catalogue.FromPeer("GET "+ticketPath+"{ticket}", a.admitTicket, a.downloadByTicket).Streamed(),
	}
}

// wrongFile is a failure of a file as this API words it.
func wrongFile(err error) error {
	switch {
	case errors.Is(err, attach.ErrSize):
		return refuse(fileSizeError, "%s", fault.MessageOf(err))
	case errors.Is(err, attach.ErrType):
		return refuse(invalidValue, "%s", fault.MessageOf(err))
	case errors.Is(err, attach.ErrHeld), errors.Is(err, referral.ErrOther):
		return refuse(conflictingValues, "%s", fault.MessageOf(err))
	case errors.Is(err, referral.ErrUsed):
		return refuse(invalidState, "%s", fault.MessageOf(err))
	case errors.Is(err, referral.ErrNoFile):
		return refuse(referenceNotFound, "%s", fault.MessageOf(err))
	case errors.Is(err, referral.ErrSameName):
		return refuse(duplicateFilename, "%s", fault.MessageOf(err))
	case errors.Is(err, referral.ErrNoChange):
		return refuse(noChangesDetected, "%s", fault.MessageOf(err))
	}
	return err
}

// upload is A020: a file comes in, to be attached later.
func (c *call) upload() error {
	said, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || !attach.Known(said) {
		return fault.New(fault.UnsupportedMedia, "Files of this type cannot be attached.")
	}
	name := c.r.Header.Get("NHSD-eRS-File-Name")
	if strings.TrimSpace(name) == "" {
		return refuse(missingValue, "The header NHSD-eRS-File-Name is missing.")
	}
	t, err := attach.ByName(name)
	if err != nil {
		return wrongFile(err)
	}
	if t.MIME != said {
		return refuse(conflictingValues, "The header NHSD-eRS-File-Name says %s, Content-Type says %s.", t.MIME, said)
	}
	u := referral.Upload{Name: name, OnBehalf: c.c.OnBehalf}
	if of := c.r.Header.Get("NHSD-eRS-Referral-ID"); of != "" {
		if u.For, err = ident.ParseUBRN(of); err != nil {
			return refuse(invalidValue, "The header NHSD-eRS-Referral-ID is no UBRN.")
		}
	}
	a, err := c.a.referrals.Upload(c.r.Context(), c.who(), u, c.r.Body)
	if fault.Is(err, fault.NotFound) {
		return refuse(inappropriateValue, "The header NHSD-eRS-Referral-ID names no request.")
	}
	if err != nil {
		return wrongFile(err)
	}
	c.w.Header().Set("Location", "Binary/"+a.ID)
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

// binary is the file of an address, in the form of a UUID or as older ones had it: what is neither is nobody's.
func (c *call) binary() (string, error) {
	id := c.r.PathValue("id")
	if !binaryID.MatchString(id) {
		return "", fault.New(fault.NotFound, "There is no such file.")
	}
	return id, nil
}

var binaryID = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// unavailable words why a file cannot be had, with the code that is its status.
func unavailable(a referral.Attachment, err error) error {
	if fault.Is(err, fault.Unprocessable) && a.Availability() != referral.Available {
		return refuse(code(a.Availability()), "%s", fault.MessageOf(err))
	}
	return err
}

// download is A006: the bytes of a file.
func (c *call) download() error {
	id, err := c.binary()
	if err != nil {
		return err
	}
	o, err := c.a.referrals.OpenFile(c.r.Context(), c.who(), ident.UBRN{}, id)
	if err != nil {
		return unavailable(o.Attachment, err)
	}
	web.ServeFile(c.w, c.r, o.Name, o.Type, o.Hash, o)
	return nil
}

// redirect is A042: where the file can be had for a short while.
func (c *call) redirect() error {
	id, err := c.binary()
	if err != nil {
		return err
	}
	secret, a, err := c.a.referrals.Ticket(c.r.Context(), c.who(), id)
	if err != nil {
		return unavailable(a, err)
	}
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.Header().Set("Location", c.a.k.BaseURL()+ticketPath+secret)
	c.w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// admitTicket lets in whoever holds a ticket: that its holder may read the file was decided, and put on the account, when it was given.
func (a *API) admitTicket(r *http.Request) (referral.Opened, error) {
	return a.referrals.OpenTicket(r.Context(), r.PathValue("ticket"))
}

func (a *API) downloadByTicket(w http.ResponseWriter, r *http.Request, o referral.Opened) error {
	web.ServeFile(w, r, o.Name, o.Type, o.Hash, o)
	return nil
}

// maintainLetter is A012: the files named are all that the referrer's side has from now on.
func (c *call) maintainLetter() error {
	res, err := read(c.r, "Parameters", "eRS-MaintainReferralLetter-Parameters-1")
	if err != nil {
		return err
	}
	_, files, err := readWithFiles(res.Root(), nil, map[string]referral.AttachmentKind{"referralLetterFile": referral.FromReferrer})
	if err != nil {
		return err
	}
	if len(files["referralLetterFile"]) == 0 {
		return refuse(missingValue, "the parameter 'referralLetterFile' is missing: at least one file stays")
	}
	return c.change(referral.Work{Kind: referral.ActLetter, Files: files["referralLetterFile"], Replace: true})
}

// readWithFiles reads parameters as readParameters does, and apart from them those that are files, which may be there more than once. Kinds says by name what kind of file each is.
func readWithFiles(n fhir.Node, allowed map[string]string, kinds map[string]referral.AttachmentKind) (p parameters, files map[string][]referral.FileRef, err error) {
	files = map[string][]referral.FileRef{}
	var rest []any
	i := -1
	for x := range n.Get("parameter").Items() {
		i++
		name := x.Field("name").String()
		kind, file := kinds[name]
		if !file {
			rest = append(rest, x.Value())
			continue
		}
		at := fmt.Sprintf("parameter[%d]/resource", i)
		ref, err := readDocument(x.Field("resource"), at, kind)
		if err != nil {
			return nil, nil, err
		}
		for _, other := range files[name] {
			if other.ID == ref.ID {
				return nil, nil, refuse(duplicateFilename, "'%s' names a file that is named already", at)
			}
		}
		files[name] = append(files[name], ref)
	}
	if len(rest) == 0 {
		return parameters{}, files, nil
	}
	others, err := fhir.Parse(fhir.Obj("resourceType", "Parameters", "parameter", fhir.Arr(rest...)).JSON())
	if err != nil {
		return nil, nil, refuse(invalidStructure, "%s", fault.MessageOf(err))
	}
	p, err = readParameters(others.Root(), "", allowed)
	return p, files, err
}

var binaryURL = regexp.MustCompile(`^Binary/([0-9A-Za-z-]{1,64})$`)

// readDocument reads eRS-DocumentReference-1, which names an uploaded file.
func readDocument(n fhir.Node, path string, kind referral.AttachmentKind) (f referral.FileRef, err error) {
	if n.Field("resourceType").String() != "DocumentReference" {
		return f, refuse(invalidStructure, "'%s/resourceType' must be 'DocumentReference'", path)
	}
	if err := hasProfile(n, path+"/meta", "eRS-DocumentReference-1"); err != nil {
		return f, err
	}
	switch coding := n.Get("type.coding.0"); {
	case coding.Field("system").String() != stu3AttachmentType:
		return f, refuse(invalidValue, "'%s/type/coding[0]/system' must be '%s'", path, stu3AttachmentType)
	case coding.Field("code").String() != string(kind):
		return f, refuse(invalidCode, "'%s/type/coding[0]/code' is '%s'; it must be '%s'", path, shown(coding.Field("code").String()), kind)
	case n.Field("status").String() != "current":
		return f, refuse(invalidValue, "'%s/status' must be 'current'", path)
	case n.Field("indexed").String() == "":
		return f, refuse(missingValue, "'%s/indexed' is missing", path)
	case n.Field("content").Len() != 1:
		return f, refuse(missingValue, "'%s/content' must name one file", path)
	}
	m := binaryURL.FindStringSubmatch(n.Get("content.0.attachment.url").String())
	if m == nil {
		return f, refuse(missingValue, "'%s/content[0]/attachment/url' must name an uploaded file: Binary/…", path)
	}
	said := n.Get("content.0.attachment.contentType").String()
	if len(said) > 100 {
		return f, refuse(invalidValue, "'%s/content[0]/attachment/contentType' is no type of a file", path)
	}
	return referral.FileRef{ID: m[1], Description: n.Field("description").String(), Type: said}, nil
}

// documentReference is eRS-DocumentReference-1: a file that was attached.
func documentReference(a referral.Attachment, id string) fhir.Value {
	extensions := []any{extension("AvailabilityStatus", "valueCoding", fhir.Obj("system", stu3Availability, "code", string(a.Availability()))),
		extension("AttachedBy", "valueReference", fhir.Obj("identifier", fhir.Obj("system", stu3User, "value", a.By.ID))),
		extension("AttachedByOrganisation", "valueReference", fhir.Obj("identifier", fhir.Obj("system", idOrganisation, "value", a.Organisation.String())))}
	if a.OnBehalf != "" {
		extensions = append(extensions, extension("AttachedOnBehalfOf", "valueReference", fhir.Obj("identifier", fhir.Obj("system", stu3User, "value", a.OnBehalf))))
	}
	return fhir.Obj("id", id, "meta", profiled("eRS-DocumentReference-1"), "resourceType", "DocumentReference",
		"type", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", stu3AttachmentType, "code", string(a.Kind), "display", attachmentName(a.Kind)))), "status", "current",
		"indexed", instant(a.At), "description", a.Description, "content", fhir.Arr(fhir.Obj("attachment", fhir.Obj("id", a.ID, "extension", fhir.Arr(extensions...),
			"contentType", a.Type, "url", "Binary/"+a.ID, "size", a.Size, "title", a.Name, "creation", a.At.UTC().Format("2006-01-02")))))
}

// attachmentName is the display of a kind of attachment.
func attachmentName(k referral.AttachmentKind) string {
	return map[referral.AttachmentKind]string{referral.FromReferrer: "Referrer", referral.FromProvider: "Provider", referral.WithQuestion: "Advice Request", referral.WithAnswer: "Guidance Response"}[k]
}
