package bookings

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging/simulate/country"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// begun is what every simulation begins with: the databases of the nodes, and the folders of their accounts' keys, which nothing in a simulation depends on.
type begun struct {
	files    map[string][]byte
	accounts map[string]string
}

// People is how many patients the practice has.
const People = 6

// Practice is who refers.
var Practice = ident.MustODSCode("Z99801")

// Patient is the number of one of the practice's patients, from 0 to People - 1.
func Patient(i int) ident.NHSNumber {
	n, err := ident.TestRange.At(i)
	if err != nil {
		panic(err) // the range has millions
	}
	return n
}

// ServiceOf is the one service of a hospital, by the directory's id.
func ServiceOf(h ident.ODSCode) string { return h.String() + "-heart" }

// beginning makes what every simulation begins with, once.
var beginning = sync.OnceValues(begin)

func begin() (b *begun, err error) {
	b = &begun{files: map[string][]byte{}, accounts: map[string]string{}}
	// The keys of the accounts are read at each start of a node, until the program ends.
	keys, err := os.MkdirTemp("", "openspine-bookings-keys-*")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "openspine-bookings-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &world{Country: country.New(context.Background(), rand.New(rand.NewPCG(1, 1)), nil)} //nolint:gosec // a simulation's chance
	for i, name := range names() {
		n := nodeOn(w, country.Bare(name, uint64(i), start)) //nolint:gosec // small
		n.account = filepath.Join(keys, name)
		b.accounts[name] = n.account
		path := filepath.Join(dir, name+".db")
		if n.DB, err = store.Open(w.Ctx, path, store.Options{Clock: n.Clock, Rand: n.Secret}); err != nil {
			return nil, err
		}
		err = n.fill()
		n.records.Close()
		if err = errors.Join(err, n.DB.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if b.files[name], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// fill puts into a new node what is there before anything happens.
func (n *node) fill() error {
	k, err := n.kernel()
	if err == nil {
		err = n.assemble(k)
	}
	if err != nil {
		return err
	}
	if n.Name != "X26" {
		return n.clinics.SetUp(n.w.Ctx, access.Service("simulation", n.code), n.code, Clinics(n.code))
	}
	return Populate(n.w.Ctx, k, append(slices.Clone(hospitals), Apart)...)
}

// Clinics are those of a hospital of the simulation.
func Clinics(h ident.ODSCode) hospital.Setup {
	return hospital.Setup{Specialties: []hospital.Specialty{{Code: "394579002", Name: "Cardiology"}}, Consultants: []hospital.Consultant{{ID: "q", Name: "Dr Saoirse Quinlan", Specialty: "394579002"}},
		Clinics: []hospital.Clinic{{ID: "heart", Name: "Heart clinic", Service: ServiceOf(h), Specialty: "394579002", Consultant: "q", Place: "Outpatients"}}}
}

// Populate puts the patients of the practice, and the services of hospitals, into an empty national node.
func Populate(ctx context.Context, k catalogue.Kernel, hospitals ...ident.ODSCode) error {
	for _, h := range hospitals {
		res, err := directory.HealthcareService{ID: ServiceOf(h), Name: "Heart clinic", Provider: h, Specialty: "394579002", SpecialtyName: "Cardiology", Wait: 20, Youngest: -1, Oldest: -1, Active: true, Advice: true}.Resource()
		if err == nil {
			err = put(ctx, k, "HealthcareService", ServiceOf(h), res)
		}
		if err != nil {
			return err
		}
	}
	for i := range People {
		u := Patient(i).String()
		res, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Patient","id":"%s","identifier":[{"system":"%s","value":"%s"}],"name":[{"use":"usual","family":"Person%d","given":["Ann"]}],"gender":"female","birthDate":"19%d0-03-04"}`, u, ident.SystemNHSNumber, u, i, i+3))
		if err == nil {
			err = put(ctx, k, "Patient", u, res)
		}
		if err == nil {
			err = k.DB.Write(ctx, []store.Lane{k.Gate.Lane(k.National, u)}, func(tx *store.Tx) error {
				return k.Gate.Relate(tx, access.Relationship{Tenant: k.National, Chart: u, Organisation: Practice, Kind: access.KindRegistered, Basis: "registered", By: "service/simulation"})
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// put writes a resource of the national tenant.
func put(ctx context.Context, k catalogue.Kernel, typ, id string, res *fhir.Resource) error {
	d, err := k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: k.National, Type: typ, ID: id}, Resource: res, Reason: "the simulation begins"})
	if err != nil {
		return err
	}
	grants, err := k.Gate.DecideAll(ctx, access.Service("simulation", k.National), d.Acts())
	if err != nil {
		return err
	}
	return k.Gate.Act(ctx, grants, d.Lanes(), func(tx *store.Tx) error {
		_, err := k.Records.Apply(tx, d, grants...)
		return err
	})
}

// sessionStart is when a session of so many days from now begins.
func sessionStart(now time.Time, days, hour int) time.Time {
	return now.Truncate(24*time.Hour).AddDate(0, 0, days).Add(time.Duration(hour) * time.Hour)
}
