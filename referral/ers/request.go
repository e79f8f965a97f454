package ers

import (
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

// serviceRequests is A041: the id by which R4 operations know a request of a UBRN. What the caller may not see is as if it were not there.
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
	r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	switch {
	case err == nil:
		id := requestID(u)
		entries = append(entries, fhir.Obj("fullUrl", x.base+"/R4/ServiceRequest/"+id, "resource", fhir.Obj("id", id, "meta", fhir.Obj("versionId", strconv.FormatInt(r.Version, 10)), "resourceType", "ServiceRequest",
			"identifier", fhir.Arr(fhir.Obj("system", idUBRN, "value", u.String())), "status", requestStatus(r), "intent", "order",
			"category", fhir.Arr(conceptOf("https://fhir.nhs.uk/CodeSystem/message-category-servicerequest", "referral")),
			"subject", fhir.Obj("identifier", fhir.Obj("system", "https://fhir.nhs.uk/Id/nhs-number", "value", r.Patient.String()))), "search", fhir.Obj("mode", "match")))
	case !fault.Is(err, fault.NotFound):
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
