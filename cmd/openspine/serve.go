package main

import (
	"fmt"
	"log/slog"

	"github.com/openspine/openspine/internal/node"
)

type serveCommand struct {
	Config  string `required:"" help:"The node's configuration, a YAML file; docs/guide/configuration.md lists its settings." type:"path"`
	Verbose bool   `help:"Log every request, not only what went wrong."`
}

// Run serves until it is told to stop, and then lets what was begun finish.
func (c *serveCommand) Run(s *session) error {
	cfg, err := node.ReadConfig(c.Config)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	n, err := node.Open(s.ctx, cfg, node.Options{Logger: slog.New(slog.NewJSONHandler(s.stderr, &slog.HandlerOptions{Level: level}))})
	if err != nil {
		return err
	}
	return n.Serve(s.ctx, func() {
		link, err := n.FirstAdministrator(s.ctx)
		if err != nil {
			fmt.Fprintln(s.stderr, "openspine: no link for a first administrator:", explain(err))
		}
		if link != "" {
			fmt.Fprintf(s.stdout, "Nobody can sign in yet. Within an hour, open this link once to become the first administrator:\n%s\n", link)
		}
		fmt.Fprintf(s.stdout, "ready %s\n", n.URL())
	})
}
