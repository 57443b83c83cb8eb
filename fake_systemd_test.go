// The fakes of systemctl, journalctl, lsof and ps, and the /proc of their machine. They behave as systemd 252 was seen
// to behave, in what they print, where, and with which exit status, and exit 64 on what they do not know.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (m fakeMachine) unitPath(s *fakeState) string {
	return filepath.Join(s.Home, ".config/systemd/user/runtimescope.service")
}

func (m fakeMachine) wantsPath(s *fakeState) string {
	return filepath.Join(s.Home, ".config/systemd/user/default.target.wants/runtimescope.service")
}

// onDisk is the unit that the manager would load.
func (m fakeMachine) onDisk(s *fakeState) (text string, masked bool) {
	if target, err := os.Readlink(m.unitPath(s)); err == nil && target == "/dev/null" {
		return "", true
	}
	if text, err := os.ReadFile(m.unitPath(s)); err == nil {
		return string(text), false
	}
	return s.Vendor, false
}

func (m fakeMachine) reload(s *fakeState) { s.LoadedText, _ = m.onDisk(s) }

func (m fakeMachine) systemctl(s *fakeState, args []string, stdout, stderr io.Writer) int {
	if s.Busless != "" {
		fmt.Fprintln(stderr, s.Busless)
		return 1
	}
	if len(args) < 2 || args[0] != "--user" {
		return 64
	}
	const unit = "runtimescope.service"
	disk, masked := m.onDisk(s)
	now := slices.Contains(args, "--now")
	say := func(code int, format string, a ...any) int {
		fmt.Fprintf(stderr, format+"\n", a...)
		return code
	}
	switch verb := args[1]; strings.Join(slices.DeleteFunc(slices.Clone(args[1:]), func(a string) bool { return a == "--now" || a == "--no-reload" }), " ") {
	case "daemon-reload":
		m.reload(s)
		s.Starts = 0
		return 0
	case "show -p UnitPath,Environment":
		fmt.Fprintf(stdout, "Environment=PATH=/usr/bin %s\n", s.Inherited)
		fmt.Fprintf(stdout, "UnitPath=%s /etc/systemd/user /usr/lib/systemd/user\n", filepath.Dir(m.unitPath(s)))
		return 0
	case "show " + unit + " -p " + unitProperties:
		var all strings.Builder
		m.show(s, disk, masked, &all)
		said := map[string]bool{}
		for _, line := range strings.SplitAfter(all.String(), "\n") { // of what a test put before, too, each property once
			key, value, _ := strings.Cut(line, "=")
			if slices.Contains(strings.Split(unitProperties, ","), key) && !said[key] {
				said[key] = value != "\n"
				io.WriteString(stdout, line)
			}
		}
		return 0
	case "enable " + unit:
		switch {
		case masked:
			return say(1, "Failed to enable unit: Unit file %s is masked.", m.unitPath(s))
		case disk == "":
			return say(1, "Failed to enable unit: Unit file %s does not exist.", unit)
		}
		if _, err := os.Lstat(m.wantsPath(s)); err != nil {
			if err := os.MkdirAll(filepath.Dir(m.wantsPath(s)), 0o755); err != nil {
				return say(1, "Failed to enable unit: %v", err)
			}
			if os.Symlink(m.unitPath(s), m.wantsPath(s)) != nil {
				if err := os.WriteFile(m.wantsPath(s), nil, 0o600); err != nil {
					return say(1, "Failed to enable unit: %v", err)
				}
			}
			say(0, "Created symlink %s → %s.", m.wantsPath(s), m.unitPath(s))
		}
		if !slices.Contains(args, "--no-reload") {
			m.reload(s)
		}
		if now {
			return m.start(s, stderr, false)
		}
		return 0
	case "disable " + unit:
		if disk == "" && !masked {
			return say(1, "Failed to disable unit: Unit file %s does not exist.", unit)
		}
		if os.Remove(m.wantsPath(s)) == nil {
			say(0, "Removed %q.", m.wantsPath(s))
		}
		if !slices.Contains(args, "--no-reload") {
			m.reload(s)
		}
		if now {
			m.stop(s)
		}
		return 0
	case "start " + unit, "restart " + unit:
		switch {
		case masked:
			return say(1, "Failed to %s %s: Unit %s is masked.", verb, unit, unit)
		case s.LoadedText == "" && disk == "":
			return say(5, "Failed to %s %s: Unit %s not found.", verb, unit, unit)
		case s.LoadedText == "":
			m.reload(s)
		}
		return m.start(s, stderr, verb == "restart")
	case "stop " + unit:
		if s.LoadedText == "" && disk == "" && s.PID == 0 {
			return say(5, "Failed to stop %s: Unit %s not loaded.", unit, unit)
		}
		m.stop(s)
		return 0
	case "reset-failed " + unit:
		if s.LoadedText == "" && s.Active == "inactive" {
			return say(1, "Failed to reset failed state of unit %s: Unit %s not loaded.", unit, unit)
		}
		s.Starts, s.Restarts, s.Result = 0, 0, "success"
		if s.Active == "failed" {
			s.Active, s.Sub = "inactive", "dead"
		}
		return 0
	}
	return 64
}

// start starts the service, and lets it end again as its behaviour says.
func (m fakeMachine) start(s *fakeState, stderr io.Writer, restart bool) int {
	if s.PID != 0 && !restart {
		return 0
	}
	if s.Starts >= 5 {
		s.Active, s.Sub, s.Result, s.PID = "failed", "failed", "start-limit-hit", 0
		fmt.Fprintln(stderr, "Job for runtimescope.service failed because start of the service was attempted too often.")
		return 1
	}
	m.stop(s)
	s.Starts++
	s.Invocation++
	s.Shows = 0
	s.NextPID++
	s.PID = s.NextPID
	s.Active, s.Sub, s.Result, s.ExecCode, s.ExecStatus = "active", "running", "success", 0, 0
	if !strings.HasSuffix(s.Behave, " 203") { // which is not run at all
		m.log(s, "starting", "")
	}
	if !strings.HasPrefix(s.Behave, "crash later") {
		m.end(s)
	}
	m.writeProc(*s)
	return 0
}

// end lets the collector end as its behaviour says: "crash 3", "crash later 3", "signal 9", "exit 0", "gave up 3".
func (m fakeMachine) end(s *fakeState) {
	words := strings.Fields(s.Behave)
	if len(words) < 2 {
		return
	}
	n, _ := strconv.Atoi(words[len(words)-1])
	s.PID, s.ExecCode, s.ExecStatus, s.Result = 0, 1, n, "exit-code"
	s.Active, s.Sub = "activating", "auto-restart"
	switch words[0] {
	case "signal":
		s.ExecCode, s.Result = 2, "signal"
	case "exit":
		s.Active, s.Sub, s.Result = "inactive", "dead", "success"
	case "gave":
		s.Active, s.Sub, s.Restarts = "failed", "failed", 5
	}
	if n != 203 {
		m.log(s, "fatal: told to "+s.Behave, "")
	}
	m.log(s, "runtimescope.service: Main process exited", processEnd)
	m.writeProc(*s)
}

func (m fakeMachine) stop(s *fakeState) {
	if s.PID != 0 || s.Active == "activating" {
		s.Active, s.Sub, s.Result, s.PID, s.ExecCode = "inactive", "dead", "success", 0, 0
		m.writeProc(*s)
	}
}

func (m fakeMachine) show(s *fakeState, disk string, masked bool, stdout io.Writer) {
	s.Shows++
	if strings.HasPrefix(s.Behave, "crash later") && s.PID != 0 && s.Shows > 1 {
		m.end(s)
	}
	load, fragment, file := "loaded", m.unitPath(s), "disabled"
	if s.LoadedText == "" {
		m.reload(s) // systemd loads a unit that it is asked about and has not got
	}
	if _, err := os.Stat(m.unitPath(s)); err != nil && s.Vendor != "" {
		fragment = m.path("usr/lib/systemd/user/runtimescope.service")
		if err := os.MkdirAll(filepath.Dir(fragment), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(fragment, []byte(s.Vendor), 0o600); err != nil {
			panic(err)
		}
	}
	if _, err := os.Lstat(m.wantsPath(s)); err == nil {
		file = "enabled"
	}
	switch {
	case masked:
		load, file = "masked", "masked"
	case s.LoadedText == "" || disk == "" && s.PID == 0:
		load, fragment, file = "not-found", "", ""
	case disk == "":
		load, file = "not-found", ""
	}
	stale := "no"
	if load == "loaded" && disk != s.LoadedText {
		stale = "yes"
	}
	io.WriteString(stdout, s.Extra)
	invocation := ""
	if s.Invocation > 0 && s.Active != "inactive" {
		invocation = fmt.Sprintf("%032x", s.Invocation)
	}
	if s.Active == "inactive" && s.ExecCode == 0 && s.Invocation > 0 { // it was stopped
		fmt.Fprintf(stdout, "ExecMainExitTimestampMonotonic=2\nActiveExitTimestampMonotonic=1\nInvocationID=%032x\n", s.Invocation)
	}
	// not in the order in which they were asked for
	fmt.Fprintf(stdout, "Restart=on-failure\nRestartUSec=5s\nResult=%s\nMainPID=%d\nNRestarts=%d\nExecMainCode=%d\nExecMainStatus=%d\n",
		s.Result, s.PID, s.Restarts, s.ExecCode, s.ExecStatus)
	if program := fakeProgram(s.LoadedText); program != "" {
		fmt.Fprintf(stdout, "ExecStart={ path=%s ; argv[]=%[1]s ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }\n", program)
	}
	if environment := fakeEnvironment(s.LoadedText); len(environment) > 0 {
		fmt.Fprintf(stdout, "Environment=%s\n", strings.Join(environment, " "))
	}
	fmt.Fprintf(stdout, "MemoryCurrent=[not set]\nControlGroup=/user.slice/app.slice/runtimescope.service\nLoadState=%s\nActiveState=%s\nSubState=%s\nFragmentPath=%s\nUnitFileState=%s\nNeedDaemonReload=%s\nInvocationID=%s\n",
		load, s.Active, s.Sub, fragment, file, stale, invocation)
}

// fakeProgram reads ExecStart on its own, not by the code under test.
func fakeProgram(unit string) string {
	if m := regexp.MustCompile(`(?m)^ExecStart="?([^"\n]*)"?$`).FindStringSubmatch(unit); m != nil {
		return strings.ReplaceAll(m[1], "%%", "%")
	}
	return ""
}

func fakeEnvironment(unit string) (words []string) {
	for _, m := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(unit, -1) {
		words = append(words, m[1])
	}
	return words
}

// fakePorts are those that the collector was told.
func (s fakeState) fakePorts() (http, ws int) {
	http, ws = 6768, 6767
	for _, word := range slices.Concat(strings.Fields(s.Inherited), fakeEnvironment(s.LoadedText), fakePlistEnvironment(s), strings.Fields(s.Overrides)) {
		key, value, _ := strings.Cut(word, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "RUNTIMESCOPE_HTTP_PORT":
			http = n
		case "RUNTIMESCOPE_PORT":
			ws = n
		}
	}
	return http, ws
}

// log adds a line to the journal.
func (m fakeMachine) log(s *fakeState, text, id string) {
	line, _ := json.Marshal(map[string]string{"MESSAGE": text, "MESSAGE_ID": id, "SYSLOG_IDENTIFIER": "runtimescope", "_SYSTEMD_INVOCATION_ID": fmt.Sprintf("%032x", s.Invocation)})
	if err := appendTo(m.path("journal"), string(line)+"\n"); err != nil {
		panic(err)
	}
}

func (m fakeMachine) journalctl(_ *fakeState, args []string, stdout, _ io.Writer) int {
	text, _ := os.ReadFile(m.path("journal"))
	asJSON := slices.Contains(args, "--output=json")
	invocation := ""
	for _, arg := range args {
		if id, ok := strings.CutPrefix(arg, "_SYSTEMD_INVOCATION_ID="); ok {
			invocation = id
		}
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if slices.Contains(args, "--reverse") {
		slices.Reverse(lines)
	}
	for _, line := range lines {
		var entry map[string]string
		if json.Unmarshal([]byte(line), &entry) != nil || invocation != "" && entry["_SYSTEMD_INVOCATION_ID"] != invocation {
			continue
		}
		if asJSON {
			fmt.Fprintln(stdout, line)
		} else {
			fmt.Fprintln(stdout, "Nov 22 20:13:08 host runtimescope[4242]: "+entry["MESSAGE"])
		}
	}
	return 0
}

// foreignHolder is somebody else's process on a port, if the test put one there.
func (m fakeMachine) foreignHolder() (port int, command string) {
	text, err := os.ReadFile(m.path("foreign"))
	if err != nil {
		return 0, ""
	}
	first, rest, _ := strings.Cut(string(text), " ")
	port, _ = strconv.Atoi(first)
	return port, rest
}

const foreignPID = 666

// held lists who holds which port on this machine.
func (m fakeMachine) held(s fakeState) map[int]int {
	held := map[int]int{}
	if s.serves() {
		http, ws := s.fakePorts()
		held[http], held[ws] = s.PID, s.PID
	}
	if port, _ := m.foreignHolder(); port != 0 {
		held[port] = foreignPID
	}
	return held
}

func (m fakeMachine) lsof(s *fakeState, args []string, stdout, _ io.Writer) int {
	call := strings.Join(args, " ")
	var port, pid int
	if _, err := fmt.Sscanf(call, "-nP -iTCP:%d -sTCP:LISTEN -Fpun", &port); err == nil {
		owner, ok := m.held(*s)[port]
		if _, foreign := m.foreignHolder(); !ok || owner == foreignPID && foreign == "" { // another user's, whom lsof shows to root alone
			return 1
		}
		fmt.Fprintf(stdout, "p%d\nu%d\nf7\nn%s:%d\n", owner, s.Uid, s.address(owner), port)
		return 0
	}
	if _, err := fmt.Sscanf(call, "-a -p %d -d txt -Fin", &pid); err == nil {
		if pid != s.PID || pid == 0 {
			return 1
		}
		program := filepath.Join(m.dir, "app", programFile(collectorName))
		info, err := os.Stat(program)
		if err != nil {
			return 1
		}
		file := fmt.Sprintf("i%s\nn%s", inode(info), program)
		// another file, as long as the process lives that a test said it of
		if text, err := os.ReadFile(m.path("running")); err == nil {
			if owner, other, _ := strings.Cut(string(text), "\n"); owner == strconv.Itoa(pid) {
				file = other
			}
		}
		fmt.Fprintf(stdout, "p%d\nftxt\n%s\n", pid, file)
		return 0
	}
	return 64
}

// address is where a process listens.
func (s fakeState) address(pid int) string {
	if pid != foreignPID && strings.Contains(s.LoadedText+fmt.Sprint(fakePlistEnvironment(s)), fakeLAN) {
		return fakeLAN
	}
	return "127.0.0.1"
}

const fakeLAN = "10.9.9.10" // which reads the same from either end in /proc

func (m fakeMachine) ps(s *fakeState, args []string, stdout, _ io.Writer) int {
	call := strings.Join(args, " ")
	_, foreign := m.foreignHolder()
	if call == "-axo pid=,ppid=,command=" {
		fmt.Fprintf(stdout, "    1     0 /sbin/launchd\n  %d     1 /app/collector-server\n  %d     1 %s\n", s.PID, foreignPID, foreign)
		return 0
	}
	var pid int
	if _, err := fmt.Sscanf(call, "-o command= -p %d", &pid); err == nil {
		switch {
		case pid == foreignPID && foreign != "":
			fmt.Fprintln(stdout, foreign)
		case pid == s.PID && pid != 0:
			fmt.Fprintln(stdout, "/app/collector-server")
		default:
			return 1
		}
		return 0
	}
	var column string
	if _, err := fmt.Sscanf(call, "-o %s -p %d", &column, &pid); err == nil && (column == "etime=" || column == "rss=") {
		if pid != s.PID || pid == 0 {
			return 1
		}
		fmt.Fprintln(stdout, "  ", map[string]string{"etime=": s.elapsed(), "rss=": "62464"}[column])
		return 0
	}
	return 64
}

// writeProc makes the /proc of the machine as its state says.
func (m fakeMachine) writeProc(s fakeState) {
	if m.mem != nil && m.mem.noProc {
		return
	}
	proc := m.path("proc")
	put := func(name, text string) {
		path := filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	old, _ := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	for _, dir := range old {
		os.RemoveAll(dir)
	}
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for port, pid := range m.held(s) {
		table += procTCPLine(netip.MustParseAddr(s.address(pid)), port, s.Uid, 90000+port)
		fd := filepath.Join(proc, strconv.Itoa(pid), "fd")
		if err := os.MkdirAll(fd, 0o755); err != nil {
			panic(err)
		}
		os.Symlink(fmt.Sprintf("socket:[%d]", 90000+port), filepath.Join(fd, strconv.Itoa(port)))
	}
	put("net/tcp", table)
	process := func(pid int, command, cgroup string) {
		dir := strconv.Itoa(pid)
		put(dir+"/cmdline", strings.ReplaceAll(command, " ", "\x00")+"\x00")
		put(dir+"/cgroup", "0::"+cgroup+"\n")
		put(dir+"/status", fmt.Sprintf("Name:\tx\nUid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", s.Uid))
		put(dir+"/stat", fmt.Sprintf("%d (a (b) c) S 1 %s", pid, "1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1000000 1000000 1525 0 0 0")) // started now
	}
	if s.PID != 0 {
		process(s.PID, "/app/collector-server", "/user.slice/app.slice/runtimescope.service")
		environ := append(strings.Fields(s.Inherited), fakeEnvironment(s.LoadedText)...)
		environ = append(environ, strings.Fields(s.Overrides)...)
		environ = append(environ, fmt.Sprintf("INVOCATION_ID=%032x", s.Invocation))
		put(strconv.Itoa(s.PID)+"/environ", strings.Join(environ, "\x00")+"\x00")
		if running := fakeProgram(s.LoadedText); running != "" {
			os.Symlink(running, filepath.Join(proc, strconv.Itoa(s.PID), "exe"))
		}
	}
	if _, command := m.foreignHolder(); command != "" {
		process(foreignPID, command, "/user.slice/other.scope")
	}
}
