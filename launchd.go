// launchd: where its agent's plist is, what launchctl prints, and which steps a verb takes.
// It writes nothing. systemd.go is its mirror image; the text of the plist is in launchd_plist.go.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	label       = "com.runtimescope.collector"
	binaryPlist = "bplist00" // how a property list of the other format begins (plist(5))
	loginItems  = "switch it on in System Settings › General › Login Items & Extensions"
)

// logLimit is the size in bytes above which install and restart empty a log file of launchd, which never does.
const logLimit = 10 << 20

// A launchd is the launchd of one user.
type launchd struct {
	home, user string
	uid        int
	returns    time.Duration // that a job has to be loaded once more, after a bootstrap that puts it back
}

func (m launchd) names() managerNames {
	return managerNames{
		name: "launchd", definition: "plist", path: filepath.Join(m.home, "Library/LaunchAgents", label+".plist"), pathLabel: "Plist:",
		upLabel: "Service running", logs: m.logs(), logsLabel: "Logs: ", logFiles: m.logFiles(), sessionEnd: "launchd ends it with the session",
		switchOn: loginItems,
	}
}

func (m launchd) path() string { return m.names().path }

func (m launchd) logs() string { return filepath.Join(m.home, ".runtimescope/logs") }

// logFiles are where launchd appends what the collector writes: standard error, where it logs, then standard output.
func (m launchd) logFiles() []string {
	return []string{filepath.Join(m.logs(), "collector.err.log"), filepath.Join(m.logs(), "collector.out.log")}
}

func launchctl(args ...string) []string { return append([]string{"launchctl"}, args...) }

// domain is where the agent belongs; a job that an older tool loaded over ssh may be in the user domain instead.
func (m launchd) domain() string { return "gui/" + strconv.Itoa(m.uid) }

// state asks launchd: "list", which everything rests on, and "print", whose text is no interface and may be missing.
func (m launchd) state(ctx context.Context, run Runner) (state, error) {
	listed, listErr := run.Run(ctx, launchctl("list", label)...)
	if code := exitCode(listErr); code != 0 && code != 113 {
		return state{phase: unknown}, m.unreachable(listErr)
	}
	domain := m.domain()
	printed, err := run.Run(ctx, launchctl("print", domain+"/"+label)...)
	var noSession error // at the screen; then no agent can be loaded
	if noDomain(err) {
		noSession = m.unreachable(err)
	}
	switch {
	case listErr != nil && noSession != nil:
		return state{phase: unknown}, noSession
	case listErr != nil && err != nil:
		return state{phase: notInstalled, rawState: "not loaded", domain: domain,
			next: "launchd no longer has the job", logFault: m.logFault()}, nil
	case err != nil: // loaded, but not there
		user := "user/" + strconv.Itoa(m.uid)
		if printed, err = run.Run(ctx, launchctl("print", user+"/"+label)...); err != nil {
			printed = ""
		} else {
			domain = user
		}
	}
	said := listed
	if !strings.HasPrefix(strings.TrimSpace(listed), "{") {
		listed = ""
	}
	if listed+printed == "" {
		return state{phase: unknown}, fmt.Errorf("unexpected output from launchctl list: %q", shorten(said, 200))
	}
	s := parseJobState(listed, printed)
	s.domain, s.noSession, s.logFault = domain, noSession, m.logFault()
	switch {
	case s.loaded == "" || s.loaded == m.path() || sameFile(s.loaded, m.path()):
		s.loaded, s.program = m.path(), "" // the file says it
	case strings.HasPrefix(s.loaded, "("): // no file, such as "(submitted by smd.89007)"
		s.loaded = m.path()
	}
	if why := m.unusable(); why != nil {
		s.loadError = why.Error()
	}
	m.explainEnd(&s)
	return s, nil
}

// noDomain tells whether launchctl says that nobody is logged in at the screen.
func noDomain(err error) bool { return exitCode(err) == 112 || exitCode(err) == 125 }

// explainEnd adds why the program ended, or was not run: launchd gives 78 for a log, too, that it cannot open, and a shell
// 126 for a script that macOS keeps it from.
func (m launchd) explainEnd(s *state) {
	text, _ := os.ReadFile(m.path())
	program := cmp.Or(s.program, m.parse(string(text)).collector)
	if s.cause == "" && s.lastExit != nil && s.lastExit.code == 126 && inProtectedFolder(program) {
		s.cause = "tcc"
	}
	if s.cause != "" {
		p := endedByMacOS(s.cause, program)
		s.help, s.lastName = p.help(), cmp.Or(s.lastName, "macOS")+" ("+p.summary+")"
	}
	if s.deferred != "" {
		s.help = startCommand
	}
	if s.notExecuted && s.logFault != nil {
		s.whyNotExecuted = s.logFault.Error()
	} else if s.notExecuted {
		s.whyNotExecuted, _ = whyNotRun(program, "darwin")
	}
}

// endedByMacOS says in words why macOS ended or refused a program, and what helps.
func endedByMacOS(cause, program string) problem {
	switch cause {
	case "codesigning":
		return problem{summary: "its code signature is not valid", fix: "codesign -f -s - " + quoteArgv([]string{program}),
			advice: "put the file back with mv, not cp"}
	case "tcc":
		return problem{summary: "macOS denied it access to files (privacy)", advice: "allow it in System Settings › Privacy & Security › " +
			"Files and Folders, or move it out of Desktop, Documents, Downloads, iCloud and /Volumes"}
	case "dyld":
		return problem{summary: "a library is missing, or it needs a newer macOS", advice: "install a collector that was built for this macOS"}
	case "jetsam":
		return problem{summary: "macOS ran short of memory", fix: startCommand}
	case "memory limit":
		return problem{summary: "it exceeded its memory limit", fix: startCommand}
	}
	return problem{summary: "macOS says " + cause, fix: logsCommand}
}

// unusable says why launchd would refuse the plist that is there (launchctl(1), load); nil when no reason is seen.
func (m launchd) unusable() error {
	info, err := os.Stat(m.path())
	if err != nil {
		return nil
	}
	if owner, ok := fileOwner(info); owner != m.uid && owner != 0 {
		return fmt.Errorf("%s belongs to another user (uid %d, not %d), so launchd refuses it", m.path(), owner, m.uid)
	} else if ok && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is writable by others (mode %#o), so launchd refuses it", m.path(), info.Mode().Perm())
	}
	text, err := os.ReadFile(m.path())
	if err != nil || strings.HasPrefix(string(text), binaryPlist) { // launchd reads that, too
		return err
	} else if _, err := readPlist(string(text)); err != nil {
		return fmt.Errorf("%s is not a well-formed plist: %w", m.path(), err)
	} else if m.parse(string(text)).collector == "" {
		return fmt.Errorf("%s has no program", m.path())
	}
	return nil
}

// parseJobState reads "launchctl list LABEL" and "launchctl print DOMAIN/LABEL"; either may be empty.
func parseJobState(listed, printed string) state {
	l, p := jobFields(listed), jobFields(printed)
	s := state{rawState: p["state"], loadedIdle: true, loaded: p["path"], program: p["program"]}
	s.pid = max(0, number(l[`"PID"`]))
	last := number(l[`"LastExitStatus"`])
	if slices.Contains([]string{"not running", "spawn scheduled", "exited", "waiting"}, s.rawState) {
		if s.pid != 0 { // it has ended since "list" was asked
			s.pid, last = 0, 0
		}
	} else if s.pid == 0 {
		s.pid = max(0, number(p["pid"])) // asked later than "list"
	}
	if s.lastExit = jobExit(last, p); printed == "" && s.pid == 0 && l[`"LastExitStatus"`] == "0;" {
		s.lastExit, s.maybeNotStarted = &exitStatus{}, true // ended cleanly, or not yet started: "list" does not tell
	}
	s.cause = endReason(p["last exit reason"], s.lastExit)
	if s.lastExit != nil {
		s.lastName, s.notExecuted = jobExitName(*s.lastExit), s.lastExit.code == 78
	}
	// of a start after a clean end, by somebody's hand, "runs" does not tell how often it failed before
	if runs, err := strconv.Atoi(p["runs"]); err == nil && (runs < 2 || s.cause != "" || s.lastExit != nil && *s.lastExit != exitStatus{}) {
		s.restarts = ptr(max(0, runs-1))
	}
	s.exitTimeout = time.Duration(number(p["exit timeout"])) * time.Second
	if s.pid == 0 && !strings.HasPrefix(p["pended nondemand spawn"], "(") {
		s.deferred = p["pended nondemand spawn"]
	}
	s.invocation = strconv.Itoa(s.pid)
	s.phase = jobPhase(s, p["job state"])
	s.maybeNotStarted = s.phase == stopped && s.pid == 0 && (s.lastExit == nil || s.maybeNotStarted)
	s.next = jobNext(s, cmp.Or(number(p["minimum runtime"]), 10)) // launchd.plist(5), ThrottleInterval
	s.rawState = cmp.Or(s.rawState, string(s.phase))
	return s
}

// number reads a whole number, which ends with a semicolon in "list"; 0 where there is none.
func number(text string) int {
	if n, err := strconv.Atoi(strings.TrimSuffix(text, ";")); err == nil {
		return n
	}
	return 0
}

// jobFields are the "key = value" lines of launchctl, but for those inside of "key = {" … "}". Arguments and variables are
// printed as they are, line breaks and all: what came before them stays, and of what comes after them the last line counts.
// A line is indented as the first one after the "{" is: by a tab, up to 10.12 by spaces.
func jobFields(text string) map[string]string {
	fields, fixed := map[string]string{}, map[string]bool{}
	inside, blocks, indent := false, 0, "\t"
	if head, rest, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), "\n"); strings.HasSuffix(strings.TrimSpace(head), "{") {
		rest = strings.TrimLeft(rest, "\r\n")
		indent = cmp.Or(rest[:len(rest)-len(strings.TrimLeft(rest, " \t"))], indent)
	}
	for _, line := range strings.Split(text, "\n") {
		line, ok := strings.CutPrefix(strings.TrimRight(line, " \r"), indent)
		key, value, _ := strings.Cut(line, " = ")
		switch {
		case !ok:
		case inside:
			inside = strings.TrimSuffix(key, ";") != "}"
		case value == "{":
			inside, blocks = true, blocks+1
		case !fixed[key]:
			fields[key], fixed[key] = value, blocks == 0
		}
	}
	return fields
}

// jobExit reads how the job last ended, from the raw wait status that "list" prints, and where that does not see the job
// from what "print" says; nil: unknown or never. A status below 0 is a signal.
func jobExit(last int, p map[string]string) *exitStatus {
	last = int(int32(last)) // as which it may have been printed without its sign
	if last > 0 && last&0x7f == 0 {
		return &exitStatus{code: last >> 8 & 0xff}
	} else if last > 0 {
		return &exitStatus{signal: last & 0x7f}
	}
	text := p["last terminating signal"] // "Killed: 9", "9: Killed: 9"
	before, _, _ := strings.Cut(text, ":")
	code, _, _ := strings.Cut(p["last exit code"], ":")
	said, err := strconv.Atoi(code)
	if signal := max(-last, number(before), number(text[strings.LastIndexByte(text, ' ')+1:]), -said); signal > 0 {
		return &exitStatus{signal: signal}
	} else if err != nil {
		return nil
	}
	return &exitStatus{code: said}
}

// endReason is the word of macOS for why it ended or refused the program: "codesigning", "tcc", "dyld", "jetsam"; "" when it says none,
// or no more than the exit does. XNU's memorystatus names the limit of a process in two ways.
func endReason(text string, exit *exitStatus) string {
	reason, _, _ := strings.Cut(text, " ")
	limit := strings.ToUpper(strings.ReplaceAll(text, "-", ""))
	switch {
	case strings.HasPrefix(reason, "("), exit != nil && (reason == "OS_REASON_SIGNAL" || !strings.Contains(reason, "_REASON_")):
		return ""
	case strings.Contains(limit, "PERPROCESSLIMIT"), strings.Contains(limit, "HIGHWATER"):
		return "memory limit"
	case strings.Contains(reason, "JETSAM"):
		return "jetsam"
	}
	return strings.ToLower(strings.TrimPrefix(strings.TrimRight(reason, ",;:"), "OS_REASON_"))
}

// isEnding tells whether launchd is ending the job that it says this of.
func isEnding(word string) bool { return strings.HasPrefix(word, "SIG") || word == "languishing" }

// jobPhase tells what the job is doing.
func jobPhase(s state, jobState string) phase {
	switch {
	case s.pid != 0 && isEnding(s.rawState): // booted out
		return stopped
	case s.rawState == "spawning" || s.rawState == "xpcproxy": // which becomes the program
		return starting
	case s.pid != 0 || s.rawState == "running":
		return running
	case jobState == "spawn failed" && s.rawState == "not running":
		return failed
	case jobState == "spawn failed" || s.cause != "" || s.lastExit != nil && *s.lastExit != exitStatus{}:
		return crashLooping // launchd only slows down
	case s.rawState == "spawn scheduled":
		return starting
	}
	return stopped
}

// jobNext says what launchd does next about a job that does not run.
func jobNext(s state, throttle int) string {
	if s.deferred != "" {
		return "macOS has deferred the start" + map[string]string{"inefficient": " (Low Power Mode or battery)"}[s.deferred]
	}
	return cmp.Or(map[phase]string{crashLooping: "launchd restarts it, at most once every " + count(throttle, "second"),
		failed: "launchd no longer tries to start it", stopped: "launchd does not restart it after a clean exit"}[s.phase],
		"launchd has already restarted it")
}

// surroundings tells whether a plist can be written, and whether it is loaded at the next login: a loaded one may be switched off.
func (m launchd) surroundings(ctx context.Context, run Runner, _ state) (around surroundings) {
	around.err = m.pathFault(filepath.Dir(m.path()), true)
	if list, err := run.Run(ctx, launchctl("print-disabled", m.domain())...); err == nil { // before macOS 13: true, false
		around.enabled = ptr(!strings.Contains(list, strconv.Quote(label)+" => disabled") &&
			!strings.Contains(list, strconv.Quote(label)+" => true"))
	}
	return around
}

// pathFault says why this user may not write to a file or folder of the home or, where there is none, make it.
func (m launchd) pathFault(path string, folder bool) error {
	info, err := os.Stat(path)
	if err != nil && len(path) > len(m.home) && path != filepath.Dir(path) {
		return m.pathFault(filepath.Dir(path), true)
	} else if err != nil || m.uid == os.Getuid() && m.uid != 0 && mayAccess(path, 2) && folder == info.IsDir() {
		return nil // the checks of HOME say it better
	}
	inHome, need, right := "~"+filepath.ToSlash(strings.TrimPrefix(path, m.home)), os.FileMode(0o200), "u+w"
	if folder {
		need, right = 0o300, "u+wx"
	}
	owner, ok := fileOwner(info)
	switch mode := info.Mode().Perm(); {
	case folder != info.IsDir():
		return &hinted{advice: "move it away",
			error: fmt.Errorf("%s exists but is %s", path, map[bool]string{true: "not a directory", false: "a directory"}[folder])}
	case ok && owner != m.uid:
		return hint(fmt.Errorf("%s belongs to another user (uid %d)", path, owner), "sudo chown $USER "+inHome)
	case ok && mode&need != need:
		return hint(fmt.Errorf("%s is not writable (mode %#o)", path, mode), "chmod "+right+" "+inHome)
	}
	return nil
}

// unreachable says why launchctl gave no answer, and what helps.
func (m launchd) unreachable(err error) error {
	switch {
	case notFound(err):
		return hint(errors.New("launchctl is not on this system"), runCommand)
	case noDomain(err):
		return hint(fmt.Errorf("user %s is not logged in to the desktop, and launchd agents need a GUI session (%w)", m.user, err),
			runCommand)
	}
	return err
}

// explain finds the cause behind a bare launchctl error number, most frequent first. It runs before anything is undone.
func (m launchd) explain(ctx context.Context, run Runner, err error) error {
	var failed *commandError
	if !errors.As(err, &failed) || failed.argv[0] != "launchctl" || failed.code < 0 {
		return err
	}
	verb, unusable := append(failed.argv, "")[1], m.unusable()
	if failed.stderr == "" && !noDomain(err) { // a bare number: launchctl itself knows what it means
		if text, errorErr := run.Run(ctx, launchctl("error", strconv.Itoa(failed.code))...); errorErr == nil {
			failed.stderr = strings.TrimSpace(text)
		}
	}
	printed, printErr := "", error(nil)
	if noDomain(err) || verb == "bootstrap" {
		printed, printErr = run.Run(ctx, launchctl("print", m.domain()+"/"+label)...)
	}
	switch {
	case noDomain(err) && (unusable == nil || noDomain(printErr)):
		return m.unreachable(err)
	case noDomain(err): // 125 also for a plist with a wrong mode (Jackett#14822)
		return hint(fmt.Errorf("%w (%w)", unusable, err), installCommand)
	case failed.code == 161 || failed.code == 113 && verb == "kickstart": // after a bootstrap that went well
		return &hinted{advice: loginItems,
			error: fmt.Errorf("macOS keeps the agent from running: it may be switched off as a login item (%w)", err)}
	case failed.code == 119 || verb == "bootstrap":
		disabled := failed.code == 119 || !isTrue(cmp.Or(m.surroundings(ctx, run, state{}).enabled, ptr(true)))
		return m.whyNotLoaded(err, printed, printErr, disabled)
	}
	return err
}

func (m launchd) whyNotLoaded(err error, printed string, printErr error, off bool) error {
	_, statErr := os.Stat(m.path())
	switch unusable, log := m.unusable(), m.logFault(); {
	case printErr == nil && isEnding(jobFields(printed)["state"]):
		return hint(fmt.Errorf("the old collector is still exiting (%w)", err), restartCommand)
	case off:
		return &hinted{error: fmt.Errorf("the agent is disabled, in System Settings under Login Items or by launchctl disable (%w)", err),
			fix: "launchctl enable " + m.domain() + "/" + label, advice: loginItems}
	case printErr == nil:
		return hint(fmt.Errorf("the job is already loaded (%w)", err), restartCommand)
	case statErr != nil:
		return fmt.Errorf("%w; %w", statErr, err)
	case unusable != nil:
		return hint(fmt.Errorf("%w (%w)", unusable, err), installCommand)
	case log != nil:
		return fmt.Errorf("%w (%w)", log, err)
	}
	return fmt.Errorf("launchd refused the agent without a reason, and none of the usual causes applies (%w)", err)
}

// logFault says which log launchd could not open, and so would not start the program; nil when it could, or could make it.
func (m launchd) logFault() error {
	for _, path := range m.logFiles() {
		if err := m.pathFault(path, false); err != nil {
			return fmt.Errorf("launchd cannot open its log: %w", err)
		}
	}
	return nil
}

// plan says which steps a verb takes. text is the plist to write, "" where the verb writes none.
func (m launchd) plan(v verb, s snapshot, text string) plan {
	st := s.state
	domain := cmp.Or(st.domain, m.domain())
	loaded, starts, path := st.loaded != "" || st.loadedIdle, v == install || v == restart, m.path()
	if st.vendor() && text == "" {
		path = st.loaded
	}
	job := m.domain() + "/" + label
	kickstart := command{argv: launchctl("kickstart", job), ok: []int{37}} // 37: it runs
	p := plan{retry: []step{kickstart}}
	if st.loaded != "" && st.there() && v != stop {
		p.restore = []step{m.until(hasEnded, domain, st.endsWithin()),
			command{argv: launchctl("bootstrap", domain, st.loaded), ok: []int{5, 37}},
			m.until(isLoaded, domain, m.returns)}
	}
	if starts {
		p.steps = m.logSteps(s)
	}
	if text != "" {
		if !st.file.folder {
			p.steps = append(p.steps, makeFolder{filepath.Dir(m.path()), 0o755})
		}
		st.file.path = m.path()
		p.steps = append(p.steps, newWriteFile(m, st.file, text))
	}
	if loaded || v == stop {
		p.steps = append(p.steps, command{argv: launchctl("bootout", domain+"/"+label), ok: []int{3, 36}},
			m.until(isGone, domain, st.endsWithin()))
	}
	switch {
	case starts:
		p.steps = append(p.steps, command{argv: launchctl("enable", job), starts: true}, // an older installer's "unload -w" left it disabled
			command{argv: launchctl("bootstrap", m.domain(), path), undo: launchctl("bootout", job), undoOK: []int{3, 36}},
			kickstart) // bootstrap may leave it not running
	case v == uninstall && (st.file.exists || st.file.link != ""):
		p.steps = append(p.steps, removeFile{m.path()})
	}
	return p
}

// logSteps make the logs' folder, and empty what has grown too large.
func (m launchd) logSteps(s snapshot) (steps []step) {
	if !s.folders[m.logs()] {
		steps = append(steps, makeFolder{m.logs(), 0o700})
	}
	for _, path := range m.logFiles() {
		if s.logSizes[path] > logLimit {
			steps = append(steps, truncateLog{path})
		}
	}
	return steps
}

// What is awaited of a job after a bootout, which returns before the process has ended: meanwhile bootstrap exits 5.
const isGone, hasEnded, isLoaded = "is gone", "has ended", "is loaded"

// endsWithin is how long the end of a process is awaited: ten seconds longer than it may take (launchd.plist(5), ExitTimeOut).
func (s state) endsWithin() time.Duration {
	return cmp.Or(s.exitTimeout, 20*time.Second) + 10*time.Second
}

// until awaits one of these. "print" tells by its exit status; "list" is asked where there is no "print", since it sees only the
// domain of the caller's own session.
func (m launchd) until(what, domain string, within time.Duration) step {
	return await{label + " " + what, within, 50 * time.Millisecond,
		func(ctx context.Context, run Runner) (bool, error) {
			printed, err := run.Run(ctx, launchctl("print", domain+"/"+label)...)
			if code := exitCode(err); code != 0 && code != 113 && !noDomain(err) {
				_, err = run.Run(ctx, launchctl("list", label)...)
				if code := exitCode(err); code != 0 && code != 113 {
					return false, err
				}
			}
			ending := isEnding(jobFields(printed)["state"])
			return map[string]bool{isGone: err != nil, hasEnded: err != nil || !ending, isLoaded: err == nil && !ending}[what], nil
		}}
}

// jobExitName names an exit: 78 is what launchd reports when it could not run the program at all.
func jobExitName(e exitStatus) string {
	if e.signal != 0 {
		return signalName(e.signal, "darwin")
	}
	return fmt.Sprintf("status %d%s", e.code, map[int]string{78: "/EX_CONFIG"}[e.code])
}

// judgements are what only launchd's state can have.
func (m launchd) judgements() judgements {
	return judgements{
		checks: []check{{"logs", func(s snapshot) (bool, string) {
			total := int64(0)
			for _, size := range s.logSizes {
				total += size
			}
			return true, "the log files are " + size(total)
		}}},
		kinds: []kind{
			{"no-session", "manager", faultOf(func(s state) error { return s.noSession })}, // launchd can end the job, and could not load it again
			{"ended-by-macos", "collector", findEndedByMacOS},
			{"definition-binary", "definition", findDefinitionBinary},
			{"loaded-elsewhere", "definition", findLoadedElsewhere},
			{"start-deferred", "process", findStartDeferred},
			{"logs-unwritable", "logs", faultOf(func(s state) error { return s.logFault })},
			{"logs-large", "logs", findLogsLarge},
		},
	}
}

// faultOf finds what would keep launchd from starting the job.
func faultOf(fault func(state) error) func(snapshot) (problem, bool) {
	return func(s snapshot) (problem, bool) {
		err := fault(s.state)
		return fromError(err, writes|starts), err != nil && s.silent == nil
	}
}

func findEndedByMacOS(s snapshot) (problem, bool) {
	p := endedByMacOS(s.state.cause, s.state.collector())
	p.severity, p.summary = failing, fmt.Sprintf("macOS ended %s: %s", s.state.collector(), p.summary)
	return p, s.silent == nil && s.state.cause != "" && s.state.pid == 0
}

// findDefinitionBinary finds a plist that launchd reads and this tool does not: what it says is to be kept.
func findDefinitionBinary(s snapshot) (problem, bool) {
	f := s.state.file
	return problem{severity: failing, summary: f.path + " is a binary plist, which this tool does not read",
		fix: "plutil -convert xml1 " + quoteArgv([]string{f.path}), blocks: writes | starts}, strings.HasPrefix(f.text, binaryPlist)
}

// findLoadedElsewhere finds the job of another plist under our label. launchd.plist(5) names the folders that are read at login.
func findLoadedElsewhere(s snapshot) (problem, bool) {
	st := s.state
	p := problem{severity: warning, fix: installCommand,
		summary: fmt.Sprintf("launchd has the service from %s (program %s)", st.loaded, st.program)}
	if strings.HasPrefix(st.loaded, "/Library/LaunchAgents/") {
		p.summary, p.fix, p.advice = p.summary+", and loads it from there at each login", "", "remove that file"
	}
	return p, s.silent == nil && st.loaded != "" && st.loaded != s.names.path
}

func findStartDeferred(s snapshot) (problem, bool) {
	return problem{severity: failing, summary: s.ended(), fix: startCommand}, s.silent == nil && s.state.deferred != ""
}

// findLogsLarge finds a log that only a start empties: launchd never bounds them.
func findLogsLarge(s snapshot) (problem, bool) {
	for _, path := range s.names.logFiles {
		if s.logSizes[path] > logLimit {
			return problem{severity: warning, summary: fmt.Sprintf("%s is %s", path, size(s.logSizes[path])), fix: restartCommand}, true
		}
	}
	return none()
}
