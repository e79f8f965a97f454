package demographics_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
)

// traced is the answer to a file: its lines by UNIQUE_REFERENCE, each by its columns.
func (w *world) traced(who access.Principal, file string, skip int) (map[string]map[string]string, [][]string, error) {
	w.t.Helper()
	var out bytes.Buffer
	_, err := demographics.New(w.node.Kernel(), demographics.Options{}).Trace(w.t.Context(), who, strings.NewReader(file), &out, skip, nil)
	if err != nil {
		return nil, nil, err
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		w.t.Fatal(err)
	}
	by := map[string]map[string]string{}
	if skip == 0 {
		for _, row := range rows[1:] {
			line := map[string]string{}
			for i, name := range rows[0] {
				line[name] = row[i]
			}
			by[line["UNIQUE_REFERENCE"]] = line
		}
	}
	return by, rows, nil
}

// Each line of a file has its line in the answer with its outcome and why; a person is shown where it is sure, is then on the account, and
// nothing tells where a restricted one is, nor can it be learnt by asking.
func TestAFileOfPeopleIsTraced(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.load(person("9990000018", "Marsh", "William", "1980-01-02", home("LS1 6AE")), person("9990000026", "Reed", "Ben", "1981-02-03", home("LS2 1AA")),
			person("9990000034", "Reed", "Ben", "1981-02-03", home("LS3 1AA")), person("9990000042", "Hidden", "Hanna", "1982-03-04", home("ZE1 0AA"), restricted),
			person("9990000050", "Old", "Olga", "1950-01-01", home("LS4 1AA")), person("9990000069", "New", "Olga", "1950-01-01", home("LS4 1AA")))
		w.merge("9990000050", "9990000069")
		file := "UNIQUE_REFERENCE,NHS_NO,FAMILY_NAME,GIVEN_NAME,GENDER,DATE_OF_BIRTH,POSTCODE\r\n" +
			"exact,,MARSH,William,2,19800102,LS1 6AE\r\n" +
			"fuzzy,,Marsh,Bill,2,1980-01-20,LS1 6AE\r\n" +
			"number,9990000018,Marsch,Will,,19800102,\r\n" +
			"wrong,9990000018,Reed,Beth,,19800102,\r\n" +
			"superseded,9990000050,New,Olga,,19500101,\r\n" +
			"several,,Reed,Ben,,19810203,\r\n" +
			"one of them,,Reed,Ben,,19810203,LS3 1AA\r\n" +
			"nobody,,Marsh,Zoe,,19900102,LS1 6AE\r\n" +
			"restricted,,Hidden,Hanna,,19820304,ZE1 0AA\r\n" +
			"restricted elsewhere,,Hidden,Hanna,,19820304,LS1 6AE\r\n" +
			"restricted by place,,Hidden,Hanna,,19820305,ZE1 0AA\r\n" +
			"bad date,,Marsh,Will,,1980,\r\n" +
			"bad day,,Marsh,Will,,19801302,\r\n" +
			"bad number,9990000019,Marsh,Will,,19800102,\r\n" +
			"bad gender,,Marsh,Will,x,19800102,\r\n" +
			"bad postcode,,Marsh,Will,,19800102,<LS1>\r\n" +
			"bad name,,😀,Will,,19800102,\r\n" +
			"nameless,,,,,19800102,\r\n" +
			"short,,Marsh\r\n" +
			"quoted,,\"Mar\"sh,Will,,19800102,\r\n"
		clerk := staff(access.Clerk, "tracer")
		by, rows, err := w.traced(clerk, file, 0)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Count(file, "\r\n"); len(rows) != want {
			t.Errorf("%d lines for %d", len(rows), want)
		}
		for ref, want := range map[string][3]string{
			"exact":                {"exact", "9990000018", "all that is given agrees"},
			"fuzzy":                {"fuzzy", "9990000018", "given variant"},
			"number":               {"number", "9990000018", ""},
			"wrong":                {"none", "", "another name"},
			"superseded":           {"number", "9990000069", "superseded"},
			"several":              {"multiple", "", "2 people"},
			"one of them":          {"exact", "9990000034", ""},
			"nobody":               {"none", "", ""},
			"restricted":           {"fuzzy", "9990000042", ""},
			"restricted elsewhere": {"fuzzy", "9990000042", ""},
			"restricted by place":  {"none", "", ""},
			"bad date":             {"invalid", "", "DATE_OF_BIRTH: "},
			"bad day":              {"invalid", "", "DATE_OF_BIRTH: "},
			"bad number":           {"invalid", "", "NHS_NO: "},
			"bad gender":           {"invalid", "", "GENDER: "},
			"bad postcode":         {"invalid", "", "POSTCODE: "},
			"bad name":             {"invalid", "", "FAMILY_NAME: "},
			"nameless":             {"invalid", "", "neither a name nor a number"},
			"short":                {"invalid", "", "3 fields, and the header 7"},
			"":                     {"invalid", "", "no CSV"},
		} {
			got := by[ref]
			if got["OUTCOME"] != want[0] || got["MATCHED_NHS_NO"] != want[1] || !strings.Contains(got["REASON"], want[2]) {
				t.Errorf("%s: %s %s %s, want %v", ref, got["OUTCOME"], got["MATCHED_NHS_NO"], got["REASON"], want)
			}
		}
		if got := by["exact"]; got["POSTCODE"] != "LS1 6AE" || got["SENSITIVITY"] != "U" || got["FAMILY_NAME"] != "Marsh" || got["DATE_OF_BIRTH"] != "1980-01-02" {
			t.Errorf("shown: %v", got)
		}
		one, other := by["restricted"], by["restricted elsewhere"]
		if one["POSTCODE"]+one["ADDRESS_LINE1"]+one["GP_PRACTICE_CODE"] != "" || one["SENSITIVITY"] != "R" {
			t.Errorf("a restricted person is shown with %v", one)
		}
		if one["REASON"] != other["REASON"] || one["MATCHED_CONFIDENCE_PERCENTAGE"] != other["MATCHED_CONFIDENCE_PERCENTAGE"] {
			t.Errorf("where a restricted person lives can be learnt: %v %v", one, other)
		}
		for number, want := range map[string]bool{"9990000018": true, "9990000042": true, "9990000069": true, "9990000034": true, "9990000026": false} {
			n, err := w.node.Kernel().Audit.Count(t.Context(), audit.Query{Tenant: national, Chart: number, Actor: clerk.ID})
			seen := n > 0
			if err != nil || seen != want {
				t.Errorf("%s is on the account: %v, want %v (%v)", number, seen, want, err)
			}
		}

		_, rest, err := w.traced(clerk, file, 15)
		if err != nil || len(rest) != len(rows)-16 || strings.Join(rest[0], ",") != strings.Join(rows[16], ",") {
			t.Errorf("a run that goes on after 15 lines answers %d (%v)", len(rest), err)
		}
	})
}

func TestAFileThatIsNoneIsRefusedWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for name, file := range map[string]string{"empty": "", "a strange column": "UNIQUE_REFERENCE,SHOE_SIZE\n1,42\n", "a column twice": "DATE_OF_BIRTH,FAMILY_NAME,FAMILY_NAME\n",
		"no birth date": "UNIQUE_REFERENCE,FAMILY_NAME\n1,Marsh\n"} {
		if _, _, err := w.traced(staff(access.Clerk, "tracer"), file, 0); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := w.traced(staff(access.Auditor, "auditor"), "DATE_OF_BIRTH,FAMILY_NAME\n19800102,Marsh\n", 0); !fault.Is(err, fault.Forbidden) && !fault.Is(err, fault.NotFound) {
		t.Errorf("an auditor traces: %v", err)
	}
	if _, _, err := w.traced(access.Service("trace", national), "DATE_OF_BIRTH,FAMILY_NAME\n19800102,Marsh\n", 0); err != nil {
		t.Errorf("the command may not trace: %v", err)
	}
}
