package sim

import (
	_ "embed"
	"math/rand/v2"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/openspine/openspine/fault"
)

//go:embed names.toml
var namesTOML string

//go:embed places.toml
var placesTOML string

// vocabulary is what names and addresses are made of.
type vocabulary struct {
	cultures []culture
	weights  int
	county   string
	mobile   string
	towns    []place
	streets  []string
	kinds    []string
	houses   []string
	blocks   []string
}

// culture is how families of one culture of the country name their children.
type culture struct {
	name                                     string
	weight                                   int
	family, male, female, oldmale, oldfemale []string
	masculine, feminine                      []string // endings of family names, pair by pair
	language                                 string
}

type place struct {
	name, area, phone string
	districts         int
	hospital          int
}

func loadVocabulary() (*vocabulary, error) {
	var names struct {
		Culture []struct {
			Name, Family, Male, Female, OldMale, OldFemale, Language string
			Weight                                                   int
			Feminine                                                 []string
		}
	}
	var places struct {
		County, Mobile string
		Town           []struct {
			Name, Area, Phone   string
			Districts, Hospital int
		}
		Street struct{ Names, Kinds, Houses, Blocks string }
	}
	if _, err := toml.Decode(namesTOML, &names); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the list of names cannot be read")
	}
	if _, err := toml.Decode(placesTOML, &places); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the list of places cannot be read")
	}
	v := &vocabulary{
		county: places.County, mobile: places.Mobile, streets: words(places.Street.Names), kinds: words(places.Street.Kinds),
		houses: words(places.Street.Houses), blocks: words(places.Street.Blocks),
	}
	for _, n := range names.Culture {
		c := culture{
			name: n.Name, weight: n.Weight, family: words(n.Family), male: words(n.Male), female: words(n.Female),
			oldmale: words(n.OldMale), oldfemale: words(n.OldFemale), language: n.Language,
		}
		for i := 0; i+1 < len(n.Feminine); i += 2 {
			c.masculine, c.feminine = append(c.masculine, n.Feminine[i]), append(c.feminine, n.Feminine[i+1])
		}
		v.cultures = append(v.cultures, c)
		v.weights += n.Weight
	}
	for _, t := range places.Town {
		v.towns = append(v.towns, place{t.Name, t.Area, t.Phone, t.Districts, t.Hospital})
	}
	return v, nil
}

// words are the words of a list; an underscore is a space within one.
func words(s string) []string {
	list := strings.Fields(s)
	for i := range list {
		list[i] = strings.ReplaceAll(list[i], "_", " ")
	}
	return list
}

func (v *vocabulary) culture(r *rand.Rand) *culture {
	at := r.IntN(v.weights)
	for i := range v.cultures {
		if at -= v.cultures[i].weight; at < 0 {
			return &v.cultures[i]
		}
	}
	return &v.cultures[0]
}

// feminineOf is a family name in the form that somebody of the gender bears: Kowalski, Kowalska.
func (c *culture) feminineOf(family, gender string) string {
	for i, ending := range c.masculine {
		from, to := ending, c.feminine[i]
		if gender != "female" {
			from, to = to, from
		}
		if stem, ok := strings.CutSuffix(family, from); ok {
			return stem + to
		}
	}
	return family
}
