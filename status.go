// status: what the service is doing, in words or as one JSON object.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A report is what --json prints: the state of the service, or the checks of doctor, and what goes with either.
type report struct {
	Schema  int    `json:"schema"`
	Command string `json:"command"`
	*statusReport
	*doctorReport
	Problems []problemReport `json:"problems"`
	Plan     *[]string       `json:"plan,omitempty"` // of a dry run
	Error    *errorReport    `json:"error"`          // null: the exit status is 0
}

// A doctorReport is what doctor found.
type doctorReport struct {
	Checks []checkReport `json:"checks"`
	OK     bool          `json:"ok"`
}

// A problemReport is a problem. Its fix is a command that runs as it stands, or ""; its advice is all else that helps.
type problemReport struct {
	ID       string   `json:"id"`
	Severity severity `json:"severity"`
	Summary  string   `json:"summary"`
	Fix      string   `json:"fix"`
	Advice   string   `json:"advice"`
}

// An errorReport is why the exit status is not 0: the id of a problem, or misuse, timeout, crashed, interrupted, failed.
type errorReport struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// A statusReport is the state of the service: the same keys for both managers, null where something is not known.
type statusReport struct {
	Manager       *string    `json:"manager"`
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
	Definition    *string    `json:"definition"`
	RestartNeeded *bool      `json:"restart_needed"`
}

// An exitShape is {"code":3} or {"signal":"SIGKILL"}.
type exitShape struct {
	Code   *int   `json:"code,omitempty"`
	Signal string `json:"signal,omitempty"`
}

// memory is what the service uses, in bytes: all of it where the manager counts, else its main process; nil: unknown.
func (s snapshot) memory() *int64 {
	if s.state.memory == nil && s.process.memory != 0 {
		return &s.process.memory
	}
	return s.state.memory
}

// uptime is how long the service has been running: its main process, or where it has none, by its manager; nil: unknown.
func (s snapshot) uptime() *time.Duration {
	if s.state.pid != 0 && s.process.err == nil {
		return &s.process.age
	}
	return s.state.activeFor
}

// uptimeText is that in words, after others; "" where it is not known.
func (s snapshot) uptimeText(before string) string {
	up := s.uptime()
	if up == nil {
		return ""
	}
	return before + duration(*up)
}

func (s snapshot) report() *statusReport {
	st, p := s.state, s.live()
	r := &statusReport{
		Manager: known(s.names.name), State: st.phase, Restarts: st.restarts, MemoryBytes: s.memory(),
		Enabled: st.enabled, Linger: st.linger, URL: collectorURL(p.http),
		HTTPPort: p.http, WSPort: p.ws, Definition: known(st.definitionPath()), Collector: known(st.collector()),
	}
	if s.silent == nil && st.phase != unknown {
		r.Healthy, r.RestartNeeded = ptr(s.healthy()), ptr(s.restartReason() != "")
		if s.answered() {
			r.Verified = ptr(s.owner().verified)
		} else if s.unaskable() != "" {
			r.Healthy = nil
		}
	}
	if st.pid != 0 {
		r.PID = &st.pid
	}
	if up := s.uptime(); up != nil {
		r.UptimeSeconds = ptr(int64(up.Seconds()))
	}
	if s.ready.version != "" && s.owner().foreign == nil {
		r.Version = &s.ready.version
	}
	if e := st.lastExit; e != nil && e.signal != 0 {
		name, _, _ := strings.Cut(st.lastName, " (") // out of memory
		r.LastExit = &exitShape{Signal: name}
	} else if e != nil {
		r.LastExit = &exitShape{Code: &e.code}
	}
	return r
}

// known is a text, or nil where there is none.
func known(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// inJSON carries out a command without its words, and prints what came of it as one object.
func (a *app) inJSON(ctx context.Context, c subcommand, o options) error {
	quiet := *a
	quiet.out.stdout, quiet.out.warnings, quiet.out.tty, quiet.planned = io.Discard, a.out.stderr, false, new([]string)
	err := c.do(&quiet, ctx, o)
	if quiet.seen == nil { // a command that changes something prints the state after it
		quiet.seen = ptr(a.unseen())
		if a.mayManage() == nil {
			quiet.seen = ptr(a.inspect(ctx, request{}))
		}
	}
	if o.dryRun {
		o.plan = quiet.planned
	}
	a.printReport(c.name, o, *quiet.seen, err)
	return err
}

// unseen is the snapshot of a command that may not look.
func (a *app) unseen() snapshot {
	s := snapshot{shell: a.shell(), state: state{phase: unknown}}
	s.state.file.definition.ports = s.shell.ports
	if a.manager != nil {
		s.names = a.manager.names()
	}
	return s
}

// printReport prints the object of --json.
func (a *app) printReport(command string, o options, s snapshot, err error) {
	var own judgements
	if a.manager != nil {
		own = a.manager.judgements()
	}
	r := report{Schema: 1, Command: command, Problems: []problemReport{}, Plan: o.plan, Error: reportError(err)}
	for _, p := range diagnose(s, own) {
		if s.ports == nil && p.check != "environment" { // of a machine that nobody has looked at
			continue
		}
		r.Problems = append(r.Problems, problemReport{p.id, p.severity, p.summary, p.fix, problem{advice: p.advice, install: p.install}.help()})
	}
	if command == "doctor" {
		r.doctorReport = &doctorReport{checkReports(s, own), err == nil}
	} else {
		r.statusReport = s.report()
	}
	text, _ := json.Marshal(r) // no part of it can fail
	fmt.Fprintf(a.out.stdout, "%s\n", text)
}

// reportError is an error for --json; nil for none.
func reportError(err error) *errorReport {
	var problem *refused
	var kind *identified
	var wrong *misuse
	var helped *hinted
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problem):
		return &errorReport{problem.id, problem.summary, problem.fix}
	case errors.As(err, &wrong):
		return &errorReport{"misuse", err.Error(), wrong.help}
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return &errorReport{"interrupted", err.Error(), ""}
	}
	r := &errorReport{ID: "failed", Message: err.Error()}
	if errors.As(err, &kind) {
		r.ID = kind.id
	}
	if errors.As(err, &helped) {
		r.Fix = helped.fix
	}
	return r
}

func (a *app) status(ctx context.Context, o options) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	if err := a.portsValid(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	time.AfterFunc(a.timings.headStart, func() { cancelAt(a.signals(), ctx, cancel) })
	s := a.inspect(ctx, request{})
	if ctx.Err() != nil {
		return errInterrupted
	}
	a.seen = &s
	problems := diagnose(s, a.manager.judgements())
	a.sayStatus(s, problems)
	switch {
	case s.silent != nil && s.state.phase == notInstalled && o.json:
		a.out.warn("%v", s.silent)
	case s.silent != nil && s.state.phase != notInstalled:
		return &identified{s.silent, "manager-silent"}
	}
	switch {
	case !o.exitCode || s.healthy() || s.unaskable() != "" && !s.process.otherNetwork:
		return nil
	case s.state.phase == notInstalled:
		return &statusError{&identified{errors.New("the service is not installed"), "not-installed"}, 4}
	}
	id := "failed"
	for _, p := range slices.Backward(problems) {
		if p.check == "process" || p.check == "ready" || p.id == "masked" {
			id = p.id
		}
	}
	return &statusError{&identified{fmt.Errorf("the service is not running and healthy: %s", s.unhealthy()), id}, 3}
}

// unhealthy says in a few words what is wrong with a service that is not healthy.
func (s snapshot) unhealthy() string {
	switch {
	case s.state.masked:
		return "masked"
	case s.state.ending && s.state.phase == stopped:
		return "stopping"
	case s.state.phase != running:
		return cmp.Or(s.state.isolated, string(s.state.phase))
	case s.state.empty:
		return "no process of it runs"
	case s.ready.err != nil:
		return "running, but /readyz: " + s.ready.err.Error()
	}
	return "running, but another process answers"
}

// sayStatus is status in words: a line on the process, one on /readyz, the facts, and last the problems that these do
// not tell.
func (a *app) sayStatus(s snapshot, problems []problem) {
	told := []string{"process", "ready", "enabled", "linger"} // checks that have a line of their own
	if s.state.phase == notInstalled && !s.state.masked && s.state.file.link == "" {
		a.sayNotInstalled(s, problems)
		return
	}
	a.sayHeadline(s, problems)
	a.sayReady(s)
	a.sayFacts(s, problems)
	for _, p := range problems {
		if !slices.Contains(told, p.check) && p.id != "manager-silent" {
			a.sayProblem(p)
		}
	}
}

// sayNotInstalled says also who answers, and what would keep install from doing its work.
func (a *app) sayNotInstalled(s snapshot, problems []problem) {
	a.out.info("Service not installed. Run: %s", installCommand)
	switch {
	case s.state.vendor() && s.state.untilBoot:
		a.out.info("%s %s.", s.state.loaded, s.state.provider())
	case s.state.vendor():
		a.out.info("A package provides the %s: %s", s.names.definition, s.state.loaded)
	}
	for _, p := range problems {
		if p.blocks&writes != 0 || p.check == "ready" {
			a.sayProblem(p)
		}
	}
}

// sayProblem says a problem and what helps.
func (a *app) sayProblem(p problem) {
	if help := p.help(); help != "" {
		a.out.warn("%s. Fix: %s", p.summary, help)
		return
	}
	a.out.warn("%s", p.summary)
}

// sayHeadline says what the process is doing.
func (a *app) sayHeadline(s snapshot, problems []problem) {
	st := s.state
	fix := "" // of what is wrong with the process
	for _, p := range problems {
		if p.check == "process" && fix == "" {
			fix = p.help()
		}
	}
	switch {
	case s.silent != nil:
		a.out.warn("Service installed, but its state is unknown")
	case st.phase == running:
		a.sayRunning(s, fix)
	case st.deferred != "", st.phase == failed && fix != logsCommand:
		a.out.warn("Service state: %s — %s. Run: %s", st.rawState, st.next, fix)
	case st.phase == crashLooping:
		a.out.warn("Service state: %s — %s. See: %s", st.rawState, cmp.Or(st.isolated, "crash-looping: "+st.next), fix)
	case st.phase == failed:
		a.out.warn("Service state: %s — %s. See: %s", st.rawState, st.next, fix)
	case st.phase == stopped:
		a.sayStopped(s, fix)
	default:
		a.out.warn("Service state: %s", st.rawState)
	}
}

func (a *app) sayStopped(s snapshot, fix string) {
	st := s.state
	switch {
	case st.pid != 0:
		a.out.warn("Service state: %s — PID %d is ending", st.rawState, st.pid)
	case st.ending:
		a.out.warn("Service state: %s — its processes are ending", st.rawState)
	case st.skipped != "":
		a.out.warn("Service state: %s — a condition of its unit is not met. Fix: %s", st.rawState, fix)
	case fix == startCommand && s.names.sessionEnd != "":
		a.out.warn("Service installed but not currently running. Run: %s", fix)
	case fix == startCommand:
		a.out.warn("Service state: %s. Run: %s", st.rawState, fix)
	default: // what keeps it from starting is said below
		a.out.warn("Service state: %s", st.rawState)
	}
}

func (a *app) sayRunning(s snapshot, fix string) {
	switch {
	case s.state.empty:
		a.out.warn("Service state: %s — no process of it runs. Run: %s", s.state.rawState, fix)
	case s.state.pid == 0:
		a.out.done("%s%s", s.names.upLabel, s.uptimeText(" — up "))
	default:
		a.out.done("%s — PID %d%s", s.names.upLabel, s.state.pid, s.uptimeText(", up "))
	}
}

// sayReady says whether the collector answers, and whose answer that is.
func (a *app) sayReady(s snapshot) {
	url := collectorURL(s.ready.port)
	other := s.answered() && s.owner().foreign != nil && s.silent == nil
	switch {
	case s.silent != nil && s.answered():
		_, text := readyEvidence(s)
		a.out.warn("%s", text)
	case s.state.phase != running:
	case s.unaskable() != "":
		a.out.warn("Collector is running; readiness cannot be checked: %s", s.unaskable())
	case !s.answered():
		a.out.warn("Collector is not ready on %s: %v", url, s.ready.err)
	case other:
		a.out.warn("%s is answered by %s, not by the service", url, s.owner().foreign)
	default:
		a.sayHealthy(s.ready.port, s.ready.version, s.owner().doubt)
	}
}

// sayFacts says what there is to know of the service, whether anything is wrong or not.
func (a *app) sayFacts(s snapshot, problems []problem) {
	st, out := s.state, a.out
	if st.failedBefore() {
		out.warn("Restarted %s after it failed", count(*st.restarts, "time"))
	}
	if s.around.failure != "" {
		out.info("Last failure: %s", s.around.failure)
	}
	if how, _ := st.exit(s.around.log); how != "" {
		out.info("Last exit: %s", how)
	}
	for _, note := range logNotes(s.around.log, 5) {
		out.info("%s", note)
	}
	if memory := s.memory(); memory != nil {
		out.info("Memory: %s", size(*memory))
	}
	if st.limits != "" {
		out.info("Limits: %s", st.limits)
	}
	a.sayLogin(s, problems)
	if path := st.collector(); path != "" {
		if s.installed.err == nil && s.installed.wontLast == "" && filepath.IsAbs(path) && !st.wrapped() {
			out.info("Survives upgrades: yes (the path has no version in it)")
		}
		out.info("Collector: %s", st.command())
	}
	out.info("%s %s", s.names.pathLabel, st.definitionPath())
	if len(st.outputs) > 0 {
		out.info("Output goes to: %s", strings.Join(st.outputs, " and "))
	}
	out.info("%s %s", s.names.logsLabel, s.names.logs)
}

// sayLogin says what happens at login and at logout.
func (a *app) sayLogin(s snapshot, problems []problem) {
	yesNo := func(what string, is *bool, otherwise string) {
		answer := "unknown"
		if is != nil {
			answer = map[bool]string{true: "yes", false: "no"}[*is]
		}
		for _, p := range problems {
			if p.id == otherwise && p.help() != "" {
				answer += ". Fix: " + p.help()
			}
		}
		a.out.info("%s: %s", what, answer)
	}
	switch {
	case s.state.static:
		a.out.info("Starts at login: no, the unit has no [Install] section")
	case s.state.enabled != nil:
		yesNo("Starts at login", s.state.enabled, "not-enabled")
	}
	if s.names.sessionEnd != "" {
		a.out.info("Keeps running after logout: no, %s", s.names.sessionEnd)
		return
	}
	yesNo("Keeps running after logout", s.state.linger, "no-linger")
}
