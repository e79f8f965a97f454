package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// cluster is the PostgreSQL that the tests of one process share. It runs on a socket in a temporary folder. Nobody cuts
// its power, so it does not wait for the disk; what SQLite keeps through a loss of power is tested with package storefault.
type cluster struct {
	once sync.Once
	url  string
	err  error
	pipe *os.File // closed when this process ends, however it ends: the keeper then stops the cluster
	next atomic.Int64
}

var shared cluster

var errNoPostgres = errors.New("PostgreSQL is not installed (Debian: apt-get install postgresql); set OPENSPINE_TEST_POSTGRES to use one that runs")

// keeper starts a cluster in $1 with the programs in $2, says so, and stops it when its input ends.
const keeper = `
"$2"/initdb -D "$1"/data -A trust -U openspine --no-sync --locale=C -E UTF8 >"$1"/log 2>&1 &&
"$2"/pg_ctl -D "$1"/data -w -t 60 -l "$1"/log -o "-k $1 -c listen_addresses='' -c max_connections=400 -c shared_buffers=64MB -c fsync=off -c full_page_writes=off" start >>"$1"/log 2>&1 &&
echo ready
cat >/dev/null
"$2"/pg_ctl -D "$1"/data -m immediate stop >/dev/null 2>&1
cd / && rm -rf "$1"
`

// PostgresURL is the URL of an empty schema of a PostgreSQL that the test may use as it likes. Without PostgreSQL the test is
// skipped, or fails when CI=true.
func PostgresURL(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.url, shared.err = shared.start() })
	if shared.err != nil {
		if os.Getenv("CI") == "true" || !errors.Is(shared.err, errNoPostgres) {
			t.Fatal(shared.err)
		}
		t.Skip(shared.err)
	}
	return newSchema(t, shared.url, fmt.Sprintf("test_%d_%d", os.Getpid(), shared.next.Add(1)))
}

func newSchema(t testing.TB, url, name string) string {
	t.Helper()
	run := func(ctx context.Context, sql string) {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatalf("connecting to the tests' PostgreSQL: %v", err)
		}
		_, err = c.Exec(ctx, sql)
		if err := errors.Join(err, c.Close(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	run(t.Context(), "CREATE SCHEMA "+name)
	t.Cleanup(func() { run(context.Background(), "DROP SCHEMA "+name+" CASCADE") })
	sep := "?"
	if strings.Contains(url, "?") {
		sep = "&"
	}
	return url + sep + "search_path=" + name
}

func (c *cluster) start() (string, error) {
	if url := os.Getenv("OPENSPINE_TEST_POSTGRES"); url != "" {
		return url, nil
	}
	bin, err := programs()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("/tmp", "spine-pg-") // short: the path of a socket has room for about 100 letters
	if err != nil {
		return "", err
	}
	cmd := exec.Command("/bin/sh", "-c", keeper, "keeper", dir, bin)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := unprivileged(cmd, dir); err != nil {
		return "", err
	}
	in, pipe, err := os.Pipe()
	if err != nil {
		return "", err
	}
	out, said, err := os.Pipe()
	if err != nil {
		return "", err
	}
	cmd.Stdin, cmd.Stdout = in, said
	if err := cmd.Start(); err != nil {
		return "", err
	}
	c.pipe = pipe
	_ = errors.Join(in.Close(), said.Close()) // the keeper has its own
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return "", fmt.Errorf("starting PostgreSQL for the tests: it said %q (%w)\n%s", line, err, log)
	}
	return "postgres://openspine@/postgres?host=" + dir, out.Close()
}

// programs finds the folder of PostgreSQL's server programs; Debian keeps them off the path.
func programs() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errNoPostgres
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// unprivileged makes cmd run as somebody else when this is root: PostgreSQL refuses root.
func unprivileged(cmd *exec.Cmd, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return errors.Join(errNoPostgres, err)
		}
	}
	uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uerr, gerr); err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(dir, int(uid), int(gid))
}
