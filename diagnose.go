// The diagnosis: which problems a snapshot shows, one small function a kind. This is the only place that judges the machine.
// All of it is pure: it sees the snapshot and nothing else.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// effects are what a command does to the machine; a problem blocks effects, not commands.
type effects uint8

const (
	writes     effects = 1 << iota // writes the definition, and starts the service on it
	starts                         // starts the service on the definition that is there
	stops                          // stops the service
	removes                        // removes the definition
	everything = writes | starts | stops | removes
)

// A severity is how bad a problem is, in the word that doctor uses.
type severity string

const (
	warning severity = "warn"
	failing severity = "fail"
)

// A problem is one thing that is wrong. fix is a command that cures it, as it stands in sh; advice is for a person.
type problem struct {
	id          string
	check       string // the check of doctor that it belongs to
	severity    severity
	summary     string
	details     []string // more lines, for a refusal
	fix, advice string
	install     string // an install that helps, too, in words; it holds only where install is not refused for another reason
	blocks      effects
}

// help is what to do about a problem: a command, words, or either; "" when nothing is known that helps.
func (p problem) help() string {
	ways := slices.DeleteFunc([]string{p.fix, p.advice, p.install}, func(way string) bool { return way == "" })
	return strings.Join(ways, ", or ")
}

// A kind is one thing that can be wrong.
type kind struct {
	id    string // "port-held"; it stays, since scripts know it
	check string
	find  func(snapshot) (problem, bool)
}

// A check is one thing that doctor looks at. Where none of its kinds holds, evidence says what was found.
type check struct {
	id       string
	evidence func(snapshot) (known bool, text string)
}

// judgements are the checks and kinds of one manager.
type judgements struct {
	checks []check
	kinds  []kind
}

// The commands of this tool that a fix may name.
const (
	installCommand = "runtimescope service install"
	restartCommand = "runtimescope service restart"
	startCommand   = "runtimescope service start"
	logsCommand    = "runtimescope service logs"
	runCommand     = "runtimescope service run"
	stopCommand    = "runtimescope service stop"
)

// fromError makes a problem of an error, if there is one, and what it knows that helps.
func fromError(err error, blocks effects) problem {
	p := problem{severity: failing, summary: fmt.Sprint(err), blocks: blocks}
	var h *hinted
	if errors.As(err, &h) {
		p.fix, p.advice = h.fix, h.advice
	}
	var f *failure
	if errors.As(err, &f) {
		p.details = f.notes
	}
	return p
}

// diagnose returns the problems in the order of the checks. A fix of ours that another problem blocks gives way to that one's.
func diagnose(s snapshot, own judgements) []problem {
	var found []problem
	for _, k := range slices.Concat(commonKinds(), own.kinds) {
		if p, ok := k.find(s); ok {
			p.id, p.check = k.id, k.check
			found = append(found, p)
		}
	}
	rank := map[string]int{}
	for i, c := range allChecks(own) {
		rank[c.id] = i
	}
	slices.SortStableFunc(found, func(a, b problem) int { return rank[a.check] - rank[b.check] })
	for i := range found {
		p := &found[i]
		if slices.ContainsFunc(found, func(q problem) bool { return q.blocks&writes != 0 && q.id != p.id && q.install != p.install }) {
			p.install = ""
		}
	}
	for range found { // what helps against a blocker may be blocked itself
		for i := range found {
			p := &found[i]
			if blocker := blockerOf(found, commandEffects(p.fix), p.id); blocker != nil {
				p.fix, p.advice, p.install = blocker.fix, blocker.advice, blocker.install
			}
		}
	}
	return found
}

// blockerOf is the first problem that blocks one of these effects, but for the one with this id.
func blockerOf(found []problem, e effects, but string) *problem {
	for i := range found {
		if found[i].blocks&e != 0 && found[i].id != but {
			return &found[i]
		}
	}
	return nil
}

// commandEffects are the effects of a fix that is a command of ours; none for all others.
func commandEffects(fix string) effects {
	switch {
	case strings.Contains(fix, installCommand): // with ports before it, or --env after it, perhaps
		return writes
	case fix == restartCommand, fix == startCommand:
		return starts
	case fix == stopCommand:
		return stops
	}
	return 0
}

// commonChecks are the checks that both managers have, in the order in which they are told.
func commonChecks() []check {
	return []check{
		{"environment", func(snapshot) (bool, string) {
			return true, "no RUNTIMESCOPE_* variable in this shell differs from the service's"
		}},
		{"manager", func(s snapshot) (bool, string) { return true, s.names.name + " answers" }},
		{"collector", func(s snapshot) (bool, string) {
			return true, cmp.Or(s.state.command(), s.installed.path, s.candidate.path)
		}},
		{"definition", func(s snapshot) (bool, string) {
			return foundOut(s.silent == nil, s.state.loaded+" is loaded", "whether "+s.state.file.path+" is loaded")
		}},
		{"enabled", func(s snapshot) (bool, string) {
			return foundOut(s.state.enabled != nil && s.silent == nil, "starts at login", "whether the service starts at login")
		}},
		{"process", func(s snapshot) (bool, string) {
			return foundOut(s.silent == nil, "running"+inBrackets(s.state.pid)+s.uptimeText(" for "), "whether the service is running")
		}},
		{"ready", readyEvidence},
		{"ports", portsEvidence},
		{"mcp", func(s snapshot) (bool, string) { return s.mcp.path != "", cmp.Or(s.mcp.path, "not looked for") }},
	}
}

// foundOut is what was found, or that a question cannot be answered.
func foundOut(is bool, found, question string) (bool, string) {
	if is {
		return true, found
	}
	return false, "could not check " + question
}

func allChecks(own judgements) []check { return append(commonChecks(), own.checks...) }

func readyEvidence(s snapshot) (bool, string) {
	url := collectorURL(s.ready.port)
	switch {
	case s.answered() && s.owner().foreign != nil:
		return false, fmt.Sprintf("%s is answered by %s; could not check whether that is the service", url, s.owner().foreign)
	case s.answered():
		return foundOut(s.silent == nil, url+"/readyz answers", "whether the service is what answers on "+url+"/readyz")
	}
	return false, "nothing is running that could answer on " + url
}

// portsEvidence says who holds the ports where nobody who is known to be in the way does.
func portsEvidence(s snapshot) (bool, string) {
	var free []string
	for _, port := range []int{s.live().http, s.live().ws} {
		f := s.ports[port]
		if f.err != nil {
			return false, fmt.Sprintf("could not check who holds port %d: %v", port, f.err)
		}
		for _, h := range f.holders {
			if h.conflict(f, s.state, s.shell.uid) && s.silent != nil || h.maybeService(s.state, s.shell.uid) {
				return false, fmt.Sprintf("port %d is held by %s; could not check whether that is the service", port, h)
			}
		}
		if len(f.holders) == 0 {
			free = append(free, strconv.Itoa(port))
		}
	}
	if p := s.live(); free == nil {
		return true, fmt.Sprintf("%d and %d are held by the service", p.http, p.ws)
	}
	return true, "no listener on " + strings.Join(free, " and ")
}

// commonKinds are the kinds of problem that both managers have, in the order in which those of one check are told.
func commonKinds() []kind {
	return []kind{
		{"unsupported", "environment", findUnsupported},
		{"home-invalid", "environment", findHomeInvalid},
		{"sudo", "environment", findSudo},
		{"port-invalid", "environment", findPortInvalid},
		{"ports-differ", "environment", findPortsDiffer},
		{"variables-differ", "environment", findVariablesDiffer},

		{"manager-silent", "manager", findManagerSilent},
		{"definition-unseen", "manager", findDefinitionUnseen},

		{"collector-unusable", "collector", findCollectorUnusable},
		{"collector-missing", "collector", findCollectorMissing},
		{"collector-cannot-run", "collector", findCollectorCannotRun},
		{"collector-path", "collector", findCollectorPath},
		{"collector-temporary", "collector", findCollectorTemporary},
		{"collector-replaced", "collector", findCollectorReplaced},
		{"collector-overridden", "collector", findCollectorOverridden},

		{"definition-unreadable", "definition", findDefinitionUnreadable},
		{"not-installed", "definition", findNotInstalled},
		{"linked", "definition", findLinked},
		{"definition-gone", "definition", findDefinitionGone},
		{"definition-broken", "definition", findDefinitionBroken},
		{"definition-changed", "definition", findDefinitionChanged},
		{"definition-not-loaded", "definition", findDefinitionNotLoaded},

		{"not-enabled", "enabled", findNotEnabled},

		{"not-running", "process", findNotRunning},
		{"crash-looping", "process", findCrashLooping},
		{"failed", "process", findFailed},
		{"stopped", "process", findStopped},
		{"starting", "process", findStarting},
		{"exited", "process", findExited},
		{"restarted", "process", findRestarted},

		{"not-ready", "ready", findNotReady},
		{"other-network", "ready", findOtherNetwork},
		{"ready-unknown", "ready", findReadyUnknown},
		{"answered-by-other", "ready", findAnsweredByOther},
		{"unverified", "ready", findUnverified},

		{"ports-same", "ports", findPortsSame},
		{"port-held", "ports", findPortHeld},
		{"port-unheld", "ports", findPortUnheld},
		{"exposed", "ports", findExposed},

		{"mcp-missing", "mcp", findMCPMissing},
	}
}

// none is the answer of a kind that does not hold.
func none() (problem, bool) { return problem{}, false }

func findUnsupported(s snapshot) (problem, bool) {
	return problem{severity: failing, summary: "Platform '" + s.shell.platform + "' is not supported (macOS launchd / Linux systemd only).",
		fix: runCommand, blocks: everything}, !s.shell.supported
}

func findHomeInvalid(s snapshot) (problem, bool) {
	return problem{severity: failing, blocks: everything,
			summary: fmt.Sprintf("HOME is %q: it must be set to an absolute path", s.shell.home)},
		!filepath.IsAbs(s.shell.home)
}

func findSudo(s snapshot) (problem, bool) {
	p := problem{severity: failing, summary: "this is a per-user service: run it without sudo", fix: s.shell.commandLine, blocks: everything}
	if strings.Contains(p.fix, "…") { // a value that is not told
		p.fix, p.advice = "", p.fix
	}
	return p, s.shell.sudo
}

func findPortInvalid(s snapshot) (problem, bool) {
	return problem{severity: failing, summary: s.shell.badPort + " is not a valid port: it must be a number from 1 to 65535",
		fix: "unset " + s.shell.badPort, blocks: writes | starts}, s.shell.badPort != ""
}

// findPortsDiffer compares the ports of this shell with those of the service, not with those of another collector.
func findPortsDiffer(s snapshot) (problem, bool) {
	p := s.live()
	found := problem{severity: warning, summary: fmt.Sprintf("%s and %s in this shell do not match the service's ports, %d and %d",
		httpPortEnv, wsPortEnv, p.http, p.ws), fix: installCommand}
	if s.state.portsFromDropIn() {
		found.fix, found.advice = "", editDropIns(nil, s.state.dropIns)
	}
	return found, s.state.phase != notInstalled && (s.state.there() || s.state.pid != 0) && s.shell.ports.or(p) != p
}

// findVariablesDiffer names the variables only: some values are secrets.
func findVariablesDiffer(s snapshot) (problem, bool) {
	var names, carried []string
	for _, word := range s.shell.variables {
		name, value, _ := strings.Cut(word, "=")
		has := slices.Concat(s.state.file.definition.variables(), s.state.unitEnv, s.state.processEnv) // its manager may set some
		if name != httpPortEnv && name != wsPortEnv && !slices.Contains(has, word) {
			names = append(names, name)
			if variableName().MatchString(name) && value != "" && utf8.ValidString(value) && uncarried(value) < 0 {
				carried = append(carried, " --env "+name)
			}
		}
	}
	p := problem{severity: warning, summary: "set in this shell but missing or different in the service: " + strings.Join(names, ", ")}
	if len(carried) > 0 {
		p.fix = installCommand + strings.Join(carried, "")
	}
	return p, len(names) > 0
}

func findManagerSilent(s snapshot) (problem, bool) {
	p := fromError(s.silent, everything)
	if p.fix == runCommand && s.state.phase == notInstalled && s.answered() { // it would be refused
		p.fix = ""
	}
	return p, s.silent != nil
}

func findDefinitionUnseen(s snapshot) (problem, bool) {
	return fromError(s.around.err, writes), s.around.err != nil && s.silent == nil && s.state.otherHome == "" // which says more
}

func findCollectorMissing(s snapshot) (problem, bool) {
	p := fromError(s.candidate.err, writes)
	p.install = installCommand + " --collector PATH"
	return p, s.candidate.err != nil && s.candidate.path == ""
}

func findCollectorUnusable(s snapshot) (problem, bool) {
	c := s.installed
	return problem{severity: failing, summary: fmt.Sprintf("cannot use the collector of the service, %s: %v", c.path, c.err),
		fix: installCommand, blocks: starts}, c.path != "" && c.err != nil && s.readable()
}

// readable tells whether the collector's name means the same here as to the manager: no half word, no specifier in it.
func (s snapshot) readable() bool {
	return filepath.IsAbs(s.installed.path) && (s.state.loadError == "" || s.state.program != "")
}

// findCollectorCannotRun looks at the collector of the service, which no start would bring up, and at the one that install takes.
func findCollectorCannotRun(s snapshot) (problem, bool) {
	broken := func(c programFacts) bool { return c.path != "" && c.err == nil && c.certain }
	c, p := s.candidate, problem{severity: failing, advice: "reinstall the collector", install: installCommand + " --collector PATH"}
	if broken(c) {
		p.blocks = writes
	}
	if broken(s.installed) && s.readable() {
		if c = s.installed; p.blocks == 0 {
			p.fix, p.advice, p.install = installCommand, "", ""
		}
		p.blocks |= starts
	}
	p.summary = fmt.Sprintf("%s cannot be run: %s", c.path, c.why)
	return p, p.blocks != 0
}

func findCollectorPath(s snapshot) (problem, bool) {
	return fromError(s.candidate.cannotCarry, writes), s.candidate.cannotCarry != nil
}

func findCollectorTemporary(s snapshot) (problem, bool) {
	c := s.installed
	if c.path == "" {
		c = s.candidate
	}
	return problem{severity: warning, summary: fmt.Sprintf("%s may not last: %s", c.path, c.wontLast),
		install: installCommand + " --collector PATH"}, c.path != "" && c.err == nil && c.wontLast != ""
}

func findCollectorReplaced(s snapshot) (problem, bool) {
	return problem{severity: warning, summary: "Restart needed: the binary has been replaced since it was started",
		fix: restartCommand}, s.restartReason() == collectorReplaced && s.state.there()
}

func findCollectorOverridden(s snapshot) (problem, bool) {
	return problem{severity: warning,
			summary: fmt.Sprintf("The service runs %s, set by a drop-in of the %s (%s)", s.state.program, s.names.definition, s.names.show)},
		s.state.overridden()
}

// A restartReason is why the running process is not what is on disk; "" when it is.
type restartReason string

const (
	definitionReplaced restartReason = "the definition has changed since it was loaded"
	startedBefore      restartReason = "the definition has changed since the collector was started"
	collectorReplaced  restartReason = "the binary has been replaced since it was started"
)

func (s snapshot) restartReason() restartReason {
	switch {
	case s.state.pid == 0 && s.process.pid == 0:
		return ""
	case s.state.stale:
		return definitionReplaced
	case s.process.definitionChanged:
		return startedBefore
	case s.process.replaced:
		return collectorReplaced
	}
	return ""
}

func findDefinitionUnreadable(s snapshot) (problem, bool) {
	return fromError(s.state.file.err, writes|starts|removes), s.state.file.err != nil
}

func findNotInstalled(s snapshot) (problem, bool) {
	st := s.state
	p := problem{severity: failing, summary: "not installed: there is no " + st.file.path, fix: installCommand, blocks: starts | stops}
	if st.vendor() {
		p.summary = "not installed: " + st.loaded + " " + st.provider() + " and is not enabled"
	}
	return p, st.phase == notInstalled && st.file.err == nil && !st.masked && st.file.link == ""
}

func findLinked(s snapshot) (problem, bool) {
	f := s.state.file
	p := problem{severity: failing, summary: fmt.Sprintf("%s is a symlink to %s, so something else manages it", f.path, f.link),
		advice: "change it there, or remove the link", blocks: writes}
	if f.dangling {
		p.summary, p.blocks = fmt.Sprintf("%s is a dangling symlink to %s", f.path, f.link), writes|starts
	} else if name := filepath.Base(f.link); s.names.unit != "" && name != s.names.unit && strings.HasSuffix(name, ".service") { // by Alias=
		p.summary = fmt.Sprintf("%s is an alias of %s (%s)", s.names.unit, name, f.link)
		p.fix, p.advice = "systemctl --user disable --now "+quoteArgv([]string{name}), "change it there"
	}
	return p, f.link != "" && !s.state.masked
}

func findDefinitionGone(s snapshot) (problem, bool) {
	st := s.state
	return problem{severity: failing, summary: fmt.Sprintf("the %s of the service is gone: %s", s.names.definition, st.file.path),
			fix: installCommand, blocks: starts},
		s.silent == nil && st.phase != notInstalled && !st.there() && st.file.link == "" && !st.masked &&
			st.otherHome == "" && !st.transient && !s.process.otherMounts
}

// findDefinitionBroken lets a restart go on where the file, or a drop-in that is the cause, may have been repaired since.
func findDefinitionBroken(s snapshot) (problem, bool) {
	st := s.state
	p := problem{severity: failing, summary: st.loadError, fix: installCommand}
	if len(st.dropIns) > 0 && st.file.ours { // so it is not the file
		guilty := slices.DeleteFunc(slices.Clone(st.dropIns), func(path string) bool { return !slices.Contains(s.around.guilty, path) })
		p.fix, p.advice, p.blocks = "", editDropIns(guilty, st.dropIns), writes
	} else if !st.stale {
		p.blocks = starts
	}
	return p, st.loadError != ""
}

// editDropIns names those of all drop-ins that are guilty; where nobody knows which, all, or where they are.
func editDropIns(guilty, all []string) string {
	if len(guilty) == 0 {
		guilty = all
		if own := ownDropIns(all); len(own) > 0 {
			guilty = own
		}
	}
	if len(guilty) <= 3 {
		return "edit or remove " + strings.Join(guilty, ", ")
	}
	return fmt.Sprintf("edit or remove %s and the %d others shown by systemctl --user cat %s", guilty[0], len(guilty)-1, unitName)
}

// ownDropIns are those of this unit alone, not those of a distribution for all services (service.d).
func ownDropIns(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(path string) bool { return filepath.Base(filepath.Dir(path)) == "service.d" })
}

// portsFromDropIn tells whether a drop-in sets the ports: a definition that install writes would not change them.
func (s state) portsFromDropIn() bool {
	return len(s.dropIns) > 0 && !s.stale && s.servicePorts() != s.file.definition.ports.orDefault()
}

func findDefinitionChanged(s snapshot) (problem, bool) {
	why := s.restartReason()
	if why == "" && s.state.stale {
		why = definitionReplaced
	}
	return problem{severity: warning, summary: "Restart needed: " + string(why), fix: restartCommand},
		why != "" && why != collectorReplaced && s.state.there() && s.state.loadError == ""
}

func findDefinitionNotLoaded(s snapshot) (problem, bool) {
	st := s.state
	return problem{severity: warning, summary: st.file.path + " is not loaded", fix: restartCommand},
		s.silent == nil && st.phase != notInstalled && st.loaded == "" && st.there() && !st.masked && st.file.err == nil && !st.stale
}

func findNotEnabled(s snapshot) (problem, bool) {
	p := problem{severity: warning, summary: "does not start at login", fix: installCommand, advice: s.names.switchOn}
	if s.state.transient {
		p.summary, p.fix = "does not start at login: it is transient", ""
	}
	if s.state.static {
		p.summary, p.fix = "does not start at login: the unit has no [Install] section", ""
	}
	return p, s.silent == nil && s.state.enabled != nil && !*s.state.enabled
}

func findNotRunning(s snapshot) (problem, bool) {
	return problem{severity: failing, summary: "not installed, so not running", fix: installCommand},
		s.silent == nil && s.state.phase == notInstalled
}

// ended says how the service ended last, and what comes of it.
func (s snapshot) ended() string {
	st := s.state
	text := string(st.phase)
	if how, _ := st.exit(startLog{}); st.lastName != "" {
		text += ", last exit " + how
	}
	return cmp.Or(st.isolated, text+": "+st.next)
}

func findCrashLooping(s snapshot) (problem, bool) {
	return problem{severity: failing, summary: s.ended(), fix: logsCommand},
		s.silent == nil && s.state.phase == crashLooping && s.state.deferred == ""
}

// findFailed has the start as its fix where the program itself had ended cleanly, only too often.
func findFailed(s snapshot) (problem, bool) {
	p := problem{severity: failing, summary: s.ended(), fix: logsCommand}
	if s.state.startLimit {
		p.fix = startCommand
	}
	return p, s.silent == nil && (s.state.phase == failed || s.state.phase == unknown)
}

func findStopped(s snapshot) (problem, bool) {
	p := problem{severity: warning, summary: "stopped", fix: startCommand}
	if s.state.skipped != "" { // and would be again
		p.summary, p.fix, p.advice = "stopped: a condition of its unit is not met", "", "see its "+s.state.skipped+" lines: "+s.names.show
	}
	if broken, ok := findDefinitionBroken(s); ok { // a start fails
		p.fix, p.advice = broken.fix, broken.advice
	}
	if s.state.pid != 0 || s.state.ending {
		p.summary, p.fix, p.advice = "stopping"+inBrackets(s.state.pid), "", ""
	}
	return p, s.silent == nil && s.state.phase == stopped && s.state.deferred == ""
}

// findExited finds what systemd calls active though no process of it is left.
func findExited(s snapshot) (problem, bool) {
	return problem{severity: failing, summary: s.state.rawState + ": no process of it runs", fix: restartCommand},
		s.silent == nil && s.state.phase == running && s.state.empty
}

// inBrackets names a main process where there is one.
func inBrackets(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (PID %d)", pid)
}

func findStarting(s snapshot) (problem, bool) {
	return problem{severity: warning, summary: "starting"}, s.silent == nil && s.state.phase == starting
}

func findRestarted(s snapshot) (problem, bool) {
	st := s.state
	if s.silent != nil || st.phase != running || st.restarts == nil || *st.restarts == 0 {
		return none()
	}
	return problem{severity: warning,
		summary: fmt.Sprintf("running%s, restarted %s after it failed", inBrackets(st.pid), count(*st.restarts, "time")),
		fix:     logsCommand}, true
}

func findNotReady(s snapshot) (problem, bool) {
	up := s.state.phase == running || s.state.phase == starting || s.silent != nil && s.state.file.exists
	return problem{severity: failing, summary: fmt.Sprintf("%s/readyz: %v", collectorURL(s.ready.port), s.ready.err), fix: logsCommand},
		s.ready.port != 0 && s.ready.err != nil && up && s.unaskable() == ""
}

// findReadyUnknown finds a collector that cannot be asked.
func findReadyUnknown(s snapshot) (problem, bool) {
	return problem{severity: warning, summary: "running; readiness cannot be checked: " + s.unaskable()},
		s.unaskable() != "" && !s.process.otherNetwork
}

// findOtherNetwork refuses to replace a collector whose successor could not be seen to serve.
func findOtherNetwork(s snapshot) (problem, bool) {
	return problem{severity: failing, summary: "running; readiness cannot be checked: " + s.unaskable(),
		advice: "run this outside the sandbox or container",
		blocks: writes | starts}, s.process.otherNetwork && s.unaskable() != ""
}

// findExposed tells names only, and takes back what only an install can have set.
func findExposed(s snapshot) (problem, bool) {
	once := map[bool]string{false: " once it runs"}[s.state.phase == running]
	p := problem{severity: warning, summary: "the network reaches the collector" + once + " (" + hostEnv + "), with a token"}
	if s.state.variable(tokenEnv) == "" {
		p.summary = "the network reaches the collector" + once + " (" + hostEnv + "), and no token (" + tokenEnv + ") is set"
	}
	file := state{file: s.state.file}
	if file.exposed() && len(ownDropIns(s.state.dropIns)) == 0 {
		p.fix = installCommand + " --env " + hostEnv + "="
	} else if len(s.state.dropIns) > 0 {
		p.advice = editDropIns(nil, s.state.dropIns)
	}
	return p, s.state.phase != notInstalled && s.state.exposed()
}

func findAnsweredByOther(s snapshot) (problem, bool) {
	if !s.answered() || s.silent != nil && s.state.phase != notInstalled || s.owner().foreign == nil {
		return none()
	}
	p := problem{}
	if h, ok := s.portConflict(s.ready.port); ok && s.silent == nil {
		p = h.refusal(s.ready.port, s.onOtherPorts(httpPortEnv), s.names.unit)
	}
	p.summary, p.severity = fmt.Sprintf("%s is answered by %s, not by the service", collectorURL(s.ready.port), s.owner().foreign), failing
	return p, true
}

func findUnverified(s snapshot) (problem, bool) {
	doubt := s.owner().doubt
	return problem{severity: warning, summary: fmt.Sprintf("%s/readyz answers — unverified: %s", collectorURL(s.ready.port), doubt)},
		s.answered() && doubt != ""
}

// findPortsSame looks at the ports that the service is to have, and at those that install would give it.
func findPortsSame(s snapshot) (problem, bool) {
	next := s.state.servicePorts()
	if s.state.phase == notInstalled {
		next = s.wanted()
	}
	p := problem{severity: failing, blocks: writes | starts,
		summary: fmt.Sprintf("%s and %s are both %d: they must differ", httpPortEnv, wsPortEnv, next.http),
		fix:     fmt.Sprintf("%s=%d %s=%d %s", httpPortEnv, defaultHTTPPort, wsPortEnv, defaultWSPort, installCommand)}
	if s.state.portsFromDropIn() {
		p.fix, p.advice = "", editDropIns(nil, s.state.dropIns)
	} else if !s.defaultsWork() {
		p.fix, p.advice = "", "set them to two ports that are free"
	}
	if next.http != next.ws && s.wanted().http == s.wanted().ws {
		p.blocks, p.summary = writes, fmt.Sprintf("%s and %s are both %d: they must differ", httpPortEnv, wsPortEnv, s.wanted().http)
		return p, true
	}
	if s.wanted().http != s.wanted().ws {
		p.blocks = starts
	}
	return p, next.http == next.ws
}

// defaultsWork tells whether the service could have the default ports: nobody else holds them, and the manager hands on no others.
func (s snapshot) defaultsWork() bool {
	_, http := s.portConflict(defaultHTTPPort)
	_, ws := s.portConflict(defaultWSPort)
	return !http && !ws && s.around.inherited.orDefault() == ports{}.orDefault()
}

// findPortHeld names the first holder of a port that keeps the service from it.
func findPortHeld(s snapshot) (problem, bool) {
	if s.silent != nil { // whose process that is, only the manager knows
		return none()
	}
	uses := []struct {
		p      ports
		blocks effects
	}{{s.state.servicePorts(), starts}, {s.wanted(), writes}, {s.live(), 0}}
	if s.state.phase == notInstalled {
		uses = uses[1:]
	}
	var first problem
	for _, use := range uses {
		for i, port := range []int{use.p.http, use.p.ws} {
			h, ok := s.portConflict(port)
			if !ok {
				continue
			}
			p := h.refusal(port, s.onOtherPorts([]string{httpPortEnv, wsPortEnv}[i]), s.names.unit)
			if first.summary == "" {
				first = p
			}
			first.blocks |= use.blocks
			break
		}
	}
	return first, first.summary != ""
}

// findPortUnheld finds a running service that lacks one of its ports.
func findPortUnheld(s snapshot) (problem, bool) {
	p := s.live()
	if s.silent != nil || s.state.phase != running || s.process.otherNetwork {
		return none()
	}
	for _, port := range []int{p.http, p.ws} {
		if f := s.ports[port]; f.err == nil && len(f.holders) == 0 {
			return problem{severity: warning, fix: restartCommand,
				summary: fmt.Sprintf("the service does not hold both %d and %d", p.http, p.ws)}, true
		}
	}
	return none()
}

// findMCPMissing is no failure: the service does without.
func findMCPMissing(s snapshot) (problem, bool) {
	return problem{severity: warning, summary: "there is no `mcp-server` next to `runtimescope` nor on PATH: `runtimescope mcp` needs it",
		advice: "install RuntimeScope with all its binaries in the same directory"}, s.mcp.err != nil
}

// portConflict is the holder of a port that keeps the service from it.
func (s snapshot) portConflict(port int) (holder, bool) {
	f := s.ports[port]
	for _, h := range f.holders {
		if h.conflict(f, s.state, s.shell.uid) {
			return h, true
		}
	}
	return holder{}, false
}

// onOtherPorts is the command that gives the service free ports; variable names one that is held. "" where a drop-in sets them.
func (s snapshot) onOtherPorts(variable string) string {
	var words []string
	for _, v := range []struct {
		name       string
		want, free int
	}{{httpPortEnv, s.wanted().http, s.free.http}, {wsPortEnv, s.wanted().ws, s.free.ws}} {
		if _, held := s.portConflict(v.want); held {
			words = append(words, fmt.Sprintf("%s=%d", v.name, v.free))
		}
	}
	switch {
	case s.state.portsFromDropIn():
		return ""
	case s.free == ports{}:
		words = []string{variable + "=PORT"}
	}
	return strings.Join(append(words, installCommand), " ")
}

// refusal says who holds a port that the service needs, and what helps. other is a command that gives it other ports, and
// ownUnit is the unit of the service; each is "" where there is none.
func (h holder) refusal(port int, other, ownUnit string) problem {
	p := problem{severity: failing, summary: fmt.Sprintf("port %d is held by %s", port, h)}
	elsewhere := "choose another port: " + other
	if other == "" {
		elsewhere = ""
	}
	if p.fix = h.stop; p.fix == "" { // a kill would only have it started again
		p.fix = fmt.Sprintf("kill %d", cmp.Or(h.parent, h.pid))
	}
	switch {
	case h.unbound != "":
		p.summary, p.fix, p.install = fmt.Sprintf("port %d cannot be bound, though nobody listens there: %s", port, h.unbound), "", elsewhere
	case strings.HasSuffix(h.unit, ".socket"):
		p.summary, p.install = fmt.Sprintf("port %d is held by systemd for %s", port, h.unit), elsewhere
	case h.user != "" && other != "" && !strings.Contains(other, "=PORT"):
		p.fix = other
	case h.pid == 0:
		p.fix, p.advice, p.install = "", fmt.Sprintf("find it with sudo lsof -nP -iTCP:%d -sTCP:LISTEN and stop it", port), elsewhere
	case h.editor:
		p.summary += ": that is the collector inside your editor's plugin"
		p.fix, p.advice = "", "quit the editor"
	case h.unit == ownUnit && !h.system && ownUnit != "": // but not of this start
		p.summary += ": it is left over from an earlier start of the service"
		p.fix = fmt.Sprintf("kill %d", h.pid)
	case h.parent != 0:
		p.summary += fmt.Sprintf(": that is the collector of `runtimescope service run` (PID %d)", h.parent)
	case h.collector():
		p.summary += ": that is another collector"
	default:
		p.summary += ", which is not a RuntimeScope collector"
		p.fix, p.advice, p.install = "", fmt.Sprintf("stop PID %d", h.pid), elsewhere
	}
	return p
}
