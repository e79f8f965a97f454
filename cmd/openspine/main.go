// Command openspine is the whole programme as one binary: a demonstration country, a node, and the tools that
// load, keep, prove and measure one.
package main

import (
	"context"
	"fmt"
	"github.com/openspine/openspine/internal/clock"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/node"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// collectAt is by how many percent the memory in use may grow before it is tidied, unless GOGC says otherwise: a node holds little,
// so that tidying half as often costs some tens of megabytes and saves a twentieth of its processor time.
const collectAt = 200

// stopWithin is how long a command that was told to stop may take; a second signal ends it at once.
const stopWithin = 9500 * time.Millisecond

// commands are what openspine can be told to do.
type commands struct {
	Demo      demoCommand   `cmd:"" help:"Start a made-up country to try everything on: sign in with one click."`
	Serve     serveCommand  `cmd:"" help:"Run a node as its configuration file says."`
	Edge      edgeCommand   `cmd:"" help:"Run a gateway at a site without a node: a local system sends and receives by files in a folder."`
	Import    importCommand `cmd:"" help:"Load FHIR resources from NDJSON files, bundles, single resources or folders of them."`
	forNode   `embed:""`
	Trace     traceCommand     `cmd:"" help:"Find the NHS numbers of everybody in a CSV file, with the reason of each."`
	Directory directoryCommand `cmd:"" help:"Keep the directory of organisations: import the ODS files."`
	Backup    backupCommand    `cmd:"" help:"Copy a node's data to a file while it runs."`
	Restore   restoreCommand   `cmd:"" help:"Put a backup into an empty data folder, under a new incarnation."`
	Numbers   numbersCommand   `cmd:"" help:"After a restore without the ledger of NHS numbers: say which were given out, so that none is given out twice."`
	Audit     auditCommand     `cmd:"" help:"Prove that the account of who saw and did what has not been touched."`
	Bench     benchCommand     `cmd:"" help:"Measure a node, this one or any FHIR server by its URL."`
	Sim       simCommand       `cmd:"" help:"Prove what is promised: run a part of the programme under faults that follow from a seed."`
	Version   versionCommand   `cmd:"" help:"Print which build this is."`
}

// session is what each command is handed.
type session struct {
	clock  clock.Clock // that of the nodes; nil for the system's
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
	args   []string   // the words of the command line
	files  [][]byte   // what the command has read
	node   *node.Node // the node that the command is about, once it is open
	user   string     // who typed the command, as the machine calls them
	remote bool       // the command came to a running node
}

// run parses the words of the command line and does what they say; it is the whole program, for tests as well.
func run(args []string, stdout, stderr io.Writer) int {
	var c commands
	status := 0
	parser, err := kong.New(&c, kong.Name("openspine"),
		kong.Description("Health IT for a whole country: the spine, its records, and who may see them.\n\nStart with: openspine demo"),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { status = code }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(stderr, "openspine:", err)
		return 2
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	helped := false
	parser.Exit = func(code int) { status, helped = code, true }
	k, err := parser.Parse(args)
	if helped {
		return status
	}
	if err != nil {
		fmt.Fprintf(stderr, "openspine: %v\nRun openspine --help, or openspine COMMAND --help, to see what there is.\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stopped := context.AfterFunc(ctx, func() {
		stop()
		time.AfterFunc(stopWithin, func() {
			fmt.Fprintln(stderr, "openspine: stopping took too long; what was acknowledged is safe")
			os.Exit(1)
		})
	})
	defer stopped()
	if err := k.Run(&session{ctx: ctx, stdout: stdout, stderr: stderr, args: args}); err != nil {
		fmt.Fprintln(stderr, "openspine:", explain(err))
		return 1
	}
	return 0
}

// explain is what a person at the command line is told: unlike a caller over the network, they may see the cause.
func explain(err error) string {
	if fault.KindOf(err) == fault.Internal {
		return err.Error()
	}
	return fault.MessageOf(err)
}
