package network_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/network"
)

func TestANodeIsNamedByItsOrganisation(t *testing.T) {
	for text, want := range map[string]string{"RQX": "RQX", "rqx": "RQX", "RQX.theatres": "RQX.theatres", "x26.2": "X26.2"} {
		id, err := network.ParseNodeID(text)
		if err != nil || id.String() != want {
			t.Errorf("%q: %q %v", text, id, err)
		}
		if org := strings.Split(want, ".")[0]; id.Organisation() != ident.MustODSCode(org) {
			t.Errorf("%q is %s's", text, id.Organisation())
		}
	}
	for _, text := range []string{"", "RQ", ".x", "RQX.", "RQX.Theatres", "RQX.a.b", "RQX." + strings.Repeat("a", 25), "RQ X", "RQX/a"} {
		if id, err := network.ParseNodeID(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is taken as %q: %v", text, id, err)
		}
	}
	var id network.NodeID
	if err := id.UnmarshalText([]byte("RQX.a")); err != nil || id != network.MustNodeID("RQX.a") {
		t.Error(id, err)
	}
	if err := id.UnmarshalText(nil); err != nil || !id.IsZero() || !id.Organisation().IsZero() {
		t.Error(id, err)
	}
}

func TestAPeerSpeaksForItsOrganisationsOnly(t *testing.T) {
	p := network.Peer{Node: network.MustNodeID("RQX"), Organisations: []ident.ODSCode{ident.MustODSCode("RQX"), ident.MustODSCode("RQX01")}}
	ctx := network.WithPeer(t.Context(), p)
	got, ok := network.PeerFrom(ctx)
	if !ok || got.Node != p.Node || !got.Speaks(ident.MustODSCode("RQX01")) || got.Speaks(ident.MustODSCode("RQY")) {
		t.Errorf("%+v %v", got, ok)
	}
	if _, ok := network.PeerFrom(t.Context()); ok {
		t.Error("a request over no link has a peer")
	}
}
