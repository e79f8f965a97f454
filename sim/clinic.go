package sim

import (
	_ "embed"

	"github.com/BurntSushi/toml"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

//go:embed clinic.toml
var clinicTOML string

//go:embed pathways.toml
var pathwaysTOML string

// clinic is what is known of illnesses and their care: the codes, and the pathways that people are on.
type clinic struct {
	Conditions map[string]coded
	Procedures map[string]coded
	Medicines  map[string]medicine
	Measures   map[string]measure
	Vaccines   map[string]vaccine
	Schedule   []struct {
		Vaccine string
		Days    int
	}
	Allergy []allergy
	Smoking []struct {
		Share float64
		Code  coded
	}
	pathways []pathway
}

// coded is a SNOMED CT code and its display.
type coded [2]string

type medicine struct {
	Code, Display, Product, Dose           string
	Times                                  int
	DMD, Inhaled, Skin, Weekly, Penicillin bool
}

type measure struct {
	Code, Display, Loinc, Unit, UCUM string
	LoincDisplay                     string `toml:"loinc_display"`
	Decimals                         int
	Low, High                        float64
	LowFemale                        float64 `toml:"low_female"`
	HighFemale                       float64 `toml:"high_female"`
	Vital, Pair                      bool
}

type vaccine struct {
	Code, Display string
	DMD           bool
}

type allergy struct {
	Share                           float64
	Code, Reaction                  coded
	Category, Severity, Criticality string
}

// pathway is one illness or event of life and what is done about it; pathways.toml says what each part means.
type pathway struct {
	Name       string
	Ages       [2]int
	Share      float64
	Sex        string
	Lasting    bool
	Attendance bool
	Review     int
	Days       int
	Medicines  []string
	Results    []series
	Procedures []string
	Note       string
	Hospital   *hospitalCare
}

// hospitalCare is the part of a pathway that happens at a hospital.
type hospitalCare struct {
	Kind, Place, Procedure, Report, Letter string
	After, Stay, Next                      int
	Surgeon                                bool
	Results                                []series
}

// series is what is measured: from the first value towards the second, give or take the spread.
type series struct {
	what             string
	from, to, spread float64
}

// UnmarshalTOML reads ["HbA1c", 76, 53, 4].
func (s *series) UnmarshalTOML(v any) error {
	list, ok := v.([]any)
	if !ok || len(list) != 4 {
		return fault.New(fault.Internal, "a series of results is what, from, to and spread; not %v", v)
	}
	s.what, ok = list[0].(string)
	for i, into := range []*float64{&s.from, &s.to, &s.spread} {
		switch n := list[i+1].(type) {
		case int64:
			*into = float64(n)
		case float64:
			*into = n
		default:
			ok = false
		}
	}
	if !ok {
		return fault.New(fault.Internal, "a series of results is what, from, to and spread; not %v", v)
	}
	return nil
}

// loadClinic reads the codes and pathways, and refuses a code with a wrong check digit or a word without a code.
func loadClinic() (*clinic, error) {
	var c clinic
	meta, err := toml.Decode(clinicTOML, &c)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the table of codes cannot be read")
	}
	var list struct{ Pathway []pathway }
	more, err := toml.Decode(pathwaysTOML, &list)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the pathways cannot be read")
	}
	if unread := append(meta.Undecoded(), more.Undecoded()...); len(unread) > 0 {
		return nil, fault.New(fault.Internal, "the clinic's tables say %v, which is not understood", unread)
	}
	c.pathways = list.Pathway
	if err := c.checkCodes(); err != nil {
		return nil, err
	}
	for i := range c.pathways {
		if err := c.checkPathway(&c.pathways[i]); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

func (c *clinic) checkCodes() error {
	var codes []string
	for _, v := range c.Conditions {
		codes = append(codes, v[0])
	}
	for _, v := range c.Procedures {
		codes = append(codes, v[0])
	}
	for _, v := range c.Medicines {
		if v.Code != "" {
			codes = append(codes, v.Code)
		}
	}
	for _, v := range c.Measures {
		codes = append(codes, v.Code)
	}
	for _, v := range c.Vaccines {
		codes = append(codes, v.Code)
	}
	for _, v := range c.Allergy {
		codes = append(codes, v.Code[0], v.Reaction[0])
	}
	for _, v := range c.Smoking {
		codes = append(codes, v.Code[0])
	}
	for _, code := range codes {
		if _, err := ident.ParseSNOMED(code); err != nil {
			return fault.Wrap(err, fault.Internal, "the clinic's code %s is wrong", code)
		}
	}
	for _, s := range c.Schedule {
		if c.Vaccines[s.Vaccine].Code == "" {
			return fault.New(fault.Internal, "no vaccine is called %q", s.Vaccine)
		}
	}
	return nil
}

func (c *clinic) checkPathway(p *pathway) error {
	known := c.Conditions[p.Name][0] != "" && (p.Review > 0 || !p.Lasting) && (p.Days > 0 || p.Lasting)
	for _, m := range p.Medicines {
		known = known && c.Medicines[m].Product != ""
	}
	results, procedures := p.Results, p.Procedures
	if h := p.Hospital; h != nil {
		results = append(results[:len(results):len(results)], h.Results...)
		if h.Procedure != "" {
			procedures = append(procedures[:len(procedures):len(procedures)], h.Procedure)
		}
		known = known && (h.Kind == "inpatient" || h.Kind == "outpatient" || h.Kind == "emergency") && h.Letter != ""
	}
	for _, s := range results {
		known = known && c.Measures[s.what].Code != ""
	}
	for _, s := range procedures {
		known = known && c.Procedures[s][0] != ""
	}
	if !known {
		return fault.New(fault.Internal, "the pathway %q names something that has no code, or does not say how long it lasts", p.Name)
	}
	return nil
}
