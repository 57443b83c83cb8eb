// The command line: the command tables, which are also the help, the flags, the dispatch, and how an error is told and
// becomes an exit status.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// options are the flags of all commands.
type options struct {
	dryRun, json, exitCode, follow, noOpen bool
	systemd, launchd                       bool
	collector                              string
	timeout                                time.Duration
	lines                                  int
}

// A subcommand is one row of a command table. The tables are also the help.
type subcommand struct {
	name, short string
	flags       []string // keys of flagRows
	do          func(w *app, ctx context.Context, o options) error
}

// commands is the table of "runtimescope COMMAND".
func commands() []subcommand {
	return []subcommand{
		{"service", "Manage the collector as a background service", nil, nil},
		{"dashboard", "Make sure a collector is running, then open its dashboard", []string{"no-open"}, (*app).dashboard},
		{"version", "Print the version", nil, func(w *app, _ context.Context, _ options) error {
			fmt.Fprintln(w.out.stdout, "runtimescope "+versionText())
			return nil
		}},
		{"help", "Show help", nil, nil},
	}
}

// serviceCommands is the table of "runtimescope service COMMAND".
func serviceCommands() []subcommand {
	change := func(v verb) func(*app, context.Context, options) error {
		return func(w *app, ctx context.Context, o options) error { return w.change(ctx, v, o) }
	}
	return []subcommand{
		{"install", "Install + start the background service (launchd/systemd)", []string{"dry-run", "collector", "timeout"}, change(install)},
		{"stop", "Stop the service (config preserved)", []string{"dry-run"}, (*app).stopService},
		{"start", "Alias for restart", []string{"dry-run", "timeout"}, change(restart)},
		{"restart", "Restart the service", []string{"dry-run", "timeout"}, change(restart)},
		{"status", "Show service state + PID", []string{"json", "exit-code"}, (*app).status},
		{"uninstall", "Stop + remove the service config", []string{"dry-run"}, (*app).uninstallService},
		{"logs", "Show the collector's log", []string{"lines", "follow"}, (*app).logs},
		{"doctor", "Check all that the service needs, and say what to fix", []string{"json"}, (*app).doctor},
		{"update", "Adopt a newly installed collector binary and restart on it", []string{"dry-run", "collector", "timeout"}, change(update)},
		{"run", "Run the collector in the foreground (containers, no service manager)", []string{"collector"}, (*app).foreground},
		{"unit", "Print the service definition, for packagers", []string{"collector", "systemd", "launchd"}, (*app).printUnit},
		{"help", "Show this help", nil, nil},
	}
}

// A flagRow is a flag: how it is typed, what it means, and how it is read.
type flagRow struct {
	spelling, meaning string
	bind              func(f *flag.FlagSet, o *options)
}

// flagRows are the flags of all commands. Their keys are the names in the tables.
func flagRows() map[string]flagRow {
	yes := func(of func(*options) *bool, names ...string) func(*flag.FlagSet, *options) {
		return func(f *flag.FlagSet, o *options) {
			for _, name := range names {
				f.BoolVar(of(o), name, false, "")
			}
		}
	}
	text := func(name string, read func(o *options, text string) error) func(*flag.FlagSet, *options) {
		return func(f *flag.FlagSet, o *options) {
			f.Func(name, "", func(text string) error { return read(o, text) })
		}
	}
	return map[string]flagRow{
		"dry-run": {"-n, --dry-run", "print each file and each command in order; change nothing",
			yes(func(o *options) *bool { return &o.dryRun }, "n", "dry-run")},
		"collector": {"--collector PATH", "use this binary instead of looking for one", text("collector", readCollector)},
		"timeout":   {"--timeout D", "how long to wait for /readyz, such as 90s or 2m (default 60s)", text("timeout", readTimeout)},
		"json":      {"--json", "print one JSON object", yes(func(o *options) *bool { return &o.json }, "json")},
		"exit-code": {"--exit-code", "exit 0 running and healthy, 3 installed but not that, 4 not installed",
			yes(func(o *options) *bool { return &o.exitCode }, "exit-code")},
		"lines":   {"-n N", "the last N lines (default 50)", text("n", readLines)},
		"follow":  {"-f", "follow the log", yes(func(o *options) *bool { return &o.follow }, "f")},
		"no-open": {"--no-open", "print the URL, open nothing", yes(func(o *options) *bool { return &o.noOpen }, "no-open")},
		"systemd": {"--systemd", "the systemd unit", yes(func(o *options) *bool { return &o.systemd }, "systemd")},
		"launchd": {"--launchd", "the launchd plist", yes(func(o *options) *bool { return &o.launchd }, "launchd")},
	}
}

func readCollector(o *options, path string) error {
	if path == "" {
		return errors.New("a path is missing")
	}
	o.collector = path
	return nil
}

func readTimeout(o *options, text string) (err error) {
	if o.timeout, err = time.ParseDuration(text); err == nil && o.timeout <= 0 {
		err = errors.New("must be more than nothing")
	}
	return err
}

func readLines(o *options, text string) error {
	if _, err := fmt.Sscanf(text+"\n", "%d\n", &o.lines); err != nil || o.lines < 0 {
		return errors.New("must be a number of lines")
	}
	return nil
}

// parse reads the flags of a command. Anything that is left over is misuse.
func (c subcommand) parse(args []string) (options, error) {
	o := options{timeout: time.Minute, lines: 50}
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	rows := flagRows()
	for _, key := range c.flags {
		rows[key].bind(f, &o)
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument: %s", f.Arg(0))
	}
	if o.systemd && o.launchd {
		return o, errors.New("--systemd and --launchd exclude each other")
	}
	return o, nil
}

// A misuse is a command line that means nothing, with the help that goes with it.
type misuse struct {
	error
	help string
}

// help is the text of a command table.
func help(prefix, word string, table []subcommand) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s <%s>\n\n", prefix, word)
	for _, c := range table {
		fmt.Fprintf(&b, "    %-11s %s\n", c.name, c.short)
	}
	return b.String()
}

// usage is the text of "--help" on one command.
func (c subcommand) usage(prefix string) string {
	var b strings.Builder
	flags := ""
	if len(c.flags) > 0 {
		flags = " [flags]"
	}
	fmt.Fprintf(&b, "  %s %s%s\n\n  %s\n", prefix, c.name, flags, c.short)
	for i, key := range c.flags {
		row := flagRows()[key]
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "    %-17s %s\n", row.spelling, row.meaning)
	}
	return b.String()
}

// dispatch finds the command and runs it.
func (a *app) dispatch(ctx context.Context, args []string) error {
	table, prefix, what, word := commands(), "runtimescope", "command", "command"
	if len(args) > 0 && args[0] == "service" {
		table, prefix, what, word = serviceCommands(), "runtimescope service", "subcommand", "subcommand"
		args = args[1:]
	}
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch {
	case name == "--help" || name == "-h":
		name = "help"
	case (name == "--version" || name == "-v") && what == "command":
		name = "version"
	}
	for _, c := range table {
		if c.name != name {
			continue
		}
		o, err := c.parse(args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprint(a.out.stdout, c.usage(prefix))
			return nil
		case err != nil:
			return &misuse{fmt.Errorf("%s %s: %w", prefix, name, err), c.usage(prefix)}
		case c.do == nil:
			fmt.Fprint(a.out.stdout, help(prefix, word, table))
			return nil
		}
		return c.do(a, ctx, o)
	}
	return &misuse{&failure{headline: "Unknown " + what + ": " + name}, help(prefix, word, table)}
}

// A statusError is a result that its exit status tells, with the words for it, if any.
type statusError struct {
	error
	code int
}

// report says an error once, with all that is known about it, and returns the exit status.
func (a *app) report(err error) int {
	if err == nil {
		return 0
	}
	var wrong *misuse
	var status *statusError
	var helped *hinted
	var problem *refused
	var undone *applyError
	var list *failure
	if errors.As(err, &status) && status.error == nil {
		return status.code
	}
	if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
		a.out.fail("Interrupted. The service is left as it is. See: runtimescope service status")
		return 130
	}
	a.out.fail("%v", err)
	if errors.As(err, &list) {
		for _, note := range list.notes {
			a.out.note("%s", note)
		}
	}
	if errors.As(err, &problem) {
		a.noteHelp(problem.details, problem.help())
	} else if errors.As(err, &helped) {
		a.noteHelp(nil, fromError(err, 0).help())
	}
	if errors.As(err, &undone) {
		switch {
		case undone.left != nil:
			a.out.note("Some changes could not be rolled back: %v", undone.left)
		case undone.undone:
			a.out.note("Changes were rolled back.")
		}
	}
	if errors.As(err, &wrong) {
		fmt.Fprint(a.out.stderr, wrong.help)
	}
	if errors.As(err, &status) {
		return status.code
	}
	return 1
}

// noteHelp says what is known besides a failure, and what helps.
func (a *app) noteHelp(details []string, help string) {
	for _, line := range details {
		a.out.note("%s", line)
	}
	if help != "" {
		a.out.note("Try: %s", help)
	}
}
