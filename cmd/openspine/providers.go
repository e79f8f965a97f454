package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/node"
)

type providerCommand struct {
	Check  providerCheckCommand  `cmd:"" help:"Ask the providers of a configuration whether they are there, and say what to register with them."`
	Expect providerExpectCommand `cmd:"" help:"Say which user somebody is whom a provider of professionals knows by an identifier."`
	List   providerListCommand   `cmd:"" help:"List a user's accounts at providers, and what is expected."`
	Unlink providerUnlinkCommand `cmd:"" help:"Part a user from their account at a provider; the sessions that came of it end."`
}

type providerCheckCommand struct {
	ofNode `embed:""`
}

// Run asks each provider in turn; one that does not answer stops none of the others.
func (c *providerCheckCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		all := n.Door().Elsewhere()
		failed := 0
		for _, p := range all.All("") {
			keys, err := p.Check(ctx)
			state := fmt.Sprintf("answers, with %d keys", keys)
			if err != nil {
				failed++
				state = "does not answer: " + err.Error()
			}
			fmt.Fprintf(s.stdout, "%s (%s, for %s): %s\n  redirect_uri              %s\n  post_logout_redirect_uri  %s\n  backchannel_logout_uri    %s\n  jwks_uri                  %s\n",
				p.ID, p.Issuer, p.Realm, state, all.Back(p), all.Left(p), all.Told(p), all.KeysAt(p))
		}
		if failed > 0 {
			return fault.New(fault.Unavailable, "%d of the providers do not answer", failed)
		}
		return nil
	})
}

type providerExpectCommand struct {
	ofNode     `embed:""`
	Provider   string `arg:"" help:"The provider's id in the configuration."`
	Identifier string `arg:"" help:"What the provider calls them (nhsid_useruid)."`
	User       string `arg:"" help:"The user's id here."`
}

// Run keeps the expectation.
func (c *providerExpectCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		p, err := n.Door().Elsewhere().ByID(c.Provider)
		if err != nil {
			return err
		}
		return n.Door().Elsewhere().Expect(ctx, by, p, c.Identifier, c.User, c.Reason)
	})
}

type providerListCommand struct {
	ofNode `embed:""`
	User   string `arg:"" help:"The user's id."`
}

// Run prints a line for each.
func (c *providerListCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		list, err := n.Door().Elsewhere().AccountsOf(ctx, c.User)
		for _, a := range list {
			if len(a.Identifiers) > 0 {
				fmt.Fprintf(s.stdout, "%s  %s  expected as %s since %s\n", a.Provider, a.Issuer, strings.Join(a.Identifiers, ", "), day(a.Expected))
			}
			if !a.Since.IsZero() {
				fmt.Fprintf(s.stdout, "%s  %s  since %s by %s\n", a.Provider, a.Issuer, day(a.Since), a.How)
			}
		}
		return err
	})
}

type providerUnlinkCommand struct {
	ofNode   `embed:""`
	Provider string `arg:"" help:"The provider's id in the configuration, or its issuer when it is not there any more."`
	User     string `arg:"" help:"The user's id."`
}

// Run parts them.
func (c *providerUnlinkCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		issuer := c.Provider
		p, err := n.Door().Elsewhere().ByID(c.Provider)
		if err == nil {
			issuer = p.Issuer
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
		return n.Door().Elsewhere().Part(ctx, by, c.User, issuer, c.Reason)
	})
}
