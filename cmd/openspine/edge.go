package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"github.com/openspine/openspine/edge"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/network"
)

type edgeCommand struct {
	Organisation  string `required:"" help:"The site's ODS code: its post comes here."`
	Name          string `help:"What the site is called; its code by default."`
	Kind          string `default:"practice" enum:"hospital,practice,pharmacy" help:"What it is: hospital, practice or pharmacy."`
	National      string `default:"X26" help:"The ODS code of the national organisation."`
	Data          string `default:"openspine-edge" help:"The folder in which the gateway keeps what it was given." type:"path"`
	Folder        string `default:"openspine-post" help:"The folder with outbox, inbox, receipts and refused." type:"path"`
	Addr          string `default:"127.0.0.1:8085" help:"Where its pages are served, for whoever looks after it."`
	TLSAddr       string `name:"tls-addr" help:"Serve the same over TLS here, for the site's programs on other machines, for example 0.0.0.0:8445."`
	TLSCert       string `name:"tls-cert" help:"The certificate for that, as PEM; without it one is made and kept beside the data." type:"path"`
	TLSKey        string `name:"tls-key" help:"Its key, as PEM." type:"path"`
	MeshClientCA  string `name:"mesh-client-ca" help:"The authorities whose client certificates the programs of mailboxes must show over TLS, as PEM." type:"path"`
	MeshClientCRL string `name:"mesh-client-crl" help:"The revocation lists of those authorities, as PEM; read again when the file changes." type:"path"`
	FHIR          string `help:"The FHIR interface of the local system, for example http://127.0.0.1:9000/fhir: FHIR messages for the site are posted to its $process-message, instead of into the folder." placeholder:"URL"`
	FHIRToken     string `name:"fhir-token" help:"A file with the token that is shown to it (Authorization: Bearer)." type:"path"`
	FHIRCA        string `name:"fhir-ca" help:"The authorities that its certificate must be of, as PEM; the system's by default." type:"path"`
	Plain         bool   `help:"Let programs on this machine speak MESH without TLS."`
	MetricsAddr   string `name:"metrics-addr" help:"Serve Prometheus metrics and pprof here, on loopback."`
	Join          string `help:"The token with which it joins the network; needed once (openspine network token)."`
	Verbose       bool   `help:"Log every request, not only what went wrong."`
}

// Run joins the network if it must, and then forwards until it is told to stop.
func (c *edgeCommand) Run(s *session) error {
	own, err := ident.ParseODSCode(c.Organisation)
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelInfo
	}
	cfg := node.Config{Name: "edge " + own.String(), Addr: c.Addr, TLSAddr: c.TLSAddr, TLSCert: c.TLSCert, TLSKey: c.TLSKey, MeshClientCA: c.MeshClientCA, MeshClientCRL: c.MeshClientCRL, Plain: c.Plain, MetricsAddr: c.MetricsAddr, Data: c.Data, National: c.National, AccountMonths: node.AccountMonths,
		Tenants: []node.TenantConfig{{Code: own.String(), Name: cmp.Or(c.Name, own.String()), Kind: c.Kind}}}
	gateway := edge.Options{Folder: c.Folder}
	if c.FHIR != "" {
		gateway.FHIR = "local"
		cfg.Deliveries = []node.DeliveryConfig{{Endpoint: gateway.FHIR, Address: c.FHIR, TokenFile: c.FHIRToken, CAFile: c.FHIRCA}}
	}
	var failed error
	n, err := node.Open(s.ctx, cfg, node.Options{Commands: obey, Logger: slog.New(slog.NewJSONHandler(s.stderr, &slog.HandlerOptions{Level: level})),
		Services: func(k catalogue.Kernel) []catalogue.Service {
			service, err := edge.Service(k, own, gateway)
			if failed = err; err != nil {
				return nil
			}
			return []catalogue.Service{service}
		}})
	if err != nil {
		return err
	}
	if failed == nil {
		failed = c.join(s, n)
	}
	if failed != nil {
		return errors.Join(failed, n.Close())
	}
	return node.ServeAll(s.ctx, []*node.Node{n}, func() {
		if link, err := n.FirstAdministrator(s.ctx); err == nil && link != "" {
			fmt.Fprintf(s.stdout, "Nobody can sign in yet. Within an hour, open this link once to become the first administrator:\n%s\n", link)
		}
		fmt.Fprintf(s.stdout, "forwards for %s between %s and the network\nready %s\n", own, c.Folder, n.URL())
	})
}

// join makes the gateway a member, unless it is one.
func (c *edgeCommand) join(s *session, n *node.Node) error {
	if c.Join == "" || !n.Kernel().Network.Self().IsZero() {
		return nil
	}
	token, err := network.ParseToken(c.Join)
	if err != nil {
		return err
	}
	return n.Kernel().Network.Join(s.ctx, token)
}
