// The verbs install, update, restart, start, stop and uninstall, each in the same five words: look, plan, apply, wait,
// report.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// change carries out install, update or restart, and waits until the collector serves.
func (a *app) change(ctx context.Context, v verb, o options) error {
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	unlock, before, err := a.begin(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	in, err := a.preflight(ctx, v, o)
	if err != nil {
		return err
	}
	s := in.state
	inUse := in.want == definition{s.collector(), s.servicePorts()}
	planned := v
	switch {
	case v == update && in.text == "" && a.upToDate(ctx, in):
		a.out.done("Nothing to adopt: the service uses the present binary and definition")
		if s.phase == stopped {
			a.out.info("It is stopped. Run: runtimescope service start")
		}
		return nil
	case v == update && in.text == "":
		planned = restart
	case v == update, v == ensure && (in.text != "" || s.phase != running && s.phase != starting):
		planned = install
	}
	// While we waited for the lock somebody else started the service on what we were to start it on: that is our result too.
	shared := before != nil && s.phase == running && s.invocation != before.invocation && !s.stale && inUse &&
		(in.text == "" || in.text == s.file.text) && (s.enabled == nil || *s.enabled)
	var steps []step
	if !shared && planned != ensure {
		steps = a.manager.plan(planned, s, in.text)
	}
	mark := a.manager.mark()
	if done, err := a.carryOut(ctx, steps, o, func() { mark = a.manager.mark() }); !done {
		return err
	}
	if in.text != "" && !shared {
		a.out.done("Wrote %s", s.file.path)
		a.sayKept(s)
	}
	if planned == install {
		a.sayCollector(in.want.collector)
	}
	a.warnOtherPorts(in.want.ports)
	result, err := a.waitSaying(ctx, in, mark, o.timeout)
	if err != nil {
		return err
	}
	if len(steps) > 0 && s.invocation != "" && result.state.invocation == s.invocation {
		return fmt.Errorf("%s says that it has started the service anew, but its process is the old one (PID %d)", a.manager.name(), result.state.pid)
	}
	if planned == restart {
		a.out.done("Service restarted")
	}
	a.sayHealthy(result.port, "", result.doubt)
	if planned == install && a.manager.name() == "systemd" {
		a.sayOfUnit(in.want.collector, result.state)
	}
	return nil
}

// sayCollector says what was installed, before it is waited for.
func (a *app) sayCollector(path string) {
	a.out.info("Collector: %s", path)
	if reason := whyPathWontLast(path); reason != "" {
		a.out.warn("That path may not last: %s. Better: a stable path, with --collector PATH", reason)
	}
	if a.manager.name() == "launchd" {
		a.out.info("Logs:      %s", a.manager.logs())
	}
	fmt.Fprintln(a.out.stdout)
}

// sayOfUnit says what the user may not expect of the unit that was started.
func (a *app) sayOfUnit(collector string, s state) {
	if s.program != "" && s.program != collector && !sameFile(s.program, collector) {
		a.out.warn("What runs is %s: a drop-in of the unit says so (systemctl --user cat %s)", s.program, unitName)
	}
	if !isTrue(s.enabled) {
		a.out.warn("It does not start at login: its unit is not enabled for a target that a login reaches (systemctl --user cat %s)", unitName)
	}
	if !isTrue(a.manager.linger()) {
		a.out.info("Optional always-on (keep running when logged out): sudo loginctl enable-linger $USER")
	}
}

// begin makes sure that this user may manage the service here, and takes the lock. before is the state from before a
// wait for the lock, nil when it was free. A dry run takes no lock: it only reads.
func (a *app) begin(ctx context.Context, o options) (unlock func(), before *state, err error) {
	if err := a.mayManage(); err != nil {
		return nil, nil, err
	}
	if o.dryRun {
		return func() {}, nil, nil
	}
	unlock, err = a.lock(ctx, func() {
		a.out.info("Another runtimescope is at work on the service. Waiting for it to end…")
		s, _ := a.look(ctx)
		before = &s
	})
	return unlock, before, err
}

// carryOut applies the steps, or prints them in a dry run. done means that they were applied. started is called right
// before the collector is started.
func (a *app) carryOut(ctx context.Context, steps []step, o options, started func()) (done bool, err error) {
	if o.dryRun {
		_, err := io.WriteString(a.out.stdout, dryRun(steps))
		return false, err
	}
	explain := func(ctx context.Context, err error) error { return a.manager.explain(ctx, a.run, err) }
	err = apply(ctx, machine{a.run, a.disk, explain, started}, steps)
	return err == nil, err
}

// waitSaying waits for the collector under a waiting line.
func (a *app) waitSaying(ctx context.Context, in intent, mark logMark, timeout time.Duration) (waitResult, error) {
	stop := a.out.waiting("Waiting for collector to come up…")
	defer stop()
	return a.awaitHealthy(ctx, in, mark, timeout)
}

// warnOtherPorts says that this shell asks for other ports than the installed service uses.
func (a *app) warnOtherPorts(p ports) {
	if env, err := envPorts(a.getenv); err == nil && env.or(p) != p {
		a.out.warn("%s and %s of this shell differ from the service's ports, %d and %d. To change those: runtimescope service install",
			httpPortEnv, wsPortEnv, p.http, p.ws)
	}
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

// upToDate tells whether the service runs what is on disk, or is stopped and so will.
func (a *app) upToDate(ctx context.Context, in intent) bool {
	switch in.state.phase {
	case stopped:
		return true
	case running:
		return a.restartReason(ctx, in.state) == ""
	}
	return false
}

const binaryReplaced = "the binary has been replaced since it was started"

// restartReason says why the running process is not what is on disk; "" when it is.
func (a *app) restartReason(ctx context.Context, s state) string {
	switch {
	case s.pid == 0:
		return ""
	case s.stale:
		return "the definition has changed since it was loaded"
	case s.runsOnOtherPorts(), s.file.link == "" && changedSince(ctx, a.processes, s.pid, s.definitionPath()): // who makes links makes them anew
		return "the definition has changed since the collector was started"
	case s.collector() != "" && a.processes.replaced(ctx, s.pid, s.collector()):
		return binaryReplaced
	}
	return ""
}

// sayKept names the copy that writeFile made of a different definition.
func (a *app) sayKept(s state) {
	bak := s.file.path + ".bak"
	if kept, err := os.ReadFile(bak); err == nil && s.file.exists && string(kept) == s.file.text {
		a.out.info("The previous one differed and is kept: %s", bak)
	}
}

// stopService stops the service and leaves it installed.
func (a *app) stopService(ctx context.Context, o options) error {
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	unlock, _, err := a.begin(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := a.look(ctx)
	if err != nil {
		return err
	}
	if s.phase == notInstalled {
		return errNotInstalled
	}
	if s.gone() && !s.ending() && (a.manager.name() == "systemd" || s.loaded == "") {
		a.out.info("Service was not running.")
		return nil
	}
	if done, err := a.carryOut(ctx, a.manager.plan(stop, s, ""), o, func() {}); !done {
		return err
	}
	switch disabled := s.enabled != nil && !*s.enabled; {
	case s.masked:
		a.out.done("Service stopped (it is masked — run `%s` before it can start again)", s.unmask())
	case !s.file.exists && s.file.link == "" && !s.vendor():
		a.out.done("Service stopped (its %s is gone — run `service install` to start again)", a.manager.what())
	case s.vendor() && disabled: // it counts as not installed, once it is stopped
		a.out.done("Service stopped (%s preserved — run `service install` to start again)", a.manager.what())
	default:
		a.out.done("Service stopped (%s preserved — run `service restart` to start again)", a.manager.what())
	}
	a.warnLeft(ctx, s)
	return nil
}

// warnLeft says when a port of the service is held still: a unit may let processes of its live on.
func (a *app) warnLeft(ctx context.Context, s state) {
	if err := a.held(ctx, s.livePorts(), state{}); err != nil {
		a.out.warn("Still: %v", err)
	}
}

// uninstallService stops the service and removes its definition, whatever half of it is there.
func (a *app) uninstallService(ctx context.Context, o options) error {
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	unlock, _, err := a.begin(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := a.look(ctx)
	if err != nil && s.file.exists {
		return fmt.Errorf("%w\n    %s is kept: whether the service has stopped cannot be found out", err, s.file.path)
	}
	var unreachable *hinted
	leftover := a.manager.leftover(s)
	if err != nil && (leftover != "" || !errors.As(err, &unreachable)) {
		return err
	}
	if err != nil { // no manager, and nothing on disk for one
		a.out.warn("%v", err)
		a.out.info("Service is not installed.")
		return nil
	}
	if s.file.err != nil {
		return s.file.err
	}
	if err := foreignDefinition(a.manager, s); err != nil && s.phase != notInstalled {
		return err
	}
	if s.phase == notInstalled && leftover == "" {
		a.out.info("Service is not installed.")
		return nil
	}
	if done, err := a.carryOut(ctx, a.manager.plan(uninstall, s, ""), o, func() {}); !done {
		return err
	}
	if now, err := a.look(ctx); err == nil && now.vendor() && isTrue(now.enabled) {
		a.out.done("Service stopped")
		a.out.warn("A package enables it for all users, so that it starts again at the next login. To change: systemctl --user mask %s", unitName)
		return nil
	}
	a.out.done("Service uninstalled")
	a.warnLeft(ctx, s)
	if s.vendor() {
		a.out.info("%s came with a package and stays.", s.loaded)
	}
	return nil
}
