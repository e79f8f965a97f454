package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/signin/admin"
	"github.com/openspine/openspine/signin/oauth"
)

type clientCommand struct {
	Add     clientAddCommand     `cmd:"" help:"Register a program that may ask for tokens, or change it; a confidential one without keys gets a secret, shown once."`
	List    clientListCommand    `cmd:"" help:"List the programs that may ask for tokens."`
	Rotate  clientRotateCommand  `cmd:"" help:"Give a program another secret, shown once; the one before opens nothing any more."`
	Suspend clientSuspendCommand `cmd:"" help:"Stop a program at once, with every token that it has, until it is restored."`
	Restore clientRestoreCommand `cmd:"" help:"Let a program ask for tokens again."`
	End     clientEndCommand     `cmd:"" help:"End a program's registration, and every token that it has."`
}

type clientAddCommand struct {
	ofNode       `embed:""`
	ID           string   `arg:"" help:"The client's id."`
	Name         string   `required:"" help:"As the people who use it know it."`
	Kind         string   `required:"" enum:"public,confidential,system" help:"public, confidential or system."`
	Realm        string   `help:"professionals or patients; systems have a realm of their own."`
	Redirect     []string `help:"An address to which people are sent back; may be given again."`
	Scope        []string `help:"A scope that it may ask for; may be given again."`
	Default      []string `help:"A scope that it has when it asks for nothing that opens records."`
	Organisation string   `help:"The ODS code of the organisation in whose name a system acts."`
	Keys         string   `help:"A file with its public keys (JSON Web Key Set)." type:"path"`
	KeysURL      string   `name:"keys-url" help:"Where its public keys are."`
	LogoutURL    string   `name:"logout-url" help:"Where it is told of sign-out."`
	LaunchURL    string   `name:"launch-url" help:"Where it is opened from a record (SMART on FHIR)."`
	Trusted      bool     `help:"It is part of the service: people are not asked whether they agree."`
}

// Run registers the client.
func (c *clientAddCommand) Run(s *session) error {
	client := oauth.Client{ID: c.ID, Name: c.Name, Kind: oauth.Kind(c.Kind), Realm: c.Realm, Redirects: c.Redirect, Scopes: c.Scope, Default: c.Default, KeysURL: c.KeysURL,
		LogoutURL: c.LogoutURL, LaunchURL: c.LaunchURL, Trusted: c.Trusted}
	if client.Kind == oauth.System {
		client.Realm = access.Systems
	}
	var err error
	if c.Organisation != "" {
		if client.Organisation, err = ident.ParseODSCode(c.Organisation); err != nil {
			return err
		}
	}
	if c.Keys != "" {
		text, err := s.read(c.Keys)
		if err != nil {
			return err
		}
		client.Keys = &jose.JSONWebKeySet{}
		if err := json.Unmarshal(text, client.Keys); err != nil {
			return fault.Wrap(err, fault.Invalid, "%s is no JSON Web Key Set: %v", c.Keys, err)
		}
	}
	secret := ""
	if client.Kind == oauth.Confidential && client.Keys == nil && client.KeysURL == "" {
		if secret, err = client.NewSecret(); err != nil {
			return err
		}
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		if err := n.Door().Tokens().PutClient(ctx, by, client, c.Reason); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "registered %s\n", client.ID)
		if secret != "" {
			fmt.Fprintf(s.stdout, "secret %s\n", secret)
		}
		return nil
	})
}

type clientListCommand struct {
	ofNode `embed:""`
	All    bool `help:"Those that ended as well."`
}

// Run prints a table.
func (c *clientListCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		list, err := n.Door().Tokens().Clients(ctx, c.All)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tKIND\tREALM\tSINCE\tENDED")
		for _, one := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", one.ID, one.Name, one.Kind, one.Realm, day(one.Made), day(one.Ended))
		}
		return w.Flush()
	})
}

type clientEndCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The client's id."`
}

// Run ends the client.
func (c *clientEndCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Door().Tokens().EndClient(ctx, by, c.ID, c.Reason, false)
	})
}

type clientSuspendCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The client's id."`
}

// Run suspends the client.
func (c *clientSuspendCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Door().Tokens().EndClient(ctx, by, c.ID, c.Reason, true)
	})
}

type clientRestoreCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The client's id."`
}

// Run restores the client.
func (c *clientRestoreCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Door().Tokens().RestoreClient(ctx, by, c.ID, c.Reason)
	})
}

type clientRotateCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The client's id."`
}

// Run prints the new secret, once.
func (c *clientRotateCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		secret, err := n.Door().Tokens().RotateSecret(ctx, by, c.ID, c.Reason)
		if err == nil {
			fmt.Fprintf(s.stdout, "secret %s\n", secret)
		}
		return err
	})
}

type keyCommand struct {
	List   keyListCommand   `cmd:"" help:"List the keys that the node's tokens are signed with."`
	Rotate keyRotateCommand `cmd:"" help:"Begin a new key: it signs in ten minutes, and the old one is known until its tokens have expired."`
	Retire keyRetireCommand `cmd:"" help:"Remove a key that others may have seen: its tokens end within seconds."`
}

type keyListCommand struct {
	ofNode `embed:""`
}

// Run prints a table.
func (c *keyListCommand) Run(s *session) error {
	return c.with(s, func(_ context.Context, n *node.Node, _ access.Principal) error {
		keys, err := access.Keys(n.Kernel().Issuer.Folder())
		if err != nil {
			return err
		}
		now := time.Now()
		for _, k := range keys {
			state := "waits"
			if k.Signs(now) {
				state = "in use"
			}
			fmt.Fprintf(s.stdout, "%s  %s  signs from %s  known until %s\n", k.ID, state, moment(k.From, "the beginning"), moment(k.To, "it has a successor"))
		}
		return nil
	})
}

func moment(t time.Time, never string) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format(time.RFC3339)
}

type keyRotateCommand struct {
	ofNode `embed:""`
	Now    bool `help:"It signs at once, for a key that was lost: those who remember the key set may refuse its first tokens."`
}

// Run begins the new key.
func (c *keyRotateCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		k, err := admin.RotateKey(ctx, n.Kernel(), by, c.Reason, c.Now)
		if err == nil {
			fmt.Fprintf(s.stdout, "%s signs from %s\n", k.ID, moment(k.From, ""))
		}
		return err
	})
}

type keyRetireCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The key's id, as key list shows it."`
}

// Run removes the key.
func (c *keyRetireCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return admin.RetireKey(ctx, n.Kernel(), by, c.ID, c.Reason)
	})
}
