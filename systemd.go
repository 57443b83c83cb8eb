// systemd's user manager: where its unit is, what systemctl and journalctl print, and which steps a verb takes.
// It writes nothing. launchd.go is its mirror image; the text of the unit is in systemd_unit.go, its log in systemd_journal.go.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const unitName = "runtimescope.service"

// A systemd is the user manager of one user.
type systemd struct {
	home       string
	config     string        // XDG_CONFIG_HOME, where the manager was started with it, too; "": ~/.config
	user       func() string // name
	uid        int
	runtimeDir string // XDG_RUNTIME_DIR for systemctl; "" when there is none
	getenv     func(string) string
	root       string               // prefix of /run, /proc, /var: "" but in tests
	returns    time.Duration        // within which a manager that executes itself anew is back
	clock      func() time.Duration // CLOCK_MONOTONIC, by which systemd tells times; nil: unknown
}

func (m systemd) names() managerNames {
	return managerNames{
		name: "systemd", definition: "unit",
		path: filepath.Join(cmp.Or(m.config, filepath.Join(m.home, ".config")), "systemd/user", unitName), pathLabel: "Unit file:",
		upLabel: "Service is active", logs: "journalctl --user -u runtimescope -f", logsLabel: "Logs:",
		unit: unitName, forbid: "systemctl --user mask " + unitName,
		show:      "systemctl --user cat " + unitName,
		idleCause: "it exited cleanly right away, or a condition of its unit is not met (systemctl --user cat " + unitName + ")",
	}
}

func (m systemd) path() string { return m.names().path }

func systemctl(args ...string) []string { return append([]string{"systemctl", "--user"}, args...) }

// ask runs a systemctl that only reads. A manager that executes itself anew drops its connections, and is back in a moment.
func (m systemd) ask(ctx context.Context, run Runner, args ...string) (out string, err error) {
	again := []string{"Connection reset by peer", "Transport endpoint is not connected", "disconnected from message bus",
		"Connection refused"}
	for end := time.Now().Add(m.returns); ; time.Sleep(20 * time.Millisecond) {
		out, err = run.Run(ctx, systemctl(args...)...)
		var failed *commandError
		if !errors.As(err, &failed) || time.Now().After(end) ||
			!slices.ContainsFunc(again, func(text string) bool { return strings.Contains(failed.stderr, text) }) {
			return out, err
		}
		again = append(again, "Failed to connect to") // while it is not
	}
}

// What state asks for: what systemd makes up itself, and what somebody wrote, whose lines may look like other properties.
var (
	plainProperties = []string{"LoadState", "ActiveState", "SubState", "MainPID", "NRestarts", "Result", "TimeoutStopUSec",
		"SendSIGKILL", "ExecMainCode", "ExecMainStatus", "Type",
		"RestartUSec", "MemoryCurrent", "MemoryMax", "MemoryHigh", "CPUQuotaPerSecUSec", "StandardOutput", "StandardError", "UnitFileState",
		"NeedDaemonReload", "InvocationID", "CanStart", "CanStop", "ConditionResult", "ConditionTimestampMonotonic",
		"AssertResult", "AssertTimestampMonotonic",
		"InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic", "ActiveExitTimestampMonotonic",
		"ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic"}
	freeProperties = []string{"LoadError", "ExecStart", "Environment", "EnvironmentFiles", "ControlGroup", "FragmentPath",
		"DropInPaths", "WantedBy",
		"Requires", "Requisite", "BindsTo", "TriggeredBy"}
	unitProperties = strings.Join(slices.Concat(plainProperties, freeProperties), ",")
)

// state asks systemd for everything in one call. Where the answer cannot be told apart, or is too long, it asks again.
func (m systemd) state(ctx context.Context, run Runner) (state, error) {
	out, err := m.ask(ctx, run, "show", unitName, "-p", unitProperties)
	p, clear := readUnitProps(out)
	if errors.Is(err, errCut) || err == nil && !clear {
		p, err = m.showApart(ctx, run)
	}
	if err != nil {
		return m.withFiles(state{phase: unknown, loaded: m.vendorUnit()}), m.unreachable(err)
	}
	s, err := p.state(out)
	s = m.withFiles(s)
	s.outputs = m.outputs(p, s)
	if units := strings.Fields(p["TriggeredBy"]); len(units) > 0 {
		s.triggers = m.unitsThat(ctx, run, units, func(p unitProps) bool { return p["ActiveState"] == "active" })
	}
	return s, err
}

// showApart asks for the plain properties, and then for each of the others alone, where all that is answered is its value.
func (m systemd) showApart(ctx context.Context, run Runner) (unitProps, error) {
	out, err := m.ask(ctx, run, "show", unitName, "-p", strings.Join(plainProperties, ","))
	p, _ := readUnitProps(out)
	for _, key := range freeProperties {
		if err == nil {
			p[key], err = m.ask(ctx, run, "show", unitName, "--value", "-p", key)
			p[key] = strings.TrimSuffix(p[key], "\n")
		}
		if errors.Is(err, errCut) {
			p[key], p[cutProperty], err = "", err.Error(), nil
		}
	}
	return p, err
}

// cutProperty is where unitProps say that an answer was cut; no property of systemd has that name.
const cutProperty = "cut"

// withFiles adds what only files tell.
func (m systemd) withFiles(s state) state {
	if _, err := os.Readlink(m.wants()); err == nil {
		s.loginLink = m.wants()
	}
	s.globalLink = m.globalLink()
	s.untilBoot = m.untilBoot(s)
	if isTrue(s.enabled) && s.maybeUnreached { // by a target that a user's manager does not have, such as multi-user.target
		_, err := os.Lstat(m.wants())
		s.enabled = ptr(err == nil)
	}
	if home, ok := strings.CutSuffix(s.loaded, "/.config/systemd/user/"+unitName); ok && !sameFile(home, m.home) && home != m.home {
		s.otherHome = home
	}
	if s.skipped != "" && !says(append([]string{s.loaded}, s.dropIns...), s.skipped) { // systemd remembers only that it was in there
		s.skipped = ""
	}
	written, bad := m.userDropIns()
	// systemd says so itself by NeedDaemonReload, but 247 and 252 do so only when the folder was there when they last loaded their
	// units. Of several with the same name it takes one.
	isNew := func(name string) bool {
		return !slices.ContainsFunc(s.dropIns, func(path string) bool { return filepath.Base(path) == name })
	}
	s.badDropIn = bad // which systemd calls changed for ever
	s.stale = bad == nil && (s.stale || s.loaded != "" && slices.ContainsFunc(written, isNew))
	s.linger = m.linger()
	if s.phase == running && s.activeAt != 0 && m.clock != nil {
		s.activeFor = ptr(max(0, m.clock()-s.activeAt))
	}
	if s.phase == running && s.pid == 0 {
		table := procfs{root: m.root + "/proc"}
		s.empty = s.cgroup == "" || !slices.ContainsFunc(table.pids(), func(pid int) bool { return table.inCgroup(pid, s.cgroup) })
	}
	if s.notExecuted {
		s.whyNotExecuted, _ = whyNotRun(s.program, "linux")
	}
	return s
}

// untilBoot tells whether the unit is in a runtime directory, where somebody else than systemd-run has put it.
func (m systemd) untilBoot(s state) bool {
	return !s.transient && (strings.HasPrefix(s.loaded, "/run/") || m.runtimeDir != "" && strings.HasPrefix(s.loaded, m.runtimeDir+"/"))
}

// says tells whether one of the files may have one of the settings in it.
func says(paths []string, settings ...string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		text, err := os.ReadFile(path)
		return err != nil || slices.ContainsFunc(settings, func(setting string) bool { return strings.Contains(string(text), setting) })
	})
}

// globalLink is the link that starts the service at login for every user of the machine; "" when there is none.
func (m systemd) globalLink() string {
	for _, dir := range []string{"/etc", "/usr/local/lib", "/usr/lib"} {
		link := dir + "/systemd/user/default.target.wants/" + unitName
		if _, err := os.Lstat(m.root + link); err == nil {
			return link
		}
	}
	return ""
}

// vendorUnit is a unit that a package brought into the home, or that starts at login, for when nobody can be asked.
func (m systemd) vendorUnit() string {
	dirs := []string{filepath.Join(m.home, ".local/share/systemd/user")}
	if _, err := os.Readlink(m.wants()); err == nil {
		dirs = append(dirs, m.root+"/etc/systemd/user", m.root+"/usr/local/lib/systemd/user", m.root+"/usr/lib/systemd/user")
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, unitName)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// userDropIns are the names of those that the user has written for this unit. bad says which drop-in of the user's, for this unit or for
// all services, or which folder of them cannot be read, and why.
func (m systemd) userDropIns() (names []string, bad error) {
	for _, folder := range []string{m.path() + ".d", filepath.Dir(m.path()) + "/service.d"} {
		entries, err := os.ReadDir(folder)
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		for _, entry := range entries {
			path := filepath.Join(folder, entry.Name())
			if !strings.HasSuffix(path, ".conf") {
				continue
			}
			info, err := os.Stat(path)
			switch {
			case err != nil:
			case info.Mode()&(fs.ModeDir|fs.ModeNamedPipe|fs.ModeSocket) != 0:
				err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
			case info.Mode().IsRegular():
				var file *os.File
				if file, err = os.Open(path); err == nil {
					file.Close()
				}
				if info.Size() > 0 && !strings.HasPrefix(entry.Name(), ".") && len(ownDropIns([]string{path})) > 0 {
					names = append(names, entry.Name())
				}
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return names, nil
}

// unitProps are the properties that "systemctl show" printed.
type unitProps map[string]string

// number is a property as a number, 0 when it is none.
func (p unitProps) number(key string) int { return number(p[key]) }

// time is a time on CLOCK_MONOTONIC, which systemd tells in microseconds; 0: never.
func (p unitProps) time(key string) time.Duration {
	n, _ := strconv.ParseInt(p[key], 10, 64)
	return time.Duration(n) * time.Microsecond
}

// span is a time span; 0 for none, and for infinity.
func (p unitProps) span(key string) time.Duration {
	d, _ := time.ParseDuration(strings.NewReplacer(" ", "", "min", "m").Replace(p[key]))
	return d
}

// limit is one of memory, as a unit says it; "" for none.
func (p unitProps) limit(key string) string {
	n, err := strconv.ParseInt(p[key], 10, 64)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%.4gM", float64(n)/(1<<20))
}

// limits are those of the unit, in the words that set them.
func (p unitProps) limits() string {
	var all []string
	for _, key := range []string{"MemoryHigh", "MemoryMax"} {
		if limit := p.limit(key); limit != "" {
			all = append(all, key+"="+limit)
		}
	}
	if quota := p.span("CPUQuotaPerSecUSec"); quota > 0 {
		all = append(all, fmt.Sprintf("CPUQuota=%.4g%%", 100*quota.Seconds()))
	}
	return strings.Join(all, ", ")
}

// readUnitProps reads "systemctl show": one Key=Value a line. clear is false where a line is none that was asked for, or there twice
// (but for files of variables): then a value goes on over several lines.
func readUnitProps(out string) (p unitProps, clear bool) {
	p, clear = unitProps{}, true
	asked := map[string]bool{}
	for _, key := range slices.Concat(plainProperties, freeProperties) {
		asked[key] = true
	}
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		key, value, ok := strings.Cut(line, "=")
		clear = clear && ok && asked[key]
		asked[key] = key == "EnvironmentFiles"
		if ok && p[key] == "" {
			p[key] = value
		}
	}
	return p, clear
}

// state reads what was shown; out is the answer as it was.
func (p unitProps) state(out string) (state, error) {
	if p["ActiveState"] == "" || p["LoadState"] == "" {
		return state{phase: unknown}, fmt.Errorf("unexpected output from systemctl show: %q", shorten(out, 200))
	}
	s := state{
		rawState:       p["ActiveState"],
		pid:            p.number("MainPID"),
		invocation:     p["InvocationID"],
		ending:         p["ActiveState"] == "deactivating",
		restarts:       ptr(p.number("NRestarts")),
		cgroup:         p["ControlGroup"],
		loaded:         p["FragmentPath"],
		stale:          p["NeedDaemonReload"] == "yes",
		masked:         p["LoadState"] == "masked",
		dropIns:        shownWords(p["DropInPaths"]),
		envFiles:       p["EnvironmentFiles"] != "",
		static:         p["UnitFileState"] == "static",
		transient:      p["UnitFileState"] == "transient",
		enabled:        p.enabled(),
		maybeUnreached: p["WantedBy"] == "",
		startLimit:     p["Result"] == "start-limit-hit",
		killed:         p["Result"] == "timeout" && p["SendSIGKILL"] != "no",
		skipped:        p.skipped(),
		refusesStart:   p["CanStart"] == "no" && p["LoadState"] == "loaded",
		refusesStop:    p["CanStop"] == "no" && p["LoadState"] == "loaded",
		requires:       slices.Concat(strings.Fields(p["Requires"]), strings.Fields(p["Requisite"]), strings.Fields(p["BindsTo"])),
		startedAt:      p.time("ExecMainStartTimestampMonotonic"),
		unitEnv:        shownWords(p["Environment"]),
		limits:         p.limits(),
		cut:            p[cutProperty],
	}
	if s.rawState != "active" && s.rawState != "inactive" && s.rawState != "failed" {
		s.rawState += " (" + p["SubState"] + ")"
	}
	if memory, err := strconv.ParseInt(p["MemoryCurrent"], 10, 64); err == nil {
		s.memory = &memory
	}
	s.program, s.arguments = shownProgram(p["ExecStart"])
	if p["SendSIGKILL"] != "no" {
		s.exitTimeout = p.span("TimeoutStopUSec")
	}
	if s.startedAt == 0 { // what comes before the main process has failed; each start begins with the conditions
		s.startedAt = p.time("ConditionTimestampMonotonic")
	}
	p.readPhase(&s)
	p.readExit(&s)
	s.toldToStop = p.toldToStop(s)
	s.next = p.next(s)
	s.unmask = unmaskCommand(s.loaded, p["UnitFileState"] == "masked-runtime")
	if load := p["LoadState"]; load == "bad-setting" || load == "error" {
		s.loadError = "systemd cannot load the unit (" + load + "): " + p["LoadError"]
	} else if name := badPort(s.unitEnv); name != "" {
		s.loadError = "the unit sets " + name + ", and its value is not a valid port"
	}
	return s, nil
}

// skipped is the kind of setting that did not hold as the unit was last to start; "" where all did.
func (p unitProps) skipped() string {
	switch {
	case p["Result"] == "exec-condition":
		return "ExecCondition"
	case p["ConditionResult"] == "no" && p.time("ConditionTimestampMonotonic") != 0:
		return "Condition"
	case p["AssertResult"] == "no" && p.time("AssertTimestampMonotonic") != 0 && p["ActiveState"] == "inactive":
		return "Assert"
	}
	return ""
}

// enabled tells whether the unit starts at login; enabled-runtime is gone by then. Of a file that systemd cannot read, or may
// not, it says "bad", or nothing.
func (p unitProps) enabled() *bool {
	if file := p["UnitFileState"]; file == "bad" || file == "" && (p["LoadState"] == "bad-setting" || p["LoadState"] == "error") {
		return nil
	}
	return ptr(p["UnitFileState"] == "enabled")
}

// shownProgram reads the program and its arguments out of what "systemctl show" prints of ExecStart:
// { path=/x/collector-server ; argv[]=/x/collector-server … ; ignore_errors=no ; … }
func shownProgram(execStart string) (program, arguments string) {
	_, rest, ok := strings.Cut(execStart, "path=")
	if !ok {
		return "", ""
	}
	const end = " ; argv[]="
	for at := strings.Index(rest, end); at >= 0; { // the path may have that in it, too
		program, arguments = rest[:at], rest[at+len(end):]
		next := strings.Index(rest[at+1:], end)
		if next < 0 || strings.HasPrefix(rest[at+len(end):], program) {
			break
		}
		at += 1 + next
	}
	arguments, _, _ = strings.Cut(arguments, " ; ignore_errors=")
	arguments, ok = strings.CutPrefix(arguments, program)
	if !ok { // after an @, argv[0] is another
		_, arguments, _ = strings.Cut(arguments, " ")
	}
	return program, shownCommand(strings.Fields(arguments))
}

// readPhase reads what the service is doing.
func (p unitProps) readPhase(s *state) {
	switch p["ActiveState"] {
	case "active", "reloading", "refreshing":
		s.phase, s.activeAt = running, p.time("ActiveEnterTimestampMonotonic")
		if p["SubState"] == "exited" { // RemainAfterExit=
			s.rawState = "active (exited)"
		}
	case "activating":
		s.phase = starting
		if strings.HasPrefix(p["SubState"], "auto-restart") {
			s.phase = crashLooping
		}
	case "failed":
		s.phase = failed
	case "deactivating", "inactive":
		s.phase = stopped
		if p["LoadState"] == "not-found" && s.pid == 0 && !s.ending {
			s.phase = notInstalled
		}
	default:
		s.phase = unknown
	}
}

// readExit reads how the main process last ended.
func (p unitProps) readExit(s *state) {
	switch p["ExecMainCode"] {
	case "1":
		s.lastExit = &exitStatus{code: p.number("ExecMainStatus")}
	case "2", "3":
		s.lastExit = &exitStatus{signal: p.number("ExecMainStatus")}
	default:
		if p.startTimedOut() {
			s.lastName = "systemd: the start took longer than TimeoutStartSec"
		}
		return
	}
	s.lastName = unitExitName(*s.lastExit)
	if p["Result"] == "oom-kill" {
		s.lastName += " (out of memory)"
		if limit := p.limit("MemoryMax"); limit != "" {
			s.lastName = fmt.Sprintf("%s (out of memory: the unit's MemoryMax is %s)", unitExitName(*s.lastExit), limit)
		}
	}
	switch {
	case p.startTimedOut():
		s.lastName += " (systemd stopped it: the start took longer than TimeoutStartSec)"
	case p["Result"] == "timeout": // RuntimeMaxSec=, or TimeoutStopSec=
		s.lastName += " (systemd stopped it: a time limit of the unit expired)"
	case p["Result"] == "watchdog":
		s.lastName += " (systemd stopped it: it did not report within WatchdogSec)"
	}
	lived := p.time("ExecMainExitTimestampMonotonic") - s.startedAt
	if s.phase == crashLooping && *s.restarts == 0 && s.startedAt != 0 && (lived >= time.Minute || s.lastExit.signal == 9) {
		s.isolated = fmt.Sprintf("failed once (%s), restarts in %s", s.lastName, p["RestartUSec"])
	}
	s.notExecuted = s.lastExit.signal == 0 && s.lastExit.code == 203
}

// startTimedOut tells whether systemd ended a start that took too long: it never was active. A restart to come is an exit from
// inactive, too.
func (p unitProps) startTimedOut() bool {
	began := cmp.Or(p.time("ExecMainStartTimestampMonotonic"), p.time("InactiveExitTimestampMonotonic"))
	return p["Result"] == "timeout" && began > p.time("ActiveEnterTimestampMonotonic")
}

// toldToStop tells whether the service ended because somebody stopped it: then its process ended after the unit had left
// the active state, otherwise before. A process that ends before it was active has failed, but for a start that was called off.
func (p unitProps) toldToStop(s state) bool {
	active := p.time("InactiveExitTimestampMonotonic") <= p.time("ActiveEnterTimestampMonotonic")
	return p["ActiveState"] == "inactive" && s.skipped == "" && p["Result"] == "success" && s.invocation != "" &&
		(active && p.time("ActiveExitTimestampMonotonic") < p.time("ExecMainExitTimestampMonotonic") || !active && p["Type"] != "oneshot")
}

// next says what systemd does next about a service that has ended.
func (p unitProps) next(s state) string {
	switch {
	case s.phase == crashLooping && p["RestartUSec"] != "":
		return "systemd restarts it after " + p["RestartUSec"]
	case s.phase == crashLooping:
		return "systemd restarts it"
	case s.startLimit:
		return "systemd gave up: too many starts in a short time"
	case s.phase == failed && p.number("NRestarts") > 0:
		return "systemd gave up after " + count(p.number("NRestarts"), "restart")
	case s.phase == failed:
		return "systemd does not restart it"
	case s.phase == stopped, p["SubState"] == "exited":
		return "systemd does not restart it after a clean exit"
	}
	return "systemd has already restarted it"
}

// unmaskCommand takes a mask away.
func unmaskCommand(loaded string, untilBoot bool) string {
	switch {
	case untilBoot:
		return "systemctl --user unmask --runtime " + unitName
	case strings.HasPrefix(loaded, "/etc/"):
		return "sudo systemctl --global unmask " + unitName
	}
	return "systemctl --user unmask " + unitName
}

// surroundings says why the manager would not see the unit that install writes, and what it hands on to each service.
func (m systemd) surroundings(ctx context.Context, run Runner, s state) surroundings {
	out, err := m.ask(ctx, run, "show", "-p", "UnitPath,Environment")
	if err != nil {
		return surroundings{err: m.unreachable(err)}
	}
	var around surroundings
	var dirs []string
	for _, line := range strings.Split(out, "\n") {
		switch key, value, _ := strings.Cut(line, "="); key {
		case "UnitPath":
			dirs = shownWords(value)
		case "Environment":
			around.inherited.read(shownWords(value))
		}
	}
	around.err = m.unseen(out, dirs)
	if !s.up() {
		around.missing = m.unitsThat(ctx, run, s.requires, func(p unitProps) bool { return p["LoadState"] == "not-found" })
	}
	switch {
	case s.loadError != "":
		around.guilty = m.guilty(ctx, run)
	case s.phase == running && s.failedBefore():
		around.failure = m.lastFailure(ctx, run, s)
	case s.phase == crashLooping, s.phase == failed && !s.startLimit:
		around.log = m.readLog(ctx, run, s, logMark{}, true)
	}
	return around
}

// unseen says why a unit in the home would not be found by a manager that looks in dirs.
func (m systemd) unseen(out string, dirs []string) error {
	dir := filepath.Dir(m.path())
	at := strings.Index(out, dir) // 247 puts no quotes around a folder with a space in it, which cannot be told from two
	if len(dirs) == 0 || slices.Contains(dirs, dir) || at > 0 && strings.ContainsRune(" =", rune(out[at-1])) {
		return nil
	}
	for _, seen := range dirs {
		if home, ok := strings.CutSuffix(seen, "/.config/systemd/user"); sameFile(seen, dir) || ok && m.config == "" && sameFile(home, m.home) {
			return nil
		}
	}
	return fmt.Errorf("the systemd user manager reads units from %[2]s, not from %[1]s: "+
		"it was started with a different HOME or XDG_CONFIG_HOME",
		dir, strings.Join(slices.DeleteFunc(dirs, func(d string) bool {
			return !strings.HasSuffix(d, "/systemd/user") || strings.HasPrefix(d, "/run") ||
				strings.HasPrefix(d, "/usr") || strings.HasPrefix(d, "/etc")
		}), ", "))
}

// unreachable says why systemctl --user got no answer: its words and its exit status tell little, so the machine is looked at.
func (m systemd) unreachable(err error) error {
	if notFound(err) {
		return hint(errors.New("systemctl is not installed: this system does not run systemd"), runCommand)
	}
	var failed *commandError
	if !errors.As(err, &failed) || !strings.HasPrefix(failed.stderr, "Failed to connect to") {
		return err
	}
	why := func(fix, advice, format string, a ...any) error {
		return &hinted{fmt.Errorf("cannot reach the systemd user manager: %s (%w)", fmt.Sprintf(format, a...), err), fix, advice}
	}
	own := "/run/user/" + userID(m.uid)
	owner, session := ownerOf(m.root+own, m.uid), m.there(own)
	switch other := ownerOf(m.runtimeDir, m.uid); {
	case strings.HasSuffix(failed.stderr, "No data available"): // who is at the other end has no PID here
		return why("", "run this outside the container", "this shell is in a different PID namespace")
	case other != m.uid && filepath.Clean(m.runtimeDir) != own:
		return why("export XDG_RUNTIME_DIR="+own, "", "XDG_RUNTIME_DIR is %s, which belongs to another user (uid %s, not %s)",
			m.runtimeDir, userID(other), userID(m.uid))
	case !m.there("/run/systemd/system"):
		fix, advice, text := m.notBooted()
		return why(fix, advice, "%s", text)
	case !session && m.uid == 0:
		return why(runCommand, "log in as an ordinary user", "root has no login session here")
	case !session:
		name := cmp.Or(m.user(), userID(m.uid)) // loginctl takes either
		return why("sudo loginctl enable-linger "+quoteArgv([]string{name}), "log in directly (ssh, console)",
			"user %s has no login session: there is no %s", name, own)
	case owner != m.uid: // Docker makes it, as root, for what is mounted in it (docker/for-linux#1074)
		return why("", "ask root to remove it, then log in again",
			"%s belongs to another user (uid %s, not %s)", own, userID(owner), userID(m.uid))
	case m.runtimeDir != "" && filepath.Clean(m.runtimeDir) != own:
		return why("export XDG_RUNTIME_DIR="+own, "", "XDG_RUNTIME_DIR is %s, where no manager answers", m.runtimeDir)
	}
	return why("sudo systemctl start user@"+userID(m.uid)+".service", "", "no manager answers in %s", own)
}

// ownerOf is the user ID that a file belongs to, and otherwise where that cannot be told.
func ownerOf(path string, otherwise int) int {
	info, err := os.Stat(path)
	if err != nil {
		return otherwise
	}
	if owner, ok := fileOwner(info); ok {
		return owner
	}
	return otherwise
}

// there tells whether a file of this machine is there.
func (m systemd) there(path string) bool {
	_, err := os.Stat(m.root + path)
	return err == nil
}

// notBooted says what kind of system this is that systemd did not boot, and what to do there.
func (m systemd) notBooted() (fix, advice, text string) {
	kernel, _ := os.ReadFile(m.root + "/proc/sys/kernel/osrelease")
	switch {
	case strings.Contains(strings.ToLower(string(kernel)), "microsoft"):
		return "", "printf '[boot]\\nsystemd=true\\n' | sudo tee -a /etc/wsl.conf, then in Windows: wsl --shutdown",
			"this WSL was not booted with systemd"
	case m.there("/.dockerenv"), m.there("/run/.containerenv"), m.getenv("container") != "":
		return runCommand, "", "this container was not booted with systemd"
	}
	return runCommand, "", "this system was not booted with systemd"
}

// unitsThat are those of some units of which something holds.
func (m systemd) unitsThat(ctx context.Context, run Runner, units []string, holds func(unitProps) bool) (names []string) {
	units = slices.DeleteFunc(slices.Clone(units), func(name string) bool {
		return name == "basic.target" || strings.HasSuffix(name, ".slice")
	})
	if len(units) == 0 {
		return nil
	}
	out, _ := m.ask(ctx, run, append([]string{"show", "-p", "Id,LoadState,ActiveState"}, units...)...)
	for _, block := range strings.Split(out, "\n\n") {
		if p, _ := readUnitProps(block); holds(p) {
			names = append(names, p["Id"])
		}
	}
	return names
}

// explain finds the cause of a failed step.
func (m systemd) explain(ctx context.Context, run Runner, err error) error {
	var failed *commandError
	if !errors.As(err, &failed) || failed.argv[0] != "systemctl" {
		return err
	}
	said := func(text string) bool { return strings.Contains(failed.stderr, text) }
	dependency := said("A dependency job")
	ended := said(" failed because ") || said("Assertion failed on job")
	if !ended && !dependency && !said("bad unit file setting") {
		return m.unreachable(err)
	}
	s, stateErr := m.state(ctx, run)
	switch {
	case stateErr == nil && s.loadError != "":
		text, _ := os.ReadFile(m.path())
		s.file.ours = wrote(m, m.parse(string(text)), string(text))
		p, _ := findDefinitionBroken(snapshot{state: s})
		return &hinted{err, p.fix, p.advice}
	case stateErr == nil && dependency:
		if bad := m.unitsThat(ctx, run, s.requires, func(p unitProps) bool { return p["ActiveState"] == "failed" }); len(bad) > 0 {
			return &hinted{error: &failure{headline: "The service did not start: it requires " + strings.Join(bad, " and ") + ", which failed"},
				advice: "see systemctl --user status " + quoteArgv(bad)}
		}
	}
	if stateErr != nil || !ended {
		return err
	}
	if said("Assertion failed") {
		s.skipped = "Assert"
	}
	lines := slices.DeleteFunc(strings.Split(failed.stderr, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "Created symlink ") // of enable --now, which is no reason
	})
	why := append(lines, "")[0] // what comes then is where else to look
	first := (&commandError{argv: failed.argv, code: failed.code, cause: failed.cause, stderr: why}).Error()
	if s.skipped != "" { // so there is no log of this start
		return &failure{fmt.Sprintf("The service did not start: a condition of its unit is not met (%s)", first),
			[]string{"See its " + s.skipped + " lines: " + m.names().show}}
	}
	l := m.startLog(ctx, run, s, logMark{})
	text, _ := s.exit(l)
	if text == "" {
		return err
	}
	return &failure{fmt.Sprintf("The service did not start: %s (%s)", text, first), logNotes(l, 20)}
}

// userID writes a user ID, which an int of 32 bits may hold as a negative one.
func userID(uid int) string { return strconv.FormatUint(uint64(uint32(uid)), 10) }

// do is a step that runs systemctl.
func (m systemd) do(args ...string) command { return command{argv: systemctl(args...)} }

// starting is one that starts the service. systemctl waits for the end of the job: for ExecStartPre=, and for what Type= says.
func (m systemd) starting(before state, args ...string) command {
	c := m.do(args...)
	c.starts = true
	c.progress = func(ctx context.Context, run Runner) (begun, stopping bool) {
		s, err := m.state(ctx, run)
		return err == nil && s.up() && s.invocation != before.invocation, err == nil && s.ending
	}
	c.killed = func(ctx context.Context, run Runner, took time.Duration) bool {
		return before.pid != 0 && before.exitTimeout > 0 && took >= before.exitTimeout && m.killedBefore(ctx, run, before)
	}
	return c
}

// lenient is one that may find nothing to do.
func (m systemd) lenient(args ...string) command {
	return command{argv: systemctl(args...), ok: []int{1, 5}}
}

// plan says which steps a verb takes. text is the unit to write, "" where the verb writes none.
func (m systemd) plan(v verb, s snapshot, text string) plan {
	st := s.state
	var p plan
	if v == install || v == uninstall {
		p.restore = []step{m.do("daemon-reload")}
		if st.up() {
			p.restore = append(p.restore, m.do("start", unitName))
		}
	}
	switch v {
	case install:
		p.steps = m.installSteps(st, text)
	case restart:
		p.steps = m.restartSteps(st)
	case stop:
		// a collector that had to be killed counts as failed, until that is reset
		p.steps = []step{m.do("stop", unitName), m.gone(st), m.lenient("reset-failed", unitName)}
	case uninstall:
		p.steps = m.uninstallSteps(st)
	}
	return p
}

func (m systemd) installSteps(s state, text string) (steps []step) {
	if text != "" && !s.file.folder {
		steps = append(steps, makeFolder{filepath.Dir(m.path()), 0o755})
	}
	if text != "" {
		s.file.path = m.path()
		steps = append(steps, newWriteFile(m, s.file, text))
	}
	steps = append(steps, m.do("daemon-reload"))
	enable := m.do("enable", unitName)
	if !s.up() {
		enable = m.starting(s, "enable", "--now", unitName)
	}
	if s.enabled != nil && !*s.enabled {
		enable.undo = append([]string{}, enable.argv...)
		enable.undo[2] = "disable"
		enable.undoOK = []int{5} // it could not be loaded, so it need not be stopped
	} else if !s.up() {
		enable.undo, enable.undoOK = systemctl("stop", unitName), []int{5}
	}
	if s.phase == failed {
		steps = append(steps, m.lenient("reset-failed", unitName))
	}
	steps = append(steps, enable)
	if s.up() {
		steps = append(steps, m.lenient("reset-failed", unitName), m.starting(s, "restart", unitName))
	}
	return steps
}

func (m systemd) restartSteps(s state) (steps []step) {
	if s.stale || s.loaded == "" || s.loadError != "" {
		steps = append(steps, m.do("daemon-reload"))
	}
	if s.phase != stopped { // or the sixth start within ten seconds would be refused
		steps = append(steps, m.lenient("reset-failed", unitName))
	}
	return append(steps, m.starting(s, "restart", unitName))
}

func (m systemd) uninstallSteps(s state) (steps []step) {
	if s.up() || s.pid != 0 || s.ending {
		steps = append(steps, command{argv: systemctl("stop", unitName), ok: []int{5}}, m.gone(s))
	}
	leftover, link := s.leftover(), s.file.link
	if link != "" && !filepath.IsAbs(link) {
		link = filepath.Join(filepath.Dir(m.path()), link)
	}
	switch {
	case s.there():
		disable := m.do("disable", "--no-reload", unitName) // one reload is enough, and takes most of the time
		switch {                                            // disable removes also a unit that is a link
		case link != "" && isTrue(s.enabled):
			disable.undo = systemctl("enable", "--no-reload", link)
		case link != "":
			disable.undo = systemctl("link", "--no-reload", link)
		case isTrue(s.enabled):
			disable.undo = systemctl("enable", "--no-reload", unitName)
		}
		steps = append(steps, disable)
	case leftover != "":
		steps = append(steps, removeFile{leftover})
	}
	if s.file.exists || s.file.link != "" && !s.masked {
		steps = append(steps, removeFile{m.path()})
	}
	steps = append(steps, m.do("daemon-reload"))
	if s.phase != stopped && s.phase != notInstalled || s.pid != 0 || s.ending {
		steps = append(steps, m.lenient("reset-failed", unitName))
	}
	return steps
}

// gone awaits that systemd has ended every process of the service. How, it forgets by reset-failed.
func (m systemd) gone(before state) step {
	return await{unitName + " has stopped", 30 * time.Second, 50 * time.Millisecond, func(ctx context.Context, run Runner) (bool, error) {
		s, err := m.state(ctx, run)
		if err == nil && s.killed && !before.killed {
			return s.gone(), errKilled
		}
		return err == nil && s.gone(), err
	}}
}

// askUnits asks a manager, the user's or the system's, about units. ends is the command that ends some for good.
func askUnits(ctx context.Context, run Runner, system bool, args ...string) (out string, ends func(p unitProps, units ...string) string) {
	ctl, sudo := systemctl(), []string(nil)
	if system {
		ctl, sudo = ctl[:1], []string{"sudo"}
	}
	out, _ = run.Run(ctx, append(slices.Clone(ctl), append([]string{"show"}, args...)...)...)
	return out, func(p unitProps, units ...string) string {
		do := []string{"stop"}
		if p["UnitFileState"] == "enabled" || len(units) > 1 {
			do = []string{"disable", "--now"}
		}
		return quoteArgv(slices.Concat(sudo, ctl, do, units))
	}
}

// stopUnit is the command that ends for good the unit, sockets included, whose main process h is; "" when h is not that.
func stopUnit(ctx context.Context, run Runner, h holder) string {
	out, ends := askUnits(ctx, run, h.system, "-p", "MainPID,UnitFileState,TriggeredBy", h.unit)
	p, _ := readUnitProps(out)
	name, brewed := strings.CutPrefix(strings.TrimSuffix(h.unit, ".service"), "homebrew.")
	switch {
	case p.number("MainPID") != h.pid:
		return ""
	case brewed:
		return quoteArgv([]string{"brew", "services", "stop", strings.TrimPrefix(name, "mxcl.")})
	}
	return ends(p, append(strings.Fields(p["TriggeredBy"]), h.unit)...)
}

// socketUnit is the .socket unit that listens on a port, and the command that ends it for good.
func socketUnit(ctx context.Context, run Runner, port int, system bool) (unit, stop string) {
	out, ends := askUnits(ctx, run, system, "-p", "Id,Listen,ActiveState,UnitFileState", "*.socket")
	for _, block := range strings.Split(out, "\n\n") {
		if p, _ := readUnitProps(block); p["ActiveState"] == "active" && strings.Contains(block, fmt.Sprintf(":%d (Stream)", port)) {
			return p["Id"], ends(p, p["Id"])
		}
	}
	return "", ""
}

// unitExitName names an exit as systemd.exec(5) does.
func unitExitName(e exitStatus) string {
	if e.signal != 0 {
		return signalName(e.signal, "linux")
	}
	name := map[int]string{200: "CHDIR", 201: "NICE", 202: "FDS", 203: "EXEC", 204: "MEMORY", 205: "LIMITS", 206: "OOM_ADJUST",
		207: "SIGNAL_MASK", 208: "STDIN", 209: "STDOUT", 210: "CHROOT", 211: "IOPRIO", 212: "TIMERSLACK",
		213: "SECUREBITS", 214: "SETSCHEDULER", 215: "CPUAFFINITY", 216: "GROUP", 217: "USER", 218: "CAPABILITIES",
		219: "CGROUP", 220: "SETSID", 221: "CONFIRM", 222: "STDERR", 224: "PAM", 225: "NETWORK", 226: "NAMESPACE",
		227: "NO_NEW_PRIVILEGES", 228: "SECCOMP", 229: "SELINUX_CONTEXT", 230: "PERSONALITY", 231: "APPARMOR",
		232: "ADDRESS_FAMILIES", 233: "RUNTIME_DIRECTORY", 235: "CHOWN", 236: "SMACK_PROCESS_LABEL", 237: "KEYRING",
		238: "STATE_DIRECTORY", 239: "CACHE_DIRECTORY", 240: "LOGS_DIRECTORY", 241: "CONFIGURATION_DIRECTORY",
		242: "NUMA_POLICY", 243: "CREDENTIALS", 244: "BPF"}[e.code]
	return strings.TrimSuffix(fmt.Sprintf("status %d/%s", e.code, name), "/")
}

// linger tells whether the user's manager, and so the service, goes on after logout (loginctl(1), enable-linger).
func (m systemd) linger() *bool {
	name := m.user()
	if name == "" {
		return nil
	}
	_, err := os.Stat(filepath.Join(m.root, "/var/lib/systemd/linger", lingerName(name)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return ptr(err == nil)
}

// lingerName is how logind names the file of a user (its cescape): a backslash is doubled, what is not ASCII is in octal.
func lingerName(user string) string {
	name := ""
	for _, c := range []byte(user) {
		switch {
		case strings.IndexByte("\\\"'", c) >= 0:
			name += "\\" + string(rune(c))
		case c < ' ' || c >= 0x7f:
			name += fmt.Sprintf("\\%03o", c)
		default:
			name += string(rune(c))
		}
	}
	return name
}

// wants is the link that starts the service at login.
func (m systemd) wants() string {
	return filepath.Join(filepath.Dir(m.path()), "default.target.wants", unitName)
}

// judgements are what only systemd's state can have.
func (m systemd) judgements() judgements {
	return judgements{
		checks: []check{{"linger", func(s snapshot) (bool, string) {
			return foundOut(s.state.linger != nil, "the service keeps running after logout", "whether the service keeps running after logout")
		}}},
		kinds: []kind{
			{"masked", "definition", findMasked},
			{"other-home", "definition", findOtherHome},
			{"transient", "definition", findTransient},
			{"drop-in-unreadable", "definition", findDropInUnreadable},
			{"other-mounts", "definition", findOtherMounts},
			{"shadowed", "definition", findShadowed},
			{"manual-refused", "definition", findManualRefused},
			{"requirement-missing", "definition", findRequirementMissing},
			{"triggered", "definition", findTriggered},
			{"manager-port", "manager", findManagerPort},
			{"answer-cut", "manager", findAnswerCut},
			{"enabled-for-all", "enabled", findEnabledForAll},
			{"no-linger", "linger", findNoLinger},
		},
	}
}

func findMasked(s snapshot) (problem, bool) {
	st := s.state
	return problem{severity: failing, summary: "the service is masked, so systemd will not start it (" + st.definitionPath() + ")",
		fix: st.unmask, blocks: writes | starts}, st.masked
}

func findOtherHome(s snapshot) (problem, bool) {
	return problem{severity: failing,
		summary: fmt.Sprintf("systemd loaded the unit from %s, but HOME in this shell is a different directory", s.state.loaded),
		fix:     "export HOME=" + quoteArgv([]string{s.state.otherHome}), blocks: everything}, s.state.otherHome != ""
}

// findDropInUnreadable finds what systemd refuses to enable a unit with, or to disable it where that is the folder. One for all
// services it passes over.
func findDropInUnreadable(s snapshot) (problem, bool) {
	var at *fs.PathError
	if !errors.As(s.state.badDropIn, &at) {
		return none()
	}
	p := problem{severity: failing, summary: fmt.Sprintf("the drop-in %s cannot be read: %v", at.Path, at.Err), advice: "edit or remove it"}
	switch {
	case strings.HasSuffix(at.Path, ".d"):
		p.summary = fmt.Sprintf("the drop-in directory %s cannot be read: %v", at.Path, at.Err)
		p.fix, p.advice, p.blocks = "chmod u+rwx "+quoteArgv([]string{at.Path}), "", removes
	case len(ownDropIns([]string{at.Path})) > 0:
		p.blocks = writes
	}
	return p, true
}

func findOtherMounts(s snapshot) (problem, bool) {
	return problem{severity: failing,
		summary: "the systemd user manager does not see " + s.state.file.path + " as this shell does: other file systems are mounted here",
		advice:  "run this outside the sandbox or container", blocks: writes | removes}, s.process.otherMounts
}

// findShadowed finds a unit that stands before any that install could write (systemd.unit(5), "user unit search path").
func findShadowed(s snapshot) (problem, bool) {
	loaded := s.state.loaded
	return problem{severity: failing, summary: "another unit takes precedence over yours: " + loaded,
			advice: "remove it, then run systemctl --user daemon-reload", blocks: writes | removes},
		strings.HasSuffix(loaded, "/user.control/"+unitName)
}

// findManualRefused finds a unit that systemd starts or stops only for another's sake.
func findManualRefused(s snapshot) (problem, bool) {
	st := s.state
	what, blocks := "has RefuseManualStart=yes, so systemd refuses to start", writes|starts
	if st.refusesStop {
		if what, blocks = "has RefuseManualStop=yes, so systemd refuses to stop or restart", starts; !st.gone() {
			blocks = everything
		}
	}
	setting := map[bool]string{true: "RefuseManualStop", false: "RefuseManualStart"}[st.refusesStop]
	return s.byDefinition(problem{severity: failing, summary: "the unit " + what + " the service by hand", blocks: blocks}, setting),
		st.refusesStart || st.refusesStop
}

// findRequirementMissing finds what no start would get by.
func findRequirementMissing(s snapshot) (problem, bool) {
	missing := s.around.missing
	p := problem{severity: failing, blocks: writes | starts,
		summary: "the unit requires " + strings.Join(missing, " and ") + ", which systemd does not have"}
	if len(missing) == 0 {
		return none()
	}
	return s.byDefinition(p, missing[0]), true
}

// byDefinition adds what helps against a setting of the unit: install, which writes it anew, where the file in the home has it.
func (s snapshot) byDefinition(p problem, setting string) problem {
	switch st := s.state; {
	case strings.Contains(st.file.text, setting):
		p.fix, p.blocks = installCommand, p.blocks&^writes
	case len(st.dropIns) > 0:
		p.advice = editDropIns(nil, st.dropIns)
	default:
		p.advice = "see " + s.names.show
	}
	return p
}

// findTriggered finds a unit that would start the service again as soon as it is stopped.
func findTriggered(s snapshot) (problem, bool) {
	units := s.state.triggers
	return problem{severity: failing, summary: strings.Join(units, " and ") + " can start the service again at any time",
		fix: "systemctl --user disable --now " + quoteArgv(units), blocks: stops | removes}, len(units) > 0
}

// findTransient finds a unit that systemd-run made. It stands before one of the same name in the home.
func findTransient(s snapshot) (problem, bool) {
	fix := "systemctl --user stop " + unitName
	if s.state.phase == failed {
		fix = "systemctl --user reset-failed " + unitName
	}
	return problem{severity: failing,
		summary: "the service is a transient unit: systemd-run made it, and it disappears once it exits (" + s.state.loaded + ")",
		fix:     fix, blocks: writes}, s.state.transient
}

// findManagerPort finds a port that the manager hands on to each service, and that counts where the unit says none.
func findManagerPort(s snapshot) (problem, bool) {
	want, inherits := s.wanted(), s.around.inherited
	for _, v := range []struct {
		name                   string
		want, normal, inherits int
	}{{httpPortEnv, want.http, defaultHTTPPort, inherits.http}, {wsPortEnv, want.ws, defaultWSPort, inherits.ws}} {
		if v.want == v.normal && v.inherits != 0 && v.inherits != v.normal {
			return problem{severity: failing, blocks: writes, fix: "systemctl --user unset-environment " + v.name,
				summary: fmt.Sprintf("the systemd user manager sets %s=%d in its environment, "+
					"so the service would use that port instead of %d", v.name, v.inherits, v.want)}, true
		}
	}
	return none()
}

// findAnswerCut finds a unit of which too much is to be said: of the rest nothing is known.
func findAnswerCut(s snapshot) (problem, bool) {
	p := problem{severity: warning, summary: s.state.cut}
	if len(s.state.dropIns) > 0 {
		p.advice = editDropIns(nil, s.state.dropIns)
	}
	return p, s.state.cut != ""
}

// findEnabledForAll finds what a package should leave to each user.
func findEnabledForAll(s snapshot) (problem, bool) {
	link := s.state.globalLink
	p := problem{severity: warning, summary: "the service starts at login for every user of this machine: " + link,
		advice: "report it to the package's maintainer"}
	if strings.HasPrefix(link, "/etc/") {
		p.fix = "sudo systemctl --global disable " + unitName
	}
	return p, link != ""
}

func findNoLinger(s snapshot) (problem, bool) {
	return problem{severity: warning, summary: "the service stops when you log out", fix: "sudo loginctl enable-linger $USER"},
		s.state.linger != nil && !*s.state.linger
}
