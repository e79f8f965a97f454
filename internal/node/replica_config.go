package node

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/demographics/replica"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// ReplicaConfig is one hospital that keeps a copy of the national register, and how it reaches it. Without a BaseURL the register is that
// of this node, or of the national node over the network where this one does not keep it; with one it is reached over HTTP as any hospital system reaches it, with client credentials by signed JWT.
type ReplicaConfig struct {
	Tenant, BaseURL                  string
	TokenURL, Client, KeyID, KeyFile string
	Every                            time.Duration // how old a copy may grow; a day when zero
	Rate                             float64       // people asked about in a second at most; replicaRate when zero
}

// replicaRate is how many people are asked about in a second unless the configuration says otherwise.
const replicaRate = 5

// replicaFields are the keys of one copy in a configuration file that are texts.
func replicaFields(c *ReplicaConfig) map[string]*string {
	return map[string]*string{"tenant": &c.Tenant, "base-url": &c.BaseURL, "token-url": &c.TokenURL, "client": &c.Client, "key-id": &c.KeyID, "key-file": &c.KeyFile}
}

// ReplicaSettings are the keys that a copy may have in a configuration file.
func ReplicaSettings() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(replicaFields(new(ReplicaConfig)))), "every", "rate")))
}

// readReplicas reads what stands below replicas. A key that it does not know is refused by name.
func readReplicas(path string, raw any) ([]ReplicaConfig, error) {
	if raw == nil {
		return nil, nil
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, fault.New(fault.Invalid, "%s: replicas must be a list", path)
	}
	all := make([]ReplicaConfig, len(list))
	for i, item := range list {
		entry, ok := item.(map[string]any)
		if !ok {
			return nil, fault.New(fault.Invalid, "%s: replicas[%d] must be settings, one under another", path, i)
		}
		fields := replicaFields(&all[i])
		for _, key := range slices.Sorted(maps.Keys(entry)) {
			text := fmt.Sprint(entry[key])
			var err error
			switch at, known := fields[key]; {
			case known:
				*at = text
			case key == "every":
				all[i].Every, err = time.ParseDuration(text)
			case key == "rate":
				all[i].Rate, err = strconv.ParseFloat(text, 64)
			default:
				return nil, fault.New(fault.Invalid, "%s: replicas[%d]: unknown setting %s; there are: %s", path, i, key, strings.Join(ReplicaSettings(), ", "))
			}
			if err != nil || all[i].Every < 0 || all[i].Rate < 0 {
				return nil, fault.New(fault.Invalid, "%s: replicas[%d]: %s is %q; every is a time such as 24h, rate how many people a second", path, i, key, text)
			}
		}
	}
	return all, nil
}

// replicaSources are the ways of the configured copies to the national register.
func (n *Node) replicaSources() ([]replica.Source, error) {
	var all []replica.Source
	for _, c := range n.cfg.Replicas {
		tenant, err := ident.ParseODSCode(c.Tenant)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "replicas: tenant %q: %s", c.Tenant, fault.MessageOf(err))
		}
		if !n.hosts(tenant) || tenant == n.kernel.National {
			return nil, fault.New(fault.Invalid, "replicas: %s is no hospital whose records this node keeps", tenant)
		}
		s := replica.Source{Tenant: tenant, Every: c.Every, Rate: c.Rate}
		if s.Rate == 0 { // below 0 is no bound
			s.Rate = replicaRate
		}
		s.Base = "http://" + n.cfg.Name + ".invalid" + demographics.Base
		if c.BaseURL == "" && n.hosts(n.kernel.National) {
			s.Transport = n.AskedBy(tenant)
		} else if c.BaseURL == "" {
			s.Transport = n.overTheLink(tenant)
		} else if s.Base, s.Transport, err = c.elsewhere(n); err != nil {
			return nil, err
		}
		if n.way != nil {
			s.Transport = n.way(tenant, s.Transport)
		}
		all = append(all, s)
	}
	return all, nil
}

// elsewhere is the way to an authority on another node, or to any other that serves the published API.
func (c ReplicaConfig) elsewhere(n *Node) (base string, way http.RoundTripper, err error) {
	for name, text := range map[string]string{"base-url": c.BaseURL, "token-url": c.TokenURL} {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Host)) {
			return "", nil, fault.New(fault.Invalid, "replicas: %s: %s must be an address that begins with https:// (or http:// on this machine)", c.Tenant, name)
		}
	}
	key, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return "", nil, fault.Wrap(err, fault.Invalid, "replicas: %s: cannot read key-file: %v", c.Tenant, err)
	}
	way, err = replica.Credentials(http.DefaultTransport, replica.Client{TokenURL: c.TokenURL, ID: c.Client, KeyID: c.KeyID, Key: key, Clock: n.clock})
	return strings.TrimSuffix(c.BaseURL, "/"), way, err
}

// replicaTokenLife is how long a token of a hospital on this node lasts; each is for one request.
const replicaTokenLife = time.Minute

// replicaToken makes tokens that speak for a hospital's system at this node's own register.
func (n *Node) replicaToken(tenant ident.ODSCode) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		return n.kernel.Issuer.Mint(n.replicaPrincipal(ctx, tenant), replicaTokenLife)
	}
}

// replicaPrincipal is a hospital's system as it asks the national register.
func (n *Node) replicaPrincipal(ctx context.Context, tenant ident.ODSCode) access.Principal {
	return access.Principal{ID: "system/replica-" + tenant.String(), Name: "Copy of the register at " + n.organisation(ctx, tenant), Role: access.SystemClient, Organisation: tenant,
		Tenants: []ident.ODSCode{n.kernel.National}, Scopes: []string{"system/Patient.read"}, AuthMethod: "service"}
}

// Replica is the copies of the national register that hospitals on this node keep.
func (n *Node) Replica() *replica.Replica { return n.replica }

// Clinics are the outpatient clinics of the hospitals on this node.
func (n *Node) Clinics() *hospital.Outpatients { return n.clinics }

// Referrals are the country's, at its national node; nil at others.
func (n *Node) Referrals() *referral.Referrals { return n.referrals }
