// The fake of launchctl: a state machine of domains, loaded jobs and the disabled store, as launchctl(1) and reports of
// real Macs have it: what it prints, where, and with which exit status. It exits 64 on what it does not know.
package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A fakeLaunchd is what the fake launchctl remembers, and how its Mac is set.
type fakeLaunchd struct {
	NoGUI        int    // nobody is logged in at the screen: the exit status for gui/UID, 112 or 125; 0: somebody is
	SSH          bool   // the caller's session is not that of the screen: "list" looks into user/UID
	Root         bool   // launchctl runs as root, and so says the cause and exits with its number
	DisabledCode int    // of bootstrap for a disabled label: 5 or 119
	Print        string // "missing": there is no such verb; "changed": its text is another
	Drain        int    // looks that a process takes to end after bootout
	Spawn        int    // looks until launchd starts a job for the first time: it is throttled
	Respawn      int    // looks until it starts a failed job again; 0: not in this test
	Idle         bool   // bootstrap does not start the job
	LoginItems   bool   // switched off there: bootstrap says nothing and forgets the job
	LWCR         bool   // the first start of a program that was replaced is ended for its signature (macOS 26)
	Identity     string // of the program at the last start
	ExitTimeout  int    // seconds that "print" says

	Real      bool          // the collector is a process, see fake_collector_test.go
	Throttle  time.Duration // from one start to the next, with Real
	KillAfter time.Duration // from SIGTERM to SIGKILL, with Real
	Watchers  int           // of processes, with Real

	Disabled map[string]bool
	Jobs     map[string]*fakeJob // by DOMAIN/LABEL
	Serial   int
	Legacy   []string // calls of load, unload and disable
}

// A fakeJob is a job that is loaded.
type fakeJob struct {
	Serial                   int
	Domain, Path, Program    string
	Environ                  []string
	Out, Err                 string
	OnSuccess, OnFail, OnSig bool // KeepAlive: when it is started again
	RunAtLoad                bool

	PID        int
	Began      time.Time
	Status     int // raw wait status of the last run
	Exited     bool
	SpawnError bool   // it could not be run at all
	Reason     string // macOS's own, for the last end
	Pended     string // why it puts the next start off
	Held       bool   // launchd has given up
	Runs       int
	Looks      int  // since the start
	Scheduled  bool // launchd is going to start it
	Wait       int  // looks until then
	Draining   bool
	DrainLooks int
}

func (s *fakeState) mac() *fakeLaunchd {
	l := &fakeLaunchd{}
	if len(s.Launchd) > 0 {
		if err := json.Unmarshal(s.Launchd, l); err != nil {
			panic(err)
		}
	}
	if l.Jobs == nil {
		l.Jobs, l.Disabled = map[string]*fakeJob{}, map[string]bool{}
	}
	if l.ExitTimeout == 0 {
		l.ExitTimeout = 5
	}
	return l
}

// keep stores what launchd remembers, and the PID where the other fakes look for it.
func (s *fakeState) keep(l *fakeLaunchd) {
	s.PID = 0
	for _, j := range l.Jobs {
		if j.PID != 0 {
			s.PID = j.PID
		}
	}
	text, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	s.Launchd = text
}

// elapsed is how long the process has been running, as Apple's ps(1) may say it: the whole seconds of now minus those of the start, so
// up to one second too many.
func (s *fakeState) elapsed() string {
	for _, j := range s.mac().Jobs {
		if j.PID != 0 {
			age := time.Since(j.Began).Truncate(time.Second) + time.Second
			return fmt.Sprintf("%02d:%02d", int(age.Minutes()), int(age.Seconds())%60)
		}
	}
	return "02:13"
}

// A fakeCall is one call of launchctl.
type fakeCall struct {
	m              fakeMachine
	s              *fakeState
	l              *fakeLaunchd
	stdout, stderr io.Writer
}

func (c fakeCall) fail(code int, format string, a ...any) int {
	fmt.Fprintf(c.stderr, format+"\n", a...)
	return code
}

func (m fakeMachine) launchctl(s *fakeState, args []string, stdout, stderr io.Writer) int {
	c := fakeCall{m, s, s.mac(), stdout, stderr}
	defer func() { s.keep(c.l) }()
	if len(args) == 0 {
		return 64
	}
	verb, args := args[0], args[1:]
	switch call := verb + " " + strconv.Itoa(len(args)); {
	case call == "list 1":
		return c.list(args[0])
	case call == "print 1" && c.l.Print != "missing":
		return c.print(args[0])
	case call == "print-disabled 1":
		return c.printDisabled(args[0])
	case call == "enable 1", call == "disable 1":
		return c.enable(verb, args[0])
	case call == "bootstrap 2":
		return c.bootstrap(args[0], args[1])
	case call == "bootout 1":
		return c.bootout(args[0])
	case call == "kickstart 1":
		return c.kickstart(args[0], false)
	case call == "kickstart 2" && args[0] == "-k":
		return c.kickstart(args[1], true)
	case verb == "load" || verb == "unload":
		return c.legacy(verb, args)
	case call == "error 1":
		n, _ := strconv.Atoi(args[0])
		fmt.Fprintf(stdout, "%d: %s\n", n, launchctlError(n))
		return 0
	case call == "managername 0":
		fmt.Fprintln(stdout, map[bool]string{false: "Aqua", true: "Background"}[c.l.SSH])
		return 0
	}
	return c.fail(64, "Unrecognized subcommand: %s", verb)
}

// launchctlError is what "launchctl error N" says.
func launchctlError(n int) string {
	text, ok := map[int]string{1: "Operation not permitted", 2: "No such file or directory", 3: "No such process", 5: "Input/output error",
		13: "Permission denied", 17: "File exists", 22: "Invalid argument", 36: "Operation now in progress", 37: "Operation already in progress",
		78: "Function not implemented", 109: "Invalid property list", 111: "Invalid or missing Program/ProgramArguments",
		112: "Could not find specified domain", 113: "Could not find specified service", 118: "Bad response from server", 119: "Service is disabled",
		122: "Path had bad ownership/permissions", 124: "Domain is tearing down", 125: "Domain does not support specified action",
		134: "Service cannot load in requested session", 137: "Service does not support the specified action",
		150: "Operation not permitted while System Integrity Protection is engaged", 153: "Completely unexpected error",
		155: "Refusing to execute/trust quarantined program/file", 161: "Service cannot be launched because of BTM policy"}[n]
	if !ok {
		return "Unknown error: " + strconv.Itoa(n)
	}
	return text
}

// domainWords names a domain as launchctl's messages do.
func domainWords(domain string) string {
	kind, uid, _ := strings.Cut(domain, "/")
	return map[string]string{"gui": "user gui: ", "user": "uid: "}[kind] + uid
}

// target takes DOMAIN/LABEL apart. code is not 0 when there is no such domain now: 64 when there never is.
func (c fakeCall) target(target string) (domain, name string, code int) {
	kind, rest, _ := strings.Cut(target, "/")
	uid, name, _ := strings.Cut(rest, "/")
	domain = kind + "/" + uid
	switch {
	case kind != "gui" && kind != "user" || uid == "":
		code = 64
	case uid != strconv.Itoa(c.s.Uid):
		code = 112
	case kind == "gui":
		code = c.l.NoGUI
	}
	return domain, name, code
}

// noDomain says that there is no such domain.
func (c fakeCall) noDomain(code int, domain, what string) int {
	switch code {
	case 112:
		return c.fail(112, "Could not find domain for %s", domainWords(domain))
	case 64:
		return c.fail(64, "Unrecognized target specifier.")
	}
	return c.fail(code, "%s: %d: %s", what, code, launchctlError(code))
}

// look lets time pass in the jobs of one label. Time that ends a process passes at every look, time in which launchd
// starts or the collector crashes at "list" only, which is the first of the looks that one question takes.
func (c fakeCall) look(name string, listing bool) {
	for target, j := range c.l.Jobs {
		if !strings.HasSuffix(target, "/"+name) || c.l.Real {
			continue
		}
		if j.Draining {
			if j.DrainLooks--; j.DrainLooks < 0 {
				delete(c.l.Jobs, target)
			}
			continue
		}
		if !listing {
			continue
		}
		j.Looks++
		switch {
		case j.PID != 0 && j.Looks > 1 && strings.HasPrefix(c.s.Behave, "crash later"):
			c.end(j)
		case j.PID == 0 && j.Scheduled && j.Wait > 0:
			if j.Wait--; j.Wait == 0 {
				c.start(j)
			}
		}
	}
}

// list is session-sensitive: it looks into the domain of its caller only.
func (c fakeCall) list(name string) int {
	c.look(name, true)
	domain := map[bool]string{false: "gui", true: "user"}[c.l.SSH] + "/" + strconv.Itoa(c.s.Uid)
	j := c.l.Jobs[domain+"/"+name]
	if j == nil {
		return c.fail(113, `Could not find service "%s" in domain for port`, name)
	}
	fmt.Fprintf(c.stdout, "{\n\t\"StandardOutPath\" = \"%s\";\n\t\"LimitLoadToSessionType\" = \"Aqua\";\n\t\"StandardErrorPath\" = \"%s\";\n\t\"Label\" = \"%s\";\n\t\"OnDemand\" = false;\n\t\"LastExitStatus\" = %d;\n",
		j.Out, j.Err, name, j.Status)
	if j.PID != 0 {
		fmt.Fprintf(c.stdout, "\t\"PID\" = %d;\n", j.PID)
	}
	fmt.Fprintf(c.stdout, "\t\"Program\" = \"%s\";\n\t\"ProgramArguments\" = (\n\t\t\"%[1]s\";\n\t);\n};\n", j.Program)
	return 0
}

func (c fakeCall) print(target string) int {
	domain, name, code := c.target(target)
	if code != 0 {
		return c.noDomain(code, domain, "Could not print service")
	}
	c.look(name, false)
	j := c.l.Jobs[target]
	if j == nil {
		return c.fail(113, "Bad request.\nCould not find service \"%s\" in domain for %s", name, domainWords(domain))
	}
	if c.l.Print == "changed" {
		fmt.Fprintf(c.stdout, "service %s\n  pid: %d\n  state: wonderful\n", target, j.PID)
		return 0
	}
	word, job, active := "running", "running", 1
	switch {
	case j.Draining:
		word, job = "SIGTERMed", "SIGTERMed"
	case j.PID != 0:
	case j.Held:
		word, job, active = "not running", "spawn failed", 0
	case j.Scheduled && j.SpawnError:
		word, job, active = "spawn scheduled", "spawn failed", 0
	case j.Scheduled:
		word, job, active = "spawn scheduled", "exited", 0
	default:
		word, job, active = "not running", "exited", 0
	}
	fmt.Fprintf(c.stdout, "%s = {\n\tactive count = %d\n\tpath = %s\n\ttype = LaunchAgent\n\tstate = %s\n\n\tprogram = %s\n\targuments = {\n\t\t%[5]s\n\t}\n\n\tstdout path = %s\n\tstderr path = %s\n\tinherited environment = {\n\t\tSSH_AUTH_SOCK => /var/run/com.apple.launchd.TzpwIuqAEF/Listeners\n\t}\n\n\tdefault environment = {\n\t\tPATH => /usr/bin:/bin:/usr/sbin:/sbin\n\t}\n\n\tenvironment = {\n",
		target, active, j.Path, word, j.Program, j.Out, j.Err)
	for _, word := range j.Environ {
		fmt.Fprintf(c.stdout, "\t\t%s\n", strings.Replace(word, "=", " => ", 1))
	}
	fmt.Fprintf(c.stdout, "\t\tXPC_SERVICE_NAME => %s\n\t}\n\n\tdomain = %s [100057]\n\tasid = 100057\n\tminimum runtime = 10\n\texit timeout = %d\n\truns = %d\n", name, domain, c.l.ExitTimeout, j.Runs)
	if j.PID != 0 {
		fmt.Fprintf(c.stdout, "\tpid = %d\n\timmediate reason = semaphore\n\tforks = 0\n\texecs = 1\n", j.PID)
	}
	if j.Pended != "" {
		fmt.Fprintf(c.stdout, "\tpended nondemand spawn = %s\n", j.Pended)
	}
	fmt.Fprintf(c.stdout, "\t%s\n\n\tsemaphores = {\n\t\tsuccessful exit => 0\n\t}\n\n\tresource coalition = {\n\t\tID = 9275\n\t\ttype = resource\n\t\tstate = active\n\t\tactive count = 1\n\t\tname = %s\n\t}\n\n\tspawn type = background (5)\n\tjetsam memory limit (active) = (unlimited)\n\tjob state = %s\n\n\tproperties = partial import | runatload | resolve program | has LWCR\n}\n", j.lastExit(), name, job)
	return 0
}

// lastExit is the line of "print" that says how the last run ended.
func (j *fakeJob) lastExit() string {
	switch signal, code := j.Status&0x7f, j.Status>>8; {
	case !j.Exited:
		return "last exit code = (never exited)"
	case j.Reason != "":
		return "last exit reason = " + j.Reason
	case signal != 0:
		name := map[int]string{1: "Hangup", 9: "Killed", 11: "Segmentation fault", 15: "Terminated"}[signal]
		return fmt.Sprintf("last terminating signal = %s: %d", name, signal)
	case code == 78:
		return "last exit code = 78: EX_CONFIG"
	default:
		return fmt.Sprintf("last exit code = %d", code)
	}
}

func (c fakeCall) printDisabled(domain string) int {
	if domain, _, code := c.target(domain); code != 0 {
		return c.noDomain(code, domain, "Could not print disabled services")
	}
	words := map[bool]string{true: "disabled", false: "enabled"}
	fmt.Fprintf(c.stdout, "\n\tdisabled services = {\n\t\t\"com.apple.ManagedClientAgent.enrollagent\" => %s\n", words[true])
	for name, disabled := range c.l.Disabled {
		fmt.Fprintf(c.stdout, "\t\t\"%s\" => %s\n", name, words[disabled])
	}
	fmt.Fprint(c.stdout, "\t}\n\n\tlogin item associations = {\n\t}\n")
	return 0
}

// enable and disable write a store that knows labels, not jobs: they succeed for one that was never loaded.
func (c fakeCall) enable(verb, target string) int {
	domain, name, code := c.target(target)
	if code != 0 {
		return c.noDomain(code, domain, "Could not "+verb+" service")
	}
	if verb == "disable" {
		c.l.Legacy = append(c.l.Legacy, verb+" "+target)
	}
	c.l.Disabled[name] = verb == "disable"
	return 0
}

// refuse says a bootstrap failure: to anybody but root nearly every one is a 5.
func (c fakeCall) refuse(code int, path, detail string) int {
	switch {
	case c.l.Root:
		return c.fail(code, "%s: %s\nBootstrap failed: %d: %s", path, detail, code, launchctlError(code))
	case code == 119 && c.l.DisabledCode == 119:
	default:
		return c.fail(5, "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors.")
	}
	return c.fail(code, "Bootstrap failed: %d: %s", code, launchctlError(code))
}

func (c fakeCall) bootstrap(domain, path string) int {
	if _, _, code := c.target(domain); code != 0 {
		return c.noDomain(code, domain, "Bootstrap failed")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return c.refuse(2, path, "No such file or directory")
	}
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" {
		owner, ok := fileOwner(info)
		if info.Mode().Perm()&0o022 != 0 || ok && owner != c.s.Uid && owner != 0 {
			return c.refuse(122, path, "Path had bad ownership/permissions")
		}
	}
	plist, err := readFakePlist(string(text))
	if err != nil {
		return c.refuse(109, path, "Invalid property list")
	}
	name, _ := plist["Label"].(string)
	j, err := newFakeJob(plist)
	if name == "" || err != nil {
		return c.refuse(111, path, "Invalid or missing Program/ProgramArguments")
	}
	if c.l.Disabled[name] {
		return c.refuse(119, path, "Service is disabled")
	}
	if c.l.Jobs[domain+"/"+name] != nil {
		return c.refuse(37, path, "service already bootstrapped")
	}
	if strings.HasPrefix(domain, "user/") && plist["LimitLoadToSessionType"] == nil {
		return c.refuse(134, path, "Service cannot load in requested session")
	}
	if c.l.LoginItems {
		return 0
	}
	c.l.Serial++
	j.Serial, j.Domain, j.Path = c.l.Serial, domain, path
	c.l.Jobs[domain+"/"+name] = j
	switch {
	case !j.RunAtLoad || c.l.Idle:
	case c.l.Spawn > 0:
		j.Scheduled, j.Wait = true, c.l.Spawn
	default:
		c.start(j)
	}
	return 0
}

// newFakeJob takes from a plist what this launchd heeds.
func newFakeJob(plist map[string]any) (*fakeJob, error) {
	j := &fakeJob{}
	j.Program, _ = plist["Program"].(string)
	if arguments, _ := plist["ProgramArguments"].([]any); j.Program == "" && len(arguments) > 0 {
		j.Program, _ = arguments[0].(string)
	}
	if j.Program == "" {
		return nil, errors.New("no program")
	}
	j.Out, _ = plist["StandardOutPath"].(string)
	j.Err, _ = plist["StandardErrorPath"].(string)
	environment, _ := plist["EnvironmentVariables"].(map[string]any)
	for key, value := range environment {
		if value, ok := value.(string); ok {
			j.Environ = append(j.Environ, key+"="+value)
		}
	}
	slices.Sort(j.Environ)
	keep, isDict := plist["KeepAlive"].(map[string]any)
	onSuccess, ok := keep["SuccessfulExit"].(bool)
	always := plist["KeepAlive"] == true
	j.OnSuccess, j.OnFail = always || ok && onSuccess, always || ok && !onSuccess
	j.OnSig = always || keep["Crashed"] == true
	j.RunAtLoad = plist["RunAtLoad"] == true || isDict || always // launchd.plist(5): KeepAlive implies RunAtLoad
	return j, nil
}

// again tells whether launchd starts the job again after its last end: the conditions of KeepAlive are ORed.
func (j *fakeJob) again() bool {
	crash := slices.Contains([]int{4, 5, 6, 8, 10, 11, 12}, j.Status&0x7f)
	return j.OnSuccess && j.Status == 0 || j.OnFail && j.Status != 0 || j.OnSig && crash
}

func (c fakeCall) bootout(target string) int {
	domain, name, code := c.target(target)
	if code != 0 {
		return c.noDomain(code, domain, "Boot-out failed")
	}
	j := c.l.Jobs[domain+"/"+name]
	switch {
	case j == nil:
		return c.fail(3, "Boot-out failed: 3: No such process")
	case j.Draining:
		return c.fail(36, "Boot-out failed: 36: Operation now in progress")
	}
	c.drop(target, j)
	return 0
}

// drop ends a job; bootout does not wait until it has ended.
func (c fakeCall) drop(target string, j *fakeJob) {
	if j.PID != 0 && c.l.Real {
		j.Draining = true
		terminate(j.PID, c.l.KillAfter)
		return
	}
	if j.PID != 0 {
		j.logs("stopping")
	}
	if j.PID == 0 || c.l.Drain == 0 {
		delete(c.l.Jobs, target)
		return
	}
	j.Draining, j.DrainLooks = true, c.l.Drain
}

func (c fakeCall) kickstart(target string, kill bool) int {
	domain, name, code := c.target(target)
	if code != 0 {
		return c.noDomain(code, domain, fmt.Sprintf("Could not kickstart service %q", name))
	}
	j := c.l.Jobs[target]
	switch {
	case j == nil:
		return c.fail(113, `Could not find service "%s" in domain for %s`, name, domainWords(domain))
	case kill: // this tool has no use for it
		return 64
	case j.PID != 0:
		return 37 // without a word
	case j.Scheduled: // it cannot get past the throttle
		return 0
	}
	c.start(j)
	return 0
}

// legacy is load and unload, which exit 0 whatever happens and say it on stderr only.
func (c fakeCall) legacy(verb string, args []string) int {
	c.l.Legacy = append(c.l.Legacy, verb+" "+strings.Join(args, " "))
	for len(args) > 1 && args[0] == "-w" {
		c.l.Disabled[label] = verb == "unload"
		args = args[1:]
	}
	domain := map[bool]string{false: "gui", true: "user"}[c.l.SSH] + "/" + strconv.Itoa(c.s.Uid)
	quiet := c
	quiet.stderr = io.Discard
	switch {
	case len(args) != 1:
		return c.fail(64, "Usage: launchctl %s <path>", verb)
	case verb == "load" && quiet.bootstrap(domain, args[0]) != 0:
		return c.fail(0, "Load failed: 5: Input/output error\nTry running `launchctl bootstrap` as root for richer errors.")
	case verb == "unload" && quiet.bootout(domain+"/"+label) != 0:
		return c.fail(0, "Unload failed: 5: Input/output error\nTry running `launchctl bootout` as root for richer errors.")
	}
	return 0
}

// start starts a job, and lets it end again as its behaviour says. launchd makes the folder of the logs; where it
// cannot open a log or run the program, the job never starts, and its last exit is 78.
func (c fakeCall) start(j *fakeJob) {
	j.Runs++
	j.Looks, j.Scheduled, j.SpawnError, j.Began = 0, false, false, time.Now()
	j.Reason, j.Pended, j.Held = "", "", false
	if err := j.canRun(); err != nil || c.s.Behave == "crash 78" {
		j.Status, j.Exited, j.SpawnError = 78<<8, true, true
		j.Scheduled, j.Wait = j.again(), c.l.Respawn
		return
	}
	if c.l.Real {
		c.m.spawn(c.l, j)
		return
	}
	c.s.NextPID++
	j.PID = c.s.NextPID
	if info, err := os.Stat(j.Program); err == nil && c.l.LWCR {
		old := c.l.Identity
		if c.l.Identity = inode(info); old != "" && old != c.l.Identity {
			c.endAs(j, "reason CODESIGNING")
			return
		}
	}
	j.logs("starting")
	if words := strings.Fields(c.s.Behave); len(words) == 2 {
		c.end(j)
	}
}

func (j *fakeJob) canRun() error {
	for _, path := range []string{j.Out, j.Err} {
		os.MkdirAll(filepath.Dir(path), 0o766)
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		file.Close()
	}
	return executable(j.Program)
}

func (c fakeCall) end(j *fakeJob) { c.endAs(j, c.s.Behave) }

// endAs lets the collector end: "crash 3", "crash later 3", "signal 9", "exit 0"; "reason TCC" and "held TCC" by macOS, which then goes
// on or gives up; "pended inefficient" by itself, while macOS puts the next start off.
func (c fakeCall) endAs(j *fakeJob, behave string) {
	words := strings.Fields(behave)
	n, _ := strconv.Atoi(words[len(words)-1])
	j.PID, j.Exited, j.Status = 0, true, n<<8
	switch words[0] {
	case "signal":
		j.Status = n
	case "reason", "held":
		j.Status, j.Reason, j.Held = 9, "OS_REASON_"+words[1], words[0] == "held"
	case "pended":
		j.Status, j.Pended = 75<<8, words[1]
	}
	j.logs("fatal: told to " + behave)
	j.Scheduled, j.Wait = j.again() && !j.Held && j.Pended == "", c.l.Respawn
}

// logs appends a line to the job's standard error.
func (j *fakeJob) logs(line string) {
	file, err := os.OpenFile(j.Err, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		fmt.Fprintln(file, line)
		file.Close()
	}
}

// fakePlistEnvironment is the environment of the job that runs.
func fakePlistEnvironment(s fakeState) (words []string) {
	for _, j := range s.mac().Jobs {
		if j.PID != 0 || len(words) == 0 {
			words = j.Environ
		}
	}
	return words
}

// readFakePlist reads an XML property list, strictly and on its own: not by the code under test.
func readFakePlist(text string) (map[string]any, error) {
	var plist fakePlistNode
	if err := xml.Unmarshal([]byte(text), &plist); err != nil {
		return nil, err
	}
	if plist.XMLName.Local != "plist" || len(plist.Attrs) != 1 || plist.Attrs[0].Value != "1.0" || len(plist.Children) != 1 {
		return nil, errors.New("not one value in a plist of version 1.0")
	}
	value, err := plist.Children[0].value()
	top, ok := value.(map[string]any)
	if err == nil && !ok {
		err = errors.New("not a dictionary")
	}
	return top, err
}

// A fakePlistNode is an element.
type fakePlistNode struct {
	XMLName  xml.Name
	Attrs    []xml.Attr      `xml:",any,attr"`
	Text     string          `xml:",chardata"`
	Children []fakePlistNode `xml:",any"`
}

func (n fakePlistNode) value() (any, error) {
	switch n.XMLName.Local {
	case "true", "false":
		return n.XMLName.Local == "true", nil
	case "string":
		return n.Text, nil
	case "integer":
		return strconv.Atoi(n.Text)
	case "array":
		array := []any{}
		for _, child := range n.Children {
			value, err := child.value()
			if err != nil {
				return nil, err
			}
			array = append(array, value)
		}
		return array, nil
	case "dict":
		dict := map[string]any{}
		for i := 0; i+1 < len(n.Children); i += 2 {
			value, err := n.Children[i+1].value()
			if err != nil || n.Children[i].XMLName.Local != "key" {
				return nil, fmt.Errorf("no key and value: %w", err)
			}
			dict[n.Children[i].Text] = value
		}
		return dict, nil
	}
	return nil, fmt.Errorf("no value: <%s>", n.XMLName.Local)
}

// rawStatus is the raw wait status of an exit.
func rawStatus(e exitStatus) int {
	if e.signal != 0 {
		return e.signal
	}
	return e.code << 8
}

// terminate asks a process to end, and kills it when it has not after a while.
func terminate(pid int, after time.Duration) {
	if p, err := os.FindProcess(pid); err == nil {
		p.Signal(syscall.SIGTERM)
		time.AfterFunc(after, func() { p.Signal(os.Kill) })
	}
}

// mac is a bench on launchd whose fakes are called in this process. At its end it holds every story to this: the
// verbs whose exit status means nothing were never called.
func mac(t testing.TB) *bench {
	t.Helper()
	b := newBench(t, "launchd").quick()
	t.Cleanup(func() {
		s := b.fakeState()
		same(t, "it called launchctl", s.mac().Legacy, nil)
	})
	return b
}

// onMac is the bench of a story that runs beside others.
func onMac(t *testing.T) *bench {
	t.Parallel()
	return mac(t)
}

func (b *bench) set(f func(*fakeLaunchd)) {
	b.fake.change(func(s *fakeState) {
		l := s.mac()
		f(l)
		s.keep(l)
	})
}

// job is the job in the domain of the screen, nil when none is loaded.
func (b *bench) job() *fakeJob {
	s := b.fakeState()
	return s.mac().Jobs[b.target("gui")]
}

func (b *bench) target(kind string) string { return fmt.Sprintf("%s/%d/%s", kind, b.uid, label) }

// launchctl calls the fake as a user at the keyboard would.
func (b *bench) launchctl(args ...string) {
	b.t.Helper()
	var silent strings.Builder
	if code := b.fake.main(append([]string{"launchctl"}, args...), &silent, &silent); code != 0 {
		b.t.Fatalf("launchctl %s: exit %d: %s", strings.Join(args, " "), code, silent.String())
	}
}

// installed installs the service, and forgets how.
func (b *bench) installed() *bench {
	b.t.Helper()
	b.want(0, "service install")
	b.calls()
	return b
}

func (b *bench) silentOn(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if said := b.stdout.String() + b.stderr.String(); strings.Contains(said, text) {
			b.t.Errorf("it says %q:\n%s", text, said)
		}
	}
}

func (b *bench) wantMode(path string, want os.FileMode) {
	b.t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.t.Error(err)
	} else if got := info.Mode().Perm(); got != want && runtime.GOOS != "windows" {
		b.t.Errorf("%s has mode %#o, want %#o", path, got, want)
	}
}

func (b *bench) starts() []string {
	return []string{"launchctl enable " + b.target("gui"), fmt.Sprintf("launchctl bootstrap gui/%d %s", b.uid, b.manager.names().path), "launchctl kickstart " + b.target("gui")}
}

func (b *bench) restarts() []string {
	return append([]string{"launchctl bootout " + b.target("gui")}, b.starts()...)
}
