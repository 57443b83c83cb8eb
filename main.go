// Command runtimescope makes the RuntimeScope collector a background service of the user.
//
// This file is the edge of the process: it builds the app from the operating system, holds the command table, and
// turns an error into words and an exit status. It alone touches os.Args, os.Stdout, os.Getenv and os.Exit.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// A app is all that one invocation sees of the machine. Only main builds one from the real process.
type app struct {
	out         printer
	getenv      func(string) string
	environ     []string // for doctor, which shows names only
	home        string
	uid         int
	platform    string          // as the error for an unsupported system names it
	path        []string        // the folders of PATH
	executables func() []string // the names of this program
	commandLine string          // the command as it was given, for messages
	manager     serviceManager
	processes   processTable
	run         Runner
	disk        disk
	timings     timings
	alive       func(pid int) bool
	signals     func(also ...os.Signal) <-chan os.Signal // catches those that end a program, and these, from now on
	reap        func(keep int)                           // collects orphans that have ended, but not keep; nil: they are not ours
	// lock keeps other invocations by this user from changing the service at the same time. When it has to wait,
	// it calls first before it does.
	lock func(ctx context.Context, first func()) (unlock func(), err error)
}

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
	flags       []string // keys of flagHelp
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

// flagHelp says what each flag means. Its keys are the names in the tables.
func flagHelp(key string) (spelling, meaning string) {
	f := map[string][2]string{
		"dry-run":   {"-n, --dry-run", "print each file and each command in order; change nothing"},
		"collector": {"--collector PATH", "use this binary instead of looking for one"},
		"timeout":   {"--timeout D", "how long to wait for /readyz, such as 90s or 2m (default 60s)"},
		"json":      {"--json", "print one JSON object"},
		"exit-code": {"--exit-code", "exit 0 running and healthy, 3 installed but not that, 4 not installed"},
		"lines":     {"-n N", "the last N lines (default 50)"},
		"follow":    {"-f", "follow the log"},
		"no-open":   {"--no-open", "print the URL, open nothing"},
		"systemd":   {"--systemd", "the systemd unit"},
		"launchd":   {"--launchd", "the launchd plist"},
	}[key]
	return f[0], f[1]
}

// parse reads the flags of a command. Anything that is left over is misuse.
func (c subcommand) parse(args []string) (options, error) {
	o := options{timeout: time.Minute, lines: 50}
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	for _, key := range c.flags {
		switch key {
		case "dry-run":
			f.BoolVar(&o.dryRun, "n", false, "")
			f.BoolVar(&o.dryRun, key, false, "")
		case "collector":
			f.Func(key, "", func(path string) error {
				if path == "" {
					return errors.New("a path is missing")
				}
				o.collector = path
				return nil
			})
		case "timeout":
			f.Func(key, "", func(text string) (err error) {
				if o.timeout, err = time.ParseDuration(text); err == nil && o.timeout <= 0 {
					err = errors.New("must be more than nothing")
				}
				return err
			})
		case "json":
			f.BoolVar(&o.json, key, false, "")
		case "exit-code":
			f.BoolVar(&o.exitCode, key, false, "")
		case "lines":
			f.Func("n", "", func(text string) error {
				if _, err := fmt.Sscanf(text+"\n", "%d\n", &o.lines); err != nil || o.lines < 0 {
					return errors.New("must be a number of lines")
				}
				return nil
			})
		case "follow":
			f.BoolVar(&o.follow, "f", false, "")
		case "no-open":
			f.BoolVar(&o.noOpen, key, false, "")
		case "systemd":
			f.BoolVar(&o.systemd, key, false, "")
		case "launchd":
			f.BoolVar(&o.launchd, key, false, "")
		}
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
		spelling, meaning := flagHelp(key)
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "    %-17s %s\n", spelling, meaning)
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

// A statusError is a result that its exit status tells, with the words for it.
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
	var undone *applyError
	var list *failure
	if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
		a.out.fail("Interrupted. The service is left as it is. Look: runtimescope service status")
		return 130
	}
	a.out.fail("%v", err)
	if errors.As(err, &list) {
		for _, note := range list.notes {
			a.out.note("%s", note)
		}
	}
	if errors.As(err, &helped) && helped.fix != "" {
		a.out.note("Try: %s", helped.fix)
	}
	if errors.As(err, &undone) {
		switch {
		case undone.left != nil:
			a.out.note("Not all that had been done could be taken back: %v", undone.left)
		case undone.undone:
			a.out.note("What had been done was taken back.")
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

// version is set by -ldflags "-X main.version=…".
var version string

// versionText is the version set at build time, else what the build information says, else "devel".
func versionText() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(version, info)
}

func versionOf(set string, info *debug.BuildInfo) string {
	if set == "" && info != nil && info.Main.Version != "(devel)" {
		set = info.Main.Version
	}
	return cmp.Or(set, "devel")
}

// A watchedWriter remembers the first error of its writer.
type watchedWriter struct {
	io.Writer
	err error
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

func main() {
	stdout := &watchedWriter{Writer: os.Stdout}
	path := filepath.SplitList(os.Getenv("PATH"))
	environ := append(os.Environ(), "LC_ALL=C")
	w := &app{
		out:         newPrinter(stdout, os.Stderr, isTerminal(os.Stdout.Fd()), isTerminal(os.Stderr.Fd()), os.Getenv),
		getenv:      os.Getenv,
		environ:     os.Environ(),
		home:        os.Getenv("HOME"),
		uid:         os.Getuid(),
		platform:    runtime.GOOS,
		path:        path,
		executables: func() []string { return executables(os.Args[0], path) },
		commandLine: quoteArgv(append([]string{"runtimescope"}, os.Args[1:]...)),
		disk:        osDisk{},
		timings: timings{headStart: 3 * time.Millisecond, probe: 5 * time.Millisecond, slow: 40 * time.Millisecond, fast: 2 * time.Second,
			look: 400 * time.Millisecond, grace: time.Second, journal: 10 * time.Second, follow: 200 * time.Millisecond,
			restart: 5 * time.Second, late: 10 * time.Second, kill: 10 * time.Second, reap: time.Second},
		alive:   alive,
		signals: catchSignals,
	}
	environ = append(environ, w.choose()...)
	w.run = osRunner{
		path:    append(path, "/usr/bin", "/bin", "/usr/sbin", "/sbin"), // a bare PATH hides no service manager
		env:     environ,
		timeout: 10 * time.Second,
	}
	if t, ok := w.processes.(lsofTable); ok {
		t.run = w.run
		w.processes = t
	}
	code := w.report(w.dispatch(context.Background(), os.Args[1:]))
	if stdout.err != nil && code == 0 {
		w.out.fail("cannot write to standard output: %v", stdout.err)
		code = 1
	}
	os.Exit(code)
}

func catchSignals(also ...os.Signal) <-chan os.Signal {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, append(also, os.Interrupt, syscall.SIGTERM)...)
	if !signal.Ignored(syscall.SIGHUP) { // a closed terminal; ignored under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	return signals
}

// untilSignal returns a context that ends at the first signal. The second one then ends the program.
func (a *app) untilSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	go cancelAt(a.signals(), ctx, cancel)
	return ctx, cancel
}

func cancelAt(signals <-chan os.Signal, ctx context.Context, cancel func()) {
	select {
	case <-signals:
		signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		cancel()
	case <-ctx.Done():
	}
}
