package record

import (
	"encoding/binary"
	"io"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/ident"
)

// alphabet is Crockford's base 32 in small letters: its order is that of bytes, and it has no look-alikes.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID is a fresh logical id: 18 letters and digits that sort by the time they were given (to a millisecond, for
// some thousand years), of which nine are random.
func (r *Records) NewID() (string, error) {
	var random [8]byte
	if _, err := io.ReadFull(r.rand, random[:]); err != nil {
		return "", fault.Wrap(err, fault.Internal, "no randomness for an id")
	}
	return formatID(r.clock.Now().UnixMilli(), binary.LittleEndian.Uint64(random[:])), nil
}

func formatID(ms int64, random uint64) string {
	var id [18]byte
	for i := 8; i >= 0; i-- {
		id[i] = alphabet[ms&31]
		ms >>= 5
	}
	for i := 17; i >= 9; i-- {
		id[i] = alphabet[random&31]
		random >>= 5
	}
	return string(id[:])
}

// NewIDFor is a fresh logical id for a resource that is about to be created, so that others can refer to it. It is nearest to what
// the resource is about, if that can be told already.
func (r *Records) NewIDFor(tenant ident.ODSCode, res *fhir.Resource) (string, error) {
	return r.newIDNear(tenant, search.Chart(res), res.Type())
}

// newIDNear is a fresh id whose own lane is that of the chart, so that the resource is found without an alias.
// With 1,024 lanes it takes some thousand hashes, less than the alias would cost.
func (r *Records) newIDNear(tenant ident.ODSCode, chart, typ string) (string, error) {
	var random [8]byte
	if _, err := io.ReadFull(r.rand, random[:]); err != nil {
		return "", fault.Wrap(err, fault.Internal, "no randomness for an id")
	}
	ms, n := r.clock.Now().UnixMilli(), binary.LittleEndian.Uint64(random[:])
	id := formatID(ms, n)
	if chart == "" || r.db.Lanes() <= 1 || typ == "Patient" {
		return id, nil
	}
	home := r.homeLane(tenant, chart, typ, id)
	for try := 0; try < 16*r.db.Lanes(); try++ {
		if r.idLane(Ref{tenant, typ, id}) == home {
			return id, nil
		}
		n++
		id = formatID(ms, n)
	}
	return id, nil
}

func checkID(id string) error {
	if _, err := ident.ParseFHIRID(id); err != nil {
		return fault.New(fault.Invalid, "A resource's id has 1 to 64 letters, digits, hyphens and full stops.")
	}
	return nil
}
