// Package match tells whether two records are of one person, and says why.
//
// It is Fellegi and Sunter's record linkage (A Theory for Record Linkage, JASA 64, 1969). Two people are compared field by
// field; each comparison ends on a level, from "the same" to "different"; each level has two probabilities, m among
// pairs that are one person and u among pairs that are not; and log2(m/u) is the level's weight. The weights of all
// fields, added to the log-odds that any two records are one person, give the probability for this pair:
//
//	two records ─▶ Compare ─▶ Pattern (a level per field) ─▶ Model.Score ─▶ weight, probability, Verdict, Reasons
//	all records ─▶ Keys ─▶ blocks ─▶ Pairs ─▶ counts of patterns ─▶ Estimate (EM) ─▶ Model
//
// Evidence that comes from living together (address, telephone, e-mail) is one field, Contact, because it is not
// independent: a family shares it all. Twins are a level of their own. What no weight should outvote is a veto that
// Verdict names: a pair whose birth date or first name has nothing in common goes to a person, never to a program.
package match

// Field is one thing that is compared.
type Field uint8

// The fields, in the order in which they are shown.
const (
	Family Field = iota
	Given
	Birth
	Gender
	Contact
	Death
	fields
)

// Fields lists all fields.
func Fields() []Field { return []Field{Family, Given, Birth, Gender, Contact, Death} }

// String is the field's word, as in Model's JSON.
func (f Field) String() string {
	return [...]string{"family", "given", "birth", "gender", "contact", "death"}[f]
}

// Level is how far two values of one field agree. Zero is Missing in every field: one side does not know, which is no
// evidence either way.
type Level uint8

// Missing is the level of a field that one of the two does not have.
const Missing Level = 0

// Levels of Family.
const (
	FamilySame    Level = iota + 1
	FamilyFormer        // the one's name now is a former name of the other
	FamilyNear          // sounds the same, or a slip of typing apart, or in the place of the given name
	FamilyDiffers       // nothing in common
)

// Levels of Given.
const (
	GivenSame    Level = iota + 1
	GivenVariant       // Bill and William; J and Jane; the second name used; a double name shortened; a former name
	GivenNear          // sounds the same, or a slip of typing apart, or in the place of the family name
	GivenDiffers       // nothing in common
	GivenTwin          // nothing in common, though born on one day into one household: twins
)

// Levels of Birth.
const (
	BirthSame    Level = iota + 1
	BirthSlip          // one digit wrong, two neighbours swapped, or day and month swapped
	BirthPartly        // two of day, month and year are the same; or the one knows only the year or month, and it fits
	BirthDiffers       // less than that
)

// Levels of Gender and of Death.
const (
	Same Level = iota + 1
	Differs
)

// Levels of Contact.
const (
	ContactAll      Level = iota + 1 // the address, and a telephone number or e-mail address
	ContactNumber                    // a telephone number or e-mail address
	ContactAddress                   // postcode and first line
	ContactPostcode                  // postcode
	ContactFormer                    // the one's address now is a former address of the other
	ContactArea                      // the postcode's outward code
	ContactDiffers                   // nothing in common
)

// words of each level, for Reasons and for Model's JSON.
var words = [fields][]string{
	Family:  {"missing", "same", "former", "near", "differs"},
	Given:   {"missing", "same", "variant", "near", "differs", "twin"},
	Birth:   {"missing", "same", "slip", "partly", "differs"},
	Gender:  {"missing", "same", "differs"},
	Contact: {"missing", "all", "number", "address", "postcode", "former", "area", "differs"},
	Death:   {"missing", "same", "differs"},
}

// Levels is how many levels f has, Missing included.
func (f Field) Levels() int { return len(words[f]) }

// Word is the level's word in field f, for example "variant".
func (f Field) Word(l Level) string { return words[f][l] }

// Pattern is a level for each field: three bits each, Family lowest. There are few of them, so that a million pairs are
// counted and scored by pattern.
type Pattern uint32

// patterns is how many patterns there could be.
const patterns = 1 << (3 * fields)

// Level is the pattern's level in f.
func (p Pattern) Level(f Field) Level { return Level(p >> (3 * f) & 7) }

// With is p with another level in f.
func (p Pattern) With(f Field, l Level) Pattern {
	return p&^(7<<(3*f)) | Pattern(l)<<(3*f)
}
