package ident

import (
	"log/slog"
	"strconv"
)

// NHSNumber is a person's NHS number: ten digits, the last a check digit (weights 10 to 2, modulus 11).
// A number is never issued again. Logs show that there was one, not which.
type NHSNumber struct{ s string }

// NHSRange is a run of NHS numbers from which made-up people take theirs.
type NHSRange struct {
	first, digits int // the first nine-digit stem, and how many of its last digits vary
	blocks        int // how many runs of 10^digits stems there are
}

// The two ranges for people who do not exist.
var (
	// TestRange is 999 000 0000 to 999 999 9999, reserved nationally for tests: 909,091 valid numbers.
	TestRange = NHSRange{first: 999_000_000, digits: 6, blocks: 1}
	// LoadRange is 860 000 0000 to 899 999 9999, declared by this project for load tests larger than the test
	// range: 36,363,636 valid numbers. It lies outside the runs that are issued in the United Kingdom; the demo never uses it.
	LoadRange = NHSRange{first: 860_000_000, digits: 7, blocks: 4}
)

// ParseNHSNumber reads ten digits, with or without the spaces or hyphens of 3 3 4, and checks the check digit.
func ParseNHSNumber(s string) (NHSNumber, error) {
	d, err := digitsOnly(s, "an NHS number", 10)
	if err != nil {
		return NHSNumber{}, err
	}
	if d == "0000000000" {
		return NHSNumber{}, invalid("an NHS number of zeros is nobody's")
	}
	c := nhsCheck(d[:9])
	if c == 10 || byte('0'+c) != d[9] {
		return NHSNumber{}, invalid("the NHS number's check digit is wrong; compare it with the person's card or letter")
	}
	return NHSNumber{d}, nil
}

// MustNHSNumber is ParseNHSNumber for a literal; it panics on a wrong one.
func MustNHSNumber(s string) NHSNumber { return must(ParseNHSNumber(s)) }

// nhsCheck is the check digit of nine digits; 10 means that no number has this stem.
func nhsCheck(stem string) int {
	sum := 0
	for i := range 9 {
		sum += int(stem[i]-'0') * (10 - i)
	}
	return (11 - sum%11) % 11
}

// String is the ten digits.
func (n NHSNumber) String() string { return n.s }

// Display is the number as people read it: 3 3 4.
func (n NHSNumber) Display() string {
	if n.s == "" {
		return ""
	}
	return n.s[:3] + " " + n.s[3:6] + " " + n.s[6:]
}

// IsZero reports that there is no number.
func (n NHSNumber) IsZero() bool { return n.s == "" }

// InTestRange reports a number of the reserved test range, 999 000 0000 to 999 999 9999.
func (n NHSNumber) InTestRange() bool { return TestRange.Contains(n) }

// LogValue keeps the digits out of logs.
func (n NHSNumber) LogValue() slog.Value { return hidden(n.s, "[NHS number]") }

// MarshalText is the ten digits.
func (n NHSNumber) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText is ParseNHSNumber; an empty text is none.
func (n *NHSNumber) UnmarshalText(b []byte) error { return unmarshal(n, b, ParseNHSNumber) }

// FromIndex is the i-th valid number of the reserved test range, in ascending order, i from 0 to 909,090.
func FromIndex(i int) (NHSNumber, error) { return TestRange.At(i) }

// Contains reports a number within the range.
func (r NHSRange) Contains(n NHSNumber) bool {
	if n.s == "" {
		return false
	}
	stem, err := strconv.Atoi(n.s[:9])
	return err == nil && stem >= r.first && stem < r.first+r.blocks*pow10[r.digits]
}

// Len is how many valid numbers the range holds.
func (r NHSRange) Len() int {
	n := 0
	for b := range r.blocks {
		n += r.inBlock(r.blockSum(b), r.digits)
	}
	return n
}

// At is the i-th valid number of the range in ascending order, without walking to it: how many stems with a given
// weighted sum have no check digit is known for each number of free digits, so each digit is found by subtraction.
func (r NHSRange) At(i int) (NHSNumber, error) {
	if i < 0 {
		return NHSNumber{}, invalid("an index into a range of NHS numbers starts at 0")
	}
	for b := range r.blocks {
		sum := r.blockSum(b)
		n := r.inBlock(sum, r.digits)
		if i >= n {
			i -= n
			continue
		}
		stem := r.first/pow10[r.digits] + b
		for free := r.digits; free > 0; free-- {
			for d := 0; ; d++ {
				next := (sum + d*(free+1)) % 11
				if n := r.inBlock(next, free-1); i >= n {
					i -= n
					continue
				}
				stem, sum = stem*10+d, next
				break
			}
		}
		return NHSNumber{strconv.Itoa(stem) + strconv.Itoa((11-sum)%11)}, nil
	}
	return NHSNumber{}, invalid("the range of NHS numbers for made-up people holds %d", r.Len())
}

// blockSum is the weighted sum, modulus 11, of the fixed digits of block b.
func (r NHSRange) blockSum(b int) int {
	fixed := strconv.Itoa(r.first/pow10[r.digits] + b)
	sum := 0
	for i := range len(fixed) {
		sum += int(fixed[i]-'0') * (10 - i)
	}
	return sum % 11
}

// inBlock is how many ways there are to fill the last free digits of a stem whose digits so far sum to sum, such
// that it has a check digit (a total of 1 modulus 11 would need a check digit of ten).
func (NHSRange) inBlock(sum, free int) int { return pow10[free] - tails[free][(12-sum)%11] }

var pow10 = [...]int{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000}

// tails[n][r] is how many runs of n last digits of a stem have weighted sum r modulus 11; a digit's weight is one
// more than the number of stem digits from it to the end.
var tails = countTails()

func countTails() (t [len(pow10)][11]int) {
	t[0][0] = 1
	for n := 1; n < len(t); n++ {
		for d := range 10 {
			for r, ways := range t[n-1] {
				t[n][(r+d*(n+1))%11] += ways
			}
		}
	}
	return t
}
