package ers

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

const idUBRN = "https://fhir.nhs.uk/Id/UBRN"

// serviceRequests is A041: the ids by which R4 operations know what has a UBRN, a referral or a question for advice, or both where the one was made of the other. What the caller may not see is as if it were not there.
func (c *call) serviceRequests() error {
	q := c.r.URL.Query()
	asked := q.Get("identifier")
	system, number, has := strings.Cut(asked, "|")
	if !has {
		system, number = idUBRN, asked
	}
	u, err := ident.ParseUBRN(number)
	if len(q["identifier"]) != 1 || system != idUBRN || err != nil {
		return fault.New(fault.Invalid, "The parameter identifier names one UBRN, as https://fhir.nhs.uk/Id/UBRN|000000070000.")
	}
	var entries []any
	x := c.writer()
	add := func(id string, version int64, status, category, code string, patient ident.NHSNumber) {
		of := fhir.Value{}
		if code != "" {
			of = conceptOf("https://fhir.nhs.uk/CodeSystem/servicerequest-code", code)
		}
		entries = append(entries, fhir.Obj("fullUrl", x.base+"/R4/ServiceRequest/"+id, "resource", fhir.Obj("id", id, "meta", fhir.Obj("versionId", strconv.FormatInt(version, 10)), "resourceType", "ServiceRequest",
			"identifier", fhir.Arr(fhir.Obj("system", idUBRN, "value", u.String())), "status", status, "intent", "order", "category", fhir.Arr(conceptOf("https://fhir.nhs.uk/CodeSystem/message-category-servicerequest", category)), "code", of,
			"subject", fhir.Obj("identifier", fhir.Obj("system", "https://fhir.nhs.uk/Id/nhs-number", "value", patient.String()))), "search", fhir.Obj("mode", "match")))
	}
	r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	switch {
	case err == nil:
		add(requestID(u), r.Version, requestStatus(r), "referral", "", r.Patient)
	case !fault.Is(err, fault.NotFound):
		return err
	}
	a, err := c.a.referrals.Advice(c.r.Context(), c.who(), u, false)
	switch {
	case err == nil:
		add(adviceID(u), a.Version, questionStatus(a), "request", "advice-and-guidance", a.Patient)
	case !errors.Is(err, referral.ErrNotAdvice) && !fault.Is(err, fault.NotFound):
		return err
	}
	now := c.a.k.Clock.Now()
	return send(c.w, http.StatusOK, fhir.Obj("id", uuid.NewString(), "resourceType", "Bundle", "meta", fhir.Obj("lastUpdated", now), "timestamp", now,
		"link", fhir.Arr(fhir.Obj("relation", "self", "url", x.base+"/R4/ServiceRequest?identifier="+url.QueryEscape(idUBRN+"|"+u.String()))), "total", len(entries), "type", "searchset", "entry", fhir.Arr(entries...)).JSON())
}

// requestStatus is R4's status of a referral.
func requestStatus(r referral.Referral) string {
	if s := statusOf(r); s != "cancelled" {
		return s
	}
	return "revoked"
}

// questionStatus is R4's status of a question for advice.
func questionStatus(a referral.Advice) string {
	switch a.State {
	case referral.AdviceCancelled:
		return "revoked"
	case referral.AdviceClosed, referral.AdviceConverted:
		return "completed"
	}
	return "active"
}
