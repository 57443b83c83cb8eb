// The nouns (definition, state, serviceManager) and the verbs install, update, restart, start, stop and uninstall,
// each in the same five words: look, plan, apply, wait, report.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	phase       phase
	word        string // the manager's own word
	pid         int    // of the main process, 0 when there is none
	start       string // tells one start of the service from the next: the invocation ID, or the PID
	unsure      bool   // stopped, or not started yet: the manager does not tell which
	restarts    *int   // automatic ones since the service was last started; nil: unknown
	memory      *int64 // bytes; nil: unknown
	lastExit    *exit  // how the process last ended; nil: unknown or never
	lastPID     int    // of the process that lastExit is about
	again       string // how long the manager waits before it starts the service again, in its own words
	result      string // systemd's Result
	enabled     *bool  // starts at login
	cgroup      string // systemd's control group
	domain      string // launchd's domain
	exitTimeout time.Duration
	loaded      string   // the file the manager has the definition from, "" when it has none
	stale       bool     // the manager says that file has changed since
	masked      bool     // systemd: forbidden to start
	broken      string   // why the manager cannot use the definition
	program     string   // the collector in the definition that the manager uses
	environ     []string // K=V in that definition
	file        file
}

// gone tells whether no process of the service is left.
func (s state) gone() bool {
	return s.pid == 0 && (s.phase == stopped || s.phase == failed || s.phase == notInstalled)
}

// up tells whether the manager runs the service, or is about to.
func (s state) up() bool { return s.phase == running || s.phase == starting || s.phase == crashLooping }

// vendor tells whether the definition in use is not the user's own but one that a package brought.
func (s state) vendor() bool {
	return !s.file.exists && s.loaded != "" && s.loaded != s.file.path && !s.masked
}

// A file is a definition on disk.
type file struct {
	path, text string
	exists     bool   // as a regular file
	err        error  // why it cannot be read; then exists is true
	link       string // where it points, if it is a symbolic link
	definition definition
}

// An exit is how a process ended.
type exit struct {
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
	reach(ctx context.Context, run Runner) error          // why a definition at path would not be seen
	explain(ctx context.Context, run Runner, err error) error
	plan(v verb, s state, text string) []step

	exitName(e exit) string
	never(e exit) bool              // the program was not even run
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
func (w *world) look(ctx context.Context) (state, error) {
	f := w.readFile()
	s, err := w.manager.state(ctx, w.run)
	s.file = f
	if (f.exists || f.link != "" && f.link != "/dev/null") && s.phase == notInstalled {
		s.phase = stopped
	}
	return s, err
}

// readFile reads the definition on disk.
func (w *world) readFile() file {
	f := file{path: w.manager.path()}
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
	f.definition = w.manager.parse(f.text)
	return f
}

// program is the collector that the service runs: what the manager has loaded, else what the file says.
func (s state) collector() string {
	if s.program != "" && !s.stale {
		return s.program
	}
	return s.file.definition.collector
}

// overridden tells whether a drop-in of the unit runs another collector than the unit itself names.
func (s state) overridden() bool {
	return s.program != "" && !s.stale && s.file.exists && s.program != s.file.definition.collector
}

// servicePorts are those that the installed service listens on: what the manager has loaded, drop-ins included, else
// what the file says, else the defaults.
func (s state) servicePorts() ports {
	p := s.file.definition.ports
	if s.loaded != "" && !s.stale && s.environ != nil {
		p = ports{}
		p.read(s.environ)
	}
	return p.orDefault()
}

// A look is what preflight found: the state, and what the verb is about to bring about.
type intent struct {
	state state
	want  definition
	text  string // the definition to write, "" where none is
}

// preflight makes every check there is before anything changes. An error means: nothing was written, nothing was run
// that changes anything.
func (w *world) preflight(ctx context.Context, v verb, o options) (intent, error) {
	var in intent
	env, err := envPorts(w.getenv)
	if err != nil {
		return in, err
	}
	var found string
	if v == install || v == update || v == ensure {
		if found, err = w.findCollector(o.collector); err != nil {
			return in, err
		}
	}
	if in.state, err = w.look(ctx); err != nil {
		return in, err
	}
	s := in.state
	if s.file.err != nil {
		return in, s.file.err
	}
	if v != install && v != ensure && s.phase == notInstalled {
		return in, errNotInstalled
	}
	if err := foreignDefinition(w.manager, s); err != nil {
		return in, err
	}
	in.want = definition{collector: s.collector(), ports: s.servicePorts()}
	if found != "" && found == s.file.definition.collector {
		found = s.collector() // a drop-in may run another one
	}
	switch v {
	case install, update, ensure:
		if v == ensure && (s.phase == running || s.phase == starting) && env.or(s.servicePorts()) == s.servicePorts() {
			break // it only has to be waited for
		}
		in.want = definition{collector: found, ports: env.or(s.servicePorts())}
		if v == update && in.want == (definition{s.collector(), s.servicePorts()}) {
			break // keeps a definition that was edited by hand
		}
		if s.vendor() && in.want == (definition{s.collector(), s.servicePorts()}) {
			break // a package's definition says what we would say
		}
		write := in.want
		if s.overridden() && found == s.collector() {
			write.collector = s.file.definition.collector
		}
		if in.text, err = w.manager.render(write); err != nil {
			return in, err
		}
		if err := w.manager.reach(ctx, w.run); err != nil {
			return in, err
		}
	default:
		if in.want.collector != "" {
			if err := executable(in.want.collector); err != nil {
				return in, hint(fmt.Errorf("cannot use the collector of the service, %s: %w", in.want.collector, err), "runtimescope service install")
			}
		}
		if in.state.broken != "" && !s.stale {
			return in, hint(errors.New(s.broken), "runtimescope service install")
		}
	}
	return in, w.portsFree(ctx, in.want.ports, s)
}

// foreignDefinition refuses a definition that is not ours to change: a mask, or a link into somebody else's files.
func foreignDefinition(m serviceManager, s state) error {
	switch {
	case s.masked || s.file.link == "/dev/null":
		return hint(fmt.Errorf("the service is masked, that is, forbidden to start (%s)", s.file.path), "systemctl --user unmask "+unitName)
	case s.file.link != "":
		return fmt.Errorf("%s is a symbolic link to %s: something else manages it, so change it there, or remove the link", s.file.path, s.file.link)
	}
	return nil
}

// portsFree refuses ports that somebody else holds.
func (w *world) portsFree(ctx context.Context, p ports, s state) error {
	if p.http == p.ws {
		return fmt.Errorf("RUNTIMESCOPE_HTTP_PORT and RUNTIMESCOPE_PORT are both %d: they must differ", p.http)
	}
	for i, port := range []int{p.http, p.ws} {
		holders, err := w.processes.holders(ctx, port, s.pid)
		if err != nil {
			continue // the wait finds out; a check that cannot be made is no reason to refuse
		}
		for _, h := range holders {
			mayBeOurs := h.pid == 0 && h.uid == w.uid && s.up()
			if !w.processes.belongs(ctx, h.pid, s) && !mayBeOurs && !(h.wildcard6 && !answers(ctx, port)) {
				return h.refusal(port, []string{httpPortEnv, wsPortEnv}[i])
			}
		}
	}
	return nil
}

// change carries out install, update or restart, and waits until the collector serves.
func (w *world) change(ctx context.Context, v verb, o options) error {
	ctx, cancel := w.untilSignal(ctx)
	defer cancel()
	unlock, before, err := w.begin(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	in, err := w.preflight(ctx, v, o)
	if err != nil {
		return err
	}
	s := in.state
	inUse := in.want == definition{s.collector(), s.servicePorts()}
	planned := v
	switch {
	case v == update && in.text == "" && w.upToDate(ctx, in):
		w.say.done("Nothing to adopt: the service uses the present binary and definition")
		if s.phase == stopped {
			w.say.info("It is stopped. Run: runtimescope service start")
		}
		return nil
	case v == update && in.text == "":
		planned = restart
	case v == update, v == ensure && in.text != "":
		planned = install
	}
	// While we waited for the lock somebody else started the service on what we were to start it on: that is our result too.
	shared := before != nil && s.phase == running && s.start != before.start && !s.stale && inUse
	var steps []step
	if !shared && planned != ensure {
		steps = w.manager.plan(planned, s, in.text)
	}
	if o.dryRun {
		fmt.Fprint(w.say.stdout, dryRun(steps))
		return nil
	}
	mark := w.manager.mark()
	if err := w.apply(ctx, steps, func() { mark = w.manager.mark() }); err != nil {
		return err
	}
	if in.text != "" && !shared {
		w.say.done("Wrote %s", s.file.path)
		w.sayKept(s)
	}
	if planned == install {
		w.say.info("Collector: %s", in.want.collector)
		if s.overridden() {
			w.say.warn("A drop-in of the unit may run another one. See: systemctl --user cat %s", unitName)
		}
		if reason := fleeting(in.want.collector); reason != "" {
			w.say.warn("That path may not last: %s. Better: a stable path, with --collector PATH", reason)
		}
		if w.manager.name() == "launchd" {
			w.say.info("Logs:      %s", w.manager.logs())
		}
		fmt.Fprintln(w.say.stdout)
	}
	w.warnOtherPorts(in.want.ports)
	result, err := w.waitSaying(ctx, in.want, mark, o.timeout)
	if err != nil {
		return err
	}
	if planned == restart {
		w.say.done("Service restarted")
	}
	w.sayHealthy(in.want.ports.http, "", result.doubt)
	if planned == install && w.manager.name() == "systemd" && !isTrue(w.manager.linger()) {
		w.say.info("Optional always-on (keep running when logged out): sudo loginctl enable-linger $USER")
	}
	return nil
}

// begin makes sure that this user may manage the service here, and takes the lock. before is the state from before a
// wait for the lock, nil when it was free. A dry run takes no lock: it only reads.
func (w *world) begin(ctx context.Context, o options) (unlock func(), before *state, err error) {
	if err := w.mayManage(); err != nil {
		return nil, nil, err
	}
	if o.dryRun {
		return func() {}, nil, nil
	}
	unlock, err = w.lock(ctx, func() {
		w.say.info("Another runtimescope is at work on the service. Waiting for it to end…")
		s, _ := w.look(ctx)
		before = &s
	})
	return unlock, before, err
}

// mayManage refuses where there is no service manager, and a shell whose home is not its user's.
func (w *world) mayManage() error {
	switch {
	case w.manager == nil:
		return hint(&failure{headline: "Platform '" + w.platform + "' is not supported (macOS launchd / Linux systemd only)."}, "runtimescope service run")
	case !filepath.IsAbs(w.home):
		return fmt.Errorf("HOME is %q: it must be set to an absolute path", w.home)
	case w.uid == 0 && w.getenv("SUDO_USER") != "":
		return hint(errors.New("this is a service of the user, not of root: run it without sudo"), w.commandLine)
	}
	return nil
}

func (w *world) apply(ctx context.Context, steps []step, started func()) error {
	return apply(ctx, machine{w.run, w.disk, func(ctx context.Context, err error) error { return w.manager.explain(ctx, w.run, err) }, started}, steps)
}

// waitSaying waits for the collector under a waiting line.
func (w *world) waitSaying(ctx context.Context, want definition, mark logMark, timeout time.Duration) (waitResult, error) {
	stop := w.say.waiting("Waiting for collector to come up…")
	defer stop()
	return w.awaitHealthy(ctx, want, mark, timeout)
}

// warnOtherPorts says that this shell asks for other ports than the installed service uses.
func (w *world) warnOtherPorts(p ports) {
	if env, err := envPorts(w.getenv); err == nil && env.or(p) != p {
		w.say.warn("%s and %s of this shell differ from the service's ports, %d and %d. To change those: runtimescope service install",
			httpPortEnv, wsPortEnv, p.http, p.ws)
	}
}

// sayHealthy says that the collector serves; with a doubt whose answer it was, it does not say so with a ✓.
func (w *world) sayHealthy(port int, version, doubt string) {
	text := "Collector is healthy and serving on " + collectorURL(port)
	if version != "" {
		text += " (version " + version + ")"
	}
	if doubt != "" {
		w.say.warn("%s — unverified: %s", text, doubt)
		return
	}
	w.say.done("%s", text)
}

// upToDate tells whether the service runs what is on disk, or is stopped and so will.
func (w *world) upToDate(ctx context.Context, in intent) bool {
	switch in.state.phase {
	case stopped:
		return true
	case running:
		return w.restartReason(ctx, in.state) == ""
	}
	return false
}

// restartReason says why the running process is not what is on disk; "" when it is.
func (w *world) restartReason(ctx context.Context, s state) string {
	switch {
	case s.pid == 0:
		return ""
	case s.stale, w.manager.name() == "launchd" && w.newer(ctx, s):
		return "the definition has changed since it was loaded"
	case s.collector() != "" && w.processes.replaced(ctx, s.pid, s.collector()):
		return "the binary has been replaced since it was started"
	}
	return ""
}

// newer tells whether the definition was written after the process had started. launchd itself does not compare them.
func (w *world) newer(ctx context.Context, s state) bool {
	info, err := os.Stat(s.file.path)
	return err == nil && changedSince(ctx, w.processes, s.pid, info)
}

// sayKept names the copy that writeFile made of a different definition.
func (w *world) sayKept(s state) {
	bak := s.file.path + ".bak"
	if kept, err := os.ReadFile(bak); err == nil && s.file.exists && string(kept) == s.file.text {
		w.say.info("The previous one differed and is kept: %s", bak)
	}
}

// stopService stops the service and leaves it installed.
func (w *world) stopService(ctx context.Context, o options) error {
	ctx, cancel := w.untilSignal(ctx)
	defer cancel()
	unlock, _, err := w.begin(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := w.look(ctx)
	if err != nil {
		return err
	}
	if s.phase == notInstalled {
		return errNotInstalled
	}
	idle := s.gone() && s.word != "deactivating" && (w.manager.name() == "systemd" || s.loaded == "")
	steps := w.manager.plan(stop, s, "")
	if idle {
		steps = nil
	}
	if o.dryRun {
		fmt.Fprint(w.say.stdout, dryRun(steps))
		return nil
	}
	if idle {
		w.say.info("Service was not running.")
		return nil
	}
	if err := w.apply(ctx, steps, func() {}); err != nil {
		return err
	}
	w.say.done("Service stopped (%s preserved — run `service restart` to start again)", w.manager.what())
	return nil
}

// uninstallService stops the service and removes its definition, whatever half of it is there.
func (w *world) uninstallService(ctx context.Context, o options) error {
	ctx, cancel := w.untilSignal(ctx)
	defer cancel()
	unlock, _, err := w.begin(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := w.look(ctx)
	if err != nil && s.file.exists {
		return fmt.Errorf("%w\n    %s is kept: whether the service has stopped cannot be found out", err, s.file.path)
	}
	if err != nil {
		w.say.warn("%v", err)
		w.say.info("Service is not installed.")
		return nil
	}
	if s.file.err != nil {
		return s.file.err
	}
	if err := foreignDefinition(w.manager, s); err != nil && s.phase != notInstalled {
		return err
	}
	leftover := w.manager.leftover(s)
	if s.phase == notInstalled && leftover == "" {
		w.say.info("Service is not installed.")
		return nil
	}
	steps := w.manager.plan(uninstall, s, "")
	if o.dryRun {
		fmt.Fprint(w.say.stdout, dryRun(steps))
		return nil
	}
	if err := w.apply(ctx, steps, func() {}); err != nil {
		return err
	}
	w.say.done("Service uninstalled")
	if s.vendor() {
		w.say.info("%s came with a package and stays; it is disabled.", s.loaded)
	}
	return nil
}
