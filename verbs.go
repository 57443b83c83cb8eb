// The verbs install, update, restart, start, stop, uninstall and wait, each in the same words: inspect, decide, apply, wait, report.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// change carries out install, update or restart, and waits until the collector serves.
func (a *app) change(ctx context.Context, v verb, o options) error {
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	d, before, unlock, err := a.begin(ctx, v, o)
	if err != nil {
		return err
	}
	defer unlock()
	s := d.snapshot.state
	if v == update {
		a.sayMove(d)
	}
	if v == update && d.verb == look {
		a.out.done("Already up to date: the service uses the current binary and definition")
		for _, p := range d.problems {
			if p.check == "process" && s.phase == stopped {
				a.out.info("It is stopped. %s: %s", map[bool]string{true: "Run", false: "Fix"}[p.fix != ""], p.help())
			}
		}
		a.sayVariables(d)
		return nil
	}
	shared := d.shared(before)
	if shared {
		d.plan = plan{}
	}
	mark, begin := a.manager.mark(), time.Time{}
	done, err := a.carryOut(ctx, d.plan, o, func(at time.Time) {
		if begin.IsZero() {
			mark = a.manager.mark()
		}
		begin = at
	})
	if !done {
		return err
	}
	if len(d.plan.steps) > 0 {
		mark.before = s.invocation
	}
	a.sayWritten(d, shared)
	if v != restart {
		a.sayVariables(d)
	}
	unlock() // whoever is to stop what does not become healthy must be able to
	if !s.file.exists {
		d.plan.retry = nil
	}
	w := wait{before: mark.before, ports: d.target.ports, env: d.target.env, asked: d.asked,
		begin: since(begin, time.Now()), timeout: o.timeout}
	result, err := a.awaitHealthy(ctx, w, d.plan.retry, mark)
	if err != nil {
		return err
	}
	if len(d.plan.steps) > 0 && s.invocation != "" && result.state.invocation == s.invocation {
		return fmt.Errorf("%s reported a restart, but the old process (PID %d) is still running", d.snapshot.names.name, result.state.pid)
	}
	if d.verb == restart {
		a.out.done("Service restarted")
	}
	a.sayServing(result)
	if d.verb == install {
		a.sayOfDefinition(d, result.state)
	}
	return nil
}

// sayMove says when an update moves the service to another collector, and when it leaves it and there is another one.
func (a *app) sayMove(d decision) {
	was, found := d.snapshot.state.collector(), d.snapshot.candidate.path
	switch {
	case was == "" || d.snapshot.sameProgram:
	case was != d.target.collector:
		a.out.info("The service moves from %s to %s", was, d.target.collector)
	case was != found && d.snapshot.state.overridden():
		a.out.info("The service stays on %s, which a drop-in of the unit sets (%s)", was, d.snapshot.names.show)
	case was != found:
		a.out.info("The service stays on %s. To move it to %s: %s", was, found, installCommand)
	}
}

// shared tells whether somebody else, while we waited for the lock, started the service on what we were to start it on:
// that is our result too. before is the state from before that wait, nil where there was none.
func (d decision) shared(before *state) bool {
	s := d.snapshot.state
	return before != nil && s.phase == running && s.invocation != before.invocation && !s.stale && d.snapshot.inUse(d.target) &&
		(d.text == "" || d.text == s.file.text) && (s.enabled == nil || *s.enabled)
}

// sayWritten says what was written and installed, before it is waited for.
func (a *app) sayWritten(d decision, shared bool) {
	s := d.snapshot
	if d.text != "" && !shared {
		a.out.done("Wrote %s", s.state.file.path)
		a.sayKept(d)
	}
	if d.verb == install {
		a.out.info("Collector: %s", d.target.collector)
		if reason := whyPathWontLast(d.target.collector); reason != "" {
			a.out.warn("That path may not last: %s. Fix: use a stable path, with --collector PATH", reason)
		}
		if s.names.logFiles != nil {
			a.out.info("Logs:      %s", s.names.logs)
		}
		fmt.Fprintln(a.out.stdout)
	}
	if s.state.vendor() && d.text != "" && !shared {
		a.out.info("It overrides %s", map[bool]string{true: s.state.loaded, false: "the package's own: " + s.state.loaded}[s.state.untilBoot])
	}
	if s.shell.ports.or(d.target.ports) != d.target.ports {
		a.sayOnly("ports-differ", d.problems)
	}
}

// sayVariables says which variables of this shell the service does not get.
func (a *app) sayVariables(d decision) {
	s := d.snapshot
	old := s.state.file.definition.variables()
	given := func(v string) bool { return slices.Contains(old, v) }
	s.state.unitEnv = slices.DeleteFunc(slices.Clone(s.state.unitEnv), given) // of a drop-in
	s.state.processEnv = slices.DeleteFunc(slices.Clone(s.state.processEnv), given)
	s.state.file.definition = d.target
	if p, ok := findVariablesDiffer(s); ok {
		a.sayProblem(p)
	}
}

// sayOnly says the problem of one kind, where there is one.
func (a *app) sayOnly(id string, problems []problem) {
	for _, p := range problems {
		if p.id == id {
			a.sayProblem(p)
		}
	}
}

// uncarried is where a value of a variable has a character that not both managers can carry, or that one of them would
// take for the end of a line; -1 when it has none.
func uncarried(value string) int {
	return strings.IndexFunc(value, func(r rune) bool { return r == '\n' || r == '\r' || !xmlAllows(r) })
}

// variableName is what a variable may be called.
var variableName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) })

// givenVariables reads the values of --env: NAME=VALUE, NAME for the value in this shell, or NAME= to take it away, which is
// a NAME alone in the answer. An error does not tell a value.
func (a *app) givenVariables(given []string) (words []string, err error) {
	for _, word := range given {
		name, value, assigned := strings.Cut(word, "=")
		if !assigned {
			value = a.getenv(name)
			word += "=" + value
		}
		bad := uncarried(value)
		switch {
		case !variableName().MatchString(name):
			return nil, fmt.Errorf("--env %s: a name must be letters, digits and underscores", name)
		case name == "PATH", name == "HOME":
			return nil, fmt.Errorf("--env %s: the service manager sets it", name)
		case name == httpPortEnv, name == wsPortEnv:
			return nil, hint(fmt.Errorf("--env %s: install takes it from this shell", name), name+"=PORT "+installCommand)
		case !assigned && value == "":
			return nil, fmt.Errorf("--env %s: it is not set in this shell", name)
		case !utf8.ValidString(value):
			return nil, fmt.Errorf("--env %s: its value is not UTF-8", name)
		case bad >= 0:
			return nil, fmt.Errorf("--env %s: its value has the character %q, which the service cannot be given", name, []rune(value[bad:])[0])
		case value == "":
			word = name
		}
		words = append(words, word)
	}
	return words, nil
}

// sayOfDefinition says what the user may not expect of the definition that was started.
func (a *app) sayOfDefinition(d decision, s state) {
	names := d.snapshot.names
	if s.program != "" && s.program != d.target.collector && !sameFile(s.program, d.target.collector) {
		a.out.warn("The service runs %s, set by a drop-in of the %s (%s)", s.program, names.definition, names.show)
	}
	if s.enabled != nil && !*s.enabled {
		a.out.warn("It does not start at login: its %s is not enabled for a target that starts at login (%s)", names.definition, names.show)
	}
	if names.sessionEnd == "" && !isTrue(s.linger) {
		a.out.info("Optional always-on (keep running when logged out): sudo loginctl enable-linger $USER")
	}
}

// begin takes the lock, looks and decides. A refusal is an error. before is the state from before a wait for the lock, nil
// when it was free. A dry run takes no lock: it only reads.
func (a *app) begin(ctx context.Context, v verb, o options) (d decision, before *state, unlock func(), err error) {
	unlock = func() {}
	if err := a.mayManage(); err != nil {
		return d, nil, nil, err
	}
	if o.collector != "" {
		if _, err := a.findCollector(o.collector); err != nil {
			return d, nil, nil, err
		}
	}
	env, err := a.givenVariables(o.env)
	if err != nil {
		return d, nil, nil, err
	}
	if !o.dryRun {
		unlock, err = a.lock(ctx, func() {
			a.out.info("Another runtimescope command is changing the service. Waiting for it to finish…")
			if s, err := a.manager.state(ctx, a.run); err == nil { // a failed look is no look
				before = &s
			}
		})
		if err != nil {
			return d, nil, nil, err
		}
	}
	r := request{verb: v, collector: o.collector, env: env, locked: !o.dryRun}
	s := a.inspect(ctx, r)
	if ctx.Err() != nil { // so that it is not known what there is
		unlock()
		return d, nil, nil, errInterrupted
	}
	d = decide(a.manager, s, r)
	if d.refused != nil {
		unlock()
		return d, nil, nil, d.refused.refusal()
	}
	return d, before, unlock, nil
}

// mayManage refuses where there is no service manager, and a shell whose home is not its user's.
func (a *app) mayManage() error {
	for _, p := range diagnose(snapshot{shell: a.shell()}, judgements{}) {
		if p.blocks == everything {
			return p.refusal()
		}
	}
	return nil
}

// portsValid refuses a variable of this shell that is no port.
func (a *app) portsValid() error {
	p, bad := findPortInvalid(snapshot{shell: a.shell()})
	if p.id = "port-invalid"; !bad {
		return nil
	}
	return p.refusal()
}

// refusal is a problem as an error.
func (p problem) refusal() error {
	if p.id == "not-installed" {
		p.summary = notInstalledText
	}
	return &refused{p}
}

// carryOut applies a plan, or prints it in a dry run. done means that it was applied. started is called right before the
// collector is started.
func (a *app) carryOut(ctx context.Context, p plan, o options, started func(time.Time)) (done bool, err error) {
	if o.dryRun {
		blocks := p.blocks()
		if o.json {
			*a.planned = blocks
		}
		_, err := io.WriteString(a.out.stdout, strings.Join(blocks, ""))
		return false, err
	}
	explain := func(ctx context.Context, err error) error { return a.manager.explain(ctx, a.run, err) }
	killed := func() { a.out.warn("The collector did not stop in time, and %s killed it", a.manager.names().name) }
	err = apply(ctx, machine{a.run, a.disk, explain, started, o.timeout, a.timings.patience, killed}, p)
	return err == nil, err
}

// waitHealthy waits until the service, as it is, is healthy.
func (a *app) waitHealthy(ctx context.Context, o options) error {
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	if err := a.mayManage(); err != nil {
		return err
	}
	w := wait{patient: true, begin: time.Now(), timeout: o.timeout}
	mark, s := a.manager.mark(), a.inspect(ctx, request{})
	switch problems := diagnose(s, a.manager.judgements()); {
	case ctx.Err() != nil:
		return errInterrupted
	case s.silent != nil:
		return &identified{s.silent, "manager-silent"}
	case s.state.gone():
		for _, p := range problems {
			if p.check == "process" || p.id == "not-installed" {
				if p.id != "not-installed" {
					p.summary = "the service is not running: " + p.summary
				}
				return p.refusal()
			}
		}
	}
	w.ports, w.env = s.live(), s.state.file.definition.env
	result, err := a.awaitHealthy(ctx, w, nil, mark)
	if err == nil {
		a.sayServing(result)
	}
	return err
}

// sayServing says what a wait came to.
func (a *app) sayServing(r waitResult) {
	if r.unaskable != "" {
		a.out.warn("Collector is running; readiness cannot be checked: %s", r.unaskable)
		return
	}
	a.sayHealthy(r.port, "", r.doubt)
}

// sayHealthy says that the collector serves; with a doubt whose answer it was, it does not say so with a ✓.
func (a *app) sayHealthy(port int, version, doubt string) {
	text := "Collector is healthy and serving on " + collectorURL(port)
	if version != "" {
		text += " (version " + version + ")"
	}
	if doubt != "" {
		a.out.warn("%s — unverified: %s", text, doubt)
		return
	}
	a.out.done("%s", text)
}

// sayKept names the copy that writeFile made of a different definition.
func (a *app) sayKept(d decision) {
	f := d.snapshot.state.file
	if kept, err := os.ReadFile(f.kept); err == nil && f.exists && f.text != d.text && string(kept) == f.text {
		a.out.info("Saved the previous version as %s", f.kept)
	}
}

// stopService stops the service and leaves it installed.
func (a *app) stopService(ctx context.Context, o options) error {
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	d, _, unlock, err := a.begin(ctx, stop, o)
	if err != nil {
		return err
	}
	defer unlock()
	if d.verb == look {
		a.out.info("Service was not running.")
		return nil
	}
	if done, err := a.carryOut(ctx, d.plan, o, nil); !done {
		return err
	}
	s, definition := d.snapshot.state, d.snapshot.names.definition
	switch {
	case s.masked:
		a.out.done("Service stopped (it is masked — run `%s` before it can start again)", s.unmask)
	case s.file.dangling:
		a.out.done("Service stopped (its %s is a dangling symlink to %s)", definition, s.file.link)
	case s.transient:
		a.out.done("Service stopped (its %s was transient, and is gone — run `service install` to start again)", definition)
	case !s.there():
		a.out.done("Service stopped (its %s is gone — run `service install` to start again)", definition)
	case s.vendor() && s.enabled != nil && !*s.enabled: // it counts as not installed, once it is stopped
		a.out.done("Service stopped (%s preserved — run `service install` to start again)", definition)
	default:
		a.out.done("Service stopped (%s preserved — run `service restart` to start again)", definition)
	}
	a.warnLeft(ctx, s)
	return nil
}

// warnLeft says when a port of the service is held still: a unit may let processes of its live on.
func (a *app) warnLeft(ctx context.Context, s state) {
	p := s.livePorts()
	for _, port := range []int{p.http, p.ws} {
		who, err := a.processes.holders(ctx, port)
		f := a.holdersOf(ctx, portLook{who, err}, port, state{})
		for _, h := range f.holders {
			if h.conflict(f, state{}, a.uid) {
				a.out.warn("Still: %s", h.refusal(port, "", a.manager.names().unit).summary)
				return
			}
		}
	}
}

// uninstallService stops the service and removes its definition, whatever half of it is there.
func (a *app) uninstallService(ctx context.Context, o options) error {
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	d, _, unlock, err := a.begin(ctx, uninstall, o)
	if err != nil {
		if s := d.snapshot; s.silent != nil && s.state.file.exists {
			return fmt.Errorf("%w\n    %s is kept: could not check whether the service has stopped", err, s.state.file.path)
		}
		return err
	}
	defer unlock()
	s := d.snapshot
	if d.verb == look {
		if s.silent != nil { // no manager, and nothing on disk for one
			var known *hinted
			if !errors.As(s.silent, &known) {
				return s.silent
			}
			a.out.warn("%v", s.silent)
		}
		a.out.info("Service is not installed.")
		a.sayOnly("masked", d.problems)
		return nil
	}
	if done, err := a.carryOut(ctx, d.plan, o, nil); !done {
		return err
	}
	now, err := a.manager.state(ctx, a.run)
	if now = a.withFile(now, a.readFile()); err == nil && now.vendor() && isTrue(now.enabled) {
		a.out.done("Service stopped")
		a.out.warn("A package enables it for all users, so it starts again at the next login. Fix: %s", s.names.forbid)
		return nil
	}
	a.out.done("Service uninstalled")
	a.warnLeft(ctx, s.state)
	switch {
	case s.state.vendor():
		a.out.info("%s %s and stays.", s.state.loaded, s.state.provider())
		a.sayOnly("loaded-elsewhere", d.problems)
	case s.state.file.link != "":
		a.out.info("%s, which the %s linked to, stays.", s.state.file.link, s.names.definition)
	}
	return nil
}
