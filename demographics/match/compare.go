package match

import "strings"

// Compare is how far two people agree, field by field. It is symmetric: Compare(a, b) == Compare(b, a).
func Compare(a, b *Person) Pattern {
	p := Pattern(0).
		With(Family, familyLevel(a, b)).
		With(Given, givenLevel(a, b)).
		With(Birth, birthLevel(a.Birth, b.Birth)).
		With(Gender, genderLevel(a.Gender, b.Gender)).
		With(Contact, contactLevel(a, b)).
		With(Death, deathLevel(a.Death, b.Death))
	if p.Level(Given) == GivenDiffers && p.Level(Birth) == BirthSame && together(p) {
		p = p.With(Given, GivenTwin)
	}
	return p
}

// together reports whether two people of one birthday look like children of one household.
func together(p Pattern) bool {
	switch p.Level(Contact) {
	case ContactAll, ContactNumber, ContactAddress, ContactPostcode, ContactFormer:
		return true
	}
	switch p.Level(Family) {
	case FamilySame, FamilyFormer:
		return true
	}
	return false
}

func genderLevel(a, b byte) Level {
	switch {
	case a == 0 || b == 0:
		return Missing
	case a == b:
		return Same
	}
	return Differs
}

// deathLevel is Missing while one of the two is not known to have died: news of a death takes its time.
func deathLevel(a, b Date) Level {
	switch {
	case a == 0 || b == 0:
		return Missing
	case birthLevel(a, b) == BirthDiffers:
		return Differs
	}
	return Same
}

func familyLevel(a, b *Person) Level {
	best := Missing
	for i := range a.Names {
		for j := range b.Names {
			x, y := &a.Names[i], &b.Names[j]
			l := textLevel(x.Family, y.Family)
			switch {
			case l == Missing:
			case l == FamilySame && (x.Former || y.Former) && !(i == 0 && j == 0):
				l = FamilyFormer
			case l != FamilySame && crossed(x, y):
				l = FamilyNear
			}
			best = better(best, l)
		}
	}
	return best
}

// better is the level with more agreement; a level of any kind is better than Missing.
func better(a, b Level) Level {
	if a == Missing || b != Missing && b < a {
		return b
	}
	return a
}

// crossed reports whether the two names are each other's with family and first given name exchanged.
func crossed(a, b *Name) bool {
	return a.Family != "" && b.Family != "" && bare(first(a.Given)) == b.Family && bare(first(b.Given)) == a.Family
}

// textLevel compares two family names: FamilySame, FamilyNear, FamilyDiffers or Missing.
func textLevel(a, b string) Level {
	switch {
	case a == "" || b == "":
		return Missing
	case a == b:
		return FamilySame
	case near(a, b):
		return FamilyNear
	}
	return FamilyDiffers
}

// near reports whether two words are a slip of typing apart (Winkler's bound of 0.92), or look alike and sound the same.
func near(a, b string) bool {
	if len(a) < 3 || len(b) < 3 {
		return false
	}
	alike := JaroWinkler([]byte(a), []byte(b))
	return alike >= 0.92 || alike >= 0.8 && Sound(a) == Sound(b)
}

func first(given string) string {
	head, _, _ := strings.Cut(given, " ")
	return head
}

func givenLevel(a, b *Person) Level {
	best := Missing
	for i := range a.Names {
		for j := range b.Names {
			x, y := &a.Names[i], &b.Names[j]
			l := givenNames(x.Given, y.Given)
			if l == GivenSame && (x.Former || y.Former) && !(i == 0 && j == 0) {
				l = GivenVariant
			}
			if l == GivenDiffers && crossed(x, y) {
				l = GivenNear
			}
			best = better(best, l)
		}
	}
	return best
}

// givenNames compares two lists of given names.
func givenNames(a, b string) Level {
	switch {
	case a == "" || b == "":
		return Missing
	case a == b:
		return GivenSame
	}
	x, y := first(a), first(b)
	switch {
	case x == y:
		if others(a, b) {
			return GivenSame
		}
		return GivenVariant
	case variant(x, y), listed(a, y), listed(b, x):
		return GivenVariant
	case near(x, y):
		return GivenNear
	}
	return GivenDiffers
}

// others reports whether what follows the first name of one is left out by the other, or agrees so far as initials go.
func others(a, b string) bool {
	_, x, _ := strings.Cut(a, " ")
	_, y, _ := strings.Cut(b, " ")
	return x == "" || y == "" || x[0] == y[0]
}

// listed reports whether name is one of the names in list, by more than an initial.
func listed(list, name string) bool {
	for one := range strings.SplitSeq(list, " ") {
		if len(name) > 1 && one == name {
			return true
		}
	}
	return false
}

// variant reports whether two first names may be one: an initial, a pet name, or half of a double name.
func variant(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	switch {
	case len(a) == 1:
		return a[0] == b[0]
	case strings.HasPrefix(b, a) && len(b) > len(a) && b[len(a)] == '-':
		return true
	}
	return canonical(a) == canonical(b)
}

func contactLevel(a, b *Person) Level {
	place := placeLevel(a, b)
	if shares(a.Numbers, b.Numbers) {
		if place == ContactAddress {
			return ContactAll
		}
		return ContactNumber
	}
	if place == Missing && len(a.Numbers) > 0 && len(b.Numbers) > 0 {
		return ContactDiffers
	}
	return place
}

func shares(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

func placeLevel(a, b *Person) Level {
	best := Missing
	for i := range a.Places {
		for j := range b.Places {
			x, y := &a.Places[i], &b.Places[j]
			l := onePlace(x, y)
			if (l == ContactAddress || l == ContactPostcode) && (x.Former || y.Former) {
				l = ContactFormer
			}
			best = better(best, l)
		}
	}
	return best
}

func onePlace(a, b *Place) Level {
	switch {
	case a.Postcode == "" || b.Postcode == "":
		if a.Line == "" || b.Line == "" {
			return Missing
		}
		return ContactDiffers
	case a.Postcode == b.Postcode:
		if a.Line != "" && b.Line != "" && (a.Line == b.Line || near(a.Line, b.Line) && house(a.Line) == house(b.Line)) {
			return ContactAddress
		}
		return ContactPostcode
	case Outward(a.Postcode) != "" && Outward(a.Postcode) == Outward(b.Postcode):
		return ContactArea
	}
	return ContactDiffers
}

// house is the digits that a line of an address begins with.
func house(line string) string {
	end := 0
	for end < len(line) && line[end] >= '0' && line[end] <= '9' {
		end++
	}
	return line[:end]
}
