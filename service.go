// The nouns: definition, state, snapshot, serviceManager; and inspect, which takes the snapshot.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A definition is what the service runs: the text of a unit or plist says it.
type definition struct {
	collector string // absolute path of the program
	ports     ports  // 0: not said, so the default
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

// A state is all that is known of the service at one moment: what its manager says, and the file on disk. Only withFile
// changes what the manager says, where the file knows better. pid is 0 unless a process runs; invocation is "" when
// nothing was started; lastName, next and the like are "" when there is nothing to say.
type state struct {
	phase      phase
	rawState   string // the manager's own word
	pid        int    // of the main process, 0 when there is none
	invocation string // tells one start of the service from the next: the invocation ID, or the PID
	cgroup     string // systemd's control group
	restarts   *int   // automatic ones since the service was last started; nil: unknown
	memory     *int64 // bytes; nil: unknown
	next       string // what the manager does next, in words

	maybeNotStarted bool // stopped, or not started yet: the manager does not tell which
	loadedIdle      bool // no process runs, but the manager may start one at any time, until the job is unloaded
	ending          bool // the manager is stopping the service and has not ended all its processes
	skipped         bool // a condition of the definition did not hold, so it was not started
	startLimit      bool // the manager refuses to start it: too many starts in a short time

	lastExit       *exitStatus // how the process last ended; nil: unknown or never
	lastName       string      // that in the manager's terms, such as "status 203/EXEC"
	lastPID        int         // of the process that lastExit is about
	notExecuted    bool        // lastExit means that the program was not run at all
	whyNotExecuted string      // why that is, "" when no cause is seen

	loaded    string   // the file the manager has the definition from, "" when it has none
	stale     bool     // the manager says that file has changed since
	loadError string   // why the manager cannot use the definition
	dropIns   []string // other files that add to the definition
	program   string   // the collector in the definition that the manager uses
	unitEnv   []string // K=V in that definition
	envFiles  bool     // variables come from files, too

	masked         bool   // forbidden to start
	unmask         string // the command that takes the mask away
	otherHome      string // the home whose own definition the manager has, when that is not this shell's
	enabled        *bool  // starts at login; nil: unknown
	maybeUnreached bool   // enabled, but perhaps for a target that no login reaches
	static         bool   // cannot be enabled
	loginLink      string // the link that starts it at login, which may outlive the definition; "" when there is none
	linger         *bool  // keeps running after logout; nil: unknown, or not a question here

	domain      string // launchd's domain
	exitTimeout time.Duration

	processEnv []string // K=V that the running process was given; nil: unknown
	file       file
}

// gone tells whether no process of the service is left.
func (s state) gone() bool {
	return s.pid == 0 && !s.ending && (s.phase == stopped || s.phase == failed || s.phase == notInstalled)
}

// up tells whether the manager runs the service, or is about to.
func (s state) up() bool { return s.phase == running || s.phase == starting || s.phase == crashLooping }

// vendor tells whether the definition in use is not the user's own but one that a package brought.
func (s state) vendor() bool {
	return s.definitionPath() != s.file.path && !s.masked && s.otherHome == ""
}

// there tells whether there is a definition that the manager can be told to start.
func (s state) there() bool {
	return s.file.exists || s.file.link != "" && !s.file.dangling || s.vendor()
}

// leftover is the link that starts the service at login where the definition it points to is gone.
func (s state) leftover() string {
	if s.file.exists || s.vendor() || s.file.link != "" {
		return ""
	}
	return s.loginLink
}

// definitionPath is the file of the definition in use, or where it would be.
func (s state) definitionPath() string {
	if !s.file.exists && s.loaded != "" && s.loaded != os.DevNull { // as systemd 247 says of a mask
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

// overridden tells whether a drop-in of the definition runs another collector than the definition itself names.
func (s state) overridden() bool {
	return s.program != "" && !s.stale && s.file.exists && len(s.dropIns) > 0 && s.program != s.file.definition.collector
}

// servicePorts are those that the service is to listen on from its next start: what the manager has loaded, drop-ins
// included, else what the file says, else the defaults.
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
	definition definition
	folder     bool   // its folder is there
	kept       string // PATH.bak where a writer of another text keeps this one; "" while there is nothing to keep
	keptOlder  string // where the PATH.bak that is there goes then; "" when it need not
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
	show       string   // the command that prints the definition with all that adds to it; "" where there is none
	sessionEnd string   // why the service ends with the login session whatever is set; "" where linger decides
	idleCause  string   // why nothing may run where nothing was logged; "" where no cause is known
}

// A serviceManager speaks to one init system. It reads, and says which steps would change things; it never writes.
type serviceManager interface {
	names() managerNames
	render(d definition) (string, error) // the error names the character that cannot be carried
	parse(text string) definition

	state(ctx context.Context, run Runner) (state, error) // without state.file
	// surroundings asks what the state does not tell: whether a definition of ours would be seen, and what the
	// manager hands on to the service.
	surroundings(ctx context.Context, run Runner) surroundings
	judgements() judgements // what only this manager's state can have
	explain(ctx context.Context, run Runner, err error) error
	plan(v verb, s snapshot, text string) plan // pure

	mark() logMark
	startLog(ctx context.Context, run Runner, s state, since logMark) []string
	showLog(ctx context.Context, a *app, o options) error
}

// surroundings are what a manager says of itself.
type surroundings struct {
	err       error // why the definition that install writes would not be used
	inherited ports // those that the manager hands on to each service; 0: none
	enabled   *bool // whether the service starts at login, where the state does not tell
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

// processFacts are what is known of the running main process.
type processFacts struct {
	age               time.Duration
	memory            int64 // bytes
	err               error // why these two are not known
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
	ready       readyFacts
	process     processFacts
	installed   programFacts // what the service runs
	candidate   programFacts // what install would have it run
	sameProgram bool         // those two are one file
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

// inspect looks at everything that a request may need, each thing once. What takes time is done while the manager's
// command runs.
func (a *app) inspect(ctx context.Context, r request) snapshot {
	s := snapshot{shell: a.shell(), ports: map[int]portFacts{}}
	if a.manager == nil {
		return s
	}
	s.names = a.manager.names()
	looked := make(chan bool)
	go func() {
		s.state, s.silent = a.manager.state(ctx, a.run)
		close(looked)
	}()
	if r.looks() {
		time.Sleep(a.timings.headStart) // what is done meanwhile does not hold up the command's start
	}
	file := a.readFile()
	guess := file.definition.ports.orDefault()
	if !file.exists {
		guess = s.shell.ports.orDefault()
	}
	if r.looks() {
		s.ready = a.askReady(ctx, guess.http)
	}
	candidate := a.candidate(r.collector)
	var sockets map[int]portLook
	if r.looks() {
		sockets = a.lookAtPorts(ctx, guess)
	}
	<-looked
	s.state = a.withFile(s.state, file)
	if s.silent != nil && !file.exists && file.link == "" { // nothing on disk, nobody to ask
		s.state.phase = notInstalled
	}
	if r.asks(s) {
		s.around = a.manager.surroundings(ctx, a.run)
		if s.state.enabled == nil && s.state.phase != notInstalled {
			s.state.enabled = s.around.enabled
		}
	}
	if port := r.readyPort(s); r.looks() && port != guess.http { // a drop-in says otherwise
		s.ready = a.askReady(ctx, port)
	}
	a.allPortFacts(ctx, s, sockets)
	a.programs(&s, candidate)
	a.processFacts(ctx, &s)
	a.logFacts(&s)
	return s
}

// allPortFacts adds what is known of each port that the service uses or is to use. Who is in the way in a look that is older
// than the state is looked for again: it may have ended since.
func (a *app) allPortFacts(ctx context.Context, s snapshot, sockets map[int]portLook) {
	live, next, wanted := s.live(), s.state.servicePorts(), s.wanted()
	all := []int{live.http, live.ws, next.http, next.ws, wanted.http, wanted.ws}
	if next.http == next.ws || wanted.http == wanted.ws { // the defaults are advised
		all = append(all, defaultHTTPPort, defaultWSPort)
	}
	if s.ready.port != 0 {
		all = append(all, s.ready.port)
	}
	for _, port := range all {
		a.portFacts(ctx, s, sockets, port)
	}
	for _, port := range all {
		if _, conflict := s.portConflict(port); conflict && sockets != nil {
			delete(s.ports, port)
			a.portFacts(ctx, s, nil, port)
		}
	}
}

// shell is what this command was given.
func (a *app) shell() shell {
	p, bad := envPorts(a.getenv)
	s := shell{home: a.home, uid: a.uid, sudo: a.uid == 0 && a.getenv("SUDO_USER") != "", platform: a.platform,
		supported: a.manager != nil, commandLine: a.commandLine, ports: p, badPort: bad}
	for _, word := range a.environ {
		if strings.HasPrefix(word, "RUNTIMESCOPE_") {
			s.variables = append(s.variables, word)
		}
	}
	return s
}

// askReady asks whether a collector is ready, and which version it is.
func (a *app) askReady(ctx context.Context, port int) readyFacts {
	r := readyFacts{port: port, err: a.probe(ctx, port)}
	if r.err == nil {
		r.version = a.collectorVersion(ctx, port)
	}
	return r
}

// A portLook is the listening sockets of one port, and what finds the processes that have them.
type portLook struct {
	who func(first int) []holder
	err error
}

// lookAtPorts lists the sockets of both ports.
func (a *app) lookAtPorts(ctx context.Context, p ports) map[int]portLook {
	looks := map[int]portLook{}
	for _, port := range []int{p.http, p.ws} {
		who, err := a.processes.holders(ctx, port)
		looks[port] = portLook{who, err}
	}
	return looks
}

// portFacts adds what is known of a port, from a look that was taken already where there is one.
func (a *app) portFacts(ctx context.Context, s snapshot, looks map[int]portLook, port int) {
	if _, known := s.ports[port]; known {
		return
	}
	look, taken := looks[port]
	if !taken {
		look.who, look.err = a.processes.holders(ctx, port)
	}
	s.ports[port] = a.holdersOf(ctx, look, port, s.state)
}

// holdersOf finds who holds a port, and which of them are the service's.
func (a *app) holdersOf(ctx context.Context, look portLook, port int, s state) portFacts {
	f := portFacts{err: look.err}
	if look.err != nil {
		return f
	}
	f.holders = look.who(s.pid)
	for i := range f.holders {
		h := &f.holders[i]
		h.ours = h.pid != 0 && a.processes.belongs(ctx, h.pid, s)
		if h.wildcard6 && !h.ours && !f.answers {
			f.answers = answers(port)
		}
	}
	return f
}

// candidate is the collector that install would have the service run, as far as it can be told without the service.
func (a *app) candidate(asked string) programFacts {
	path, err := a.findCollector(asked)
	return programFacts{path: path, err: err}
}

// programs adds what is known of the program files. Where no collector is found, the one that is installed stays.
func (a *app) programs(s *snapshot, candidate programFacts) {
	s.installed = programFacts{path: s.state.collector()}
	if s.installed.path != "" {
		s.installed.err = executable(s.installed.path)
		s.installed.why, s.installed.certain = whyNotRun(s.installed.path, a.platform)
		s.installed.wontLast = whyPathWontLast(s.installed.path)
	}
	if candidate.path == "" && s.installed.path != "" && s.installed.err == nil {
		candidate = programFacts{path: s.installed.path}
	}
	if candidate.path != "" {
		candidate.wontLast = whyPathWontLast(candidate.path)
		_, candidate.cannotCarry = a.manager.render(definition{collector: candidate.path})
	}
	s.candidate = candidate
	s.sameProgram = sameFile(candidate.path, s.installed.path)
}

// processFacts adds what is known of the main process.
func (a *app) processFacts(ctx context.Context, s *snapshot) {
	st := s.state
	if st.pid == 0 {
		return
	}
	s.process.age, s.process.memory, s.process.err = a.processes.facts(ctx, st.pid)
	// who makes links makes them anew
	s.process.definitionChanged = st.file.link == "" && changedSince(ctx, a.processes, st.pid, st.definitionPath())
	s.process.replaced = st.collector() != "" && a.processes.replaced(ctx, st.pid, st.collector())
}

// logFacts adds the sizes of the log files, and whether their folder is there.
func (a *app) logFacts(s *snapshot) {
	s.logSizes, s.folders = map[string]int64{}, map[string]bool{}
	for _, path := range s.names.logFiles {
		if info, err := os.Stat(path); err == nil {
			s.logSizes[path] = info.Size()
		}
		s.folders[filepath.Dir(path)] = isFolder(filepath.Dir(path))
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// withFile adds to what the manager says what the file says.
func (a *app) withFile(s state, f file) state {
	s.file = f
	s.processEnv = a.processEnv(s)
	if (f.exists || f.link != "" && f.link != "/dev/null") && s.phase == notInstalled {
		s.phase = stopped
	}
	// systemd calls a file changed only when it is newer than the one it has loaded, not when an older one was put back.
	// Of a text that install wrote it is known what would be loaded.
	if written, renderErr := a.manager.render(f.definition); renderErr == nil && written == f.text && s.loaded == f.path && len(s.dropIns) == 0 && s.program != "" {
		var has ports
		has.read(s.unitEnv)
		s.stale = s.stale || s.program != f.definition.collector || has != f.definition.ports
	}
	if s.vendor() {
		s.readVendor(a.manager)
	}
	return s
}

// processEnv is the environment that the running process was given; nil while that cannot be told. Until it is that of
// the collector, it is the manager's: systemd adds INVOCATION_ID (systemd.exec(5)).
func (a *app) processEnv(s state) []string {
	if s.pid == 0 || s.invocation == "" {
		return nil
	}
	if environ := a.processes.environ(s.pid); slices.Contains(environ, "INVOCATION_ID="+s.invocation) {
		return environ
	}
	return nil
}

// readVendor reads the definition that a package brought, as an upgrade or a removal of the package left it: the
// manager may have an older one loaded. One that is stopped and not enabled is there for others: this user has no service.
func (s *state) readVendor(m serviceManager) {
	text, err := os.ReadFile(s.loaded)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.loaded = ""
	case err == nil:
		s.file.definition = m.parse(string(text))
	}
	if s.phase == stopped && !s.ending && (s.loaded == "" || s.enabled != nil && !*s.enabled) {
		s.phase = notInstalled
	}
}

// readFile reads the definition on disk.
func (a *app) readFile() file {
	f := file{path: a.manager.names().path}
	f.folder = isFolder(filepath.Dir(f.path))
	if link, err := os.Readlink(f.path); err == nil {
		f.link = link
	}
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), f.link == os.DevNull:
		f.dangling = f.link != "" && f.link != os.DevNull
		return f
	case err == nil && !info.Mode().IsRegular():
		err = fmt.Errorf("%s is in the way: it is not a regular file", f.path)
	}
	text := []byte(nil)
	if err == nil {
		text, err = os.ReadFile(f.path)
	}
	if err != nil {
		f.exists, f.err = true, err // something is there, so nobody may say that nothing is installed
		return f
	}
	f.text = string(text)
	f.exists = f.link == "" && len(text) > 0 // systemd takes an empty file for a mask
	f.definition = a.manager.parse(f.text)
	f.kept = f.path + ".bak"
	f.keptOlder = backupName(f.path, f.text)
	return f
}
