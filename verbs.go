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
	case v == update, v == ensure && (in.text != "" || s.phase != running && s.phase != starting):
		planned = install
	}
	// While we waited for the lock somebody else started the service on what we were to start it on: that is our result too.
	shared := before != nil && s.phase == running && s.start != before.start && !s.stale && inUse &&
		(in.text == "" || in.text == s.file.text) && (s.enabled == nil || *s.enabled)
	var steps []step
	if !shared && planned != ensure {
		steps = w.manager.plan(planned, s, in.text)
	}
	mark := w.manager.mark()
	if done, err := w.carryOut(ctx, steps, o, func() { mark = w.manager.mark() }); !done {
		return err
	}
	if in.text != "" && !shared {
		w.say.done("Wrote %s", s.file.path)
		w.sayKept(s)
	}
	if planned == install {
		w.sayCollector(in.want.collector)
	}
	w.warnOtherPorts(in.want.ports)
	result, err := w.waitSaying(ctx, in, mark, o.timeout)
	if err != nil {
		return err
	}
	if len(steps) > 0 && s.start != "" && result.state.start == s.start {
		return fmt.Errorf("%s says that it has started the service anew, but its process is the old one (PID %d)", w.manager.name(), result.state.pid)
	}
	if planned == restart {
		w.say.done("Service restarted")
	}
	w.sayHealthy(result.port, "", result.doubt)
	if planned == install && w.manager.name() == "systemd" {
		w.sayOfUnit(in.want.collector, result.state)
	}
	return nil
}

// sayCollector says what was installed, before it is waited for.
func (w *world) sayCollector(path string) {
	w.say.info("Collector: %s", path)
	if reason := fleeting(path); reason != "" {
		w.say.warn("That path may not last: %s. Better: a stable path, with --collector PATH", reason)
	}
	if w.manager.name() == "launchd" {
		w.say.info("Logs:      %s", w.manager.logs())
	}
	fmt.Fprintln(w.say.stdout)
}

// sayOfUnit says what the user may not expect of the unit that was started.
func (w *world) sayOfUnit(collector string, s state) {
	if s.program != "" && s.program != collector && !sameFile(s.program, collector) {
		w.say.warn("What runs is %s: a drop-in of the unit says so (systemctl --user cat %s)", s.program, unitName)
	}
	if !isTrue(s.enabled) {
		w.say.warn("It does not start at login: its unit is not enabled for a target that a login reaches (systemctl --user cat %s)", unitName)
	}
	if !isTrue(w.manager.linger()) {
		w.say.info("Optional always-on (keep running when logged out): sudo loginctl enable-linger $USER")
	}
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

// carryOut applies the steps, or prints them in a dry run. done means that they were applied. started is called right
// before the collector is started.
func (w *world) carryOut(ctx context.Context, steps []step, o options, started func()) (done bool, err error) {
	if o.dryRun {
		_, err := io.WriteString(w.say.stdout, dryRun(steps))
		return false, err
	}
	explain := func(ctx context.Context, err error) error { return w.manager.explain(ctx, w.run, err) }
	err = apply(ctx, machine{w.run, w.disk, explain, started}, steps)
	return err == nil, err
}

// waitSaying waits for the collector under a waiting line.
func (w *world) waitSaying(ctx context.Context, in intent, mark logMark, timeout time.Duration) (waitResult, error) {
	stop := w.say.waiting("Waiting for collector to come up…")
	defer stop()
	return w.awaitHealthy(ctx, in, mark, timeout)
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

const binaryReplaced = "the binary has been replaced since it was started"

// restartReason says why the running process is not what is on disk; "" when it is.
func (w *world) restartReason(ctx context.Context, s state) string {
	switch {
	case s.pid == 0:
		return ""
	case s.stale:
		return "the definition has changed since it was loaded"
	case s.toldOtherwise(), s.file.link == "" && changedSince(ctx, w.processes, s.pid, s.definitionPath()): // who makes links makes them anew
		return "the definition has changed since the collector was started"
	case s.collector() != "" && w.processes.replaced(ctx, s.pid, s.collector()):
		return binaryReplaced
	}
	return ""
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
	if s.gone() && !s.ending() && (w.manager.name() == "systemd" || s.loaded == "") {
		w.say.info("Service was not running.")
		return nil
	}
	if done, err := w.carryOut(ctx, w.manager.plan(stop, s, ""), o, func() {}); !done {
		return err
	}
	switch disabled := s.enabled != nil && !*s.enabled; {
	case s.masked:
		w.say.done("Service stopped (it is masked — run `%s` before it can start again)", s.unmask())
	case !s.file.exists && s.file.link == "" && !s.vendor():
		w.say.done("Service stopped (its %s is gone — run `service install` to start again)", w.manager.what())
	case s.vendor() && disabled: // it counts as not installed, once it is stopped
		w.say.done("Service stopped (%s preserved — run `service install` to start again)", w.manager.what())
	default:
		w.say.done("Service stopped (%s preserved — run `service restart` to start again)", w.manager.what())
	}
	w.warnLeft(ctx, s)
	return nil
}

// warnLeft says when a port of the service is held still: a unit may let processes of its live on.
func (w *world) warnLeft(ctx context.Context, s state) {
	if err := w.held(ctx, s.livePorts(), state{}); err != nil {
		w.say.warn("Still: %v", err)
	}
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
	var unreachable *hinted
	leftover := w.manager.leftover(s)
	if err != nil && (leftover != "" || !errors.As(err, &unreachable)) {
		return err
	}
	if err != nil { // no manager, and nothing on disk for one
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
	if s.phase == notInstalled && leftover == "" {
		w.say.info("Service is not installed.")
		return nil
	}
	if done, err := w.carryOut(ctx, w.manager.plan(uninstall, s, ""), o, func() {}); !done {
		return err
	}
	if now, err := w.look(ctx); err == nil && now.vendor() && isTrue(now.enabled) {
		w.say.done("Service stopped")
		w.say.warn("A package enables it for all users, so that it starts again at the next login. To change: systemctl --user mask %s", unitName)
		return nil
	}
	w.say.done("Service uninstalled")
	w.warnLeft(ctx, s)
	if s.vendor() {
		w.say.info("%s came with a package and stays.", s.loaded)
	}
	return nil
}
