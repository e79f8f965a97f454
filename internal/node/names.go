package node

import (
	"context"
	"sync"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
)

// names remembers for a while what organisations are called.
type names struct {
	mu sync.Mutex
	by map[ident.ODSCode]nameAt
}

type nameAt struct {
	name string
	at   time.Time
}

// nameFor is how long a name is believed, nameAgain when the national node is asked again that did not answer, and rememberedNames how many are kept; a full memory is begun anew.
const (
	nameFor         = 5 * time.Minute
	nameAgain       = 10 * time.Second
	rememberedNames = 10_000
)

// organisation is what an organisation is called: as the configuration names it where this node keeps its records, else as the national
// record has it, which a hospital's node asks for over the network, else its code. No code has no name.
func (n *Node) organisation(ctx context.Context, code ident.ODSCode) string {
	if code.IsZero() {
		return ""
	}
	for _, t := range n.tenants {
		if t.Code == code {
			return t.Name
		}
	}
	now := n.clock.Now()
	n.names.mu.Lock()
	known, ok := n.names.by[code]
	n.names.mu.Unlock()
	if ok && now.Sub(known.at).Abs() < nameFor {
		return known.name
	}
	at := now
	name := code.String()
	if n.hosts(n.kernel.National) {
		name = n.registered(ctx, code)
	} else if asked, err := n.askName(ctx, code); err == nil {
		name = asked
	} else {
		if ok {
			name = known.name
		}
		at = now.Add(nameAgain - nameFor)
	}
	n.names.mu.Lock()
	defer n.names.mu.Unlock()
	if n.names.by == nil || len(n.names.by) >= rememberedNames {
		n.names.by = map[ident.ODSCode]nameAt{}
	}
	n.names.by[code] = nameAt{name, at}
	return name
}

// registered is an organisation's name as the national record has it, or its code.
func (n *Node) registered(ctx context.Context, code ident.ODSCode) string {
	ref := record.Ref{Tenant: n.kernel.National, Type: "Organization", ID: code.String()}
	place, err := n.kernel.Records.Locate(ctx, ref)
	if err != nil || !place.Exists {
		return code.String()
	}
	g, err := n.kernel.Gate.Decide(ctx, access.Service("names", ref.Tenant), access.Read, place)
	if err != nil {
		return code.String()
	}
	v, err := n.kernel.Records.Read(ctx, g, ref)
	if err != nil || v.Resource.Get("name").String() == "" {
		return code.String()
	}
	return v.Resource.Get("name").String()
}
