// The nouns: definition, state, snapshot, serviceManager, and the errors that know more than a line.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A definition is what the service runs: the text of a unit or plist says it.
type definition struct {
	collector string // absolute path of the program
	arguments string // what a definition edited by hand has after it, as it is shown
	ports     ports  // 0: not said, so the default
	env       string // its other variables, see setVariables
}

// setVariables sets other variables, NAME=VALUE each, or takes a NAME away. They are kept sorted, a NUL after each, to be compared.
func (d *definition) setVariables(words ...string) {
	all := map[string]string{}
	for _, word := range append(d.variables(), words...) {
		name, _, set := strings.Cut(word, "=")
		if all[name] = word + "\x00"; !set {
			delete(all, name)
		}
	}
	d.env = ""
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d.env += all[name]
	}
}

// read takes ports and variables out of K=V words.
func (d *definition) read(environ ...string) {
	d.ports.read(environ)
	for _, word := range environ {
		if name, _, set := strings.Cut(word, "="); set && name != httpPortEnv && name != wsPortEnv {
			d.setVariables(word)
		}
	}
}

// variables are the other variables, each as NAME=VALUE.
func (d definition) variables() []string {
	return strings.FieldsFunc(d.env, func(r rune) bool { return r == 0 })
}

// hidden is a definition that can be shown: its values may be secrets.
func (d definition) hidden() definition {
	for _, word := range d.variables() {
		name, _, _ := strings.Cut(word, "=")
		d.setVariables(name + "=…")
	}
	return d
}

// A phase is the state of the service in one word, the same words for both managers; "status --json" prints it.
type phase string

const (
	notInstalled phase = "not-installed"
	stopped      phase = "stopped"
	starting     phase = "starting"
	running      phase = "running"
	crashLooping phase = "crash-looping" // it ended in failure and the manager is about to start it again
	failed       phase = "failed"        // it ended in failure and the manager does not start it again
	unknown      phase = "unknown"
)

// A state is all that is known of the service at one moment: what its manager says, and the file on disk. inspect corrects
// what the manager says where the file knows better. pid is 0 unless a process runs; invocation is "" when
// nothing was started; lastName, next and the like are "" when there is nothing to say.
type state struct {
	phase      phase
	rawState   string         // the manager's own word
	pid        int            // of the main process, 0 when there is none
	invocation string         // tells one start of the service from the next: the invocation ID, or the PID
	cgroup     string         // systemd's control group
	activeAt   time.Duration  // by the clock of the manager; 0: unknown
	activeFor  *time.Duration // nil: unknown
	restarts   *int           // automatic ones since the service was last started; nil: unknown
	memory     *int64         // bytes; nil: unknown
	next       string         // what the manager does next, in words

	maybeNotStarted bool // stopped, or not started yet: the manager does not tell which
	loadedIdle      bool // no process runs, but the manager may start one at any time, until the job is unloaded
	ending          bool // the manager is stopping the service and has not ended all its processes
	empty           bool // it counts as active, and none of its processes is left
	toldToStop      bool // the service did not end by itself: it was stopped
	startLimit      bool // the manager refuses to start it: too many starts in a short time

	skipped        string        // the kind of condition that did not hold, so that it was not started; lastExit is of an earlier start
	refusesStart   bool          // its definition lets nobody start it by hand
	refusesStop    bool          // nor stop it
	requires       []string      // other units that it cannot run without
	triggers       []string      // active units that start it by themselves
	outputs        []string      // the files that its output goes to instead of the manager's log
	startedAt      time.Duration // of the main process, since boot; 0: unknown
	lastExit       *exitStatus   // how the process last ended; nil: unknown or never
	lastName       string        // that in the manager's terms, such as "status 203/EXEC", and why, where that is known
	isolated       string        // of a failure that is no crash loop: what is said of it
	notExecuted    bool          // lastExit means that the program was not run at all, unless it logged something
	whyNotExecuted string        // why that is, "" when no cause is certain
	cause          string        // why macOS ended or refused the program, in its own word; "" when it says nothing
	help           string        // what helps against that
	deferred       string        // why macOS has put the next start off, in its own word; "" when it has not

	loaded    string   // the file the manager has the definition from, "" when it has none
	stale     bool     // the manager says that file has changed since
	loadError string   // why the manager cannot use the definition
	cut       string   // that a part of what the manager says of the definition was too long, and is not known
	dropIns   []string // other files that add to the definition
	badDropIn error    // why one of them cannot be read
	program   string   // the collector in the definition that the manager uses
	arguments string   // of that, as they are shown
	limits    string   // of memory and processor, as the definition has them; "" for none
	unitEnv   []string // K=V in that definition
	envFiles  bool     // variables come from files, too

	masked         bool   // forbidden to start
	unmask         string // the command that takes the mask away
	otherHome      string // the home whose own definition the manager has, when that is not this shell's
	enabled        *bool  // starts at login; nil: unknown
	maybeUnreached bool   // enabled, but perhaps for a target that no login reaches
	static         bool   // cannot be enabled
	transient      bool   // it has no definition on disk, and is gone once it has ended
	untilBoot      bool   // its definition is gone at the next boot
	loginLink      string // the link that starts it at login, which may outlive the definition; "" when there is none
	globalLink     string // the link that starts it at login for every user of the machine; "" when there is none
	linger         *bool  // keeps running after logout; nil: unknown, or not a question here

	domain      string        // launchd's domain
	noSession   error         // why launchd could not load it again once it is stopped
	logFault    error         // why launchd could not open its log
	exitTimeout time.Duration // of a collector that is stopped, before it is killed; 0: unknown, or never
	killed      bool          // that was over

	processEnv []string // K=V that the running process was given; nil: unknown
	file       file
}

// gone tells whether no process of the service is left.
func (s state) gone() bool {
	return s.pid == 0 && !s.ending && (s.phase == stopped || s.phase == failed || s.phase == notInstalled)
}

// exit says how the process last ended, or why it was not run. ran: a status from 200 on is the program's own where it has logged.
func (s state) exit(l startLog) (text string, ran bool) {
	why := l.refusal
	switch {
	case s.notExecuted && s.whyNotExecuted != "" && !strings.HasSuffix(why, ": Text file busy"): // of a file that is still being written
		why = s.whyNotExecuted
	case s.notExecuted && strings.HasSuffix(why, ": No such file or directory"): // which is there as seen from here
		why = "systemd does not see this file: " + why
	}
	switch ran = l.refusal == "" && (!s.notExecuted || len(l.lines) > 0); {
	case !ran && why != "":
		return strings.TrimPrefix(s.lastName+": "+why, ": "), ran
	case ran && len(l.lines) > 0 && s.lastExit != nil && s.lastExit.code >= 200:
		return fmt.Sprintf("status %d", s.lastExit.code), ran
	}
	return s.lastName, ran
}

// failedBefore tells whether the manager has started the service again since somebody did.
func (s state) failedBefore() bool { return s.restarts != nil && *s.restarts > 0 }

// up tells whether the manager runs the service, or is about to.
func (s state) up() bool { return s.phase == running || s.phase == starting || s.phase == crashLooping }

// vendor tells whether the definition in use is not the user's own but one that a package brought.
func (s state) vendor() bool {
	return s.definitionPath() != s.file.path && !s.masked && s.otherHome == "" && !s.transient
}

// provider says whose a definition is that is not the user's own.
func (s state) provider() string {
	if s.untilBoot {
		return "lasts only until the next boot"
	}
	return "belongs to a package"
}

// there tells whether there is a definition that the manager can be told to start.
func (s state) there() bool {
	return s.file.exists || s.file.link != "" && !s.file.dangling || s.vendor()
}

// leftover is the link that starts the service at login where the definition it points to is gone.
func (s state) leftover() string {
	if s.file.exists || s.vendor() || s.file.link != "" && !s.file.dangling {
		return ""
	}
	return s.loginLink
}

// definitionPath is the file of the definition in use, or where it would be.
func (s state) definitionPath() string {
	// of a link systemd 247 says where it leads, also of a mask
	if !s.file.exists && s.file.link == "" && s.loaded != "" && s.loaded != os.DevNull {
		return s.loaded
	}
	return s.file.path
}

// collector is the program that the service runs: what the manager has loaded, else what the file says.
func (s state) collector() string {
	if s.program != "" && (!s.stale || !s.file.exists) {
		return s.program
	}
	return s.file.definition.collector
}

// command is the collector with its arguments: those of the file are known word for word.
func (s state) command() string {
	arguments := s.arguments
	if s.file.definition.collector == s.collector() && len(ownDropIns(s.dropIns)) == 0 {
		arguments = s.file.definition.arguments
	}
	return strings.TrimSuffix(s.collector()+" "+arguments, " ")
}

// wrapped tells whether the program is an interpreter or the like: what it runs is among its arguments, which install does not write.
func (s state) wrapped() bool {
	return s.command() != s.collector() && filepath.Base(s.collector()) != collectorName
}

// overridden tells whether a drop-in of the definition runs another collector than the definition itself names.
func (s state) overridden() bool {
	return s.program != "" && !s.stale && s.loadError == "" && s.file.exists && len(s.dropIns) > 0 && s.program != s.file.definition.collector
}

// servicePorts are those from the next start on: what the manager has loaded, else what the file says, else the defaults.
func (s state) servicePorts() ports {
	p := s.file.definition.ports
	if s.loaded != "" && !s.stale && s.unitEnv != nil {
		p = ports{}
		p.read(s.unitEnv)
	}
	if s.envFiles { // only the process tells what they say
		p.read(s.processEnv)
	}
	return p.orDefault()
}

// runsOnOtherPorts tells whether the running process was told another port than the definition says by now.
func (s state) runsOnOtherPorts() bool {
	var says ports
	says.read(s.unitEnv)
	return s.processEnv != nil && !s.envFiles && says.or(s.livePorts()) != s.livePorts()
}

// livePorts are those that the running process was told; without one, or where that is unknown, servicePorts.
func (s state) livePorts() ports {
	if s.processEnv == nil {
		return s.servicePorts()
	}
	var p ports
	p.read(s.processEnv)
	return p.orDefault()
}

// A file is a definition on disk, and what writing it anew would meet there.
type file struct {
	path, text string
	exists     bool   // as a regular file
	err        error  // why it cannot be read; then exists is true
	link       string // where it points, if it is a symbolic link
	dangling   bool   // to nothing
	ours       bool   // its text is what install would write for what it says
	definition definition
	folder     bool   // its folder is there
	kept       string // PATH.bak where a writer of another text keeps this one; "" while there is nothing to keep
	keptOlder  string // where the PATH.bak that is there goes then; "" when it need not
}

// spare tells whether a file need not be kept when d, which has the values of its variables, is written over it.
func (f file) spare(d definition) bool {
	lost := func(v string) bool { return !slices.Contains(d.variables(), v) }
	return f.ours && !slices.ContainsFunc(f.definition.variables(), lost)
}

// An exitStatus is how a process ended.
type exitStatus struct {
	code   int // exit status, when signal is 0
	signal int
}

// signalName names a signal by its number on a platform. Those that end processes in practice have names.
func signalName(n int, platform string) string {
	names := map[int]string{1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 8: "SIGFPE", 9: "SIGKILL",
		11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ"}
	if platform == "linux" {
		names[7], names[10], names[12], names[31] = "SIGBUS", "SIGUSR1", "SIGUSR2", "SIGSYS"
	} else {
		names[10], names[12], names[30], names[31] = "SIGBUS", "SIGSYS", "SIGUSR1", "SIGUSR2"
	}
	if name, ok := names[n]; ok {
		return name
	}
	return fmt.Sprintf("signal %d", n)
}

func ptr[T any](v T) *T { return &v }

func isTrue(b *bool) bool { return b != nil && *b }

// A logMark remembers the moment before a start: the time, and how long each log file was.
type logMark struct {
	time    time.Time
	lengths map[string]int64
	before  string // the invocation of the start before
}

// A startLog is what one start of the service logged.
type startLog struct {
	lines   []string // its own
	refusal string   // its manager's line that says why the program was not started
	skipped string   // the condition that did not hold, so that it was not
	none    string   // what to say where it has no line
}

// managerNames are the words of one manager: plain data.
type managerNames struct {
	name       string   // "systemd" or "launchd"
	definition string   // what it calls a definition: "unit" or "plist"
	path       string   // where install writes the definition
	pathLabel  string   // how status calls that
	upLabel    string   // how status says that the service runs
	logs       string   // where the collector's log is, for people
	logsLabel  string   // how status calls that
	logFiles   []string // the files of the log; nil where it is in a journal
	unit       string   // the unit of systemd; "" where there are none
	forbid     string   // the command that forbids the service to start; "" where there is none
	idleCause  string   // why nothing may run where nothing was logged; "" where no cause is known
	show       string   // the command that prints the definition with all that adds to it; "" where there is none
	sessionEnd string   // why the service ends with the login session whatever is set; "" where linger decides
	switchOn   string   // where a person switches the service on; "" where there is no such place
}

// A serviceManager speaks to one init system. It reads, and says which steps would change things; it never writes.
type serviceManager interface {
	names() managerNames
	render(d definition) (string, error) // the error names the character that cannot be carried
	parse(text string) definition

	state(ctx context.Context, run Runner) (state, error) // without state.file
	// surroundings asks what the state does not tell of the manager, and how the service failed last.
	surroundings(ctx context.Context, run Runner, s state) surroundings
	judgements() judgements // what only this manager's state can have
	explain(ctx context.Context, run Runner, err error) error
	plan(v verb, s snapshot, text string) plan // pure

	mark() logMark
	startLog(ctx context.Context, run Runner, s state, since logMark) startLog
	showLog(ctx context.Context, a *app, o options) error
}

// surroundings are what a manager says of itself.
type surroundings struct {
	err       error    // why the definition that install writes would not be used
	inherited ports    // those that the manager hands on to each service; 0: none
	enabled   *bool    // whether the service starts at login, where the state does not tell
	failure   string   // of a service that runs again: how it failed last, and when; "" where that is not known
	log       startLog // of a start that has failed
	missing   []string // units that the service requires and that there are not
	guilty    []string // the files of which the manager complained when it last loaded the definition
}

// A shell is what a command was given: the user, the home, and the RUNTIMESCOPE_* variables.
type shell struct {
	home        string
	uid         int
	sudo        bool   // root by way of sudo
	platform    string // as the error for an unsupported system names it
	supported   bool   // there is a service manager for this platform
	commandLine string // the command as it was given
	ports       ports  // by the two variables; 0: not set
	badPort     string // the variable whose value is no port; "" when both are good
	variables   []string
}

// portFacts are what is known of one port.
type portFacts struct {
	holders []holder
	err     error // why they are not known
	answers bool  // whether 127.0.0.1 answers there; known only where it matters, for a listener on [::]
}

// readyFacts are what /readyz said.
type readyFacts struct {
	port    int   // 0: not asked
	err     error // nil: it is ready
	version string
}

// processFacts are what is known of the process that runs.
type processFacts struct {
	age               time.Duration
	pid               int   // the main process, or where the manager knows none, the one that holds the port; 0: none
	memory            int64 // bytes; 0: unknown
	err               error // why the age is not known
	otherNetwork      bool  // it is in another network namespace than this shell
	otherMounts       bool  // its manager does not see the definition where this shell does
	definitionChanged bool  // the definition's file is newer than the process
	replaced          bool  // the program's file is another than the one that runs
}

// programFacts are what is known of a program file.
type programFacts struct {
	path        string // "" when there is none; then err says why
	err         error  // why it cannot be run by this user
	why         string // why it may not run all the same, "" when no cause is seen
	certain     bool   // that cause is certain
	wontLast    string // why its path will not last, "" when it seems to
	cannotCarry error  // why no definition can name it
}

// A snapshot is everything that one command saw of the machine. Nothing changes it after inspect has returned.
type snapshot struct {
	shell       shell
	state       state
	silent      error // why the manager gave no answer; then state has only what the file says
	around      surroundings
	ports       map[int]portFacts // of each port that the service uses or is to use
	free        ports             // two that nobody holds, where one of those is held by somebody else
	ready       readyFacts
	process     processFacts
	installed   programFacts // what the service runs
	candidate   programFacts // what install would have it run
	sameProgram bool         // those two are one file
	mcp         programFacts // the MCP server; nothing where it was not looked for
	logSizes    map[string]int64
	folders     map[string]bool // the folders of the log that are there
	names       managerNames
}

// wanted are the ports that install gives the service.
func (s snapshot) wanted() ports { return s.shell.ports.or(s.state.servicePorts()) }

// live are the ports where the service answers, if it does; without a service, those that install would use.
func (s snapshot) live() ports {
	if s.state.phase == notInstalled {
		return s.shell.ports.orDefault()
	}
	return s.state.livePorts()
}

// healthy needs the manager, the answer, and the socket.
func (s snapshot) healthy() bool {
	return s.silent == nil && s.state.phase == running && s.answered() && s.owner().foreign == nil
}

// answered tells whether /readyz gave a 2xx answer.
func (s snapshot) answered() bool { return s.ready.port != 0 && s.ready.err == nil }

// owner says whose socket answers.
func (s snapshot) owner() ownership {
	return socketOwner(s.ready.port, s.ports[s.ready.port], s.shell.uid)
}

// variable is the value of a variable that the process of the service was given, or will be; "" where there is none.
func (s state) variable(name string) (value string) {
	for _, word := range slices.Concat(s.file.definition.variables(), s.unitEnv, s.processEnv) {
		if text, ok := strings.CutPrefix(word, name+"="); ok {
			value = text
		}
	}
	return value
}

// exposed tells whether the collector is to listen for other machines.
func (s state) exposed() bool {
	host := s.variable(hostEnv)
	return host != "" && host != "localhost" && !net.ParseIP(host).IsLoopback()
}

// unaskable says why /readyz of a collector whose socket this is cannot be asked; "" where it can.
func (s state) unaskable(socket ownership) string {
	switch host := s.variable(hostEnv); {
	case !socket.verified:
	case socket.elsewhere && host != "":
		return "it does not listen on 127.0.0.1 (" + hostEnv + ")"
	case socket.elsewhere:
		return "it does not listen on 127.0.0.1"
	case s.variable(certEnv) != "" && s.variable(keyEnv) != "":
		return "it uses TLS (" + certEnv + ")"
	}
	return ""
}

// unaskable says why whether a collector that runs is ready is not known.
func (s snapshot) unaskable() string {
	switch {
	case s.silent != nil || s.state.phase != running:
		return ""
	case s.process.otherNetwork:
		return "the collector is in another network namespace than this shell"
	case s.ready.port == 0 || s.answered():
		return ""
	}
	return s.state.unaskable(s.owner())
}

// A failure is a headline and what is known besides, each a line.
type failure struct {
	headline string
	notes    []string
}

func (f *failure) Error() string { return f.headline }

// A hinted error knows what helps: a command, or words.
type hinted struct {
	error
	fix, advice string
}

func hint(err error, fix string) error { return &hinted{error: err, fix: fix} }
func (h *hinted) Unwrap() error        { return h.error }

// An identified error is of a kind that "--json" names.
type identified struct {
	error
	id string
}

func (e *identified) Unwrap() error { return e.error }

var errInterrupted = errors.New("interrupted")

const notInstalledText = "Service not installed. Run: " + installCommand

// A refused error is a problem that keeps a command from doing anything.
type refused struct{ problem }

func (r *refused) Error() string { return r.summary }
