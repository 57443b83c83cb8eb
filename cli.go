// The command line: the command tables, which are also the help, the flags, the dispatch, and how an error is told and
// becomes an exit status.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// options are the flags of all commands.
type options struct {
	dryRun, json, exitCode, follow, noOpen, network bool
	systemd, launchd                                bool
	collector                                       string
	env                                             []string // as given
	timeout                                         time.Duration
	lines                                           int
	args                                            []string  // of mcp
	plan                                            *[]string // of a dry run, for --json
}

// A subcommand is one row of a command table. The tables are also the help.
type subcommand struct {
	name, short string
	flags       []string // keys of flagRows
	example     string   // what follows "runtimescope" or "runtimescope service"
	do          func(w *app, ctx context.Context, o options) error
}

// commands is the table of "runtimescope COMMAND".
func commands() []subcommand {
	return []subcommand{
		{"service", "Manage the collector as a background service", nil, "", nil},
		{"dashboard", "Make sure a collector is running, then open its dashboard", []string{"dry-run", "no-open", "network", "timeout"},
			"dashboard --no-open", (*app).dashboard},
		{mcpCommand, "Run the MCP server (hands over to `mcp-server`)", nil, "mcp --http", (*app).mcp},
		{"version", "Print the version", nil, "version", func(w *app, _ context.Context, _ options) error {
			fmt.Fprintln(w.out.stdout, "runtimescope "+version)
			return nil
		}},
		{"help", "Show help", nil, "help service install", nil},
	}
}

// serviceCommands is the table of "runtimescope service COMMAND".
func serviceCommands() []subcommand {
	change := func(v verb) func(*app, context.Context, options) error {
		return func(w *app, ctx context.Context, o options) error { return w.change(ctx, v, o) }
	}
	return []subcommand{
		{"install", "Install + start the background service (launchd/systemd)", []string{"dry-run", "collector", "env", "timeout", "json"},
			"install --collector /opt/bin/collector-server", change(install)},
		{"stop", "Stop the service (config preserved)", []string{"dry-run", "json"}, "stop", (*app).stopService},
		{"start", "Alias for restart", []string{"dry-run", "timeout", "json"}, "start --timeout 2m", change(restart)},
		{"restart", "Restart the service", []string{"dry-run", "timeout", "json"}, "restart --dry-run", change(restart)},
		{"status", "Show service state + PID", []string{"json", "exit-code"}, "status --exit-code", (*app).status},
		{"uninstall", "Stop + remove the service config", []string{"dry-run", "json"}, "uninstall --dry-run", (*app).uninstallService},
		{"wait", "Wait until the service is healthy; change nothing", []string{"timeout", "json"}, "wait --timeout 30s", (*app).waitHealthy},
		{"logs", "Show the collector's log", []string{"lines", "follow"}, "logs -n 200 --follow", (*app).logs},
		{"doctor", "Check everything the service needs and suggest fixes", []string{"json"}, "doctor", (*app).doctor},
		{"update", "Restart the service on a newly installed collector", []string{"dry-run", "collector", "timeout", "json"},
			"update", change(update)},
		{"run", "Run the collector in the foreground (e.g. in a container)", []string{"collector"},
			"run --collector ./collector-server", (*app).foreground},
		{"unit", "Print the service definition, for packagers", []string{"collector", "systemd", "launchd"},
			"unit --systemd --collector /usr/bin/collector-server", (*app).printUnit},
		{"help", "Show this help", nil, "help install", nil},
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
	text := func(read func(o *options, text string) error, names ...string) func(*flag.FlagSet, *options) {
		return func(f *flag.FlagSet, o *options) {
			for _, name := range names {
				f.Func(name, "", func(text string) error { return read(o, text) })
			}
		}
	}
	return map[string]flagRow{
		"dry-run": {"-n, --dry-run", "show what would be done, without doing it",
			yes(func(o *options) *bool { return &o.dryRun }, "n", "dry-run")},
		"collector": {"--collector PATH", "use the collector at PATH (default: search for it)", text(func(o *options, path string) (err error) {
			if o.collector = path; path == "" || path[0] == '-' { // the flag after it
				err = errors.New("a path is missing")
			}
			return err
		}, "collector")},
		"timeout": {"--timeout D", "how long the start may take, e.g. 90s (default 60s)", text(readTimeout, "timeout")},
		"env": {"--env NAME[=VALUE]", "set a variable for the collector; NAME= removes it", text(func(o *options, text string) error {
			o.env = append(o.env, text)
			return nil
		}, "env")},
		"json": {"--json", "print one JSON object", yes(func(o *options) *bool { return &o.json }, "json")},
		"exit-code": {"--exit-code", "exit 0: healthy, 3: not healthy, 4: not installed",
			yes(func(o *options) *bool { return &o.exitCode }, "exit-code")},
		"lines":   {"-n, --lines N", "print the last N lines (default 50)", text(readLines, "n", "lines")},
		"follow":  {"-f, --follow", "follow the log", yes(func(o *options) *bool { return &o.follow }, "f", "follow")},
		"no-open": {"--no-open", "print the URL instead of opening it", yes(func(o *options) *bool { return &o.noOpen }, "no-open")},
		"network": {"--network", "print what other machines need to reach it", yes(func(o *options) *bool { return &o.network }, "network")},
		"systemd": {"--systemd", "print the systemd unit", yes(func(o *options) *bool { return &o.systemd }, "systemd")},
		"launchd": {"--launchd", "print the launchd plist", yes(func(o *options) *bool { return &o.launchd }, "launchd")},
	}
}

// readTimeout takes a number alone for seconds.
func readTimeout(o *options, text string) (err error) {
	if o.timeout, err = time.ParseDuration(text); err != nil {
		o.timeout, err = time.ParseDuration(text + "s")
	}
	switch {
	case err != nil:
		return errors.New("must be a time such as 90s or 2m")
	case o.timeout <= 0:
		return errors.New("must be greater than zero")
	}
	return nil
}

func readLines(o *options, text string) error {
	n, err := strconv.ParseUint(text, 10, 31) // up to journalctl's limit
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("must be at most %d", math.MaxInt32)
	case err != nil:
		return errors.New("must be a number of lines")
	}
	o.lines = int(n)
	return nil
}

// attached is a number right after -n.
var attached = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^-n[0-9]+$`) })

// parse reads the flags of a command. Anything that is left over is misuse.
func (c subcommand) parse(args []string) (options, error) {
	o := options{timeout: time.Minute, lines: 50}
	if c.name == mcpCommand {
		o.args = args
		return o, nil
	}
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	rows := flagRows()
	var names []string
	for _, key := range c.flags {
		rows[key].bind(f, &o)
		if key == "lines" {
			args = slices.Clone(args)
			for i, arg := range args {
				if attached().MatchString(arg) {
					args[i] = "-n=" + arg[2:]
				}
			}
		}
	}
	f.VisitAll(func(g *flag.Flag) { names = append(names, spelled(g.Name)) })
	if err := f.Parse(args); err != nil {
		return o, plainFlagError(err, names)
	}
	if f.NArg() > 0 && len(o.env) > 0 && !strings.Contains(f.Arg(0), "=") { // which may be secret
		return o, errors.New("unexpected argument after --env: quote a value that has spaces")
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument: %s", shownCommand(f.Args()[:1])) // NAME=VALUE, where --env is missing
	}
	if o.systemd && o.launchd {
		return o, errors.New("--systemd and --launchd cannot be used together")
	}
	return o, nil
}

// spelled is a flag as it is typed.
func spelled(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// plainFlagError says in the words of a person what package flag says in those of a programmer.
func plainFlagError(err error, names []string) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return fmt.Errorf("%s: unknown flag%s", spelled(name), didYouMean(name, "", names))
	}
	if word, ok := strings.CutPrefix(text, "bad flag syntax: "); ok {
		return fmt.Errorf("%s: unknown flag%s", shownCommand([]string{word}), didYouMean(word, "", names))
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return fmt.Errorf("%s: a value is missing", spelled(name))
	}
	for _, pattern := range []string{"invalid value %q for flag -%s", "invalid boolean value %q for -%s"} {
		var value, name string
		if n, _ := fmt.Sscanf(text, pattern, &value, &name); n == 2 {
			why := text[strings.LastIndex(text, ": ")+2:]
			if why == "parse error" {
				why = "must be true or false"
			}
			return fmt.Errorf("%s: %s", strings.TrimSpace(spelled(strings.TrimSuffix(name, ":"))+" "+value), why)
		}
	}
	return err
}

// didYouMean names the one of names that is nearest to a word, with what goes before it; "" where none is near.
func didYouMean(word, before string, names []string) string {
	word = strings.ToLower(strings.TrimLeft(word, "-"))
	best, least := "", min(3, 1+(len(word)+1)/3) // half of a short word is another word
	for _, name := range names {
		bare := strings.TrimLeft(name, "-")
		d := editDistance(word, bare)
		if len(word) > 1 && strings.HasPrefix(bare, word) {
			d = 0
		}
		if d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(". Did you mean: %s%s?", before, best)
}

// editDistance is how many bytes have to be changed, put in, left out or swapped with the next one to make b of a (Damerau, Levenshtein).
func editDistance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			}
			if i > 1 && j > 1 && a[i-2:i] == string([]byte{b[j-1], b[j-2]}) {
				d[i][j] = min(d[i][j], 1+d[i-2][j-2])
			}
		}
	}
	return d[len(a)][len(b)]
}

// A misuse is a command line that means nothing, with the command that prints the help for it.
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
	fmt.Fprintf(&b, "  %s %s%s\n\n  %s\n\n", prefix, c.name, flags, c.short)
	for _, key := range c.flags {
		row := flagRows()[key]
		fmt.Fprintf(&b, "    %-18s %s\n", row.spelling, row.meaning)
	}
	if len(c.flags) > 0 {
		b.WriteByte('\n')
	}
	exits := map[string]string{
		"status": "0: done, 1: failed; with --exit-code also 3 and 4",
		"run":    "that of the collector, 128+N after signal N",
		"mcp":    "that of mcp-server",
	}
	fmt.Fprintf(&b, "  Example: %s %s\n  Exit status: %s\n", prefix, c.example, cmp.Or(exits[c.name], "0: done, 1: failed, 130: interrupted"))
	return b.String()
}

// lookUp finds the command that arguments name, what comes before it, and its own arguments. wantsHelp: "help COMMAND" was meant.
func lookUp(args []string) (c subcommand, prefix string, own []string, wantsHelp bool, err error) {
	table, what := commands(), "command"
	prefix = "runtimescope"
	skipHelp := func() {
		if len(args) > 1 && args[0] == "help" {
			wantsHelp, args = true, args[1:]
		}
	}
	skipHelp()
	if len(args) > 0 && args[0] == "service" {
		table, prefix, what, args = serviceCommands(), "runtimescope service", "subcommand", args[1:]
		skipHelp()
	}
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch {
	case slices.Contains([]string{"--help", "-help", "-h"}, name):
		name = "help"
	case (name == "--version" || name == "-v") && what == "command":
		name = "version"
	}
	i := slices.IndexFunc(table, func(c subcommand) bool { return c.name == name })
	if i < 0 {
		return subcommand{name: name, flags: []string{"json"}}, prefix, args, false, unknownCommand(what, name)
	}
	return table[i], prefix, args, wantsHelp, nil
}

// dispatch finds the command and runs it.
func (a *app) dispatch(ctx context.Context, all []string) error {
	c, prefix, args, wantsHelp, unknown := lookUp(all)
	o, err := c.parse(args)
	if unknown != nil {
		err = unknown
	}
	switch {
	case errors.Is(err, flag.ErrHelp), err == nil && wantsHelp && c.do != nil:
		fmt.Fprint(a.out.stdout, c.usage(prefix))
	case err != nil:
		wrong := &misuse{err, prefix + " " + c.name + " --help"}
		if unknown != nil {
			wrong.help = prefix + " help"
		} else if c.do == nil {
			wrong.help = prefix + " " + c.name
		}
		if slices.Contains(c.flags, "json") && slices.ContainsFunc(all, asksForJSON) {
			a.printReport(c.name, o, a.unseen(), wrong)
		}
		return wrong
	case c.do == nil && prefix == "runtimescope":
		fmt.Fprint(a.out.stdout, help(prefix, "command", commands()))
	case c.do == nil:
		fmt.Fprint(a.out.stdout, help(prefix, "subcommand", serviceCommands()))
	case o.json:
		return a.inJSON(ctx, c, o)
	default:
		return c.do(a, ctx, o)
	}
	return nil
}

// asksForJSON tells whether a word of a command line that cannot be read is --json, in one of its forms.
func asksForJSON(arg string) bool {
	name, value, _ := strings.Cut(arg, "=")
	yes, err := strconv.ParseBool(value)
	return (name == "--json" || name == "-json") && (yes || err != nil)
}

// unknownCommand names the command that may have been meant, also one of the other table.
func unknownCommand(what, name string) error {
	near := func(prefix string, table []subcommand) string {
		var names []string
		for _, c := range table {
			names = append(names, c.name)
		}
		return didYouMean(name, prefix, names)
	}
	top, below := near("runtimescope ", commands()), near("runtimescope service ", serviceCommands())
	if what == "subcommand" {
		top, below = below, top
	}
	return &failure{headline: "Unknown " + what + ": " + shownCommand([]string{name}) + cmp.Or(top, below)}
}

// A statusError is a result that its exit status tells, with the words for it, if any.
type statusError struct {
	error
	code int
}

func (e *statusError) Unwrap() error { return e.error }

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
		help := problem.help()
		if strings.HasSuffix(problem.summary, help) {
			help = "" // it is said already
		}
		a.noteHelp(problem.details, help)
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
		a.out.note("See: %s", wrong.help)
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
		a.out.note("Fix: %s", help)
	}
}
