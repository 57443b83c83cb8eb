// status: what the service is doing, in words or as one JSON object.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// A finding is all that status and doctor know: one question to the manager and one to the collector, at the same time.
type finding struct {
	state   state
	err     error // the manager gave no answer
	ports   ports
	answer  error // of /readyz; nil: it is ready
	own     ownership
	version string // of the collector
	age     time.Duration
	memory  *int64
	why     string // why a restart is needed
}

// healthy needs the manager, the answer, and the socket.
func (f finding) healthy() bool {
	return f.err == nil && f.state.phase == running && f.answer == nil && f.own.foreign == nil
}

func (a *app) find(ctx context.Context) finding {
	var f finding
	looked := make(chan bool)
	go func() {
		f.state, f.err = a.manager.state(ctx, a.run)
		close(looked)
	}()
	time.Sleep(a.timings.headStart) // what is done meanwhile is done while the command runs, and does not hold up its start
	ask := func(port int) (version string, err error) {
		if err = a.probe(ctx, port); err == nil {
			version = a.collectorVersion(ctx, port)
		}
		return version, err
	}
	file := a.readFile()
	env, _ := envPorts(a.getenv)
	guess := file.definition.ports.orDefault()
	if !file.exists {
		guess = env.orDefault()
	}
	f.version, f.answer = ask(guess.http)
	who, whoErr := a.processes.holders(ctx, guess.http)
	<-looked
	f.state = a.withFile(f.state, file)
	if m, ok := a.manager.(launchd); ok && f.err == nil && f.state.phase != notInstalled {
		f.state.enabled = m.enabled(ctx, a.run)
	}
	if f.err != nil && !file.exists && file.link == "" { // nothing on disk, nobody to ask
		f.state.phase = notInstalled
	}
	f.ports = f.state.livePorts()
	if f.state.phase == notInstalled { // those that install would use
		f.ports = env.orDefault()
	}
	if f.ports.http != guess.http { // a drop-in says otherwise
		f.version, f.answer = ask(f.ports.http)
		who, whoErr = a.processes.holders(ctx, f.ports.http)
	}
	s := f.state
	f.memory = s.memory
	if s.pid != 0 {
		age, memory, err := a.processes.facts(ctx, s.pid)
		if err == nil {
			f.age = age
			if f.memory == nil {
				f.memory = &memory
			}
		}
	}
	f.why = a.restartReason(ctx, s)
	if f.answer == nil {
		f.own = a.judge(ctx, f.ports.http, who, whoErr, s)
	}
	return f
}

// A statusReport is "status --json": the same keys for both managers, null where something is not known.
type statusReport struct {
	Manager       string     `json:"manager"`
	State         phase      `json:"state"`
	Healthy       *bool      `json:"healthy"`
	Verified      *bool      `json:"verified"` // the socket that answers is the service's; null: nothing answers
	PID           *int       `json:"pid"`
	UptimeSeconds *int64     `json:"uptime_seconds"`
	Restarts      *int       `json:"restarts"`
	MemoryBytes   *int64     `json:"memory_bytes"`
	LastExit      *exitShape `json:"last_exit"`
	Enabled       *bool      `json:"enabled"`
	Linger        *bool      `json:"linger"`
	URL           string     `json:"url"`
	HTTPPort      int        `json:"http_port"`
	WSPort        int        `json:"ws_port"`
	Version       *string    `json:"version"`
	Collector     *string    `json:"collector"`
	Definition    string     `json:"definition"`
	RestartNeeded *bool      `json:"restart_needed"`
}

// An exitShape is {"code":3} or {"signal":"SIGKILL"}.
type exitShape struct {
	Code   *int   `json:"code,omitempty"`
	Signal string `json:"signal,omitempty"`
}

func (a *app) statusReport(f finding) statusReport {
	s := f.state
	r := statusReport{
		Manager: a.manager.name(), State: s.phase, Restarts: s.restarts, MemoryBytes: f.memory,
		Enabled: s.enabled, Linger: a.manager.linger(), URL: collectorURL(f.ports.http),
		HTTPPort: f.ports.http, WSPort: f.ports.ws, Definition: s.definitionPath(),
	}
	if f.err == nil {
		r.Healthy, r.RestartNeeded = ptr(f.healthy()), ptr(f.why != "")
		if f.answer == nil {
			r.Verified = &f.own.verified
		}
	}
	if s.pid != 0 {
		r.PID = &s.pid
		r.UptimeSeconds = ptr(int64(f.age.Seconds()))
	}
	if path := s.collector(); path != "" {
		r.Collector = &path
	}
	if f.version != "" && f.own.foreign == nil {
		r.Version = &f.version
	}
	if e := s.lastExit; e != nil && e.signal != 0 {
		r.LastExit = &exitShape{Signal: a.manager.exitName(*e)}
	} else if e != nil {
		r.LastExit = &exitShape{Code: &e.code}
	}
	return r
}

func (a *app) status(ctx context.Context, o options) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	if _, err := envPorts(a.getenv); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	time.AfterFunc(a.timings.headStart, func() { cancelAt(a.signals(), ctx, cancel) })
	f := a.find(ctx)
	if ctx.Err() != nil {
		return errInterrupted
	}
	s := f.state
	if o.json {
		text, err := json.Marshal(a.statusReport(f))
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out.stdout, "%s\n", text)
	} else {
		a.sayStatus(f)
	}
	switch {
	case f.err != nil && s.phase == notInstalled && o.json:
		a.out.note("%v", f.err)
	case f.err != nil && s.phase != notInstalled:
		return f.err
	}
	switch {
	case !o.exitCode || f.healthy():
		return nil
	case s.phase == notInstalled:
		return &statusError{errors.New("the service is not installed"), 4}
	}
	return &statusError{fmt.Errorf("the service is not running and healthy: %s", a.headline(f)), 3}
}

// headline says in a few words what is wrong with a service that is not healthy.
func (a *app) headline(f finding) string {
	switch {
	case f.state.masked:
		return "masked"
	case f.state.phase != running:
		return string(f.state.phase)
	case f.answer != nil:
		return "running, but /readyz: " + f.answer.Error()
	}
	return "running, but another process answers"
}

// sayStatus is status in words.
func (a *app) sayStatus(f finding) {
	s, say := f.state, a.out
	launchd := a.manager.name() == "launchd"
	switch {
	case s.phase == notInstalled && !s.masked && s.file.link == "":
		if f.err != nil {
			say.warn("%v", f.err)
		}
		say.info("Service not installed. Run: runtimescope service install")
		if s.vendor() {
			say.info("A package brought its %s: %s", a.manager.what(), s.loaded)
		}
		return
	case f.err != nil:
		say.warn("Service installed, but its state is unknown")
	case s.masked && s.phase != running:
		say.warn("Service is masked, that is, forbidden to start. Run: %s", s.unmask())
	case s.phase == running && launchd:
		say.done("Service running — PID %d, up %s", s.pid, duration(f.age))
	case s.phase == running:
		say.done("Service is active — PID %d, up %s", s.pid, duration(f.age))
	case s.phase == crashLooping:
		say.warn("Service state: %s — crash-looping: %s. See: runtimescope service logs", s.rawState, a.manager.next(s))
	case s.phase == failed:
		say.warn("Service state: %s — %s. See: runtimescope service logs", s.rawState, a.manager.next(s))
	case s.phase == stopped && launchd && s.pid == 0:
		say.warn("Service installed but not currently running. Run: runtimescope service start")
	case s.phase == stopped && s.pid != 0:
		say.warn("Service state: %s — PID %d is ending", s.rawState, s.pid)
	case s.phase == stopped:
		say.warn("Service state: %s. Run: runtimescope service start", s.rawState)
	default:
		say.warn("Service state: %s", s.rawState)
	}
	switch {
	case s.phase != running && f.answer == nil && f.own.foreign != nil && f.err == nil:
		say.warn("Port %d is held by %s", f.ports.http, f.own.foreign)
	case s.phase != running:
	case f.answer != nil:
		say.warn("Collector does not answer on %s: %v", collectorURL(f.ports.http), f.answer)
	case f.own.foreign != nil:
		say.warn("Not the service, but %s answers on %s", f.own.foreign, collectorURL(f.ports.http))
	default:
		a.sayHealthy(f.ports.http, f.version, f.own.doubt)
	}
	a.warnOtherPorts(f.ports)
	if s.masked && s.phase == running {
		say.warn("It is masked, that is, forbidden to start again. Run: %s", s.unmask())
	}
	if s.loadError != "" {
		say.warn("%s. To do: %s", s.loadError, s.repair())
	}
	if s.file.err != nil {
		say.warn("%v", s.file.err)
	}
	if s.up() && !s.file.exists && (s.loaded == "" || s.loaded == s.file.path) && s.file.link == "" && !s.masked {
		say.warn("Its %s is gone: %s. Run: runtimescope service install, or uninstall", a.manager.what(), s.file.path)
	}
	switch {
	case !s.file.exists && !s.vendor(): // there is nothing to restart it on
	case f.why != "":
		say.warn("Restart needed: %s. Run: runtimescope service restart", f.why)
	case s.stale:
		say.warn("The definition on disk has changed and is not loaded. Run: runtimescope service restart")
	}
	if s.restarts != nil && *s.restarts > 0 {
		say.warn("Restarted %s after it failed", count(*s.restarts, "time"))
	}
	if e := s.lastExit; e != nil {
		say.info("Last exit: %s", a.manager.exitName(*e))
	}
	if f.memory != nil {
		say.info("Memory: %s", size(*f.memory))
	}
	switch {
	case s.enabled == nil:
	case *s.enabled:
		say.info("Starts at login: yes")
	case s.static:
		say.info("Starts at login: no, the unit has no [Install] section")
	default:
		say.info("Starts at login: no. To change: runtimescope service install")
	}
	switch linger := a.manager.linger(); {
	case launchd:
		say.info("Keeps running after logout: no, launchd ends it with the session")
	case linger == nil:
		say.info("Keeps running after logout: unknown")
	case *linger:
		say.info("Keeps running after logout: yes. To change: sudo loginctl disable-linger $USER")
	default:
		say.info("Keeps running after logout: no. To change: sudo loginctl enable-linger $USER")
	}
	if path := s.collector(); path != "" {
		if err := executable(path); !filepath.IsAbs(path) || s.loadError != "" && s.program == "" {
			// a specifier, or half a word: what it means, only systemd knows
		} else if err != nil {
			say.warn("The collector cannot be started again: %s: %v", path, err)
		} else if reason := whyPathWontLast(path); reason != "" {
			say.warn("Survives the next upgrade: doubtful, %s. To change: runtimescope service install --collector PATH", reason)
		} else {
			say.info("Survives the next upgrade: yes, its path has no version in it")
		}
		say.info("Collector: %s", path)
	}
	if launchd {
		say.info("Plist: %s", s.definitionPath())
		say.info("Logs:  %s", a.manager.logs())
	} else {
		say.info("Unit file: %s", s.definitionPath())
		say.info("Logs: %s", a.manager.logs())
	}
}
