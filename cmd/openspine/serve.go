package main

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/openspine/openspine/internal/node"
)

type serveCommand struct {
	Config   string   `required:"" help:"The node's configuration, a YAML file; docs/guide/configuration.md lists its settings." type:"path"`
	Package  []string `help:"A FHIR package (.tgz) or a folder of FHIR definitions, such as UK Core's, beside those of the configuration." type:"path"`
	Database string   `env:"OPENSPINE_DATABASE" help:"A PostgreSQL URL, instead of the configuration's: its password is then in no file."`
	Quiet    bool     `help:"Log what goes wrong, and not every request."`
}

// Run serves until it is told to stop, and then lets what was begun finish.
func (c *serveCommand) Run(s *session) error {
	cfg, err := node.ReadConfig(c.Config)
	if err != nil {
		return err
	}
	cfg.Definitions = append(cfg.Definitions, c.Package...)
	cfg.Database = cmp.Or(c.Database, cfg.Database)
	level := slog.LevelInfo
	if c.Quiet {
		level = slog.LevelWarn
	}
	n, err := node.Open(s.ctx, cfg, node.Options{Commands: obey, Logger: slog.New(slog.NewJSONHandler(s.stderr, &slog.HandlerOptions{Level: level}))})
	if err != nil {
		return err
	}
	return node.ServeAll(s.ctx, []*node.Node{n}, func() {
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
