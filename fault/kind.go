package fault

// Kind says what the caller can do about a failure. The list is closed: a new kind is a design decision and
// needs a row in docs/status-codes.md.
type Kind uint8

// The kinds of failure. Internal is the zero value, so that what nobody classified tells the caller nothing.
const (
	Internal             Kind = iota // ours: the caller can only try again
	Invalid                          // what was sent cannot be understood
	Unauthenticated                  // who is asking is not known
	Forbidden                        // known, and not allowed
	NotFound                         // not there, or a secret that it is
	MethodNotAllowed                 // the place exists, the act does not
	NotAcceptable                    // no such format to answer in
	Conflict                         // somebody else got there first
	Gone                             // was there, has been deleted
	PreconditionFailed               // the version or condition named does not hold
	TooLarge                         // over a stated size
	UnsupportedMedia                 // no such format to read
	Unprocessable                    // understood, and against the rules
	PreconditionRequired             // a version must be named and was not
	TooMany                          // too many requests
	TooCostly                        // the search would read too much; narrow it
	Unavailable                      // not now; try again later
	Timeout                          // took too long
	Full                             // the disk is full; nothing was lost
	kinds                            // how many there are
)

// All lists every kind, for tables in docs and tests.
func All() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

type wording struct {
	name      string
	status    int    // HTTP (RFC 9110, RFC 6585, RFC 4918)
	issueType string // http://hl7.org/fhir/issue-type
	meaning   string
}

func (k Kind) words() wording {
	if k >= kinds {
		k = Internal
	}
	return wordings[k]
}

// String is the kind's name in lower case with hyphens.
func (k Kind) String() string { return k.words().name }

// HTTPStatus is the status code with which HTTP says this kind.
func (k Kind) HTTPStatus() int { return k.words().status }

// IssueType is the FHIR R4 issue type (http://hl7.org/fhir/issue-type) with which an OperationOutcome says this kind.
func (k Kind) IssueType() string { return k.words().issueType }

// Meaning says in a few words when a failure is of this kind.
func (k Kind) Meaning() string { return k.words().meaning }

var wordings = [kinds]wording{
	Internal:             {"internal", 500, "exception", "our own failure; the caller learns nothing of the cause"},
	Invalid:              {"invalid", 400, "invalid", "what was sent cannot be understood"},
	Unauthenticated:      {"unauthenticated", 401, "login", "no credentials, or credentials that do not hold"},
	Forbidden:            {"forbidden", 403, "forbidden", "known, and not allowed"},
	NotFound:             {"not-found", 404, "not-found", "not there, or its existence is a secret"},
	MethodNotAllowed:     {"method-not-allowed", 405, "not-supported", "the place exists, the act on it does not"},
	NotAcceptable:        {"not-acceptable", 406, "not-supported", "no such format to answer in"},
	Conflict:             {"conflict", 409, "conflict", "somebody else got there first"},
	Gone:                 {"gone", 410, "deleted", "was there, has been deleted"},
	PreconditionFailed:   {"precondition-failed", 412, "conflict", "the version or condition named does not hold"},
	TooLarge:             {"too-large", 413, "too-long", "over a stated limit of size or depth"},
	UnsupportedMedia:     {"unsupported-media", 415, "not-supported", "no such format to read"},
	Unprocessable:        {"unprocessable", 422, "invariant", "understood, and against the rules"},
	PreconditionRequired: {"precondition-required", 428, "required", "the version must be named and was not"},
	TooMany:              {"too-many", 429, "throttled", "too many requests; wait"},
	TooCostly:            {"too-costly", 403, "too-costly", "the search would read too much; narrow it"},
	Unavailable:          {"unavailable", 503, "transient", "not now; try again later"},
	Timeout:              {"timeout", 504, "timeout", "took too long and was stopped"},
	Full:                 {"full", 507, "no-store", "the disk is full; what was acknowledged is safe"},
}
