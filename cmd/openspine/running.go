package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/user"

	"github.com/alecthomas/kong"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
)

// ofNode says which node's users, clients or keys a command is about. While the node runs, it does the command itself: the words, and
// what the files that they name hold, go to it over a socket in its data folder.
type ofNode struct {
	Config string `help:"The node's configuration; without it, a demonstration's data folder is meant." type:"path"`
	Data   string `default:"openspine-data" help:"The data folder of a demonstration." type:"path"`
	Reason string `default:"by command" help:"Why: it is kept in the history of what is changed."`

	Database string `env:"OPENSPINE_DATABASE" help:"A PostgreSQL URL, when the node's database is not in the data folder."`
}

// forNode are the commands that a running node does for whoever holds its data folder.
type forNode struct {
	User         userCommand         `cmd:"" help:"Say who can sign in, in which roles, and until when."`
	Client       clientCommand       `cmd:"" help:"Say which programs may ask for tokens."`
	Provider     providerCommand     `cmd:"" help:"Say whom OpenID providers elsewhere vouch for."`
	Replica      replicaCommand      `cmd:"" help:"See to the copies of the national register that hospitals on this node keep."`
	Key          keyCommand          `cmd:"" help:"Change the keys that tokens are signed with."`
	Mailbox      mailboxCommand      `cmd:"" help:"Keep the mailboxes of programs that speak MESH."`
	Route        routeCommand        `cmd:"" help:"Say where post goes."`
	Subscription subscriptionCommand `cmd:"" help:"See to who is told of what happens to people."`
	Network      networkCommand      `cmd:"" help:"Join nodes to one network, and see how its links are."`
}

// with opens the node for a command and closes it again, or has the one that runs do the command.
func (c ofNode) with(s *session, do func(ctx context.Context, n *node.Node, by access.Principal) error) error {
	if s.node != nil {
		by := access.Service("command-line", s.node.Kernel().National)
		by.Name = "command line"
		if s.user != "" {
			by.Name += ", " + s.user
		}
		return do(s.ctx, s.node, by)
	}
	cfg := node.Config{Name: "openspine", Addr: "127.0.0.1:0", Data: c.Data, National: sim.National.String(), Tenants: []node.TenantConfig{{Code: sim.National.String(), Name: "National spine", Kind: "national"}}}
	if c.Config != "" {
		var err error
		if cfg, err = node.ReadConfig(c.Config); err != nil {
			return err
		}
	} else if err := (where{Data: c.Data}).there(); err != nil && c.Database == "" {
		return err
	}
	cfg.Database = cmp.Or(c.Database, cfg.Database)
	n, err := node.Open(s.ctx, cfg, node.Options{})
	if fault.Is(err, fault.Conflict) {
		return node.Ask(s.ctx, cfg.Data, node.Command{Args: s.args, Files: s.files, User: whoami()}, s.stdout)
	}
	if err != nil {
		return err
	}
	inside := *s
	inside.node, inside.user = n, whoami()
	return errors.Join(c.with(&inside, do), n.Close())
}

func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// read is what a file holds: for a running node, what came with the command.
func (s *session) read(path string) ([]byte, error) {
	if s.remote {
		if len(s.files) == 0 {
			return nil, fault.New(fault.Invalid, "the file %s did not come with the command", path)
		}
		text := s.files[0]
		s.files = s.files[1:]
		return text, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "cannot read %s: %v", path, err)
	}
	s.files = append(s.files, text)
	return text, nil
}

// obey does a command for whoever holds the data folder of a running node.
func obey(ctx context.Context, n *node.Node, c node.Command, out io.Writer) error {
	var commands struct {
		forNode
		Audit runningAudit `cmd:"" help:"Move old months of the account into archives."`
	}
	parser, err := kong.New(&commands, kong.Name("openspine"), kong.Writers(out, out), kong.Exit(func(int) {}))
	if err != nil {
		return err
	}
	k, err := parser.Parse(c.Args)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the node that runs does not know this command; is it of another version? %v", err)
	}
	return k.Run(&session{ctx: ctx, stdout: out, stderr: out, node: n, user: c.User, files: c.Files, remote: true})
}
