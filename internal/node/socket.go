package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/openspine/openspine/fault"
)

// Command is what somebody who holds the data folder asks of the node that runs on it, as the words of a command line.
type Command struct {
	Args  []string `json:"args"`
	Files [][]byte `json:"files,omitempty"` // what the files that the words name hold, in the order in which they are read
	User  string   `json:"user"`            // who asks, as the machine calls them: for the account
}

// socketFile is where a running node listens for commands, in its data folder. Two processes may not change one folder (see Folder), so whoever
// would change something beside a node asks the node to. Who may connect is who owns the folder: the file is theirs alone.
const socketFile = "admin.sock"

// socketPath is the longest path that every system takes for a socket.
const socketPath = 100

// maxCommand bounds a command with its files.
const maxCommand = 64 << 20

// answered is what a command came to.
type answered struct {
	Output string `json:"output"`
	Kind   string `json:"kind,omitempty"` // of the fault; "" when it succeeded
	Fault  string `json:"fault,omitempty"`
}

// listenForCommands opens the socket. It comes to its place with its permissions, so that nobody else can connect in between.
func (n *Node) listenForCommands() (err error) {
	if n.commands == nil {
		return nil
	}
	private, err := os.MkdirTemp(n.cfg.Data, ".admin-") // its owner's alone
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the data folder %s cannot be written to: %v", n.cfg.Data, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(private)) }()
	var l net.Listener
	err = withShortPath(private, func(dir string) (err error) {
		l, err = net.Listen("unix", filepath.Join(dir, "s"))
		return err
	})
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the node cannot listen for commands in %s: %v", n.cfg.Data, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	made := filepath.Join(private, "s")
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, filepath.Join(n.cfg.Data, socketFile))); err != nil {
		return errors.Join(fault.Wrap(err, fault.Unavailable, "the node cannot listen for commands in %s: %v", n.cfg.Data, err), l.Close())
	}
	n.asked = l
	return nil
}

// withShortPath gives do a path to dir that a socket's may begin with.
func withShortPath(dir string, do func(dir string) error) (err error) {
	dir, err = filepath.Abs(dir)
	if err != nil || len(dir)+len(socketFile)+1 <= socketPath {
		return errors.Join(err, do(dir))
	}
	elsewhere, err := os.MkdirTemp("", "os-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(elsewhere)) }()
	link := filepath.Join(elsewhere, "d")
	if err := os.Symlink(dir, link); err != nil {
		return err
	}
	return do(link)
}

// obey does one command.
func (n *Node) obey() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /command", func(w http.ResponseWriter, r *http.Request) {
		var c Command
		var out bytes.Buffer
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand)).Decode(&c)
		if err != nil {
			err = fault.Wrap(err, fault.Invalid, "the command could not be read, or its files are over %d MB", maxCommand>>20)
		} else {
			err = n.commands(r.Context(), n, c, &out)
		}
		a := answered{Output: out.String()}
		if err != nil {
			a.Kind, a.Fault = fault.KindOf(err).String(), fault.MessageOf(err)
			if fault.Is(err, fault.Internal) {
				a.Fault = err.Error() // whoever holds the folder may know
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(a); err != nil {
			n.log.Warn("whoever asked for a command has gone", "cause", err)
		}
	})
	return mux
}

// Ask has the node that runs on a data folder do a command, and writes what it says to out. Errors: fault.Conflict when nobody answers
// there; what the command failed with.
func Ask(ctx context.Context, dir string, c Command, out io.Writer) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
		err = withShortPath(dir, func(dir string) (err error) {
			conn, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", filepath.Join(dir, socketFile))
			return err
		})
		return conn, err
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node/command", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fault.Wrap(err, fault.Conflict, "%s is in use, and no node answers there: it starts or stops, or an import or a restore is at work. Wait for it, or stop it, and try again.", dir)
	}
	defer resp.Body.Close()
	var a answered
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the node stopped before it answered: look whether the change was made before you try again")
	}
	if _, err := io.WriteString(out, a.Output); err != nil {
		return err
	}
	if a.Kind == "" {
		return nil
	}
	for _, k := range fault.All() {
		if k.String() == a.Kind {
			return fault.New(k, "%s", a.Fault)
		}
	}
	return fault.New(fault.Internal, "%s", a.Fault)
}
