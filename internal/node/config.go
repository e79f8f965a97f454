package node

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/network/outward"
	"github.com/openspine/openspine/signin/provider"
)

// Config is what one node is told: where it listens, where it keeps its data, whose records it holds.
type Config struct {
	// Name is the node's own name, shown to people.
	Name string `koanf:"name"`
	// Addr is where pages and APIs are served, for example 127.0.0.1:8080.
	Addr string `koanf:"addr"`
	// TLSAddr serves the same over TLS; empty means not.
	TLSAddr string `koanf:"tls-addr"`
	// TLSCert and TLSKey are PEM files; without them a certificate is made and kept beside the data.
	TLSCert string `koanf:"tls-cert"`
	TLSKey  string `koanf:"tls-key"`
	// MeshClientCA is a PEM file of the authorities whose client certificates the programs of mailboxes must show over TLS; empty means that none is asked for.
	MeshClientCA string `koanf:"mesh-client-ca"`
	// MeshClientCRL is a PEM file of those authorities' revocation lists, read again when it changes; empty for none.
	MeshClientCRL string `koanf:"mesh-client-crl"`
	// MetricsAddr serves /metrics and pprof, on loopback; empty means not.
	MetricsAddr string `koanf:"metrics-addr"`
	// NetworkAddr is where other nodes dial this one, for example 0.0.0.0:8444; empty means that none does, as at a hospital.
	NetworkAddr string `koanf:"network-addr"`
	// NetworkKeys is the PKCS #11 URI of the device that keeps the keys of the network's authority; empty means files below Data.
	NetworkKeys string `koanf:"network-keys"`
	// BaseURL is how others reach the node, when it stands behind a proxy; empty means http://Addr.
	BaseURL string `koanf:"base-url"`
	// Data is the folder of the account's log, keys and, on SQLite, the database.
	Data string `koanf:"data"`
	// Database is a PostgreSQL URL; empty means SQLite in Data.
	Database string `koanf:"database"`
	// National is the organisation that keeps the national register and directory. The node whose tenants hold it is the national one; any
	// other is a hospital's, which asks that one over the network.
	National string `koanf:"national"`
	// Tenants are the organisations whose records the node keeps.
	Tenants []TenantConfig `koanf:"tenants"`
	// Definitions are folders or packages (.tgz) of further FHIR definitions.
	Definitions []string `koanf:"definitions"`
	// Policies is a folder of local Cedar policies, which may only forbid.
	Policies string `koanf:"policies"`
	// AccountMonths is how many whole months of the account stay in the database besides the present one; 0 keeps them all.
	AccountMonths int `koanf:"account-months"`
	// OTLP is the URL of an OpenTelemetry collector; empty means no traces.
	OTLP string `koanf:"otlp"`

	// Providers are those elsewhere who vouch for people who sign in.
	Providers []provider.Settings `koanf:"-"`
	// Replicas are the hospitals on this node that keep a copy of the national register.
	Replicas []ReplicaConfig `koanf:"-"`
	// Deliveries are the third parties to whom this node shows who it is when it delivers post to them.
	Deliveries []DeliveryConfig `koanf:"-"`
	// TrustedProxies are the addresses, or ranges of them, of the proxies before this node: X-Forwarded-For is believed from these alone.
	TrustedProxies []string `koanf:"trusted-proxies"`

	// Outward are addresses, or ranges of them, that are not on the public internet and may yet be called where somebody else names an
	// address: where subscribers want to be told of events, where third parties take their post.
	Outward []string `koanf:"outward"`

	// Limits bound what requests may take; what is zero has its default.
	Limits Limits `koanf:"-"`

	// Open lets API calls without a token act as a demonstration clinician. Loopback only.
	Open bool `koanf:"-"`
	// Plain lets programs on this machine speak MESH without TLS. Loopback only.
	Plain bool `koanf:"-"`
	// Demo turns on one-click sign-in and the banner that says people are made up.
	Demo bool `koanf:"-"`
	// Place is which of several nodes this is, in the header of its pages; empty where there is one.
	Place string `koanf:"-"`
	// Cookies sets this node's cookies apart from those of other nodes on the same machine: a browser does not tell ports apart.
	Cookies string `koanf:"-"`
}

// Settings are the keys that a configuration file may have.
func Settings() []string {
	return []string{"account-months", "addr", "base-url", "data", "database", "definitions", "deliveries", "limits", "mesh-client-ca", "mesh-client-crl", "metrics-addr", "name", "national", "network-addr", "network-keys", "otlp", "outward", "policies", "providers", "replicas",
		"tenants", "tls-addr", "tls-cert", "tls-key", "trusted-proxies"}
}

// TenantConfig is one organisation in a configuration file.
type TenantConfig struct {
	Code string `koanf:"code"`
	Name string `koanf:"name"`
	Kind string `koanf:"kind"`
}

// AccountMonths is how many whole months of the account stay in the database unless the configuration says otherwise.
const AccountMonths = 13

// defaults are what serve runs with when the file is silent.
func defaults() Config {
	return Config{Name: "openspine", Addr: "127.0.0.1:8080", MetricsAddr: "", Data: "openspine-data", National: "X26", AccountMonths: AccountMonths,
		Tenants: []TenantConfig{{Code: "X26", Name: "National spine", Kind: "national"}}}
}

// ReadConfig reads a YAML file. A key that it does not know is refused by name, so that a slip never passes for a setting.
func ReadConfig(path string) (Config, error) {
	c := defaults()
	k := koanf.New("/")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		if os.IsNotExist(err) {
			return c, fault.Wrap(err, fault.NotFound, "there is no configuration file %s", path)
		}
		return c, fault.Wrap(err, fault.Invalid, "the configuration file %s is not YAML: %v", path, err)
	}
	var unknown []string
	for key := range k.Raw() {
		if !slices.Contains(Settings(), key) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return c, fault.New(fault.Invalid, "%s: unknown setting %s; there are: %s", path, strings.Join(unknown, ", "), strings.Join(Settings(), ", "))
	}
	if err := unknownTenantKeys(path, k.Get("tenants")); err != nil {
		return c, err
	}
	limits, err := readLimits(path, k.Get("limits"))
	if err != nil {
		return c, err
	}
	c.Limits = limits
	if c.Providers, err = readProviders(path, k.Get("providers")); err != nil {
		return c, err
	}
	if c.Deliveries, err = readDeliveries(path, k.Get("deliveries")); err != nil {
		return c, err
	}
	if c.Replicas, err = readReplicas(path, k.Get("replicas")); err != nil {
		return c, err
	}
	if k.Exists("tenants") {
		c.Tenants = nil
	}
	if err := k.Unmarshal("", &c); err != nil {
		return c, fault.Wrap(err, fault.Invalid, "%s: %v", path, err)
	}
	if c.AccountMonths < 0 {
		return c, fault.New(fault.Invalid, "%s: account-months is %d; it is how many months of the account stay in the database, or 0 for all", path, c.AccountMonths)
	}
	if _, err := c.proxies(); err != nil {
		return c, fault.Wrap(err, fault.Invalid, "%s: %s", path, fault.MessageOf(err))
	}
	if _, err := outward.ParseAllow(c.Outward); err != nil {
		return c, fault.Wrap(err, fault.Invalid, "%s: outward: %s", path, fault.MessageOf(err))
	}
	_, err = c.tenants()
	return c, err
}

func unknownTenantKeys(path string, raw any) error {
	list, _ := raw.([]any)
	for i, item := range list {
		entry, ok := item.(map[string]any)
		if !ok {
			return fault.New(fault.Invalid, "%s: tenants[%d] must have code, name and kind", path, i)
		}
		for key := range entry {
			if key != "code" && key != "name" && key != "kind" {
				return fault.New(fault.Invalid, "%s: tenants[%d]: unknown setting %s; there are: code, kind, name", path, i, key)
			}
		}
	}
	return nil
}

// tenants parses the organisations. A node that does not keep the national one is a hospital's.
func (c Config) tenants() ([]catalogue.Tenant, error) {
	kinds := []string{"national", "hospital", "practice", "pharmacy"}
	var all []catalogue.Tenant
	seen := map[ident.ODSCode]bool{}
	for _, t := range c.Tenants {
		code, err := ident.ParseODSCode(t.Code)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "tenant %q: %s", t.Code, fault.MessageOf(err))
		}
		if !slices.Contains(kinds, t.Kind) {
			return nil, fault.New(fault.Invalid, "tenant %s: kind %q is none of %s", code, t.Kind, strings.Join(kinds, ", "))
		}
		if seen[code] {
			return nil, fault.New(fault.Invalid, "tenant %s is named twice", code)
		}
		seen[code] = true
		all = append(all, catalogue.Tenant{Code: code, Name: t.Name, Kind: t.Kind})
	}
	national, err := ident.ParseODSCode(c.National)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the national tenant %q: %s", c.National, fault.MessageOf(err))
	}
	for _, t := range all {
		if t.Kind == "national" && t.Code != national {
			return nil, fault.New(fault.Invalid, "%s is of kind national, and the national tenant is %s", t.Code, national)
		}
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Invalid, "a node keeps the records of one organisation at least: name it below tenants")
	}
	return all, nil
}

// checkOpen refuses --open and --plain anywhere but on loopback.
func (c Config) checkOpen() error {
	if c.Plain && !loopback(c.Addr) {
		return fault.New(fault.Invalid, "--plain is for loopback only, and %s is not: use --addr 127.0.0.1:8085, or --tls-addr for programs on other machines", c.Addr)
	}
	if !c.Open {
		return nil
	}
	if c.TLSAddr != "" {
		return fault.New(fault.Invalid, "--open never runs with a TLS listener: leave out --tls-addr or --open")
	}
	if !loopback(c.Addr) {
		return fault.New(fault.Invalid, "--open is for loopback only, and %s is not: use --addr 127.0.0.1:8080, or leave out --open", c.Addr)
	}
	return nil
}

// checkFigures refuses metrics and profiles anywhere but on loopback: a profile can hold what memory holds.
func (c Config) checkFigures() error {
	if c.MetricsAddr == "" || loopback(c.MetricsAddr) {
		return nil
	}
	return fault.New(fault.Invalid, "%s %s is not on loopback, and profiles can hold what memory holds: use 127.0.0.1:9090", c.setting("metrics-addr"), c.MetricsAddr)
}

// loopback reports whether an address to listen on is reached from this machine alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// setting is how whoever started the node spells a setting: a flag of the demonstration, a key of a configuration file.
func (c Config) setting(name string) string {
	if c.Demo {
		return "--" + name
	}
	return name
}

// listenFault words a listener that could not be had.
func (c Config) listenFault(err error, name, addr string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.Wrap(err, fault.Unavailable, "%s is taken by another program: choose another address with %s, for example 127.0.0.1:0 for any free port", addr, c.setting(name))
	}
	return fault.Wrap(err, fault.Unavailable, "cannot listen on %s (%v): choose another address with %s", addr, err, c.setting(name))
}
