package network_test

import "testing"

func TestBothEndsAskOverConnectionsThatTheHospitalDialled(t *testing.T) {
	country(t, []string{"RQX", "RQY.theatres"}, func(w *world) {
		w.says("RQX")
		w.says("RQY.theatres")
		if n := w.wires.Dials(); n != 6 {
			t.Errorf("%d dials: two hospitals join once each and keep two connections each", n)
		}
	})
}
