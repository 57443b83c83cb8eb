// doctor: every check the service can fail, each with its evidence and one fix.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A check is one thing that doctor looked at. Its status is ok, warn, fail, or unknown: it could not be told.
type check struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Summary string `json:"summary"`
	Fix     string `json:"fix"` // one command or action; "" when none is needed
}

func (a *app) doctor(ctx context.Context, o options) error {
	if a.manager == nil {
		return a.mayManage()
	}
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	checks := a.checks(ctx, a.find(ctx))
	if ctx.Err() != nil {
		return errInterrupted
	}
	bad := 0
	for _, c := range checks {
		if c.Status == "fail" {
			bad++
		}
	}
	if o.json {
		text, err := json.Marshal(struct {
			Checks []check `json:"checks"`
			OK     bool    `json:"ok"`
		}{checks, bad == 0})
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out.stdout, "%s\n", text)
	} else {
		for _, c := range checks {
			a.sayCheck(c)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks failed", bad, len(checks))
	}
	return nil
}

func (a *app) sayCheck(c check) {
	line := c.ID + ": " + c.Summary
	switch c.Status {
	case "ok":
		a.out.done("%s", line)
	case "warn":
		a.out.warn("%s", line)
	case "fail":
		a.out.fail("%s", line)
	default:
		a.out.info("? %s", line)
	}
	if c.Fix != "" {
		a.out.info("  Fix: %s", c.Fix)
	}
}

// checks judges what was found, all of it, whatever is missing.
func (w *app) checks(ctx context.Context, f finding) []check {
	var all []check
	add := func(id, status, fix, format string, a ...any) {
		all = append(all, check{id, status, fmt.Sprintf(format, a...), fix})
	}
	s := f.state
	reinstall, restartIt := "runtimescope service install", "runtimescope service restart"

	// environment first: with a wrong HOME nothing below means much
	if err := w.mayManage(); err != nil {
		add("environment", "fail", fixOf(err), "%v", err)
	} else {
		w.checkEnvironment(f, add)
	}

	if f.err != nil {
		add("manager", "fail", fixOf(f.err), "%v", f.err)
	} else if err := w.manager.reach(ctx, w.run, f.ports); err != nil {
		add("manager", "fail", fixOf(err), "%v", err)
	} else {
		add("manager", "ok", "", "%s answers", w.manager.name())
	}

	path := s.collector()
	if path == "" {
		found, err := w.findCollector("")
		if err != nil {
			add("collector", "fail", reinstall+" --collector PATH", "%v", err)
		}
		path = found
	}
	if path != "" {
		switch why, certain := whyNotRun(path, w.platform); {
		case certain && executable(path) != nil:
			add("collector", "fail", reinstall, "%s: %v", path, executable(path))
		case certain:
			add("collector", "fail", "", "%s cannot be run: %s", path, why)
		case whyPathWontLast(path) != "":
			add("collector", "warn", reinstall+" --collector PATH", "%s may not last: %s", path, whyPathWontLast(path))
		case f.why == binaryReplaced:
			add("collector", "warn", restartIt, "%s", f.why)
		default:
			add("collector", "ok", "", "%s", path)
		}
	}

	foreign := foreignDefinition(w.manager, s)
	cure := func(fix string) string { // install and restart refuse a definition that is not theirs
		if foreign != nil {
			return fixOf(foreign)
		}
		return fix
	}
	switch {
	case s.file.err != nil:
		add("definition", "fail", "", "%v", s.file.err)
	case s.phase == notInstalled && s.vendor():
		add("definition", "fail", reinstall, "not installed: %s came with a package and is not enabled", s.loaded)
	case s.phase == notInstalled && s.file.link == "":
		add("definition", "fail", reinstall, "not installed: there is no %s", s.file.path)
	case foreign != nil:
		add("definition", "fail", fixOf(foreign), "%v", foreign)
	case s.loadError != "":
		add("definition", "fail", s.repair(), "%s", s.loadError)
	case f.err == nil && !s.file.exists && !s.vendor():
		add("definition", "fail", reinstall, "%s is gone, though the service is loaded", s.file.path)
	case f.err != nil:
		add("definition", "unknown", "", "%s is there; whether it is loaded cannot be found out", s.file.path)
	case s.stale:
		add("definition", "warn", restartIt, "%s has changed since it was loaded", s.loaded)
	case f.why != "" && f.why != binaryReplaced:
		add("definition", "warn", restartIt, "%s", f.why)
	case s.loaded == "":
		add("definition", "warn", restartIt, "%s is not loaded", s.file.path)
	default:
		add("definition", "ok", "", "%s is loaded", s.loaded)
	}

	installed := s.phase != notInstalled
	switch {
	case s.enabled == nil || f.err != nil:
		add("enabled", "unknown", "", "whether the service starts at login cannot be found out")
	case *s.enabled:
		add("enabled", "ok", "", "starts at login")
	case s.static:
		add("enabled", "warn", "", "does not start at login: the unit has no [Install] section")
	default:
		add("enabled", "warn", cure(reinstall), "does not start at login")
	}

	switch {
	case f.err != nil:
		add("process", "unknown", "", "whether the service runs cannot be found out")
	case s.phase == running && s.restarts != nil && *s.restarts > 0:
		add("process", "warn", "runtimescope service logs", "running (PID %d), restarted %s after it failed", s.pid, count(*s.restarts, "time"))
	case s.phase == running:
		add("process", "ok", "", "running (PID %d) for %s", s.pid, duration(f.age))
	case s.phase == starting:
		add("process", "warn", "", "starting")
	case s.phase == stopped && s.pid != 0:
		add("process", "warn", "", "stopping (PID %d)", s.pid)
	case s.phase == stopped:
		add("process", "warn", cure("runtimescope service start"), "stopped")
	case installed:
		summary := string(s.phase) + ": " + w.manager.next(s)
		if e := s.lastExit; e != nil {
			summary = fmt.Sprintf("%s, last exit %s: %s", s.phase, w.manager.exitName(*e), w.manager.next(s))
			if why := w.manager.whyNever(path); w.manager.never(*e) && why != "" {
				summary += "; " + why
			}
		}
		fix := "runtimescope service logs"
		if s.result == "start-limit-hit" { // it had ended cleanly, only too often
			fix = cure("runtimescope service start")
		}
		add("process", "fail", fix, "%s", summary)
	default:
		add("process", "fail", cure(reinstall), "not installed, so not running")
	}

	url := collectorURL(f.ports.http)
	switch {
	case f.answer == nil && f.own.foreign != nil && f.err != nil:
		add("ready", "unknown", "", "%s is answered by %s; whether that is the service cannot be found out", url, f.own.foreign)
	case f.answer == nil && f.own.foreign != nil:
		add("ready", "fail", "", "%s is answered by %s, not by the service", url, f.own.foreign)
	case f.answer == nil && f.own.doubt != "":
		add("ready", "warn", "", "%s/readyz answers — unverified: %s", url, f.own.doubt)
	case f.answer == nil:
		add("ready", "ok", "", "%s/readyz answers", url)
	case s.phase == running || s.phase == starting || f.err != nil && s.file.exists:
		add("ready", "fail", "runtimescope service logs", "%s/readyz: %v", url, f.answer)
	default:
		add("ready", "unknown", "", "nothing runs that could answer on %s", url)
	}
	w.checkPorts(ctx, f, add)

	if files, ok := w.manager.(launchd); ok {
		checkLogs(files.logFiles(), add)
		return all
	}
	switch linger := w.manager.linger(); {
	case linger == nil:
		add("linger", "unknown", "", "whether the service keeps running after logout cannot be found out")
	case *linger:
		add("linger", "ok", "", "the service keeps running after logout")
	default:
		add("linger", "warn", "sudo loginctl enable-linger $USER", "the service ends when the user logs out")
	}
	return all
}

// checkEnvironment compares the RUNTIMESCOPE_* variables of this shell with what the service has. Their values are
// not shown: some are secrets.
func (w *app) checkEnvironment(f finding, add func(id, status, fix, format string, a ...any)) {
	env, err := envPorts(w.getenv)
	if err != nil {
		add("environment", "fail", "unset "+strings.Fields(err.Error())[0], "%s is set to what is no port", strings.Fields(err.Error())[0])
		return
	}
	var other []string
	for _, word := range w.environ {
		name, _, _ := strings.Cut(word, "=")
		switch {
		case !strings.HasPrefix(name, "RUNTIMESCOPE_"):
		case name == httpPortEnv && (env.http == 0 || env.http == f.ports.http):
		case name == wsPortEnv && (env.ws == 0 || env.ws == f.ports.ws):
		case name != httpPortEnv && name != wsPortEnv && slices.Contains(f.state.unitEnv, word):
		default:
			other = append(other, name)
		}
	}
	if len(other) > 0 {
		add("environment", "warn", "runtimescope service install takes over the ports; the rest belongs into a drop-in or a configuration file",
			"set in this shell, but not so in the service: %s", strings.Join(other, ", "))
		return
	}
	add("environment", "ok", "", "no RUNTIMESCOPE_* variable of this shell differs from the service's")
}

func (w *app) checkPorts(ctx context.Context, f finding, add func(id, status, fix, format string, a ...any)) {
	same := f.ports
	if next := f.state.servicePorts(); next.http == next.ws && f.state.phase != notInstalled {
		same = next
	}
	if same.http == same.ws {
		add("ports", "fail", fmt.Sprintf("%s=%d %s=%d runtimescope service install", httpPortEnv, defaultHTTPPort, wsPortEnv, defaultWSPort), "both ports are %d", same.http)
		return
	}
	free := 0
	for i, port := range []int{f.ports.http, f.ports.ws} {
		who, err := w.processes.holders(ctx, port)
		if err != nil {
			add("ports", "unknown", "", "who holds port %d cannot be found out: %v", port, err)
			return
		}
		holders := who(f.state.pid)
		for _, h := range holders {
			switch {
			case w.mayBeOurs(h, f.state):
				add("ports", "unknown", "", "port %d is held by %s; whether that is the service cannot be found out", port, h)
				return
			case !w.inTheWay(ctx, h, port, f.state):
			case f.err != nil: // whose process that is, only the manager knows
				add("ports", "unknown", "", "port %d is held by %s; whether that is the service cannot be found out", port, h)
				return
			default:
				err := h.refusal(port, []string{httpPortEnv, wsPortEnv}[i])
				add("ports", "fail", fixOf(err), "%v", err)
				return
			}
		}
		if len(holders) == 0 {
			free++
		}
	}
	switch {
	case free == 0:
		add("ports", "ok", "", "%d and %d are held by the service", f.ports.http, f.ports.ws)
	case f.state.phase == running:
		add("ports", "warn", "runtimescope service restart", "the service does not hold both %d and %d", f.ports.http, f.ports.ws)
	default:
		add("ports", "ok", "", "%d and %d are free for the service", f.ports.http, f.ports.ws)
	}
}

// checkLogs looks at the size of the log files, which launchd never bounds.
func checkLogs(paths []string, add func(id, status, fix, format string, a ...any)) {
	var total int64
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		total += info.Size()
		if info.Size() > logLimit {
			add("logs", "warn", "runtimescope service restart", "%s has grown to %s", path, size(info.Size()))
			return
		}
	}
	add("logs", "ok", "", "the log files are %s", size(total))
}

// fixOf is the one command that an error knows.
func fixOf(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.fix
	}
	return ""
}
