package demographics

import (
	"bytes"
	"reflect"
	"testing"
)

func FuzzFeatures(f *testing.F) {
	f.Add(features{gender: 'f', born: 1, died: noDay, practice: "A20047", names: []nameFeature{{true, "Smith", []string{"Ann", "B"}}},
		postcodes: []pastText{{false, "LS1 6AE"}}, phones: []pastText{{true, "01"}}}.pack())
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := unpackFeatures(b)
		if err != nil {
			return
		}
		again, err := unpackFeatures(got.pack())
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("what was read is not read again: %v\n%+v\n%+v", err, got, again)
		}
		if !bytes.Equal(got.pack(), again.pack()) {
			t.Fatal("packed twice it differs")
		}
	})
}
