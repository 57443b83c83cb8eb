// Tests of the plist's text, against encoding/xml, of what is read out of launchctl, of why it refuses something, and
// of which steps each verb takes.
package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// launchdHostile is a path of all that is allowed in one and means something somewhere.
const launchdHostile = `/Users/ada/my apps/"it's" 100% $HOME & <é日本> ]]> #;\/collector-server`

func TestThePlistIsWrittenLikeThis(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "paths have another separator here")
	for name, c := range map[string]struct {
		home string
		d    definition
	}{
		"plist-default.plist": {"/Users/ada", definition{collector: "/usr/local/bin/collector-server", ports: ports{}}},
		"plist-ports.plist":   {"/Users/ada", definition{collector: "/usr/local/bin/collector-server", ports: ports{7001, 7002}}},
		"plist-hostile.plist": {"/Users/a & <b>", definition{collector: launchdHostile + "\r\n\t", ports: ports{7001, 6767}, env: hostileVariables(t).env}},
	} {
		text, err := launchd{home: c.home}.render(c.d)
		if err != nil {
			t.Error(err)
		}
		golden(t, name, text)
	}
}

func TestWhatAPlistCannotCarryIsRefusedByItsCharacter(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/a\x00b":       `a plist cannot carry "/a\x00b": XML does not allow the character '\x00'`,
		"/a\x1bb":       `a plist cannot carry "/a\x1bb": XML does not allow the character '\x1b'`,
		"/a\x1fb":       `a plist cannot carry "/a\x1fb": XML does not allow the character '\x1f'`,
		"/a\ufffeb":     `a plist cannot carry "/a\ufffeb": XML does not allow the character '\ufffe'`,
		"/a\uffffb":     `a plist cannot carry "/a\uffffb": XML does not allow the character '\uffff'`,
		"/a\xffb":       `a plist cannot carry "/a\xffb": it is not UTF-8`,
		"/\xed\xa0\x80": `a plist cannot carry "/\xed\xa0\x80": it is not UTF-8`,
		"/a\tb\nc\rd":   "", "/a\x7fb": "", "/a\ufffdb": "", "/a\U0001fffeb": "", "/a b": "", `/"'\`: "",
	} {
		if text, err := (launchd{home: "/Users/ada"}).render(definition{collector: path}); errText(err) != want || (text == "") != (want != "") {
			t.Errorf("%q: %v", path, err)
		}
		if _, err := (launchd{home: path}).render(definition{collector: "/x"}); errText(err) != want {
			t.Errorf("as a home: %q: %v", path, err)
		}
	}
}

func FuzzPlistCarriesTheVeryText(f *testing.F) {
	for _, text := range []string{"", "/x", launchdHostile, "&amp;&#13;", "\r\n\r", "<![CDATA[", "a\u0085b", "\xff", "\x01"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		carries := xmlCarries(text) == nil
		allowed := utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
			return !(r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000)
		})
		if carries != allowed {
			t.Fatalf("%q: carries %v", text, carries)
		}
		if !carries {
			return
		}
		var got string
		if err := xml.Unmarshal([]byte("<string>"+xmlText(text)+"</string>"), &got); err != nil || got != text {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	})
}

func FuzzLaunchdRunsTheVeryProgram(f *testing.F) {
	f.Add("/usr/local/bin/collector-server", "/Users/ada", "\ufffe", 0, 0)
	for _, value := range hostileValues(f) {
		f.Add(launchdHostile, "/Users/a & b", value, 7001, 7002)
	}
	f.Add("/a\r\n</string><string>/b", "/<!-- -->", "\r", 6768, 6767)
	f.Fuzz(func(t *testing.T, program, home, value string, http, ws int) {
		d := definition{collector: program, ports: ports{abs(http) % 65536, abs(ws) % 65536}}
		variable := givesVariable(&d, value)
		m := launchd{home: home}
		text, err := m.render(d)
		if err != nil {
			if xmlCarries(program) == nil && xmlCarries(home) == nil {
				t.Error(err)
			}
			return
		}
		if _, err := readPlist(text); err != nil {
			t.Errorf("not well-formed: %v", err)
		}
		logs := m.logFiles()
		environment := map[string]any{"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin", "HOME": home}
		for _, word := range d.ports.environment() {
			key, value, _ := strings.Cut(word, "=")
			environment[key] = value
		}
		if variable != nil {
			environment["V"] = value
		}
		want := map[string]any{"Label": label, "ProgramArguments": []any{program}, "RunAtLoad": true, "KeepAlive": map[string]any{"SuccessfulExit": false, "Crashed": true},
			"StandardOutPath": logs[1], "StandardErrorPath": logs[0], "EnvironmentVariables": environment, "ProcessType": "Background", "ThrottleInterval": 10,
			"HardResourceLimits": map[string]any{"ResidentSetSize": 268435456}}
		same(t, "launchd reads", need(readFakePlist(text))(t), want)
		if got := m.parse(text); got != systemdSaidPorts(d) {
			t.Errorf("read back as %+v, want %+v", got, d)
		}
	})
}

func TestAPlistThatSomebodyEditedIsRead(t *testing.T) {
	t.Parallel()
	const head, foot = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>`, `</dict></plist>`
	const program = `<key>ProgramArguments</key><array><string>/x</string><string>--flag</string></array>`
	for _, c := range []struct {
		text string
		want definition
	}{
		{"", definition{}},
		{"bplist00\xd1\x01", definition{}},
		{"<plist><array/></plist>", definition{}},
		{head + foot, definition{}},
		{head + program + foot, definition{collector: "/x", arguments: "--flag"}},
		{head + program, definition{}},
		{head + `<key>Program</key><string>/y</string>` + program + foot, definition{collector: "/y", arguments: "--flag"}},
		{head + program + `<key>Program</key><string>/y &amp; <![CDATA[<z>]]><!-- no --></string>` + foot, definition{collector: "/y & <z>", arguments: "--flag"}},
		{head + `<key>ProgramArguments</key><array/>` + foot, definition{}},
		{head + `<key>ProgramArguments</key><array><integer>5</integer></array>` + foot, definition{collector: "5", ports: ports{}}},
		{head + `<key>ProgramArguments</key><string>/x</string>` + foot, definition{}},
		{head + `<key>ProgramArguments</key><array><dict/></array>` + foot, definition{}},
		{head + `<key>X</key><dict><key>Program</key><string>/no</string></dict>` + program + foot, definition{collector: "/x", arguments: "--flag"}},
		{head + `<key>EnvironmentVariables</key><dict><key>RUNTIMESCOPE_HTTP_PORT</key><string>7001</string><key>A</key><true/><key>RUNTIMESCOPE_PORT</key><integer>7002</integer></dict>` + foot,
			definition{collector: "", ports: ports{7001, 7002}}},
		{head + `<key>EnvironmentVariables</key><dict><key>RUNTIMESCOPE_HTTP_PORT</key><array/></dict>` + foot, definition{}},
		{head + `<key>EnvironmentVariables</key><dict><key>RUNTIMESCOPE_HTTP_PORT</key><string>seven</string></dict>` + foot, definition{}},
		{head + `<key>EnvironmentVariables</key><string>RUNTIMESCOPE_HTTP_PORT=7001</string>` + foot, definition{}},
		{head + `<key>RUNTIMESCOPE_HTTP_PORT</key><string>7001</string>` + foot, definition{}},
		{strings.Repeat("<dict>", 10000), definition{}},
		{head + `<key>Deep</key>` + strings.Repeat("<array>", 60) + strings.Repeat("</array>", 60) + program + foot, definition{}},
		{need(launchd{home: "/h"}.render(definition{collector: "/x", env: "A=\x00PATH=/y & z\x00"}))(t), definition{collector: "/x", env: "A=\x00PATH=/y & z\x00"}},
	} {
		if got := (launchd{}).parse(c.text); got != c.want {
			t.Errorf("%.200q: got %+v, want %+v", c.text, got, c.want)
		}
	}
}

func TestWhatIsNoPlistIsToldApart(t *testing.T) {
	t.Parallel()
	plain := need(launchd{home: "/Users/ada"}.render(definition{collector: "/x"}))(t)
	if _, err := readPlist(plain); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "text", "<x></x>", "<plist", "<plist>", "<plist></dict>", plain[:len(plain)/2], strings.Replace(plain, "/x<", "/x & y<", 1)} {
		if _, err := readPlist(text); err == nil {
			t.Errorf("%.60q is a plist", text)
		}
	}
}

func TestTheStateOfAJob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		listed, printed string
		want            state
	}{
		{"running", "running", state{phase: running, rawState: "running", pid: 31259, invocation: "31259", lastExit: &exitStatus{code: 1}, restarts: ptr(2), exitTimeout: 5 * time.Second}},
		{"running", "", state{phase: running, rawState: "running", pid: 31259, invocation: "31259"}},
		{"running-again", "running", state{phase: running, rawState: "running", pid: 31260, invocation: "31260", lastExit: &exitStatus{code: 3}, restarts: ptr(2), exitTimeout: 5 * time.Second}},
		{"", "running", state{phase: running, rawState: "running", pid: 28474, invocation: "28474", lastExit: &exitStatus{code: 1}, restarts: ptr(2), exitTimeout: 5 * time.Second}},
		{"", "running-first", state{phase: running, rawState: "running", pid: 28474, invocation: "28474", restarts: ptr(0), exitTimeout: 5 * time.Second}},
		{"stopped", "stopped", state{phase: stopped, rawState: "not running", invocation: "0", lastExit: &exitStatus{}, restarts: ptr(0), exitTimeout: 5 * time.Second}},
		{"stopped", "", state{phase: stopped, rawState: "stopped", invocation: "0", lastExit: &exitStatus{}, maybeNotStarted: true}},
		{"", "stopped", state{phase: stopped, rawState: "not running", invocation: "0", lastExit: &exitStatus{}, restarts: ptr(0), exitTimeout: 5 * time.Second}},
		{"stopped", "never-exited", state{phase: stopped, rawState: "not running", invocation: "0", maybeNotStarted: true, restarts: ptr(0), exitTimeout: 5 * time.Second}},
		{"stopped", "xpcproxy", state{phase: starting, rawState: "xpcproxy", invocation: "0", restarts: ptr(0), exitTimeout: 5 * time.Second}},
		{"exit-1", "throttled", state{phase: crashLooping, rawState: "spawn scheduled", invocation: "0", lastExit: &exitStatus{code: 1}, restarts: ptr(17168), exitTimeout: 5 * time.Second}},
		{"exit-1", "", state{phase: crashLooping, rawState: "crash-looping", invocation: "0", lastExit: &exitStatus{code: 1}}},
		{"", "throttled", state{phase: crashLooping, rawState: "spawn scheduled", invocation: "0", lastExit: &exitStatus{code: 1}, restarts: ptr(17168), exitTimeout: 5 * time.Second}},
		{"exit-78", "exit-78", state{phase: crashLooping, rawState: "spawn scheduled", invocation: "0", lastExit: &exitStatus{code: 78}, notExecuted: true, restarts: ptr(3), exitTimeout: 5 * time.Second}},
		{"", "exit-78", state{phase: crashLooping, rawState: "spawn scheduled", invocation: "0", lastExit: &exitStatus{code: 78}, notExecuted: true, restarts: ptr(3), exitTimeout: 5 * time.Second}},
		{"sigkill", "killed", state{phase: crashLooping, rawState: "spawn scheduled", invocation: "0", lastExit: &exitStatus{signal: 9}, restarts: ptr(1), exitTimeout: 5 * time.Second}},
		{"", "killed", state{phase: crashLooping, rawState: "spawn scheduled", invocation: "0", lastExit: &exitStatus{signal: 9}, restarts: ptr(1), exitTimeout: 5 * time.Second}},
		{"sigterm", "", state{phase: crashLooping, rawState: "crash-looping", invocation: "0", lastExit: &exitStatus{signal: 15}}},
		{"running", "sigtermed", state{phase: stopped, rawState: "SIGTERMed", pid: 31259, invocation: "31259", restarts: ptr(0), exitTimeout: 5 * time.Second}},
		{"", "", state{phase: stopped, rawState: "stopped", invocation: "0", maybeNotStarted: true}},
	} {
		text := func(tool, name string) string {
			if name == "" {
				return ""
			}
			return fakebinText(t, "launchctl-"+tool+"-"+name+".txt")
		}
		c.want.loadedIdle, c.want.next = true, jobNext(c.want, 10)
		if c.want.lastExit != nil {
			c.want.lastName = jobExitName(*c.want.lastExit)
		}
		got := parseJobState(text("list", c.listed), text("print", c.printed))
		if got.loaded, got.program = "", ""; !reflect.DeepEqual(got, c.want) {
			t.Errorf("list %q, print %q: got\n%s\nwant\n%s", c.listed, c.printed, systemdSummary(got), systemdSummary(c.want))
		}
	}
}

// TestLaunchdSamples reads what real Macs printed (testdata/fakebin/launchd): each file says what must be read in it.
func TestLaunchdSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/fakebin/launchd/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			text := need(os.ReadFile(path))(t)
			head, rest, _ := strings.Cut("\n"+strings.ReplaceAll(string(text), "\r\n", "\n"), "\n## ")
			_, expect, ok := strings.Cut(head, "\n# expect ")
			if expect, _, _ = strings.Cut(expect, "\n"); !ok || rest == "" {
				t.Fatal("it expects nothing, or has no section")
			}
			got := readSample(t, rest)
			for _, word := range strings.Fields(expect) {
				key, want, _ := strings.Cut(word, "=")
				if have, known := got[key]; !known || have != want {
					t.Errorf("%s is %q, want %q", key, have, want)
				}
			}
		})
	}
}

// readSample has the fake launchctl print the sections of a sample, and returns what is read in them.
func readSample(t *testing.T, sections string) map[string]string {
	t.Helper()
	m := launchd{home: "/Users/u", uid: 501, user: "u"}
	calls := map[string]string{"list": launchdList, "print": launchdPrint, "print-disabled": launchdOff}
	answers := map[string]plant{}
	for _, section := range strings.Split(sections, "\n## ") {
		name, text, _ := strings.Cut(section, "\n")
		name = strings.TrimSpace(name)
		if calls[name] == "" {
			t.Fatalf("what is %q?", name)
		}
		answers[name] = plant{Stdout: text}
	}
	var plants []plant
	for name, call := range calls {
		p, ok := answers[name]
		if p.Call = call; !ok {
			p.Code = 113
		}
		for p.Nth = 1; p.Nth < 9; p.Nth++ { // the first, the second one …
			plants = append(plants, p)
		}
	}
	fake := fakeMachine{mem: &fakeMemory{state: fakeState{Uid: m.uid}, plants: plants}}
	s, _ := m.state(context.Background(), inProcess{fake})
	got := map[string]string{"phase": string(s.phase), "pid": strconv.Itoa(s.pid), "cause": s.cause, "loaded": s.loaded, "program": s.program,
		"exit": "none", "signal": "none", "deferred": map[bool]string{true: "yes", false: "no"}[s.deferred != ""], "disabled": "unknown"}
	if e := s.lastExit; e != nil && e.signal != 0 {
		got["signal"] = strconv.Itoa(e.signal)
	} else if e != nil {
		got["exit"] = strconv.Itoa(e.code)
	}
	if on := m.surroundings(context.Background(), inProcess{fake}, state{}).enabled; on != nil {
		got["disabled"] = map[bool]string{true: "no", false: "yes"}[*on]
	}
	return got
}

func TestTheStateOfAJobThatWasMadeUp(t *testing.T) {
	t.Parallel()
	for printed, check := range map[string]func(s state) bool{
		"\tstate = spawning\n":                                                         func(s state) bool { return s.phase == starting && !s.maybeNotStarted },
		"\tstate = spawn scheduled\n":                                                  func(s state) bool { return s.phase == starting },
		"\tstate = SIGTERMed\n":                                                        func(s state) bool { return s.phase == stopped && s.maybeNotStarted },
		"\tstate = languishing\n":                                                      func(s state) bool { return s.phase == stopped && s.maybeNotStarted && s.rawState == "languishing" },
		"\t\tstate = running\n\t\tpid = 7\n":                                           func(s state) bool { return s.pid == 0 && s.rawState == "stopped" },
		"state = running\npid = 7\n":                                                   func(s state) bool { return s.pid == 0 && s.rawState == "stopped" },
		"\tjob state = running\n":                                                      func(s state) bool { return s.rawState == "stopped" },
		"\tstate = running\n\tstate = exited\n\tpid = 7\n\tpid = 8\n":                  func(s state) bool { return s.pid == 7 && s.rawState == "running" },
		"\tminimum runtime = 80\n\tlast exit code = 3\n":                               func(s state) bool { return strings.HasSuffix(s.next, "at most once every 80 seconds") },
		"\truns = 3\n\tstate = running\n\tlast exit code = 0\n":                        func(s state) bool { return s.restarts == nil }, // by kickstart, perhaps
		"\truns = 3\n\tstate = running\n\tlast exit code = 1\n":                        func(s state) bool { return *s.restarts == 2 },
		"\truns = 0\n":                                                                 func(s state) bool { return *s.restarts == 0 },
		"\truns = many\n\texit timeout = long\n":                                       func(s state) bool { return s.restarts == nil && s.exitTimeout == 0 },
		"\tlast exit code = 0\n":                                                       func(s state) bool { return s.phase == stopped && !s.maybeNotStarted && *s.lastExit == exitStatus{} },
		"x = {\n    state = running\n    pid = 7\n    a = {\n        pid = 8\n    }\n": func(s state) bool { return s.pid == 7 && s.phase == running },
		"\tstate = not running\n\targuments = {\n\t\tsh\n\tpid = 99\n\t}\n\tpid = 98\n\t}\n\tlast exit code = 3: x\n": func(s state) bool {
			return s.pid == 0 && *s.lastExit == exitStatus{code: 3} && s.phase == crashLooping
		},
		"\tstate = not running\n\targuments = {\n\t\tsh\n\tlast exit code = 9\n\t}\n": func(s state) bool { return s.lastExit == nil },
		"\tlast terminating signal = 9: Killed: 9\n":                                  func(s state) bool { return *s.lastExit == exitStatus{signal: 9} },
		"\tlast exit reason = OS_REASON_EXEC\n\tlast exit code = 0\n":                 func(s state) bool { return s.cause == "exec" && s.phase == crashLooping },
		"\tlast exit reason = (none)\n":                                               func(s state) bool { return s.cause == "" && s.phase == stopped },
		"\tstate = spawn scheduled\n\tlast exit code = 0\n":                           func(s state) bool { return s.phase == starting },
		"\tpended nondemand spawn = (none)\n":                                         func(s state) bool { return s.deferred == "" },
		"\tstate = running\n\tpid = 5\n\tpended nondemand spawn = x":                  func(s state) bool { return s.deferred == "" },
		"\tlast terminating signal = 9: Killed\n":                                     func(s state) bool { return *s.lastExit == exitStatus{signal: 9} },
		"\tlast terminating signal = User defined signal 1: 30\n":                     func(s state) bool { return *s.lastExit == exitStatus{signal: 30} },
		"\tlast terminating signal = Killed\n":                                        func(s state) bool { return s.lastExit == nil },
		"\tstate = xpcproxy\n\tpid = 5\n":                                             func(s state) bool { return s.phase == starting && s.pid == 5 },
		"\tstate = running\n\tlast exit code = 3\n":                                   func(s state) bool { return s.phase == running && s.pid == 0 },
		"\tstate = languishing\n\tpid = 5\n":                                          func(s state) bool { return s.phase == stopped && s.pid == 5 && !s.maybeNotStarted },
		"\tstate = waiting\n\tlast exit code = 0\n":                                   func(s state) bool { return s.phase == stopped && !s.maybeNotStarted },
		"\tstate = exited\n\tlast exit code = 1\n":                                    func(s state) bool { return s.phase == crashLooping },
		"\tstate = running\n\tpid = 0\n":                                              func(s state) bool { return s.phase == running && s.pid == 0 },
		"\tpid = -7\n\tlast exit code = 2\n":                                          func(s state) bool { return s.pid == 0 && s.phase == crashLooping },
		"\tlast exit reason = OS_REASON_DYLD, code 0x1\n":                             func(s state) bool { return s.cause == "dyld" },
		"\tlast exit reason = OS_REASON_JETSAM (per-process-limit)\n":                 func(s state) bool { return s.cause == "memory limit" },
		"\tlast exit reason = JETSAM_REASON_MEMORY_PERPROCESSLIMIT\n":                 func(s state) bool { return s.cause == "memory limit" },
		"\tlast exit reason = JETSAM_REASON_MEMORY_HIGHWATER\n":                       func(s state) bool { return s.cause == "memory limit" },
		"\tlast exit reason = JETSAM_REASON_LOWSWAP\n":                                func(s state) bool { return s.cause == "jetsam" },
		"\tlast exit reason = OS_REASON_SIGNAL | 11\n":                                func(s state) bool { return s.cause == "signal" && s.phase == crashLooping },
		"\tlast exit reason = OS_REASON_SIGNAL\n\tlast terminating signal = Abort trap: 6\n": func(s state) bool {
			return s.cause == "" && s.phase == crashLooping
		},
		"\tlast exit reason = exited\n\tlast exit code = 0\n":                  func(s state) bool { return s.cause == "" && s.phase == stopped },
		"\nx = {\n\n  state = running\n  pid = 7\n  a = {\n    pid = 8\n  }\n": func(s state) bool { return s.pid == 7 && s.phase == running },
		"\tlast exit code = 5\r\n\tstate = spawn scheduled\r\n":                func(s state) bool { return s.phase == crashLooping && s.lastExit.code == 5 },
		"{\n\t\"LastExitStatus\" = -9;\n};\n##":                                func(s state) bool { return *s.lastExit == exitStatus{signal: 9} },
		"{\n\t\"LastExitStatus\" = 4294967287;\n};\n##":                        func(s state) bool { return strconv.IntSize == 32 || *s.lastExit == exitStatus{signal: 9} }, // no Mac has 32 bits
		"{\n\t\"LastExitStatus\" = 139;\n};\n##":                               func(s state) bool { return *s.lastExit == exitStatus{signal: 11} },
		"{\n\t\"PID\" = 0;\n\t\"LastExitStatus\" = 0;\n};\n##":                 func(s state) bool { return s.pid == 0 && s.phase == stopped && s.maybeNotStarted },
		"{\n\t\"PID\" = 9;\n\t\"LastExitStatus\" = 0;\n};\n##\tstate = spawn scheduled\n\tlast exit code = 3\n": func(s state) bool { // it ended between the two
			return s.pid == 0 && s.phase == crashLooping && s.lastExit.code == 3
		},
		"{\n\t\"LimitLoadToSessionType\" = (\n\t\t\"Aqua\";\n\t\t\"Background\";\n\t);\n\t\"PID\" = 9;\n};\n##": func(s state) bool { return s.pid == 9 },
		"\tlast terminating signal = Hangup: one\n":                                                             func(s state) bool { return s.lastExit == nil },
	} {
		listed, rest, ok := strings.Cut(printed, "##")
		if !ok {
			listed, rest = "", printed
		}
		if s := parseJobState(listed, rest); !check(s) {
			t.Errorf("%q: got %s", printed, systemdSummary(s))
		}
	}
}

func FuzzTheStateOfAJob(f *testing.F) {
	for _, name := range []string{"running", "stopped", "exit-78", "killed"} {
		list := strings.Replace(name, "killed", "sigkill", 1)
		f.Add(fakebinText(f, "launchctl-list-"+list+".txt"), fakebinText(f, "launchctl-print-"+name+".txt"))
	}
	f.Add("\t\"PID\" = -5;", "\tpid = -1\n\truns = -9")
	f.Fuzz(func(t *testing.T, listed, printed string) {
		s := parseJobState(listed, printed)
		if s.rawState == "" || s.phase == "" || s.invocation != strconv.Itoa(s.pid) || s.restarts != nil && *s.restarts < 0 {
			t.Errorf("%q %q: %s", listed, printed, systemdSummary(s))
		}
		if e := s.lastExit; e != nil && e.code != 0 && e.signal != 0 {
			t.Errorf("%q %q: both ended and killed: %+v", listed, printed, *e)
		}
		for key, value := range jobFields(listed) {
			if strings.Contains(value, "\n") || !strings.Contains(listed, value) {
				t.Errorf("%q: %q is %q", listed, key, value)
			}
		}
	})
}

func TestValuesOfAList(t *testing.T) {
	t.Parallel()
	text := "{\n\t\"Label\" = \"x;y\";\n\t\"M\" = {\n\t\t\"PID\" = 1;\n\t};\n\t\"S\" = (\n\t\t\"PID\";\n\t);\n\t\"PID\" = 42;\n\t\"Odd\" = 5\n};\n"
	fields := jobFields(text)
	for key, want := range map[string]string{"PID": "42;", "Label": `"x;y";`, "Odd": "5", "None": "", "ID": ""} {
		same(t, key, fields[strconv.Quote(key)], want)
	}
}

const (
	launchdList  = "launchctl list com.runtimescope.collector"
	launchdPrint = "launchctl print gui/501/com.runtimescope.collector"
	launchdUser  = "launchctl print user/501/com.runtimescope.collector"
	launchdOff   = "launchctl print-disabled gui/501"
)

func TestLaunchdIsAskedWithListAndPrint(t *testing.T) {
	t.Parallel()
	listed, printed := fakebinText(t, "launchctl-list-running.txt"), fakebinText(t, "launchctl-print-running.txt")
	fails := func(code int) error { return planFailed(code, "", "launchctl") }
	for _, c := range []struct {
		what                  string
		list, print, user     error
		phase                 phase
		domain, loaded, noGUI bool
		pid, code             int
		inUser, half          bool
		calls                 []string
	}{
		{what: "loaded", phase: running, pid: 31259, loaded: true, calls: []string{launchdList, launchdPrint}},
		{what: "not loaded", list: fails(113), print: fails(113), phase: notInstalled, calls: []string{launchdList, launchdPrint}},
		{what: "loaded in a session that list does not see", list: fails(113), phase: running, pid: 28474, loaded: true, calls: []string{launchdList, launchdPrint}},
		{what: "loaded in the user domain", print: fails(113), phase: running, pid: 31259, loaded: true, inUser: true, calls: []string{launchdList, launchdPrint, launchdUser}},
		{what: "print does not work", print: fails(1), user: fails(1), phase: running, pid: 31259, loaded: true, calls: []string{launchdList, launchdPrint, launchdUser}},
		{what: "print fails half-way", print: fails(1), user: fails(1), half: true, phase: running, pid: 31259, loaded: true, calls: []string{launchdList, launchdPrint, launchdUser}},
		{what: "not logged in to the desktop", list: fails(113), print: fails(125), phase: unknown, noGUI: true, code: 125, calls: []string{launchdList, launchdPrint}},
		{what: "no GUI domain", list: fails(113), print: fails(112), phase: unknown, noGUI: true, code: 112, calls: []string{launchdList, launchdPrint}},
		{what: "no GUI session, but loaded", print: fails(125), phase: running, pid: 31259, loaded: true, inUser: true, calls: []string{launchdList, launchdPrint, launchdUser}},
		{what: "list does not work", list: fails(1), phase: unknown, code: 1, calls: []string{launchdList}},
		{what: "neither works", list: fails(113), print: fails(1), phase: notInstalled, calls: []string{launchdList, launchdPrint}},
	} {
		var calls []string
		m := launchd{home: "/Users/ada", uid: 501, user: "ada"}
		run := planRunner{calls: &calls, outputs: map[string]string{}, answers: map[string]error{launchdList: c.list, launchdPrint: c.print, launchdUser: c.user}}
		for call, text := range map[string]string{launchdList: listed, launchdPrint: printed, launchdUser: printed} {
			if run.answers[call] == nil || c.half {
				run.outputs[call] = text
			}
		}
		s, err := m.state(context.Background(), run)
		if s.phase != c.phase || s.pid != c.pid || max(0, exitCode(err)) != c.code || strings.Contains(errText(err), "not logged in to the desktop") != c.noGUI {
			t.Errorf("%s: got %s, %v", c.what, systemdSummary(s), err)
		}
		domain := "gui/501"
		if c.inUser {
			domain = "user/501"
		}
		if c.half && s.restarts != nil {
			t.Errorf("%s: what it printed is believed: %s", c.what, systemdSummary(s))
		}
		if err == nil && s.domain != domain || c.loaded && filepath.ToSlash(s.loaded) != filepath.ToSlash(m.path()) || !c.loaded && s.loaded != "" {
			t.Errorf("%s: domain %s, loaded %q", c.what, s.domain, s.loaded)
		}
		if s.phase == notInstalled && s.next != "launchd no longer has the job" {
			t.Errorf("%s: next is %q", c.what, s.next)
		}
		same(t, fmt.Sprintf("%s: ran", c.what), calls, c.calls)
	}
}

func TestWhyLaunchctlGivesNoAnswer(t *testing.T) {
	t.Parallel()
	m := launchd{uid: 501, user: "ada"}
	_, missing := osRunner{}.Run(context.Background(), "launchctl")
	if err := m.unreachable(missing); err.Error() != "launchctl is not on this system" || helpOf(err) != "runtimescope service run" {
		t.Errorf("got %v", err)
	}
	for _, code := range []int{112, 125} {
		cause := planFailed(code, "x", "launchctl", "print")
		err := m.unreachable(cause)
		want := fmt.Sprintf("user ada is not logged in to the desktop, and launchd agents need a GUI session (launchctl print: exit status %d: x)", code)
		if err.Error() != want || helpOf(err) != "runtimescope service run" || exitCode(err) != code {
			t.Errorf("got %v", err)
		}
	}
	for _, err := range []error{planFailed(113, "x", "launchctl"), planFailed(1, "", "launchctl"), errPlanDisk} {
		if got := m.unreachable(err); got != err {
			t.Errorf("got %v", got)
		}
	}
}

func TestADisabledAgentIsSeen(t *testing.T) {
	t.Parallel()
	m := launchd{uid: 501}
	for name, want := range map[string]bool{"12": false, "13": false, "not": true} {
		text := fakebinText(t, "launchctl-print-disabled-"+name+".txt") + "\tlogin item associations = {\n\t\t\"" + label + "\" => \"x\"\n\t}\n"
		run := planRunner{outputs: map[string]string{launchdOff: text}}
		if got := m.surroundings(context.Background(), run, state{}).enabled; got == nil || *got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if got := m.surroundings(context.Background(), planRunner{}, state{}).enabled; got == nil || !*got {
		t.Error("an agent that is not in the list is switched off")
	}
	if got := m.surroundings(context.Background(), planRunner{answers: map[string]error{launchdOff: planFailed(1, "", "launchctl")}}, state{}).enabled; got != nil {
		t.Errorf("without an answer: %v", *got)
	}
}

// launchdHome is a home with a plist that launchd would take.
func launchdHome(t *testing.T) launchd {
	t.Helper()
	m := launchd{home: t.TempDir(), uid: max(0, os.Getuid()), user: "ada"}
	text := need(m.render(definition{collector: "/usr/local/bin/collector-server"}))(t)
	for _, dir := range []string{filepath.Dir(m.path()), m.logs()} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	put(t, m.path(), text, 0o600)
	return m
}

func TestWhyLaunchdRefusesAnAgent(t *testing.T) {
	t.Parallel()
	me := max(0, os.Getuid())
	write := func(m launchd, text string) {
		put(t, m.path(), text, 0o600)
	}
	for _, c := range []struct {
		what      string
		code      int
		print     string // what print says; "" when the job is not there
		off       string // what print-disabled says
		prepare   func(m launchd)
		unix      bool
		says, fix string
	}{
		{"ending", 5, "sigtermed", "", nil, false, "the old collector is still exiting (E)", "runtimescope service restart"},
		{"nothing to be seen, nor whether it is switched off", 5, "", "fails", nil, false, "launchd refused the agent without a reason, and none of the usual causes applies (E)", ""},
		{"switched off", 5, "", "13", nil, false, "the agent is disabled, in System Settings under Login Items or by launchctl disable (E)", "launchctl enable gui/UID/" + label + ", or " + loginItems},
		{"switched off, with a number that says so", 119, "", "", nil, false, "the agent is disabled, in System Settings under Login Items or by launchctl disable (E)", "launchctl enable gui/UID/" + label + ", or " + loginItems},
		{"loaded already", 37, "running", "not", nil, false, "the job is already loaded (E)", "runtimescope service restart"},
		{"no session", 125, "", "", nil, false, "user ada is not logged in to the desktop, and launchd agents need a GUI session (E)", "runtimescope service run"},
		{"no session, though print does not say so", 125, "running", "", nil, false, "user ada is not logged in to the desktop, and launchd agents need a GUI session (E)", "runtimescope service run"},
		{"125 for its mode", 125, "", "", func(m launchd) { os.Chmod(m.path(), 0o622) }, true,
			"PATH is writable by others (mode 0622), so launchd refuses it (E)", "runtimescope service install"},
		{"a login item that is switched off", 161, "", "", nil, false, "macOS keeps the agent from running: it may be switched off as a login item (E)", loginItems},
		{"a binary plist", 5, "", "", func(m launchd) { write(m, "bplist00\xd1\x01") }, false, "launchd refused the agent without a reason, and none of the usual causes applies (E)", ""},
		{"half a plist", 5, "", "", func(m launchd) { write(m, "<plist><dict>") }, false,
			"PATH is not a well-formed plist: XML syntax error on line 1: unexpected EOF (E)", "runtimescope service install"},
		{"no plist", 5, "", "", func(m launchd) { write(m, "x") }, false, "PATH is not a well-formed plist: there is no <plist> in it (E)", "runtimescope service install"},
		{"no program", 5, "", "", func(m launchd) { write(m, "<plist><dict></dict></plist>") }, false, "PATH has no program (E)", "runtimescope service install"},
		{"writable by others", 5, "", "", func(m launchd) { os.Chmod(m.path(), 0o622) }, true,
			"PATH is writable by others (mode 0622), so launchd refuses it (E)", "runtimescope service install"},
		{"nothing to be seen", 5, "", "", nil, false, "launchd refused the agent without a reason, and none of the usual causes applies (E)", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.unix && runtime.GOOS == "windows" {
				t.Skip("files have no such permissions here")
			}
			m := launchdHome(t)
			if c.prepare != nil {
				c.prepare(m)
			}
			target := fmt.Sprintf("gui/%d/%s", me, label)
			run := planRunner{answers: map[string]error{}, outputs: map[string]string{}}
			if c.print != "" {
				run.outputs["launchctl print "+target] = fakebinText(t, "launchctl-print-"+c.print+".txt")
			} else {
				run.outputs["launchctl print "+target] = "x = {\n\tstate = SIGTERMed\n"
				run.answers["launchctl print "+target] = planFailed(113, "", "launchctl")
			}
			if off := fmt.Sprintf("launchctl print-disabled gui/%d", me); c.off == "fails" {
				run.answers[off] = planFailed(1, "", "launchctl")
			} else if c.off != "" {
				run.outputs[off] = fakebinText(t, "launchctl-print-disabled-"+c.off+".txt")
			}
			cause := planFailed(c.code, "Bootstrap failed", "launchctl", "bootstrap", "x")
			err := m.explain(context.Background(), run, cause)
			want := strings.NewReplacer("PATH", m.path(), "(E)", "("+cause.Error()+")").Replace(c.says)
			if errText(err) != want || helpOf(err) != strings.ReplaceAll(c.fix, "UID", strconv.Itoa(me)) || exitCode(err) != c.code {
				t.Errorf("got\n%v\n%s\nwant\n%s", err, helpOf(err), want)
			}
		})
	}
}

func TestALogThatLaunchdCannotOpenIsNamed(t *testing.T) {
	t.Parallel()
	m := launchdHome(t)
	text := need(m.render(definition{collector: "/nowhere"}))(t)
	put(t, m.path(), text, 0o600)
	asked := planRunner{outputs: map[string]string{launchdList: fakebinText(t, "launchctl-list-exit-78.txt")}}
	whyNot := func() string {
		s, err := m.state(context.Background(), asked)
		if err != nil || !s.notExecuted {
			t.Errorf("it was run: %s, %v", systemdSummary(s), err)
		}
		return s.whyNotExecuted
	}
	if why := m.logFault(); why != nil {
		t.Errorf("a log that is not there yet: %v", why)
	}
	if err := os.Mkdir(m.logFiles()[1], 0o755); err != nil { // root may open anything else
		t.Fatal(err)
	}
	why := "launchd cannot open its log: " + m.logFiles()[1] + " exists but is a directory"
	if errText(m.logFault()) != why || whyNot() != why {
		t.Errorf("got %q, %q", m.logFault(), whyNot())
	}
	run := planRunner{answers: map[string]error{"launchctl print " + m.domain() + "/" + label: planFailed(113, "", "launchctl")}}
	err := m.explain(context.Background(), run, planFailed(5, "x", "launchctl", "bootstrap"))
	if want := why + " (launchctl bootstrap: exit status 5: x)"; errText(err) != want || helpOf(err) != "move it away" {
		t.Errorf("got %v, %s", err, helpOf(err))
	}
	os.Remove(m.logFiles()[1])
	put(t, m.logFiles()[1], "", 0o600)
	if why := m.logFault(); why != nil {
		t.Errorf("a log that may be written: %v", why)
	}
	if runtime.GOOS != "windows" {
		for path, mode := range map[string]os.FileMode{m.logFiles()[1]: 0o400, m.logs(): 0o555} {
			os.Chmod(path, mode)
			inHome := "~" + strings.TrimPrefix(path, m.home)
			if err := m.logFault(); !strings.HasSuffix(errText(err), fmt.Sprintf("%s is not writable (mode %#o)", path, mode)) || !strings.HasSuffix(helpOf(err), inHome) {
				t.Errorf("got %v, %s", err, helpOf(err))
			}
			os.Chmod(path, 0o700)
			m.uid++
			if err := m.logFault(); !strings.Contains(errText(err), "belongs to another user") || !strings.HasPrefix(helpOf(err), "sudo chown $USER ~/.runtimescope/logs") {
				t.Errorf("got %v, %s", err, helpOf(err))
			}
			m.uid--
		}
	}
	same(t, "", whyNot(), "/nowhere is missing")
	asked.outputs[launchdList] = fakebinText(t, "launchctl-list-exit-1.txt")
	if s, err := m.state(context.Background(), asked); err != nil || s.notExecuted || s.whyNotExecuted != "" {
		t.Errorf("a program that was run: %s, %v", systemdSummary(s), err)
	}
}

func TestAScriptThatMacOSKeepsFromItsFolderIsExplained(t *testing.T) {
	t.Parallel()
	for program, cause := range map[string]string{"/Users/ada/Documents/dev/x.sh": "tcc", "/usr/local/bin/x.sh": ""} {
		s := state{program: program, lastExit: &exitStatus{code: 126}, lastName: "status 126"}
		launchd{home: "/Users/ada"}.explainEnd(&s)
		if s.cause != cause || s.lastName != strings.TrimSuffix("status 126 (macOS denied it access to files (privacy))", map[string]string{"": " (macOS denied it access to files (privacy))"}[cause]) {
			t.Errorf("%s: %q, %s", program, s.cause, s.lastName)
		}
	}
}

func TestWhatLaunchdWouldRefuseIsSeenBeforehand(t *testing.T) {
	t.Parallel()
	m := launchdHome(t)
	if os.Getuid() == 0 {
		m.uid = 501
		if err := m.unusable(); err != nil {
			t.Errorf("a plist of root's is refused: %v", err)
		}
		if err := os.Chown(m.path(), m.uid, -1); err != nil {
			t.Skip("root may not give files away here:", err)
		}
	}
	must(t, m.unusable())
	if runtime.GOOS != "windows" {
		m.uid++
		if err, want := m.unusable(), fmt.Sprintf("%s belongs to another user (uid %d, not %d), so launchd refuses it", m.path(), m.uid-1, m.uid); errText(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
		m.uid--
		for mode, bad := range map[os.FileMode]bool{0o644: false, 0o600: false, 0o664: true, 0o602: true, 0o755: false} {
			must(t, os.Chmod(m.path(), mode))
			if err := m.unusable(); (err != nil) != bad {
				t.Errorf("mode %v: %v", mode, err)
			}
		}
	}
	folder := filepath.Dir(m.path())
	if runtime.GOOS != "windows" {
		m.uid++
		err := m.surroundings(context.Background(), planRunner{}, state{}).err
		if want := fmt.Sprintf("%s belongs to another user (uid %d)", folder, os.Getuid()); errText(err) != want || helpOf(err) != "sudo chown $USER ~/Library/LaunchAgents" {
			t.Errorf("got %v, %s", err, helpOf(err))
		}
		m.uid = os.Getuid()
		for mode, help := range map[os.FileMode]string{0o700: "", 0o500: "chmod u+wx ~/Library/LaunchAgents", 0o755: ""} {
			must(t, os.Chmod(folder, mode))
			if err := m.surroundings(context.Background(), planRunner{}, state{}).err; helpOf(err) != help || (err != nil) != (help != "") {
				t.Errorf("mode %v: %v", mode, err)
			}
			os.Chmod(folder, 0o755)
		}
	}
	must(t, os.Remove(m.path()))
	if err := m.unusable(); err != nil {
		t.Errorf("without a plist: %v", err)
	}
	must(t, os.Mkdir(m.path(), 0o755))
	if err := m.unusable(); err == nil {
		t.Error("a folder is a plist")
	}
}

func TestFailuresThatAreNotLaunchctlsAreLeftAsTheyAre(t *testing.T) {
	t.Parallel()
	m := launchdHome(t)
	for _, err := range []error{errPlanDisk, planFailed(119, "x", "lsof"), planFailed(5, "x", "launchctl", "bootout"), planFailed(3, "x", "launchctl"), planFailed(-1, "", "launchctl", "bootstrap")} {
		var calls []string
		if got := m.explain(context.Background(), planRunner{calls: &calls}, err); got != err || calls != nil {
			t.Errorf("got %v, want %v; it asked %q", got, err, calls)
		}
	}
	run := planRunner{outputs: map[string]string{"launchctl error 5": "5: Input/output error\n"}}
	if got := m.explain(context.Background(), run, planFailed(5, "", "launchctl", "bootout")); got.Error() != "launchctl bootout: exit status 5: 5: Input/output error" {
		t.Errorf("a bare number: got %v", got)
	}
	os.Remove(m.path())
	run.answers = map[string]error{"launchctl print " + m.domain() + "/" + label: planFailed(113, "", "launchctl")}
	if got := m.explain(context.Background(), run, planFailed(5, "x", "launchctl", "bootstrap")); !os.IsNotExist(errorsUnwrapFirst(got)) || exitCode(got) != 5 {
		t.Errorf("without a plist: got %v", got)
	}
}

// errorsUnwrapFirst is the first of the errors that one wraps.
func errorsUnwrapFirst(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()[0]
	}
	return err
}

func TestThePlansForLaunchd(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "paths have another separator here")
	m := launchd{home: "/nowhere/ada", uid: 501, returns: 5 * time.Second}
	there := file{path: m.path(), text: "old", exists: true, folder: true, kept: m.path() + ".bak"}
	states := []struct {
		name string
		state
	}{
		{"not installed", state{phase: notInstalled, domain: "gui/501"}},
		{"not loaded", state{phase: stopped, domain: "gui/501", file: there}},
		{"running", state{phase: running, pid: 5, domain: "gui/501", loaded: m.path(), exitTimeout: 5 * time.Second, file: there}},
		{"running in the user domain", state{phase: running, pid: 5, domain: "user/501", loaded: m.path(), file: there}},
		{"running, its file gone", state{phase: running, pid: 5, domain: "gui/501", loaded: m.path(), file: file{path: m.path()}}},
	}
	var b strings.Builder
	for _, v := range []verb{install, restart, stop, uninstall} {
		for _, s := range states {
			for _, text := range []string{"new", ""} {
				if v == install || text == "" {
					fmt.Fprintf(&b, "== %s, %s, write %q\n%s\n", v, s.name, text, planText(m.plan(v, snapshot{state: s.state}, text)))
				}
			}
		}
	}
	golden(t, "plans-launchd.txt", b.String())
	if got := planText(m.plan(stop, snapshot{}, "")); !strings.HasPrefix(got, "run launchctl bootout gui/501/") {
		t.Errorf("without a domain: %s", got)
	}
}

func TestALogThatHasGrownIsEmptiedAtAStart(t *testing.T) {
	t.Parallel()
	m := launchdHome(t)
	for i, size := range []int64{logLimit + 1, logLimit} {
		put(t, m.logFiles()[i], "", 0o600)
		must(t, os.Truncate(m.logFiles()[i], size))
	}
	s := snapshot{names: m.names()}
	new(app).logFacts(&s)
	for v, want := range map[verb]bool{install: true, restart: true, stop: false, uninstall: false} {
		var cut []string
		made := false
		for _, s := range m.plan(v, s, "").steps {
			if log, ok := s.(truncateLog); ok {
				cut = append(cut, log.path)
			}
			made = made || s == step(makeFolder{m.logs(), 0o700})
		}
		if wanted := []string{m.logFiles()[0]}; want && !slices.Equal(cut, wanted) || !want && cut != nil || made {
			t.Errorf("%s: empties %q, makes the folder that is there: %v", v, cut, made)
		}
	}
	mark := m.mark()
	same(t, "", mark.lengths, map[string]int64{m.logFiles()[1]: logLimit})
}

func TestTheLogOfOneStartIsWhatCameAfterTheMark(t *testing.T) {
	t.Parallel()
	m := launchdHome(t)
	add := func(i int, text string) {
		must(t, appendTo(m.logFiles()[i], text))
	}
	log := func(mark logMark) []string { return m.startLog(context.Background(), nil, state{}, mark).lines }
	if got := log(m.mark()); got != nil {
		t.Errorf("without a log: %q", got)
	}
	add(0, "old\n")
	add(1, "old output\n")
	before := time.Now()
	mark := m.mark()
	if mark.time.Before(before.Add(-time.Second)) || mark.time.After(time.Now()) {
		t.Errorf("the time is %v", mark.time)
	}
	if got := log(mark); got != nil {
		t.Errorf("nothing was logged: %q", got)
	}
	add(1, "new output\n")
	same(t, "", log(mark), []string{"new output"})
	for n := range 2001 {
		add(0, fmt.Sprintln("new", n))
	}
	if got := log(mark); len(got) != 2000 || got[0] != "new 1" || got[1999] != "new 2000" {
		t.Errorf("got %q", got)
	}
}

func TestWhetherAJobIsRegistered(t *testing.T) {
	t.Parallel()
	m := launchd{uid: 501}
	fails := func(code int) error { return planFailed(code, "", "launchctl") }
	for _, c := range []struct {
		what                string
		printed             string
		print, list         error
		gone, settled, back bool
		fails, asks         bool // asks: also with list
	}{
		{"loaded", "running", nil, nil, false, true, true, false, false},
		{"ending", "sigtermed", nil, nil, false, false, false, false, false},
		{"not found", "", fails(113), fails(1), true, true, false, false, false},
		{"not found, gone while it was printed", "sigtermed", fails(113), fails(1), true, true, false, false, false},
		{"no domain", "", fails(112), fails(1), true, true, false, false, false},
		{"no session", "", fails(125), fails(1), true, true, false, false, false},
		{"no print, loaded", "", fails(1), nil, false, true, true, false, true},
		{"no print, not found", "", fails(64), fails(113), true, true, false, false, true},
		{"no answer", "", fails(1), fails(1), false, false, false, true, true},
	} {
		var calls []string
		run := planRunner{calls: &calls, outputs: map[string]string{}, answers: map[string]error{launchdPrint: c.print, launchdList: c.list}}
		if c.printed != "" {
			run.outputs[launchdPrint] = fakebinText(t, "launchctl-print-"+c.printed+".txt")
		}
		for what, want := range map[string]bool{isGone: c.gone, hasEnded: c.settled, isLoaded: c.back} {
			if holds, err := m.until(what, "gui/501", 0).(await).holds(context.Background(), run); holds != want || (err != nil) != c.fails {
				t.Errorf("%s: it %s: %v, %v", c.what, what, holds, err)
			}
			if slices.Contains(calls, launchdList) != c.asks {
				t.Errorf("%s: it asked %q", c.what, calls)
			}
		}
	}
	steps := []step{m.until(isGone, "gui/501", state{}.endsWithin()), m.until(hasEnded, "gui/501", state{exitTimeout: 5 * time.Second}.endsWithin())}
	want := "wait until com.runtimescope.collector is gone, at most 30s\nwait until com.runtimescope.collector has ended, at most 15s\n"
	same(t, "", planText(plan{steps: steps}), want)
}

func TestExitsOfLaunchdHaveTheirNames(t *testing.T) {
	t.Parallel()
	for e, want := range map[exitStatus]string{{}: "status 0", {code: 1}: "status 1", {code: 78}: "status 78/EX_CONFIG", {code: 203}: "status 203", {signal: 9}: "SIGKILL", {signal: 10}: "SIGBUS"} {
		same(t, e, jobExitName(e), want)
	}
	for e, want := range map[exitStatus]bool{{}: false, {code: 78}: true, {code: 77}: false, {code: 203}: false, {signal: 78}: false} {
		same(t, e, parseJobState(fmt.Sprintf("{\n\t\"LastExitStatus\" = %d;\n}", e.code<<8|e.signal), "").notExecuted, want)
	}
	for p, want := range map[phase]string{
		failed: "launchd no longer tries to start it", crashLooping: "launchd restarts it, at most once every 10 seconds", stopped: "launchd does not restart it after a clean exit",
		running: "launchd has already restarted it", starting: "launchd has already restarted it",
	} {
		same(t, p, jobNext(state{phase: p}, 10), want)
	}
}

func TestLaunchdIsNamedAndItsPathsAreThese(t *testing.T) {
	t.Parallel()
	m := launchd{home: "/Users/ada", uid: 501}
	n := m.names()
	got := []string{n.name, n.definition, filepath.ToSlash(n.path), filepath.ToSlash(n.logs), filepath.ToSlash(n.logFiles[0]), filepath.ToSlash(n.logFiles[1]), m.domain()}
	want := []string{"launchd", "plist", "/Users/ada/Library/LaunchAgents/com.runtimescope.collector.plist", "/Users/ada/.runtimescope/logs",
		"/Users/ada/.runtimescope/logs/collector.err.log", "/Users/ada/.runtimescope/logs/collector.out.log", "gui/501"}
	if !slices.Equal(got, want) || len(n.logFiles) != 2 || m.path() != n.path || m.logs() != n.logs {
		t.Errorf("got %q", got)
	}
}
