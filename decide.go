// The decision: from a snapshot and a request to what is done, or why it is not. Pure: it reads no disk and runs nothing.
package main

import (
	"path/filepath"
	"strings"
)

type verb string

const (
	look      verb = "" // status, doctor and dashboard: nothing is changed
	install   verb = "install"
	update    verb = "update"
	restart   verb = "restart"
	stop      verb = "stop"
	ensure    verb = "ensure" // install, unless the service is running or starting already: what dashboard needs
	uninstall verb = "uninstall"
)

// A request is a command and its flags.
type request struct {
	verb      verb
	collector string   // by --collector
	env       []string // by --env: NAME=VALUE, or NAME, which is to be taken away
	checks    bool     // doctor: everything is asked
	shellPort bool     // dashboard: the port of this shell comes before that of the service
	locked    bool     // nobody else changes the service meanwhile
}

// readyPort is the port on which a request wants to know what answers.
func (r request) readyPort(s snapshot) int {
	if r.shellPort {
		return s.shell.ports.or(s.live()).http
	}
	return s.live().http
}

// asks tells whether the manager is asked for its surroundings: before a write, and where a state does not say everything.
func (r request) asks(s snapshot) bool {
	switch {
	case s.silent != nil:
		return false
	case r.verb == install, r.verb == update, r.verb == ensure, r.checks:
		return true
	case r.verb != look:
		return r.verb == restart && s.state.gone()
	}
	st := s.state
	return st.enabled == nil || st.phase != running || st.loadError != "" || st.failedBefore() ||
		st.loaded != st.file.path || st.livePorts() != st.servicePorts()
}

// A decision is what a command does. Where refused is not nil nothing is done.
type decision struct {
	snapshot snapshot
	problems []problem
	verb     verb // which plan is carried out; look: none
	refused  *problem
	target   definition // what the service runs afterwards
	asked    ports      // by the variables of this shell, where the verb goes by them
	text     string     // the definition to write, "" where none is
	plan     plan
}

// decide says what a request does to the machine of a snapshot.
func decide(m serviceManager, s snapshot, r request) decision {
	d := decision{snapshot: s, problems: diagnose(s, m.judgements()), target: targetOf(s, r), verb: plannedVerb(s, r)}
	if r.verb == install || r.verb == update || r.verb == ensure {
		d.asked = s.shell.ports
	}
	if p := blockerOf(d.problems, effectsOf(s, r), ""); p != nil {
		refused := *p
		if blocker := blockerOf(d.problems, writes, p.id); p.id == "not-installed" && blocker != nil { // nor can it be installed
			refused.details = []string{blocker.summary}
		}
		d.refused = &refused
		return d
	}
	asPackaged := s.state.vendor() && !s.state.untilBoot && s.inUse(d.target) // a package's definition says what we would say
	if effectsOf(s, r)&writes != 0 && !asPackaged {
		text, err := m.render(writtenOf(s, d.target))
		if err != nil {
			p := fromError(err, writes)
			p.id, p.check = "collector-path", "collector"
			d.refused = &p
			return d
		}
		d.text = text
	}
	if d.verb != look {
		d.plan = m.plan(d.verb, s, d.text)
	}
	return d
}

// targetOf is what the service runs after a request. What a package or a drop-in names stays where it is the same file.
func targetOf(s snapshot, r request) definition {
	present := definition{collector: s.state.collector(), ports: s.state.servicePorts(), env: s.state.file.definition.env}
	found := s.candidate.path
	switch {
	case r.verb != install && r.verb != update && r.verb != ensure,
		r.verb == ensure && s.serving() && s.wanted() == present.ports: // it only has to be waited for
		return present
	case r.verb == ensure && s.installed.err == nil && s.installed.path != "" && s.state.loadError == "", // which must not move the service
		r.verb == update && r.collector == "" && s.installed.stays() && s.state.phase != notInstalled && s.state.loadError == "",
		found == s.state.file.definition.collector && s.state.overridden() && r.collector == "",
		s.state.vendor() && s.sameProgram: // /bin is /usr/bin
		found = present.collector
	}
	d := definition{collector: found, ports: s.wanted(), env: present.env}
	d.setVariables(r.env...)
	if s.state.wrapped() && found == present.collector && !s.inUse(d) {
		d.collector = s.candidate.path
	}
	return d
}

// stays tells whether update leaves the service on a program: one that can be run, under a name that is not that of one version.
func (p programFacts) stays() bool {
	return filepath.IsAbs(p.path) && p.err == nil && !p.certain && !strings.Contains(p.wontLast, "version")
}

// serving tells whether the service runs on what is on disk, or is about to.
func (s snapshot) serving() bool {
	return (s.state.phase == running || s.state.phase == starting) && !s.state.empty && s.restartReason() == ""
}

// inUse tells whether a definition is the one that the service has.
func (s snapshot) inUse(d definition) bool {
	return d == definition{collector: s.state.collector(), ports: s.state.servicePorts(), env: s.state.file.definition.env}
}

// effectsOf are the effects of a request: what it must be free to do.
func effectsOf(s snapshot, r request) effects {
	st, target := s.state, targetOf(s, r)
	switch r.verb {
	case stop:
		if st.phase != notInstalled && st.gone() && !st.loadedIdle {
			return 0
		}
		return stops
	case uninstall:
		if st.leftover() == "" && (st.phase == notInstalled || st.masked && st.gone() && !st.file.exists) { // a mask is not ours
			return 0
		}
		return removes
	case update:
		switch {
		case st.phase == notInstalled, st.otherHome != "", s.shell.badPort != "":
			return starts
		case !s.inUse(target): // else a definition that was edited by hand is kept
			return writes
		case s.upToDate():
			return 0
		}
		return starts
	case ensure:
		switch {
		case s.serving() && s.inUse(target):
			return 0
		case s.state.wrapped() && s.inUse(target): // what it is told to run is kept
			return starts
		}
		return writes
	}
	return map[verb]effects{restart: starts, install: writes}[r.verb]
}

// upToDate tells whether the service runs what is on disk, or is stopped and so will.
func (s snapshot) upToDate() bool {
	return s.state.phase == stopped || s.state.phase == running && s.serving()
}

// plannedVerb is the plan that carries a request out; look: none.
func plannedVerb(s snapshot, r request) verb {
	e := effectsOf(s, r)
	switch {
	case e == 0:
		return look
	case (r.verb == update || r.verb == ensure) && e == starts:
		return restart
	case r.verb == update, r.verb == ensure:
		return install
	}
	return r.verb
}

// writtenOf is the definition to write for a target: one whose collector a drop-in overrides goes on naming its own.
func writtenOf(s snapshot, target definition) definition {
	own := s.state.file.definition.collector
	if s.state.overridden() && target.collector == s.state.collector() && filepath.IsAbs(own) {
		target.collector = own
	}
	return target
}
