// The nouns: definition, state, serviceManager; and looking at them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// A state is all that is known of the service at one moment: what its manager says, and the file on disk.
type state struct {
	phase           phase
	rawState        string      // the manager's own word
	pid             int         // of the main process, 0 when there is none
	invocation      string      // tells one start of the service from the next: the invocation ID, or the PID
	maybeNotStarted bool        // stopped, or not started yet: the manager does not tell which
	restarts        *int        // automatic ones since the service was last started; nil: unknown
	memory          *int64      // bytes; nil: unknown
	lastExit        *exitStatus // how the process last ended; nil: unknown or never
	lastPID         int         // of the process that lastExit is about
	restartDelay    string      // how long the manager waits before it starts the service again, in its own words
	result          string      // systemd's Result
	enabled         *bool       // starts at login
	cgroup          string      // systemd's control group
	domain          string      // launchd's domain
	exitTimeout     time.Duration
	loaded          string   // the file the manager has the definition from, "" when it has none
	stale           bool     // the manager says that file has changed since
	masked          bool     // systemd: forbidden to start
	dropIns         []string // systemd: other files that add to the unit
	envFiles        bool     // systemd: variables come from files, too
	static          bool     // systemd: the unit cannot be enabled
	untilBoot       bool     // systemd: masked only until the next boot
	wantedBy        string   // systemd: the targets that start it
	skipped         bool     // systemd: a condition of the unit did not hold, so it was not started
	loadError       string   // why the manager cannot use the definition
	program         string   // the collector in the definition that the manager uses
	unitEnv         []string // K=V in that definition
	processEnv      []string // systemd: K=V that the running process was given; nil: unknown
	file            file
}

// gone tells whether no process of the service is left.
func (s state) gone() bool {
	return s.pid == 0 && (s.phase == stopped || s.phase == failed || s.phase == notInstalled)
}

// ending tells whether systemd is stopping the service and has not ended all its processes.
func (s state) ending() bool { return strings.HasPrefix(s.rawState, "deactivating") }

// up tells whether the manager runs the service, or is about to.
func (s state) up() bool { return s.phase == running || s.phase == starting || s.phase == crashLooping }

// vendor tells whether the definition in use is not the user's own but one that a package brought.
func (s state) vendor() bool {
	return s.definitionPath() != s.file.path && !s.masked && !s.ofAnotherHome()
}

// ofAnotherHome tells whether the manager has a user's own unit, but not from the home of this shell.
func (s state) ofAnotherHome() bool {
	return s.definitionPath() != s.file.path && strings.HasSuffix(s.loaded, "/.config/systemd/user/"+unitName)
}

// repair says what may make a broken definition a good one.
func (s state) repair() string {
	if len(s.dropIns) > 0 {
		return "mend or remove " + strings.Join(s.dropIns, ", ")
	}
	return "runtimescope service install"
}

// unmask is the command that takes the mask away.
func (s state) unmask() string {
	switch {
	case s.untilBoot:
		return "systemctl --user unmask --runtime " + unitName
	case strings.HasPrefix(s.loaded, "/etc/"):
		return "sudo systemctl --global unmask " + unitName
	}
	return "systemctl --user unmask " + unitName
}

// definitionPath is the file of the definition in use, or where it would be.
func (s state) definitionPath() string {
	if !s.file.exists && s.loaded != "" && s.loaded != os.DevNull { // as systemd 247 says of a mask
		return s.loaded
	}
	return s.file.path
}

// A file is a definition on disk.
type file struct {
	path, text string
	exists     bool   // as a regular file
	err        error  // why it cannot be read; then exists is true
	link       string // where it points, if it is a symbolic link
	definition definition
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

type verb string

const (
	install   verb = "install"
	update    verb = "update"
	restart   verb = "restart"
	stop      verb = "stop"
	ensure    verb = "ensure" // install, unless the service is running or starting already: what dashboard needs
	uninstall verb = "uninstall"
)

// A serviceManager speaks to one init system. It reads, and says which steps would change things; it never writes.
type serviceManager interface {
	name() string // "systemd" or "launchd"
	what() string // what it calls a definition: "unit" or "plist"
	path() string // where install writes the definition
	logs() string // where the collector's log is, for people

	render(d definition) (string, error) // the error names the character that cannot be carried
	parse(text string) definition

	state(ctx context.Context, run Runner) (state, error) // without state.file
	// reach says why a definition at path would not be seen, or not give the collector the ports that it leaves unsaid.
	reach(ctx context.Context, run Runner, want ports) error
	explain(ctx context.Context, run Runner, err error) error
	plan(v verb, s state, text string) []step

	exitName(e exitStatus) string
	never(e exitStatus) bool        // the program was not even run
	whyNever(program string) string // why, "" when no cause is seen
	next(s state) string
	linger() *bool           // whether the service keeps running after logout; nil: unknown, or not a question here
	leftover(s state) string // what is left of a definition that is gone, "" when nothing is
	mark() logMark
	startLog(ctx context.Context, run Runner, s state, since logMark) []string
}

// A hinted error knows the one command that helps.
type hinted struct {
	error
	fix string
}

func hint(err error, fix string) error { return &hinted{err, fix} }
func (h *hinted) Unwrap() error        { return h.error }

var (
	errNotInstalled = &failure{headline: "Service not installed. Run: runtimescope service install"}
	errInterrupted  = errors.New("interrupted")
)

// look reads the state of the service: the file, and what the manager says.
func (a *app) look(ctx context.Context) (state, error) {
	s, err := a.manager.state(ctx, a.run)
	return a.withFile(s, a.readFile()), err
}

// withFile adds to what the manager says what the file says.
func (a *app) withFile(s state, f file) state {
	s.file = f
	s.processEnv = a.given(s)
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

// given is the environment that the running process was given; nil while that cannot be told. Until it is that of the
// collector, it is the manager's: systemd adds INVOCATION_ID (systemd.exec(5)).
func (a *app) given(s state) []string {
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
	if s.phase == stopped && (s.loaded == "" || s.enabled != nil && !*s.enabled) {
		s.phase = notInstalled
	}
}

// readFile reads the definition on disk.
func (a *app) readFile() file {
	f := file{path: a.manager.path()}
	if link, err := os.Readlink(f.path); err == nil {
		f.link = link
	}
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), f.link == os.DevNull:
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
	return f
}

// collector is the program that the service runs: what the manager has loaded, else what the file says.
func (s state) collector() string {
	if s.program != "" && (!s.stale || !s.file.exists) {
		return s.program
	}
	return s.file.definition.collector
}

// overridden tells whether a drop-in of the unit runs another collector than the unit itself names.
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
