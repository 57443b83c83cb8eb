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
	user       func() string // name
	uid        int
	runtimeDir string // XDG_RUNTIME_DIR for systemctl; "" when there is none
	getenv     func(string) string
	root       string // prefix of /run, /proc, /var: "" but in tests
}

func (m systemd) name() string { return "systemd" }
func (m systemd) what() string { return "unit" }

func (m systemd) path() string {
	return filepath.Join(m.home, ".config/systemd/user", unitName)
}

func (m systemd) logs() string { return "journalctl --user -u runtimescope -f" }

func systemctl(args ...string) []string { return append([]string{"systemctl", "--user"}, args...) }

var unitProperties = strings.Join([]string{"LoadState", "LoadError", "ActiveState", "SubState", "MainPID", "NRestarts", "Result",
	"ExecMainPID", "ExecMainCode", "ExecMainStatus", "ExecStart", "Environment", "EnvironmentFiles", "RestartUSec", "MemoryCurrent", "ControlGroup",
	"FragmentPath", "DropInPaths", "UnitFileState", "WantedBy", "NeedDaemonReload", "InvocationID",
	"ConditionResult", "ConditionTimestampMonotonic"}, ",")

// state asks systemd for everything in one call.
func (m systemd) state(ctx context.Context, run Runner) (state, error) {
	out, err := run.Run(ctx, systemctl("show", unitName, "-p", unitProperties)...)
	if err != nil {
		return state{phase: unknown}, m.unreachable(err)
	}
	s, err := parseUnitState(out)
	if isTrue(s.enabled) && s.wantedBy == "" { // for a target that a user's manager does not have, such as multi-user.target
		_, linkErr := os.Lstat(m.wants())
		s.enabled = ptr(linkErr == nil)
	}
	s.stale = s.stale || s.loaded != "" && m.newDropIn(s.dropIns)
	return s, err
}

// newDropIn tells whether the user has written a drop-in that is not among the loaded ones. systemd says so itself
// by NeedDaemonReload, but 247 and 252 do so only when the folder was there when they last loaded their units.
func (m systemd) newDropIn(loaded []string) bool {
	folder := m.path() + ".d"
	entries, _ := os.ReadDir(folder)
	return slices.ContainsFunc(entries, func(entry fs.DirEntry) bool {
		name := entry.Name()
		info, err := os.Stat(filepath.Join(folder, name))
		return err == nil && info.Mode().IsRegular() && info.Size() > 0 && strings.HasSuffix(name, ".conf") && !strings.HasPrefix(name, ".") &&
			// of several with the same name systemd takes one
			!slices.ContainsFunc(loaded, func(path string) bool { return filepath.Base(path) == name })
	})
}

// parseUnitState reads "systemctl show": one Key=Value a line, in systemd's order, properties it does not know left out.
func parseUnitState(out string) (state, error) {
	p := map[string]string{}
	for _, line := range strings.Split(out, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && p[key] == "" {
			p[key] = value
		}
	}
	if p["ActiveState"] == "" || p["LoadState"] == "" {
		return state{phase: unknown}, fmt.Errorf("systemctl show answered nothing that says a state: %q", shorten(out, 200))
	}
	number := func(key string) int {
		n, err := strconv.Atoi(p[key])
		if err != nil {
			return 0
		}
		return n
	}
	s := state{
		rawState:     p["ActiveState"],
		pid:          number("MainPID"),
		invocation:   p["InvocationID"],
		restarts:     ptr(number("NRestarts")),
		cgroup:       p["ControlGroup"],
		loaded:       p["FragmentPath"],
		stale:        p["NeedDaemonReload"] == "yes",
		masked:       p["LoadState"] == "masked",
		dropIns:      shownWords(p["DropInPaths"]),
		envFiles:     p["EnvironmentFiles"] != "",
		static:       p["UnitFileState"] == "static",
		untilBoot:    p["UnitFileState"] == "masked-runtime",
		enabled:      ptr(p["UnitFileState"] == "enabled"), // enabled-runtime is gone at the next login
		wantedBy:     p["WantedBy"],
		skipped:      p["ConditionResult"] == "no" && number("ConditionTimestampMonotonic") != 0,
		lastPID:      number("ExecMainPID"),
		restartDelay: p["RestartUSec"],
		result:       p["Result"],
		unitEnv:      shownWords(p["Environment"]),
	}
	if s.rawState != "active" && s.rawState != "inactive" && s.rawState != "failed" {
		s.rawState += " (" + p["SubState"] + ")"
	}
	if memory, err := strconv.ParseInt(p["MemoryCurrent"], 10, 64); err == nil {
		s.memory = &memory
	}
	// ExecStart={ path=/x/collector-server ; argv[]=/x/collector-server … ; … }
	if _, rest, ok := strings.Cut(p["ExecStart"], "path="); ok {
		const end = " ; argv[]="
		for at := strings.Index(rest, end); at >= 0; { // the path may have that in it, too
			s.program = rest[:at]
			next := strings.Index(rest[at+1:], end)
			if next < 0 || strings.HasPrefix(rest[at+len(end):], s.program) {
				break
			}
			at += 1 + next
		}
	}
	switch p["ExecMainCode"] {
	case "1":
		s.lastExit = &exitStatus{code: number("ExecMainStatus")}
	case "2", "3":
		s.lastExit = &exitStatus{signal: number("ExecMainStatus")}
	}
	switch p["ActiveState"] {
	case "active", "reloading", "refreshing":
		s.phase = running
		if p["SubState"] == "exited" { // RemainAfterExit=
			s.phase, s.rawState = stopped, "active (exited)"
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
		if p["LoadState"] == "not-found" && s.pid == 0 {
			s.phase = notInstalled
		}
	default:
		s.phase = unknown
	}
	if problem := p["LoadState"]; problem == "bad-setting" || problem == "error" {
		s.loadError = "systemd cannot load the unit (" + problem + "): " + p["LoadError"]
	} else if name := badPort(s.unitEnv); name != "" {
		s.loadError = "the unit sets " + name + " to what is no port"
	}
	return s, nil
}

// reach says why the manager would not see the unit that install writes, or would give the collector other ports than
// that unit leaves at their default.
func (m systemd) reach(ctx context.Context, run Runner, want ports) error {
	out, err := run.Run(ctx, systemctl("show", "-p", "UnitPath,Environment")...)
	if err != nil {
		return m.unreachable(err)
	}
	var dirs []string
	var inherited ports
	for _, line := range strings.Split(out, "\n") {
		switch key, value, _ := strings.Cut(line, "="); key {
		case "UnitPath":
			dirs = strings.Fields(value)
		case "Environment":
			inherited.read(shownWords(value))
		}
	}
	for _, v := range []struct {
		name                   string
		want, normal, inherits int
	}{{httpPortEnv, want.http, defaultHTTPPort, inherited.http}, {wsPortEnv, want.ws, defaultWSPort, inherited.ws}} {
		if v.want == v.normal && v.inherits != 0 && v.inherits != v.normal {
			return hint(fmt.Errorf("the user manager of systemd has %s=%d in its own environment, which the service would take instead of %d", v.name, v.inherits, v.want),
				"systemctl --user unset-environment "+v.name)
		}
	}
	dir := filepath.Dir(m.path())
	at := strings.Index(out, dir) // a folder with a space in it is one of several fields, and has quotes around it
	if len(dirs) == 0 || at > 0 && strings.ContainsRune(` ="'`, rune(out[at-1])) {
		return nil
	}
	for _, seen := range dirs {
		if home, ok := strings.CutSuffix(seen, "/.config/systemd/user"); sameFile(seen, dir) || ok && sameFile(home, m.home) {
			return nil
		}
	}
	return fmt.Errorf("the user manager of systemd does not look for units in %s, but in %s: it was started with another HOME or XDG_CONFIG_HOME than this shell's",
		dir, strings.Join(slices.DeleteFunc(dirs, func(d string) bool {
			return !strings.HasSuffix(d, "/systemd/user") || strings.HasPrefix(d, "/run") || strings.HasPrefix(d, "/usr") || strings.HasPrefix(d, "/etc")
		}), ", "))
}

// unreachable says why systemctl --user got no answer, and what helps. The words of systemctl differ between
// versions and its exit status is 1 for everything, so the machine is looked at.
func (m systemd) unreachable(err error) error {
	if notFound(err) {
		return hint(errors.New("systemctl is not installed: this system does not run systemd"), "runtimescope service run")
	}
	var failed *commandError
	if !errors.As(err, &failed) || !strings.HasPrefix(failed.stderr, "Failed to connect to") {
		return err
	}
	why := func(fix, format string, a ...any) error {
		return hint(fmt.Errorf("cannot reach the user manager of systemd: %s (%w)", fmt.Sprintf(format, a...), err), fix)
	}
	own := "/run/user/" + strconv.Itoa(m.uid)
	if info, err := os.Stat(m.runtimeDir); m.runtimeDir != "" && err == nil {
		if owner, ok := fileOwner(info); ok && owner != m.uid {
			return why("export XDG_RUNTIME_DIR="+own, "XDG_RUNTIME_DIR is %s, which belongs to another user (uid %d, not %d)", m.runtimeDir, owner, m.uid)
		}
	}
	_, booted := os.Stat(m.root + "/run/systemd/system")
	_, session := os.Stat(m.root + own)
	_, docker := os.Stat(m.root + "/.dockerenv")
	_, podman := os.Stat(m.root + "/run/.containerenv")
	kernel, _ := os.ReadFile(m.root + "/proc/sys/kernel/osrelease")
	switch {
	case booted != nil && strings.Contains(strings.ToLower(string(kernel)), "microsoft"):
		return why("printf '[boot]\\nsystemd=true\\n' | sudo tee -a /etc/wsl.conf, then in Windows: wsl --shutdown", "this WSL was not booted with systemd")
	case booted != nil && (docker == nil || podman == nil || m.getenv("container") != ""):
		return why("runtimescope service run", "this container was not booted with systemd")
	case booted != nil:
		return why("runtimescope service run", "this system was not booted with systemd")
	case session != nil && m.uid == 0:
		return why("runtimescope service run, or log in as an ordinary user", "root has no login session here")
	case session != nil:
		name := cmp.Or(m.user(), strconv.Itoa(m.uid)) // loginctl takes either
		return why("log in directly (ssh, console), or: sudo loginctl enable-linger "+name, "user %s has no login session: there is no %s", name, own)
	case m.runtimeDir != "" && filepath.Clean(m.runtimeDir) != own:
		return why("export XDG_RUNTIME_DIR="+own, "XDG_RUNTIME_DIR is %s, where no manager answers", m.runtimeDir)
	}
	return why(fmt.Sprintf("sudo systemctl start user@%d.service", m.uid), "no manager answers in %s", own)
}

// explain finds the cause of a failed step.
func (m systemd) explain(ctx context.Context, run Runner, err error) error {
	var failed *commandError
	if !errors.As(err, &failed) || failed.argv[0] != "systemctl" {
		return err
	}
	ended := strings.Contains(failed.stderr, "control process exited") // of a unit that checks its start: Type=exec, ExecStartPre=
	if !ended && !strings.Contains(failed.stderr, "bad unit file setting") {
		return m.unreachable(err)
	}
	s, stateErr := m.state(ctx, run)
	switch {
	case stateErr == nil && s.loadError != "":
		return hint(err, s.repair())
	case stateErr != nil || s.lastExit == nil || !ended:
		return err
	}
	why := ""
	if cause := m.whyNever(s.program); m.never(*s.lastExit) && cause != "" {
		why = ": " + cause
	}
	return &failure{fmt.Sprintf("The service did not start: %s%s (%v)", m.exitName(*s.lastExit), why, err), logNotes(m.startLog(ctx, run, s, logMark{}))}
}

// plan says which steps a verb takes from state s. text is the unit to write, "" where the verb writes none.
func (m systemd) plan(v verb, s state, text string) []step {
	do := func(args ...string) command { return command{argv: systemctl(args...)} }
	lenient := func(args ...string) command { return command{argv: systemctl(args...), ok: []int{1, 5}} }
	up := s.up()
	var steps []step
	if back := (wayBack{do("daemon-reload")}); v == install || v == uninstall {
		if up {
			back = append(back, do("start", unitName))
		}
		steps = append(steps, back)
	}
	switch v {
	case install:
		if text != "" {
			steps = append(steps, makeFolder{filepath.Dir(m.path()), 0o755}, writeFile{m.path(), text})
		}
		steps = append(steps, do("daemon-reload"))
		enable := do("enable", unitName)
		if !up {
			enable = do("enable", "--now", unitName)
		}
		if s.enabled == nil || !*s.enabled {
			enable.undo = append([]string{}, enable.argv...)
			enable.undo[2] = "disable"
			enable.undoOK = []int{5} // it could not be loaded, so it need not be stopped
		}
		if s.phase == failed {
			steps = append(steps, lenient("reset-failed", unitName))
		}
		steps = append(steps, enable)
		if up {
			steps = append(steps, lenient("reset-failed", unitName), do("restart", unitName))
		}
	case restart:
		if s.stale || s.loaded == "" || s.loadError != "" {
			steps = append(steps, do("daemon-reload"))
		}
		if s.phase != stopped { // or the sixth start within ten seconds would be refused
			steps = append(steps, lenient("reset-failed", unitName))
		}
		steps = append(steps, do("restart", unitName))
	case stop:
		// a collector that had to be killed counts as failed, until that is reset
		steps = append(steps, do("stop", unitName), m.gone(), lenient("reset-failed", unitName))
	case uninstall:
		if up || s.pid != 0 {
			steps = append(steps, command{argv: systemctl("stop", unitName), ok: []int{5}}, m.gone())
		}
		switch {
		case s.file.exists || s.vendor():
			disable := do("disable", unitName)
			if s.enabled != nil && *s.enabled {
				disable.undo = systemctl("enable", unitName)
			}
			steps = append(steps, disable)
		case m.leftover(s) != "":
			steps = append(steps, removeFile{m.leftover(s)})
		}
		if s.file.exists {
			steps = append(steps, removeFile{m.path()})
		}
		steps = append(steps, do("daemon-reload"))
		if s.phase != stopped && s.phase != notInstalled || s.pid != 0 {
			steps = append(steps, lenient("reset-failed", unitName))
		}
	}
	return steps
}

// gone awaits that systemd has ended every process of the service.
func (m systemd) gone() step {
	return await{unitName + " has stopped", 30 * time.Second, 50 * time.Millisecond, func(ctx context.Context, run Runner) (bool, error) {
		s, err := m.state(ctx, run)
		return err == nil && s.gone() && !s.ending(), err
	}}
}

// exitName names an exit as systemd.exec(5) does.
func (m systemd) exitName(e exitStatus) string {
	if e.signal != 0 {
		return signalName(e.signal, "linux")
	}
	if name, ok := map[int]string{200: "CHDIR", 201: "NICE", 202: "FDS", 203: "EXEC", 204: "MEMORY", 205: "LIMITS", 206: "OOM_ADJUST",
		207: "SIGNAL_MASK", 208: "STDIN", 209: "STDOUT", 210: "CHROOT", 211: "IOPRIO", 212: "TIMERSLACK",
		213: "SECUREBITS", 214: "SETSCHEDULER", 215: "CPUAFFINITY", 216: "GROUP", 217: "USER", 218: "CAPABILITIES",
		219: "CGROUP", 220: "SETSID", 221: "CONFIRM", 222: "STDERR", 224: "PAM", 225: "NETWORK", 226: "NAMESPACE",
		227: "NO_NEW_PRIVILEGES", 228: "SECCOMP", 229: "SELINUX_CONTEXT", 230: "PERSONALITY", 231: "APPARMOR",
		232: "ADDRESS_FAMILIES", 233: "RUNTIME_DIRECTORY", 235: "CHOWN", 236: "SMACK_PROCESS_LABEL", 237: "KEYRING",
		238: "STATE_DIRECTORY", 239: "CACHE_DIRECTORY", 240: "LOGS_DIRECTORY", 241: "CONFIGURATION_DIRECTORY",
		242: "NUMA_POLICY", 243: "CREDENTIALS", 244: "BPF"}[e.code]; ok {
		return fmt.Sprintf("status %d/%s", e.code, name)
	}
	return fmt.Sprintf("status %d", e.code)
}

// never tells whether an exit means that the program was not run at all.
func (m systemd) never(e exitStatus) bool { return e.signal == 0 && e.code >= 200 && e.code <= 245 }

// whyNever says why the program was not run.
func (m systemd) whyNever(program string) string {
	why, _ := whyNotRun(program, "linux")
	return why
}

// next says what systemd does after an exit.
func (m systemd) next(s state) string {
	switch {
	case s.phase == crashLooping && s.restartDelay != "":
		return "systemd starts it again after " + s.restartDelay
	case s.phase == crashLooping:
		return "systemd starts it again"
	case s.result == "start-limit-hit":
		return "systemd has given up: it was started too often"
	case s.phase == failed && s.restarts != nil && *s.restarts > 0:
		return "systemd has given up after " + count(*s.restarts, "restart")
	case s.phase == failed:
		return "systemd does not start it again"
	case s.phase == stopped:
		return "systemd does not start it again after a clean end"
	}
	return "systemd has started it again already"
}

// linger tells whether the user's manager, and so the service, goes on after logout (loginctl(1), enable-linger).
func (m systemd) linger() *bool {
	name := m.user()
	if name == "" {
		return nil
	}
	_, err := os.Stat(filepath.Join(m.root, "/var/lib/systemd/linger", name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return ptr(err == nil)
}

// wants is the link that starts the service at login.
func (m systemd) wants() string {
	return filepath.Join(filepath.Dir(m.path()), "default.target.wants", unitName)
}

// leftover is that link where the unit it points to is gone.
func (m systemd) leftover(s state) string {
	if _, err := os.Readlink(m.wants()); err == nil && !s.file.exists && !s.vendor() && s.file.link == "" {
		return m.wants()
	}
	return ""
}
