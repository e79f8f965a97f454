package ers

import (
	"errors"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/referral"
)

// CodeOf is the published code of a failure; "" for one that has none.
func CodeOf(err error) string {
	var p *problem
	if errors.As(err, &p) {
		return string(p.code)
	}
	return ""
}

// ReadOutcome reads the parameters of A028, as far as nothing has to be looked up: the code of the outcome, and the files.
func ReadOutcome(res *fhir.Resource) (outcome string, files []referral.FileRef, err error) {
	p, named, err := readWithFiles(res.Root(), map[string]string{"reviewOutcome": "valueCoding", "reviewComments": "valueString", "reviewPriority": "valueCoding"}, map[string]referral.AttachmentKind{"reviewAttachmentFile": referral.FromProvider})
	if err == nil {
		err = p.need("reviewOutcome", "reviewComments")
	}
	if err != nil {
		return "", nil, err
	}
	outcome, err = p.coding("reviewOutcome", stu3Outcome, "RETURN_TO_REFERRER_WITH_ADVICE", "ACCEPT_REFER_BOOK_LATER")
	return outcome, named["reviewAttachmentFile"], err
}

// ReadSlotQuery reads the query of A015.
func ReadSlotQuery(raw string) (count, page int, err error) {
	q, err := readSlotQuery(raw)
	return q.count, q.page, err
}
