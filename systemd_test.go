// Tests of the unit's text, against a reader of systemd's syntax written for them and checked against what systemd 252
// made of it, of what is read out of systemctl and journalctl, and of which steps each verb takes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// fakebinText is what a real tool said, see testdata/fakebin/README.md.
func fakebinText(t testing.TB, name string) string {
	t.Helper()
	text := need(os.ReadFile(filepath.Join("testdata", "fakebin", name)))(t)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// systemdHostile is a path of all that is allowed in one and means something somewhere.
const systemdHostile = "/home/ada/my apps/100% %h $HOME ${x} & <é日本> #;=~*?[]{}()!|`/collector-server"

// hostileValues are of variables V0, V1 and so on; .ci/plists reads the same file.
func hostileValues(t testing.TB) (values []string) {
	t.Helper()
	must(t, json.Unmarshal(need(os.ReadFile("testdata/values.json"))(t), &values))
	return values
}

func hostileVariables(t testing.TB) (d definition) {
	t.Helper()
	for i, value := range hostileValues(t) {
		d.setVariables(fmt.Sprintf("V%d=%s", i, value))
	}
	return d
}

func TestTheUnitIsWrittenLikeThis(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]definition{
		"unit-default.service": {collector: "/usr/local/bin/collector-server", ports: ports{}},
		"unit-ports.service":   {collector: "/usr/local/bin/collector-server", ports: ports{7001, 7002}},
		"unit-hostile.service": {collector: systemdHostile, ports: ports{0, 65535}, env: hostileVariables(t).env},
	} {
		text, err := systemd{}.render(d)
		if err != nil {
			t.Error(err)
		}
		golden(t, name, text)
	}
	plain, _ := systemd{}.render(definition{collector: "/x", ports: ports{}})
	if said, _ := (systemd{}).render(definition{collector: "/x", ports: ports{6768, 6767}}); said != plain {
		t.Error("default ports that are said are written")
	}
}

// systemdProgram reads the program out of what stands after ExecStart=, as systemd.syntax(7) and systemd.service(5) say
// and systemd 252 does: extract a word, unquote and unescape it, expand specifiers, then check the path.
func systemdProgram(text, home string) (string, bool) {
	got, ok := systemdWord(strings.TrimLeft(strings.TrimSpace(text), "-@:+!"), home)
	for _, r := range got {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`"'\`, r) {
			return "", false
		}
	}
	if !ok || !utf8.ValidString(got) || !strings.HasPrefix(got, "/") || strings.HasSuffix(got, "/") {
		return "", false
	}
	for strings.Contains(got, "//") {
		got = strings.ReplaceAll(got, "//", "/")
	}
	return got, true
}

// systemdWord reads the first word.
func systemdWord(text, home string) (string, bool) {
	var word []byte
	quote := byte(0)
	i := 0
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\':
			decoded, used := systemdEscape(text[i+1:])
			word = append(word, decoded...)
			i += used
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && strings.IndexByte(" \t\n\r", c) >= 0:
			text = text[:i] // the rest are arguments
		default:
			word = append(word, c)
		}
	}
	if quote != 0 {
		return "", false
	}
	var program strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] != '%' || i+1 == len(word) {
			program.WriteByte(word[i])
			continue
		}
		i++
		switch next := word[i]; {
		case next == '%':
			program.WriteByte('%')
		case next == 'h':
			program.WriteString(home)
		case next < 0x80 && (unicode.IsLetter(rune(next)) || unicode.IsDigit(rune(next))):
			return "", false // the test has no use for the other specifiers
		default:
			program.WriteString("%" + string(rune(next)))
		}
	}
	return program.String(), true
}

// systemdEscape decodes what follows a backslash; an unknown escape stays as it is.
func systemdEscape(rest string) (decoded string, used int) {
	if rest == "" {
		return `\`, 0
	}
	if at := strings.IndexByte(`abfnrtv\"'s`, rest[0]); at >= 0 {
		return "\a\b\f\n\r\t\v\\\"' "[at : at+1], 1
	}
	read := func(from, digits, base int) (uint64, bool) {
		if len(rest) < from+digits {
			return 0, false
		}
		n, err := strconv.ParseUint(rest[from:from+digits], base, 32)
		return n, err == nil && n != 0
	}
	switch rest[0] {
	case 'x':
		if n, ok := read(1, 2, 16); ok {
			return string([]byte{byte(n)}), 3
		}
	case 'u':
		if n, ok := read(1, 4, 16); ok {
			return string(rune(n)), 5
		}
	case 'U':
		if n, ok := read(1, 8, 16); ok && n <= unicode.MaxRune {
			return string(rune(n)), 9
		}
	default:
		if n, ok := read(0, 3, 8); ok && n < 256 {
			return string([]byte{byte(n)}), 3
		}
	}
	return `\`, 0
}

// systemdSaid is what systemd 252 made of programs, "refused" where it did not load the unit.
func systemdSaid(t testing.TB) [][2]string {
	t.Helper()
	var all [][2]string
	for _, line := range strings.Split(strings.TrimSuffix(fakebinText(t, "systemd-execstart.txt"), "\n"), "\n") {
		text, program, ok := strings.Cut(line, "\t")
		if !ok {
			t.Fatalf("no tab in %q", line)
		}
		all = append(all, [2]string{text, program})
	}
	if len(all) < 40 {
		t.Fatalf("only %d", len(all))
	}
	return all
}

func TestThisToolAndTheReaderOfTheseTestsReadProgramsAsSystemdDoes(t *testing.T) {
	t.Parallel()
	for _, said := range systemdSaid(t) {
		got, ok := systemdProgram(said[0], "/home/ada")
		if !ok {
			got = "refused"
		}
		same(t, said[0], got, strings.ReplaceAll(said[1], "//", "/"))
		if said[1] != "refused" && (!strings.Contains(said[0], "%h") || strings.Contains(said[0], "%%h")) { // specifiers are left to systemd
			same(t, said[0], path.Clean(systemd{}.parse("[Service]\nExecStart="+said[0]+"\n").collector), path.Clean(said[1]))
		}
	}
}

func TestWhatSystemdCannotRunIsRefusedByItsCharacter(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]string{
		`/a"b`:      `systemd cannot run "/a\"b": the character '"' is not allowed in the path of a program`,
		`/a'b`:      `systemd cannot run "/a'b": the character '\'' is not allowed in the path of a program`,
		`/a\b`:      `systemd cannot run "/a\\b": the character '\\' is not allowed in the path of a program`,
		"/a\nb":     `systemd cannot run "/a\nb": the character '\n' is not allowed in the path of a program`,
		"/a\tb":     `systemd cannot run "/a\tb": the character '\t' is not allowed in the path of a program`,
		"/a\x00b":   `systemd cannot run "/a\x00b": the character '\x00' is not allowed in the path of a program`,
		"/a\x1fb":   `systemd cannot run "/a\x1fb": the character '\x1f' is not allowed in the path of a program`,
		"/a\x7fb":   `systemd cannot run "/a\x7fb": the character '\x7f' is not allowed in the path of a program`,
		"/a\xffb":   `systemd cannot run "/a\xffb": its name is not UTF-8`,
		"/a\xc3":    `systemd cannot run "/a\xc3": its name is not UTF-8`,
		"/a\ufffdb": "", "/a b": "", "/ a ": "", "/%%": "", "/$$": "", "/é\u0085\u2028": "",
	} {
		text, err := unitProgram(program)
		if errText(err) != want || (text == "") != (want != "") {
			t.Errorf("%q: got %q, %v", program, text, err)
		}
		if _, err := (systemd{}).render(definition{collector: program}); errText(err) != want {
			t.Errorf("%q: render says %v", program, err)
		}
	}
	if got, _ := unitProgram("/a b/100%/$x/${y}"); got != `"/a b/100%%/$x/${y}"` {
		t.Errorf("got %s", got)
	}
}

func FuzzSystemdRunsTheVeryProgram(f *testing.F) {
	for _, said := range systemdSaid(f) {
		f.Add(said[1], "x", 7001, 0)
	}
	for _, value := range hostileValues(f) {
		f.Add(systemdHostile, value, 0, 65535)
	}
	f.Add("a\\\nExecStart=/b", "\n", 1, 2)
	f.Add("%\xff%%", "\xff", 6768, 6767)
	f.Fuzz(func(t *testing.T, name, value string, http, ws int) {
		program := path.Clean("/" + name)
		if program == "/" {
			return
		}
		d := definition{collector: program, ports: ports{abs(http) % 65536, abs(ws) % 65536}}
		environment := givesVariable(&d, value)
		text, err := systemd{}.render(d)
		if err != nil {
			if utf8.ValidString(program) && !strings.ContainsFunc(program, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`"'\`, r) }) {
				t.Errorf("%q is refused: %v", program, err)
			}
			return
		}
		var read []string
		for _, line := range strings.Split(text, "\n") {
			if value, ok := strings.CutPrefix(line, "ExecStart="); ok {
				got, ok := systemdProgram(value, "/home/ada")
				read = append(read, fmt.Sprint(got, " ", ok))
			}
			if value, ok := strings.CutPrefix(line, `Environment="`); ok {
				got, ok := systemdWord(`"`+value, "/home/ada")
				read = append(read, fmt.Sprint(got, " ", ok))
			}
		}
		same(t, "systemd reads", read, append([]string{program + " true"}, environment...))
		if got := (systemd{}).parse(text); got != systemdSaidPorts(d) {
			t.Errorf("read back as %+v, want %+v", got, d)
		}
		same(t, "", strings.Count(text, "\n"), strings.Count(systemdPlain(t), "\n")+len(d.ports.environment())+len(environment))
	})
}

// givesVariable sets a variable, unless --env refuses its value, and says how that is read.
func givesVariable(d *definition, value string) []string {
	words, err := (&app{}).givenVariables([]string{"V=" + value})
	if err != nil || value == "" {
		return nil
	}
	d.setVariables(words...)
	return []string{"V=" + value + " true"}
}

func abs(n int) int { return max(n, -(n + 1)) }

// systemdSaidPorts leaves out the ports that a definition does not have to say.
func systemdSaidPorts(d definition) definition {
	if d.ports.http == defaultHTTPPort {
		d.ports.http = 0
	}
	if d.ports.ws == defaultWSPort {
		d.ports.ws = 0
	}
	return d
}

func systemdPlain(t testing.TB) string {
	t.Helper()
	text := need(systemd{}.render(definition{collector: "/x"}))(t)
	return text
}

func TestAUnitThatSomebodyEditedIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want definition
	}{
		{"", definition{}},
		{"ExecStart=/x\n", definition{}},
		{"[Unit]\nExecStart=/x\n[Service]\n", definition{}},
		{"[Service]\nExecStart=/x", definition{collector: "/x", ports: ports{}}},
		{"\uFEFF[Service]\r\nExecStart=/x --flag --x=secret T=secret\r\n", definition{collector: "/x", arguments: "--flag --x=… T=…"}},
		{"  [Service]  \n  ExecStart  =  /x  \n", definition{collector: "/x", ports: ports{}}},
		{"[Service]\n# ExecStart=/no\n; ExecStart=/no\nExecStart=/x\n#ExecStart=/no\n", definition{collector: "/x", ports: ports{}}},
		{"[Service]\nExecStart=/one\nExecStart=\nExecStart=/two\n", definition{collector: "/two", ports: ports{}}},
		{"[Service]\nExecStart=/one\nExecStart=\n", definition{}},
		{"[Service]\nExecStart=\\\n# a comment\n/x\n", definition{collector: "/x", ports: ports{}}},
		{"[Service]\nExecStart=\"/a\\\nb\" c\n", definition{collector: "/a b", arguments: "c"}},
		{"[Service]\nExecStart=/x \\\n\nEnvironment=RUNTIMESCOPE_PORT=1\n", definition{collector: "/x", ports: ports{0, 1}}},
		{"[Service]\nExecStart=/x\\", definition{collector: "/x", ports: ports{}}},
		{"[Service]\nExecStartPre=/no\nexecstart=/no\nExecStart=/x\n", definition{collector: "/x", ports: ports{}}},
		{"[Service]\nEnvironment=RUNTIMESCOPE_HTTP_PORT=7001 RUNTIMESCOPE_PORT=7002\n", definition{collector: "", ports: ports{7001, 7002}}},
		{"[Service]\nEnvironment=\"RUNTIMESCOPE_HTTP_PORT=7001\" 'RUNTIMESCOPE_PORT=7002' \"A=b c\"\n", definition{ports: ports{7001, 7002}, env: "A=b c\x00"}},
		{"[Service]\nEnvironment=RUNTIMESCOPE_HTTP_PORT=7001\nEnvironment=RUNTIMESCOPE_HTTP_PORT=7003\n", definition{collector: "", ports: ports{7003, 0}}},
		{"[Service]\nEnvironment=RUNTIMESCOPE_HTTP_PORT=7001\nEnvironment=\nEnvironment=RUNTIMESCOPE_PORT=7002\n", definition{collector: "", ports: ports{0, 7002}}},
		{"[Service]\nEnvironment=RUNTIMESCOPE_HTTP_PORT=seven\n", definition{}},
		{"[Service]\nEnvironment=RUNTIMESCOPE_HTTP_PORT=7001\nEnvironment=RUNTIMESCOPE_PORT=7002\n", definition{collector: "", ports: ports{7001, 7002}}},
		{"[Service]\nExecStart = -/x\n", definition{collector: "/x", ports: ports{}}},
		{"[Service]\nExecStart=/x\n[Install]\nExecStart=/no\nEnvironment=RUNTIMESCOPE_PORT=1\n", definition{collector: "/x", ports: ports{}}},
	} {
		same(t, c.text, (systemd{}).parse(c.text), c.want)
	}
}

func TestLinesOfAUnit(t *testing.T) {
	t.Parallel()
	text := "\uFEFF[Unit]\r\n\n # one\n;two\nA=1 \\\n # three\n\t; four\nB=2\\\n\nC=3\n\n\nD=4\\"
	same(t, "", unitLines(text), []string{"[Unit]", "A=1  B=2 ", "C=3", "D=4 "})
}

func TestWordsOfAUnit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                       nil,
		" \t ":                   nil,
		"a b\tc":                 {"a", "b", "c"},
		" a  b \t":               {"a", "b"},
		"a\x00b":                 {"a\x00b"},
		`\x4`:                    {`\x4`},
		`\10`:                    {`\10`},
		`\u12`:                   {`\u12`},
		`"a b" 'c d' e`:          {"a b", "c d", "e"},
		`"" '' x`:                {"", "", "x"},
		`a"b c"d`:                {"ab cd"},
		`"it's" 'say "hi"'`:      {"it's", `say "hi"`},
		`a\ b`:                   {`a\`, "b"},
		`\s\t\n\r\a\b\f\v\\\"\'`: {" \t\n\r\a\b\f\v\\\"'"},
		`\x41\x4a\x4A`:           {"AJJ"},
		`\101\x00\000\400`:       {`A\x00\000\400`},
		`\u00e9\U0001F600\u00e`:  {"é\U0001F600" + `\u00e`},
		`\xc3\xa9`:               {"é"},
		`\q \x4 \xzz \`:          {`\q`, `\x4`, `\xzz`, `\`},
		`100%% %%%% %h`:          {"100%", "%%", "%h"},
		`"open`:                  {"open"},
		"é\u00a0x":               {"é\u00a0x"},
	} {
		same(t, text, unitWords(text), want)
	}
	same(t, "an assignment", unitAssignment("A=5% \"x\" \\\t"), `"A=5%% \"x\" \\\x09"`)
}

func FuzzReadingAUnitNeverPanics(f *testing.F) {
	f.Add(systemdPlain(f))
	f.Add("[Service]\nExecStart=\"\\x\\u\\U\\")
	for _, said := range systemdSaid(f) {
		f.Add("[Service]\nExecStart=" + said[0])
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := systemd{}.parse(text)
		if d.ports.http < 0 || d.ports.http > 65535 || d.ports.ws < 0 || d.ports.ws > 65535 {
			t.Errorf("%q: %+v", text, d)
		}
		for _, line := range unitLines(text) {
			if strings.Contains(line, "\n") {
				t.Errorf("%q: a line of two: %q", text, line)
			}
			for _, word := range unitWords(line) {
				if len(word) > 3*len(line)+1 {
					t.Errorf("%q: a word grew: %q", line, word)
				}
			}
		}
	})
}

const (
	systemdApp  = "/home/ada/app/collector-server"
	systemdUnit = "/home/ada/.config/systemd/user/runtimescope.service"
	systemdTree = "/user.slice/user-1000.slice/user@1000.service/app.slice/runtimescope.service"
)

func TestTheStateOfARealUnit(t *testing.T) {
	t.Parallel()
	// what most of them have in common
	unit := func(change func(s *state)) state {
		s := state{phase: stopped, rawState: "inactive", restarts: ptr(0), enabled: ptr(true), maybeUnreached: true, loaded: systemdUnit, program: systemdApp,
			next: "systemd does not restart it after a clean exit", unmask: "systemctl --user unmask runtimescope.service"}
		change(&s)
		return s
	}
	up := func(pid int, start string, change func(s *state)) state {
		return unit(func(s *state) {
			s.phase, s.rawState, s.pid, s.invocation, s.cgroup = running, "active", pid, start, systemdTree
			s.next = "systemd has already restarted it"
			change(s)
		})
	}
	ended := func(s *state, e exitStatus, name string, next string) {
		s.lastExit, s.lastName, s.next = &e, name, next
	}
	const again, givenUp = "systemd restarts it after 5s", "systemd does not restart it"
	same := func(*state) {}
	for name, want := range map[string]state{
		"not-found": unit(func(s *state) {
			s.phase, s.enabled, s.loaded, s.program, s.next = notInstalled, ptr(false), "", "", "systemd has already restarted it"
		}),
		"disabled-never-started": unit(func(s *state) { s.enabled = ptr(false) }),
		"stopped": unit(func(s *state) {
			s.unitEnv = []string{"RUNTIMESCOPE_HTTP_PORT=7001", "A=b c", `Q=say "hi"`, `B=back\\slash`, "D=doll$ar", "P=50%"}
		}),
		"running":       up(31275, "0f404fe16bc24d199503efd796a25d1d", same),
		"running-stale": up(31275, "0f404fe16bc24d199503efd796a25d1d", func(s *state) { s.stale = true }),
		"running-file-gone": up(31275, "0f404fe16bc24d199503efd796a25d1d", func(s *state) {
			s.loaded, s.program, s.enabled = "", "", ptr(false)
		}),
		"running-hostile-path": up(31550, "60ee9a15ebb141e891cf462ce3762d8f", func(s *state) { s.program = "/home/ada/app/a b%c$d/collector-server" }),
		"running-environment": up(31446, "3fff7d845d1041908e27df37b61bbbe9", func(s *state) {
			s.unitEnv = []string{"RUNTIMESCOPE_HTTP_PORT=7001", "A=b c", `Q=say "hi"`, `B=back\\slash`, "D=doll$ar", "P=50%"}
		}),
		"running-drop-in": up(28884, "99320dc5a9cd4943a25eb5b57fb32f6d", func(s *state) {
			s.program, s.arguments, s.unitEnv = "/home/ada/app/a b%c$d/collector-server", "--flag", []string{"RUNTIMESCOPE_HTTP_PORT=7001"}
			s.dropIns = []string{"/home/ada/.config/systemd/user/runtimescope.service.d/override.conf"}
		}),
		"auto-restart": unit(func(s *state) {
			s.phase, s.rawState = crashLooping, "activating (auto-restart)"
			ended(s, exitStatus{code: 3}, "status 3", again)
			s.invocation, s.unitEnv = "537af3411daa49eeb13860eb68dfb254", []string{"STANDIN_EXIT=3"}
		}),
		"auto-restart-203": unit(func(s *state) {
			s.phase, s.rawState, s.notExecuted = crashLooping, "activating (auto-restart)", true
			ended(s, exitStatus{code: 203}, "status 203/EXEC", again)
			s.invocation, s.program = "03c247e0dc304b50b9e17019b97a358c", "/home/ada/app/nowhere"
		}),
		"killed-auto-restart": unit(func(s *state) {
			s.phase, s.rawState = crashLooping, "activating (auto-restart)"
			ended(s, exitStatus{signal: 9}, "SIGKILL", again)
			s.invocation, s.program = "60ee9a15ebb141e891cf462ce3762d8f", "/home/ada/app/a b%c$d/collector-server"
		}),
		"failed-gave-up": unit(func(s *state) {
			s.phase, s.rawState, s.restarts = failed, "failed", ptr(5)
			ended(s, exitStatus{code: 3}, "status 3", "systemd gave up after 5 restarts")
			s.invocation, s.unitEnv = "37fb2734b5524694be096d2ba8a36208", []string{"STANDIN_EXIT=3"}
		}),
		"failed-timeout": unit(func(s *state) {
			s.killed = true
			s.phase, s.rawState = failed, "failed"
			ended(s, exitStatus{signal: 9}, "SIGKILL (systemd stopped it: a time limit of the unit expired)", givenUp)
			s.invocation, s.unitEnv, s.enabled = "e85ec7e87b334a26972fdfd164d59ae3", []string{"STANDIN_DEAF=1"}, ptr(false)
		}),
		"start-limit-hit": unit(func(s *state) {
			s.phase, s.rawState, s.startLimit = failed, "failed", true
			ended(s, exitStatus{}, "status 0", "systemd gave up: too many starts in a short time")
			s.invocation = "72f4adfa0e9f4f879880dec0548463d6"
		}),
		"deactivating": unit(func(s *state) {
			s.phase, s.rawState, s.pid, s.cgroup, s.ending = stopped, "deactivating (stop-sigterm)", 376, systemdTree, true
			s.invocation, s.unitEnv, s.enabled = "e85ec7e87b334a26972fdfd164d59ae3", []string{"STANDIN_DEAF=1"}, ptr(false)
		}),
		"activating-start-pre": unit(func(s *state) {
			s.phase, s.rawState, s.cgroup, s.enabled, s.invocation = starting, "activating (start-pre)", systemdTree, ptr(false), "0ff9339ad1514e91b14d6db2273b5ebb"
			s.next = "systemd has already restarted it"
		}),
		"masked": unit(func(s *state) { s.masked, s.program, s.enabled = true, "", ptr(false) }),
		"bad-setting": unit(func(s *state) {
			s.program = ""
			s.loadError = `systemd cannot load the unit (bad-setting): org.freedesktop.systemd1.BadUnitSetting "Unit runtimescope.service has a bad unit file setting."`
		}),
		"error-not-utf8": unit(func(s *state) {
			s.program, s.enabled = "", nil
			s.loadError = `systemd cannot load the unit (error): org.freedesktop.DBus.Error.InvalidArgs "Unit runtimescope.service failed to load properly, please adjust/correct and reload service manager: Invalid argument"`
		}),
		"linked":          unit(func(s *state) { s.enabled = ptr(false) }),
		"static":          unit(func(s *state) { s.enabled, s.static = ptr(false), true }),
		"enabled-runtime": unit(func(s *state) { s.enabled = ptr(false) }), // gone at the next login
	} {
		got, err := parseUnitState(fakebinText(t, "systemctl-show-"+name+".txt"))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, systemdSummary(got), systemdSummary(want))
		}
	}
}

// parseUnitState reads what systemctl show answered to one question.
func parseUnitState(out string) (state, error) {
	p, _ := readUnitProps(out)
	return p.state(out)
}

// systemdSummary writes a state with what its pointers point to.
func systemdSummary(s state) string {
	value := func(p any) any {
		if v := reflect.ValueOf(p); !v.IsNil() {
			return v.Elem().Interface()
		}
		return nil
	}
	text := fmt.Sprintf("%v %v %v %v %v", value(s.restarts), value(s.memory), value(s.lastExit), value(s.enabled), s.unitEnv)
	s.restarts, s.memory, s.lastExit, s.enabled = nil, nil, nil, nil
	return fmt.Sprintf("%s %+v", text, s)
}

func TestTheStateOfAUnitThatWasMadeUp(t *testing.T) {
	t.Parallel()
	sample := fakebinText(t, "systemctl-show-running.txt")
	for _, c := range []struct {
		old, new string
		check    func(s state) bool
	}{
		{"MemoryCurrent=[not set]", "MemoryCurrent=63963136", func(s state) bool { return *s.memory == 63963136 }},
		{"MemoryCurrent=[not set]", "MemoryCurrent=18446744073709551615", func(s state) bool { return s.memory == nil }},
		{"MemoryCurrent=[not set]\n", "", func(s state) bool { return s.memory == nil }},
		{"ActiveState=active", "ActiveState=reloading", func(s state) bool { return s.phase == running && s.rawState == "reloading (running)" }},
		{"ActiveState=active", "ActiveState=refreshing", func(s state) bool { return s.phase == running }},
		{"ActiveState=active", "ActiveState=maintenance", func(s state) bool { return s.phase == unknown && s.rawState == "maintenance (running)" }},
		{"ActiveState=active\nSubState=running", "ActiveState=activating\nSubState=auto-restart-queued", func(s state) bool { return s.phase == crashLooping }},
		{"ActiveState=active\nSubState=running", "ActiveState=activating\nSubState=start", func(s state) bool { return s.phase == starting }},
		{"UnitFileState=enabled", "UnitFileState=", func(s state) bool { return !*s.enabled }},
		{"ExecMainCode=0\nExecMainStatus=0", "ExecMainCode=3\nExecMainStatus=11", func(s state) bool { return *s.lastExit == exitStatus{signal: 11} }},
		{"ExecMainCode=0\nExecMainStatus=0", "ExecMainCode=1\nExecMainStatus=0", func(s state) bool { return *s.lastExit == exitStatus{} }},
		{"Result=success\nNRestarts=0\nExecMainCode=0\nExecMainStatus=0", "Result=oom-kill\nNRestarts=0\nExecMainCode=2\nExecMainStatus=9\nMemoryMax=20971520",
			func(s state) bool { return s.lastName == "SIGKILL (out of memory: the unit's MemoryMax is 20M)" }},
		{"Result=success\nNRestarts=0\nExecMainCode=0\nExecMainStatus=0", "Result=oom-kill\nNRestarts=0\nExecMainCode=2\nExecMainStatus=9\nMemoryMax=infinity",
			func(s state) bool { return s.lastName == "SIGKILL (out of memory)" }},
		{"Result=success\nNRestarts=0\nExecMainCode=0\nExecMainStatus=0", "Result=timeout\nNRestarts=0\nExecMainCode=1\nExecMainStatus=0\nInactiveExitTimestampMonotonic=9",
			func(s state) bool {
				return s.lastName == "status 0 (systemd stopped it: the start took longer than TimeoutStartSec)"
			}},
		{"Result=success", "Result=timeout\nInactiveExitTimestampMonotonic=9", func(s state) bool { return s.lastName == "systemd: the start took longer than TimeoutStartSec" }},
		{"Result=success", "Result=timeout\nInactiveExitTimestampMonotonic=9\nActiveEnterTimestampMonotonic=9", func(s state) bool { return s.lastName == "" }},
		{"ActiveState=active\nSubState=running", "ActiveState=active\nSubState=exited", func(s state) bool {
			return s.phase == running && s.rawState == "active (exited)" && s.next == "systemd does not restart it after a clean exit"
		}},
		{"UnitFileState=enabled", "ActiveEnterTimestampMonotonic=5000000", func(s state) bool { return s.activeAt == 5*time.Second }},
		{"MainPID=31275", "MainPID=many", func(s state) bool { return s.pid == 0 }},
		{"Environment=", "Environment=\nEnvironment=A=1", func(s state) bool { return slices.Equal(s.unitEnv, []string{"A=1"}) }},
		{"NRestarts=0", "NRestarts=7", func(s state) bool { return *s.restarts == 7 }},
		{"InvocationID=", "InvocationID=x\nInvocationID=", func(s state) bool { return s.invocation == "x" }},
		{"LoadState=loaded", "LoadState=not-found", func(s state) bool { return s.phase == running }},
		{" ; argv[]=", " ; x", func(s state) bool { return s.program == "" }},
		{"path=/home/ada/app/collector-server ; argv[]=/home/ada/app/collector-server", "path=/a ; argv[]=b/c ; argv[]=/a ; argv[]=b/c", func(s state) bool { return s.program == "/a ; argv[]=b/c" }},
		{"MemoryCurrent=", "MemoryHigh=infinity\nMemoryMax=268435456\nCPUQuotaPerSecUSec=1min 1s 500ms\nMemoryCurrent=", func(s state) bool { return s.limits == "MemoryMax=256M, CPUQuota=6150%" }},
		{"MemoryCurrent=", "MemoryHigh=1572864\nMemoryMax=infinity\nCPUQuotaPerSecUSec=infinity\nMemoryCurrent=", func(s state) bool { return s.limits == "MemoryHigh=1.5M" }},
		{"path=/home/ada/app/collector-server ; argv[]=/home/ada/app/collector-server", "path=/usr/bin/node ; argv[]=node /x.js --token=secret", func(s state) bool { return s.arguments == "/x.js --token=…" }},
		{"UnitFileState=enabled", "UnitFileState=static", func(s state) bool { return s.static && !*s.enabled }},
		{"UnitFileState=enabled", "UnitFileState=enabled\nWantedBy=a b\nEnvironmentFiles=/x (ignore_errors=no)", func(s state) bool { return !s.maybeUnreached && s.envFiles }},
		{"UnitFileState=enabled", "ConditionResult=no\nConditionTimestampMonotonic=5", func(s state) bool { return s.skipped == "Condition" }},
		{"UnitFileState=enabled", "ConditionTimestampMonotonic=9", func(s state) bool { return s.startedAt == 9*time.Microsecond }},
		{"UnitFileState=enabled", "ConditionTimestampMonotonic=9\nExecMainStartTimestampMonotonic=12", func(s state) bool { return s.startedAt == 12*time.Microsecond }},
		{"Result=success", "Result=exec-condition\nConditionResult=no\nConditionTimestampMonotonic=5", func(s state) bool { return s.skipped == "ExecCondition" }},
		{"ActiveState=active", "ActiveState=inactive\nAssertResult=no\nAssertTimestampMonotonic=5", func(s state) bool { return s.skipped == "Assert" }},
		{"UnitFileState=enabled", "ActiveState=active\nAssertResult=no\nAssertTimestampMonotonic=5", func(s state) bool { return s.skipped == "" }},
		{"UnitFileState=enabled", "CanStop=no\nCanStart=yes", func(s state) bool { return s.refusesStop && !s.refusesStart }},
		{"LoadState=loaded", "LoadState=masked\nCanStop=no\nCanStart=no", func(s state) bool { return !s.refusesStop && !s.refusesStart }},
		{"UnitFileState=enabled", "ConditionResult=no\nConditionTimestampMonotonic=0", func(s state) bool { return s.skipped == "" }},
		{"UnitFileState=enabled", "ConditionResult=yes\nConditionTimestampMonotonic=5", func(s state) bool { return s.skipped == "" }},
		{"Environment=", "Environment=RUNTIMESCOPE_PORT=x", func(s state) bool {
			return s.loadError == "the unit sets RUNTIMESCOPE_PORT, and its value is not a valid port"
		}},
		{"UnitFileState=enabled", "UnitFileState=masked-runtime", func(s state) bool { return s.unmask == "systemctl --user unmask --runtime "+unitName }},
		{"FragmentPath=" + systemdUnit, "FragmentPath=/etc/systemd/user/" + unitName, func(s state) bool { return s.unmask == "sudo systemctl --global unmask "+unitName }},
	} {
		text := strings.Replace(sample, c.old, c.new, 1)
		if text == sample {
			t.Fatalf("%q is not in the sample", c.old)
		}
		if s, err := parseUnitState(text); err != nil || !c.check(s) {
			t.Errorf("%s: %v, got %s", c.new, err, systemdSummary(s))
		}
	}
	if s, err := parseUnitState("LoadState=not-found\nActiveState=deactivating\nMainPID=0\n"); err != nil || s.phase != stopped || s.gone() {
		t.Errorf("a process of a unit that is gone: %v, %s", err, systemdSummary(s))
	}
	for _, text := range []string{"", "x", "ActiveState=active\n", "LoadState=loaded\n", "ActiveState=\nLoadState=loaded\n", strings.Repeat("x", 500)} {
		s, err := parseUnitState(text)
		if want := fmt.Sprintf("unexpected output from systemctl show: %q", shorten(text, 200)); errText(err) != want || s.phase != unknown {
			t.Errorf("got %v, %s", err, s.phase)
		}
	}
}

func TestValuesOfTheEnvironmentThatSystemctlQuotesAreReadBack(t *testing.T) {
	t.Parallel()
	sample := strings.Replace(fakebinText(t, "systemctl-show-running.txt"), "Environment=", "Environment="+"\"A=new\\nline\" \"B=tab\\there\" \"C=back\\`tick\" D=100%% E=é F= \"G=doll\\$ar\"", 1)
	s, err := parseUnitState(sample)
	want := []string{"A=new\nline", "B=tab\there", "C=back`tick", "D=100%%", "E=é", "F=", "G=doll$ar"} // what the unit said to systemd 252
	if err != nil || !slices.Equal(s.unitEnv, want) {
		t.Errorf("got %q, want %q", s.unitEnv, want)
	}
}

func FuzzTheStateOfAUnit(f *testing.F) {
	for _, name := range []string{"running", "auto-restart", "masked", "bad-setting", "running-environment"} {
		f.Add(fakebinText(f, "systemctl-show-"+name+".txt"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseUnitState(text)
		if err != nil {
			same(t, text, s.phase, unknown)
			return
		}
		bad := strings.Contains(text, "bad") || strings.Contains(text, "error") // of which it is not known
		if s.rawState == "" || s.phase == "" || s.restarts == nil || s.enabled == nil && !bad || s.maybeNotStarted {
			t.Errorf("%q: %s", text, systemdSummary(s))
		}
	})
}

func TestAUnitThatIsBeingStoppedHasNotEndedYet(t *testing.T) {
	t.Parallel()
	s, err := parseUnitState(fakebinText(t, "systemctl-show-deactivating.txt"))
	if err != nil || s.gone() || (wait{state: s, first: state{invocation: s.invocation, pid: s.pid}}).ended() {
		t.Errorf("%v, %s", err, systemdSummary(s))
	}
	// its main process has ended, others of it have not
	text := strings.Replace(fakebinText(t, "systemctl-show-deactivating.txt"), "\nMainPID=376", "\nMainPID=0", 1)
	call := strings.Join(systemctl("show", unitName, "-p", unitProperties), " ")
	run := planRunner{outputs: map[string]string{call: text}}
	wait := systemd{user: ada}.gone(state{}).(await)
	if holds, err := wait.holds(context.Background(), run); holds || err != nil {
		t.Errorf("it is gone, %v", err)
	}
	run.outputs[call] = fakebinText(t, "systemctl-show-stopped.txt")
	if holds, err := wait.holds(context.Background(), run); !holds || err != nil {
		t.Errorf("it is not gone, %v", err)
	}
	run.answers = map[string]error{call: planFailed(1, "x", "systemctl")}
	if holds, err := wait.holds(context.Background(), run); holds || err == nil {
		t.Errorf("without an answer it is gone, %v", err)
	}
}

func TestSystemctlIsAskedOnceForTheState(t *testing.T) {
	t.Parallel()
	call := "systemctl --user show runtimescope.service -p " + unitProperties
	var calls []string
	run := planRunner{calls: &calls, outputs: map[string]string{call: fakebinText(t, "systemctl-show-running.txt")}}
	m := systemd{user: ada}
	s, err := m.state(context.Background(), run)
	if err != nil || s.pid != 31275 || !slices.Equal(calls, []string{call}) {
		t.Errorf("got %d, %v from %q", s.pid, err, calls)
	}
	run.answers = map[string]error{call: planFailed(4, "no", "systemctl")}
	if s, err := m.state(context.Background(), run); s.phase != unknown || exitCode(err) != 4 {
		t.Errorf("got %s, %v", s.phase, err)
	}
}

func TestNoValueOfAPropertyIsTakenForAnother(t *testing.T) {
	t.Parallel()
	const ask, real = "systemctl --user show runtimescope.service -p ", "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=7\n"
	plain := ask + strings.Join(plainProperties, ",")
	apart := func(key string) string { return "systemctl --user show runtimescope.service --value -p " + key }
	tooLong := planFailed(-1, "", "systemctl", "show", "--value")
	tooLong.(*commandError).cause = errCut
	for what, c := range map[string]struct {
		first   string
		fails   map[string]error
		clear   bool
		dropIns []string
		cut     string
	}{
		"nothing odd":              {real + "EnvironmentFiles=/a (ignore_errors=no)\nEnvironmentFiles=/b (ignore_errors=no)\n", nil, true, nil, ""},
		"a line before the real":   {"ExecStart={ path=/x ; argv[]=/x a\nActiveState=failed ; }\n" + real, nil, false, []string{"/d"}, ""},
		"a line of another kind":   {real + "ExecStart={ path=/x ; argv[]=/x a\nBogus=1 ; }\n", nil, false, []string{"/d"}, ""},
		"a line that is none":      {real + "ExecStart={ path=/x ; argv[]=/x a\n\nb ; }\n", nil, false, []string{"/d"}, ""},
		"a line that the rest has": {real + "FragmentPath=/x\nWantedBy=y\nFragmentPath=/y\n", nil, false, []string{"/d"}, ""},
		"too long": {real, map[string]error{ask + unitProperties: tooLong, apart("Environment"): tooLong}, false, []string{"/d"},
			"systemctl show --value: its output is longer than 4 MiB and was cut off"},
	} {
		var calls []string
		run := planRunner{calls: &calls, answers: c.fails, outputs: map[string]string{ask + unitProperties: c.first, plain: real,
			apart("FragmentPath"): systemdUnit + "\n", apart("DropInPaths"): "/d\n", apart("Environment"): "A=1\n"}}
		s, err := systemd{user: ada}.state(context.Background(), run)
		if err != nil || s.phase != running || s.pid != 7 || (len(calls) == 1) != c.clear || !slices.Equal(s.dropIns, c.dropIns) || s.cut != c.cut {
			t.Errorf("%s: %v, %s after %q", what, err, systemdSummary(s), calls)
		}
		if !c.clear && (s.loaded != systemdUnit || (len(s.unitEnv) == 0) != (c.cut != "")) {
			t.Errorf("%s: loaded %q, %q", what, s.loaded, s.unitEnv)
		}
	}
}

func TestADropInThatSystemdHasNotReadIsSeen(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		shown, name, text string
		stale             bool
	}{
		{"running", "more.conf", "[Service]\nNice=5\n", true},
		{"running-drop-in", "more.conf", "[Service]\nNice=5\n", true},
		{"running-drop-in", "override.conf", "[Service]\nNice=5\n", false},
		{"running", "empty.conf", "", false},
		{"running", "more.conf~", "[Service]\nNice=5\n", false},
		{"running", ".more.conf", "[Service]\nNice=5\n", false},
		{"running", "folder.conf/README", "not one", false},
		{"running-file-gone", "more.conf", "[Service]\nNice=5\n", false},
		{"not-found", "more.conf", "[Service]\nNice=5\n", false},
	} {
		m := systemd{home: t.TempDir(), user: ada}
		path := filepath.Join(m.path()+".d", test.name)
		put(t, path, test.text, 0o644)
		run := planRunner{outputs: map[string]string{quoteArgv(systemctl("show", unitName, "-p", unitProperties)): fakebinText(t, "systemctl-show-"+test.shown+".txt")}}
		if s, err := m.state(context.Background(), run); err != nil || s.stale != test.stale {
			t.Errorf("%s, %s: stale is %v, %v", test.shown, test.name, s.stale, err)
		}
	}
}

func TestTheUnitOfAnotherHomeIsSeen(t *testing.T) {
	t.Parallel()
	call := quoteArgv(systemctl("show", unitName, "-p", unitProperties))
	run := planRunner{outputs: map[string]string{call: fakebinText(t, "systemctl-show-running.txt")}} // of /home/ada
	for home, want := range map[string]string{"/home/ada": "", "/home/eve": "/home/ada", "/home": "/home/ada"} {
		if s, err := (systemd{home: home, user: ada}).state(context.Background(), run); err != nil || s.otherHome != want {
			t.Errorf("in %s: got %q, %v", home, s.otherHome, err)
		}
	}
	run.outputs[call] = strings.Replace(run.outputs[call], systemdUnit, "/usr/lib/systemd/user/"+unitName, 1)
	if s, err := (systemd{home: "/home/eve", user: ada}).state(context.Background(), run); err != nil || s.otherHome != "" {
		t.Errorf("of a package: got %q, %v", s.otherHome, err)
	}
}

func TestAManagerThatLooksElsewhereIsFoundOut(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "paths have another separator here")
	const call = "systemctl --user show -p UnitPath,Environment"
	run := planRunner{outputs: map[string]string{call: fakebinText(t, "systemctl-show-manager.txt")}}
	looksIn := func(home string) error {
		return systemd{home: home}.surroundings(context.Background(), run, state{}).err
	}
	must(t, looksIn("/home/ada"))
	err := looksIn("/home/eve")
	if want := "the systemd user manager reads units from /home/ada/.config/systemd/user, " +
		"/home/ada/.local/share/systemd/user, not from /home/eve/.config/systemd/user: it was started with a different HOME or XDG_CONFIG_HOME"; errText(err) != want {
		t.Errorf("got %v", err)
	}
	// by way of a link
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "real/.config/systemd/user"), 0o755))
	must(t, os.Symlink("real", filepath.Join(dir, "link")))
	run.outputs[call] = "UnitPath=/etc/systemd/user " + filepath.Join(dir, "real/.config/systemd/user") + "\n"
	if !strings.Contains(dir, " ") { // which is told apart from two by nobody
		must(t, looksIn(filepath.Join(dir, "link")))
	}
	// a folder with a space, which cannot be told from two
	run.outputs[call] = "UnitPath=/home/a b/.config/systemd/user /etc/systemd/user\n"
	must(t, looksIn("/home/a b"))
	run.outputs[call] = "UnitPath=\n"
	must(t, looksIn("/home/ada"))
	run.answers = map[string]error{call: planFailed(1, "no", "systemctl")}
	if err := looksIn("/home/ada"); exitCode(err) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestAPortInTheEnvironmentOfTheManagerIsFoundOut(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "paths have another separator here")
	sample := fakebinText(t, "systemctl-show-manager.txt")
	for _, c := range []struct {
		variable  string // instead of the one in the sample
		want      ports
		says, fix string
	}{
		{"RUNTIMESCOPE_HTTP_PORT=7777", ports{6768, 6767},
			"the systemd user manager sets RUNTIMESCOPE_HTTP_PORT=7777 in its environment, so the service would use that port instead of 6768",
			"systemctl --user unset-environment RUNTIMESCOPE_HTTP_PORT"},
		{"RUNTIMESCOPE_PORT=7777", ports{7001, 6767},
			"the systemd user manager sets RUNTIMESCOPE_PORT=7777 in its environment, so the service would use that port instead of 6767",
			"systemctl --user unset-environment RUNTIMESCOPE_PORT"},
		{"RUNTIMESCOPE_HTTP_PORT=7777", ports{7777, 6767}, "", ""}, // the unit says it
		{"RUNTIMESCOPE_HTTP_PORT=7777", ports{7001, 6767}, "", ""},
		{"RUNTIMESCOPE_HTTP_PORT=6768", ports{6768, 6767}, "", ""},
		{"RUNTIMESCOPE_PORT=6767", ports{6768, 6767}, "", ""},
		{"X_RUNTIMESCOPE_PORT=7777", ports{6768, 6767}, "", ""},
	} {
		text := strings.Replace(sample, "RUNTIMESCOPE_HTTP_PORT=7777", c.variable, 1)
		run := planRunner{outputs: map[string]string{"systemctl --user show -p UnitPath,Environment": text}}
		s := snapshot{shell: shell{ports: c.want}, around: systemd{home: "/home/ada"}.surroundings(context.Background(), run, state{})}
		p, found := findManagerPort(s)
		if s.around.err != nil || found != (c.says != "") || p.summary != c.says || p.help() != c.fix {
			t.Errorf("%s, %v: got %v, %s, %s", c.variable, c.want, s.around.err, p.summary, p.help())
		}
		if found && (p.severity != failing || p.blocks != writes) {
			t.Errorf("%s, %v: %s blocks %b", c.variable, c.want, p.severity, p.blocks)
		}
	}
}

func TestWhyTheManagerOfSystemdGivesNoAnswer(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "there is no systemd here, and no owner of a file")
	me := os.Getuid()
	bus := planFailed(1, strings.TrimSpace(fakebinText(t, "systemctl-stderr-no-file.txt")), "systemctl", "--user", "show")
	folder := func(names ...string) string {
		root := t.TempDir()
		for _, name := range names {
			if name, ok := strings.CutSuffix(name, "="); ok {
				put(t, filepath.Join(root, name), "5.15.90.1-Microsoft-standard-WSL2\n", 0o600)
			} else if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	const wsl, booted = "proc/sys/kernel/osrelease=", "run/systemd/system"
	session := "run/user/" + userID(me)
	mine := t.TempDir()
	for _, c := range []struct {
		what      string
		m         systemd
		container string
		says, fix string
	}{
		{"WSL", systemd{uid: 1000, root: folder(wsl)}, "", "this WSL was not booted with systemd",
			"printf '[boot]\\nsystemd=true\\n' | sudo tee -a /etc/wsl.conf, then in Windows: wsl --shutdown"},
		{"docker", systemd{uid: 1000, root: folder(".dockerenv")}, "", "this container was not booted with systemd", "runtimescope service run"},
		{"podman", systemd{uid: 1000, root: folder("run/.containerenv")}, "", "this container was not booted with systemd", "runtimescope service run"},
		{"a container", systemd{uid: 1000, root: folder()}, "lxc", "this container was not booted with systemd", "runtimescope service run"},
		{"another init", systemd{uid: me, root: folder(session)}, "", "this system was not booted with systemd", "runtimescope service run"},
		{"root", systemd{uid: 0, root: folder(booted)}, "", "root has no login session here", "runtimescope service run, or log in as an ordinary user"},
		{"no session", systemd{uid: 1000, user: ada, root: folder(booted)}, "", "user ada has no login session: there is no /run/user/1000",
			"sudo loginctl enable-linger ada, or log in directly (ssh, console)"},
		{"an odd runtime folder", systemd{uid: me, runtimeDir: "/nowhere", root: folder(booted, session)}, "",
			"XDG_RUNTIME_DIR is /nowhere, where no manager answers", "export XDG_RUNTIME_DIR=/" + session},
		{"one that root made", systemd{uid: me + 1, root: folder(booted, "run/user/"+userID(me+1))}, "",
			fmt.Sprintf("/run/user/%s belongs to another user (uid %[2]s, not %[1]s)", userID(me+1), userID(me)), "ask root to remove it, then log in again"},
		{"no runtime folder", systemd{uid: me, root: folder(booted, session)}, "", "no manager answers in /" + session, "sudo systemctl start user@" + userID(me) + ".service"},
		{"the right one", systemd{uid: me, runtimeDir: "/" + session + "/", root: folder(booted, session, wsl, ".dockerenv")}, "lxc",
			"no manager answers in /" + session, "sudo systemctl start user@" + userID(me) + ".service"},
		{"somebody else's runtime folder", systemd{uid: me + 1, runtimeDir: mine, root: folder(booted, session)}, "",
			fmt.Sprintf("XDG_RUNTIME_DIR is %s, which belongs to another user (uid %d, not %d)", mine, me, me+1), fmt.Sprintf("export XDG_RUNTIME_DIR=/run/user/%d", me+1)},
		{"one's own, with nobody in it", systemd{uid: me, runtimeDir: mine, root: folder(booted, session)}, "",
			"XDG_RUNTIME_DIR is " + mine + ", where no manager answers", fmt.Sprintf("export XDG_RUNTIME_DIR=/run/user/%d", me)},
	} {
		if strings.HasPrefix(c.m.runtimeDir, "/run/user/") {
			if info, err := os.Stat(c.m.runtimeDir); err == nil {
				if owner, _ := fileOwner(info); owner != me {
					continue // it is there on this very machine
				}
			}
		}
		c.m.getenv = func(key string) string { return map[string]string{"container": c.container}[key] }
		err := c.m.unreachable(bus)
		want := "cannot reach the systemd user manager: " + c.says + " (systemctl --user show: exit status 1: Failed to connect to bus: No such file or directory)"
		if err.Error() != want || helpOf(err) != c.fix || exitCode(err) != 1 {
			t.Errorf("%s: got\n%s\n%s\nwant\n%s\n%s", c.what, err, helpOf(err), want, c.fix)
		}
		same(t, fmt.Sprintf("%s: explain", c.what), c.m.explain(context.Background(), nil, bus).Error(), want)
	}
}

func TestOtherFailuresOfSystemctlAreLeftAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, err := range []error{planFailed(1, "Failed to enable unit", "systemctl"), planFailed(-1, "", "systemctl"), errPlanDisk} {
		if got := (systemd{}).unreachable(err); got != err {
			t.Errorf("got %v, want %v", got, err)
		}
		if got := (systemd{}).explain(context.Background(), nil, err); got != err {
			t.Errorf("got %v, want %v", got, err)
		}
	}
	_, missing := osRunner{}.Run(context.Background(), "systemctl")
	if got := (systemd{}).unreachable(missing); got.Error() != "systemctl is not installed: this system does not run systemd" || helpOf(got) != "runtimescope service run" {
		t.Errorf("got %v", got)
	}
	other := planFailed(1, "Failed to connect to x", "journalctl")
	same(t, "", (systemd{}).explain(context.Background(), nil, other), other)
}

// helpOf is what an error knows that helps; "" without one.
func helpOf(err error) string {
	if err == nil {
		return ""
	}
	return fromError(err, 0).help()
}

// planText shows all of a plan, what happens after a failure too.
func planText(p plan) string {
	if len(p.restore) == 0 {
		return stepsText(p.steps)
	}
	return "restore:\n" + indent(stepsText(p.restore)) + "\n" + stepsText(p.steps)
}

func stepsText(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		switch s := s.(type) {
		case command:
			fmt.Fprint(&b, s)
			if len(s.ok) > 0 {
				fmt.Fprintf(&b, "; %v are fine", s.ok)
			}
			if len(s.undo) > 0 {
				fmt.Fprintf(&b, "; undo: %s", quoteArgv(s.undo))
			}
			if len(s.undoOK) > 0 {
				fmt.Fprintf(&b, ", where %v are fine", s.undoOK)
			}
			if s.starts {
				fmt.Fprint(&b, "; starts")
			}
			fmt.Fprintln(&b)
		case writeFile:
			fmt.Fprintf(&b, "write %s: %q", s.path, s.text)
			for _, kept := range []string{s.kept, s.keptOlder} {
				if kept != "" {
					fmt.Fprintf(&b, "; keeps %s", kept)
				}
			}
			fmt.Fprintln(&b)
		default:
			fmt.Fprintln(&b, s)
		}
	}
	return b.String()
}

func TestThePlansForSystemd(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "paths have another separator here")
	m := systemd{home: "/nowhere/ada"}
	there := file{path: m.path(), text: "old", exists: true, folder: true, kept: m.path() + ".bak"}
	twice := there
	twice.keptOlder = m.path() + ".bak.1"
	states := []struct {
		name string
		state
	}{
		{"not installed", state{phase: notInstalled, enabled: ptr(false)}},
		{"stopped", state{phase: stopped, file: there, loaded: m.path(), enabled: ptr(true)}},
		{"stopped, never loaded, whether enabled is unknown", state{phase: stopped, file: there}},
		{"running", state{phase: running, pid: 5, file: there, loaded: m.path(), enabled: ptr(true)}},
		{"running, stale, not enabled", state{phase: running, pid: 5, file: there, loaded: m.path(), stale: true, enabled: ptr(false)}},
		{"starting", state{phase: starting, file: there, loaded: m.path(), enabled: ptr(true)}},
		{"crash-looping", state{phase: crashLooping, file: there, loaded: m.path(), enabled: ptr(true)}},
		{"failed", state{phase: failed, file: there, loaded: m.path(), enabled: ptr(true)}},
		{"running, its file gone", state{phase: running, pid: 5, enabled: ptr(false)}},
		{"deactivating, its file gone", state{phase: stopped, pid: 5, enabled: ptr(false)}},
		{"stopped, with an older copy", state{phase: stopped, file: twice, loaded: m.path(), enabled: ptr(true)}},
		{"stopping its last processes", state{phase: stopped, ending: true, file: there, loaded: m.path(), enabled: ptr(true)}},
		{"a link", state{phase: stopped, file: file{path: m.path(), link: "/elsewhere", folder: true}, loaded: m.path(), enabled: ptr(false)}},
		{"running, from a package", state{phase: running, pid: 5, loaded: "/usr/lib/systemd/user/runtimescope.service", enabled: ptr(true)}},
	}
	var b strings.Builder
	for _, v := range []verb{install, restart, stop, uninstall} {
		for _, s := range states {
			for _, text := range []string{"new", ""} {
				if v == install && s.file.link == "" || v != install && text == "" { // a link is not written
					fmt.Fprintf(&b, "== %s, %s, write %q\n%s\n", v, s.name, text, planText(m.plan(v, snapshot{state: s.state}, text)))
				}
			}
		}
	}
	golden(t, "plans-systemd.txt", b.String())
}

func TestALinkThatOutlivedItsUnitIsCleared(t *testing.T) {
	t.Parallel()
	m := systemd{home: t.TempDir(), user: ada}
	must(t, os.MkdirAll(filepath.Dir(m.wants()), 0o755))
	same(t, "something is left of nothing", m.withFiles(state{}).leftover(), "")
	symlink(t, m.path(), m.wants())
	same(t, "", m.wants(), filepath.Join(m.home, ".config/systemd/user/default.target.wants/runtimescope.service"))
	for _, c := range []struct {
		s    state
		want string
	}{
		{state{}, m.wants()},
		{state{file: file{exists: true}}, ""},
		{state{file: file{link: "/x"}}, ""},
		{state{loaded: "/usr/lib/systemd/user/runtimescope.service"}, ""},
	} {
		c.s.file.path = m.path()
		same(t, c.s.file, m.withFiles(c.s).leftover(), c.want)
	}
	want := "restore:\n    run systemctl --user daemon-reload\nremove " + m.wants() + "\nrun systemctl --user daemon-reload\n"
	same(t, "", planText(m.plan(uninstall, snapshot{state: m.withFiles(state{phase: notInstalled})}, "")), want)
}

func TestExitStatusesOfSystemdHaveItsNames(t *testing.T) {
	t.Parallel()
	neverRun := func(e exitStatus) bool {
		p := unitProps{"ExecMainCode": "1", "ExecMainStatus": strconv.Itoa(e.code)}
		if e.signal != 0 {
			p = unitProps{"ExecMainCode": "2", "ExecMainStatus": strconv.Itoa(e.signal)}
		}
		var s state
		p.readExit(&s)
		if s.lastExit == nil || *s.lastExit != e || s.lastName != unitExitName(e) {
			t.Errorf("%+v is read as %s", e, systemdSummary(s))
		}
		return s.notExecuted
	}
	named := 0
	for _, line := range strings.Split(fakebinText(t, "systemd-exit-status.txt"), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "systemd" {
			continue
		}
		code := need(strconv.Atoi(f[1]))(t)
		if code == 255 {
			continue // a program may well mean that itself
		}
		named++
		if got, want := unitExitName(exitStatus{code: code}), "status "+f[1]+"/"+f[0]; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if named < 40 {
		t.Errorf("only %d names", named)
	}
	for _, code := range []int{0, 1, 3, 127, 199, 223, 234, 246, 255} {
		if got, want := unitExitName(exitStatus{code: code}), fmt.Sprintf("status %d", code); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for e, want := range map[exitStatus]bool{{}: false, {code: 1}: false, {code: 199}: false, {code: 202}: false, {code: 203}: true, {code: 204}: false, {signal: 203}: false} {
		same(t, e, neverRun(e), want)
	}
	same(t, "", unitExitName(exitStatus{signal: 9}), "SIGKILL")
}

func TestSignalsHaveTheNamesOfTheirPlatform(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n             int
		linux, darwin string
	}{
		{1, "SIGHUP", "SIGHUP"}, {2, "SIGINT", "SIGINT"}, {3, "SIGQUIT", "SIGQUIT"}, {4, "SIGILL", "SIGILL"}, {5, "SIGTRAP", "SIGTRAP"}, {6, "SIGABRT", "SIGABRT"},
		{7, "SIGBUS", "signal 7"}, {8, "SIGFPE", "SIGFPE"}, {9, "SIGKILL", "SIGKILL"}, {10, "SIGUSR1", "SIGBUS"}, {11, "SIGSEGV", "SIGSEGV"}, {12, "SIGUSR2", "SIGSYS"},
		{13, "SIGPIPE", "SIGPIPE"}, {14, "SIGALRM", "SIGALRM"}, {15, "SIGTERM", "SIGTERM"}, {24, "SIGXCPU", "SIGXCPU"}, {25, "SIGXFSZ", "SIGXFSZ"},
		{30, "signal 30", "SIGUSR1"}, {31, "SIGSYS", "SIGUSR2"}, {34, "signal 34", "signal 34"},
	} {
		if linux, darwin := signalName(c.n, "linux"), signalName(c.n, "darwin"); linux != c.linux || darwin != c.darwin {
			t.Errorf("%d: got %s, %s", c.n, linux, darwin)
		}
	}
}

func TestWhatSystemdDoesNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shown string
		phase phase
		want  string
	}{
		{"ActiveState=activating SubState=auto-restart RestartUSec=5s", crashLooping, "systemd restarts it after 5s"},
		{"ActiveState=activating SubState=auto-restart", crashLooping, "systemd restarts it"},
		{"ActiveState=failed Result=start-limit-hit NRestarts=5", failed, "systemd gave up: too many starts in a short time"},
		{"ActiveState=failed NRestarts=5 RestartUSec=5s", failed, "systemd gave up after 5 restarts"},
		{"ActiveState=failed NRestarts=1", failed, "systemd gave up after 1 restart"},
		{"ActiveState=failed NRestarts=0", failed, "systemd does not restart it"},
		{"ActiveState=failed", failed, "systemd does not restart it"},
		{"ActiveState=inactive", stopped, "systemd does not restart it after a clean exit"},
		{"ActiveState=active", running, "systemd has already restarted it"},
		{"ActiveState=activating", starting, "systemd has already restarted it"},
	} {
		s, err := parseUnitState("LoadState=loaded\n" + strings.ReplaceAll(c.shown, " ", "\n"))
		if err != nil || s.phase != c.phase || s.next != c.want {
			t.Errorf("%s: got %s, %v", c.shown, systemdSummary(s), err)
		}
	}
}

func TestLingerIsReadFromItsFile(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	m := systemd{root: root, user: ada}
	if got := m.linger(); got == nil || *got {
		t.Errorf("without a file: %v", got)
	}
	put(t, filepath.Join(root, "var/lib/systemd/linger/ada"), "", 0o600)
	if got := m.linger(); got == nil || !*got {
		t.Errorf("with a file: %v", got)
	}
	for user, file := range map[string]string{`DOMAIN\ada`: `DOMAIN\\ada`, "zoë": `zo\303\253`} {
		same(t, user, lingerName(user), file)
	}
	if got := userID(-2); got != "4294967294" { // as an int of 32 bits has it
		t.Errorf("got %s", got)
	}
	m.user = func() string { return "eve" }
	if got := m.linger(); got == nil || *got {
		t.Errorf("with somebody else's: %v", got)
	}
	if runtime.GOOS != "windows" {
		m.root = filepath.Join(root, "var/lib/systemd/linger/ada") // a file in the place of a folder
		if got := m.linger(); got != nil {
			t.Errorf("where it cannot be told: %v", *got)
		}
	}
}

func TestMessagesOfARealJournal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want  []string
		ended bool
	}{
		"exit-3":  {[]string{"[RuntimeScope] Starting standalone collector... /home/ada/app/collector-server", "[RuntimeScope] Fatal error: told to exit with 3"}, true},
		"203":     {nil, true},
		"noisy":   {[]string{"bytes \xff\xfe end", "a colour \x1b[31mred\x1b[0m", "plain", "with a level"}, true},
		"running": {[]string{"[RuntimeScope] Starting standalone collector... /home/ada/app/collector-server", "[RuntimeScope] Standalone collector ready"}, false},
	} {
		if l, ended := systemdReads(fakebinText(t, "journalctl-"+name+".txt")); !slices.Equal(l.lines, c.want) || ended != c.ended || (l.refusal != "") != (name == "203") {
			t.Errorf("%s: got %+v, %v", name, l, ended)
		}
	}
	for text, want := range map[string][]string{
		"": nil, `{"MESSAGE":null}`: nil, `{"MESSAGE":["x",65,66]}`: {"AB"}, `{"MESSAGE":7}`: nil, `{"MESSAGE":"a"}` + "\n" + `{"MESS`: {"a"},
		`{"MESSAGE":"y","SYSLOG_IDENTIFIER":"other"}{"MESSAGE":"x","SYSLOG_IDENTIFIER":"systemd"}`:   {"y"},
		`{"MESSAGE":"y","SYSLOG_IDENTIFIER":["a","b"]}{"MESSAGE":"x","USER_INVOCATION_ID":"of one"}`: {"y"},
	} {
		if l, ended := systemdReads(text); !slices.Equal(l.lines, want) || ended {
			t.Errorf("%s: got %+v, %v", text, l, ended)
		}
	}
}

func TestWhyACollectorWasNotStartedIsRead(t *testing.T) {
	t.Parallel()
	const about = `"USER_INVOCATION_ID":"1","SYSLOG_IDENTIFIER":"systemd","MESSAGE":"runtimescope.service: `
	end := func(command, code, status string) string {
		return `{"MESSAGE_ID":"` + processEnd + `","COMMAND":"` + command + `","EXIT_CODE":"` + code + `","EXIT_STATUS":"` + status + `",` + about + `Control process exited"}`
	}
	for text, want := range map[string]string{
		end("ExecStartPre", "exited", "3"):    "ExecStartPre= failed: status 3",
		end("ExecStartPost", "dumped", "11"):  "ExecStartPost= failed: SIGSEGV",
		end("ExecCondition", "exited", "255"): "ExecCondition= failed: status 255",
		end("ExecStart", "exited", "3"):       "",
		end("ExecStopPost", "exited", "3"):    "",
		`{` + about + `Failed to load environment files: x"}{` + about + `Failed to run 'start' task: x"}`:                          "Failed to load environment files: x",
		`{` + about + `Failed to spawn 'start' task: y"}`:                                                                           "Failed to spawn 'start' task: y",
		end("ExecStartPre", "exited", "3") + `{` + about + `Start request repeated too quickly."}`:                                  "Start request repeated too quickly",
		`{` + about + `Failed to kill control group: z"}`:                                                                           "",
		`{"MESSAGE":"runtimescope.service: Failed to run 'x'","_SYSTEMD_INVOCATION_ID":"1"}`:                                        "", // the collector's own words
		`{"MESSAGE_ID":"` + spawnFailed + `",` + about + `Failed at step EXEC spawning /x: y"}` + end("ExecStart", "exited", "203"): "Failed at step EXEC spawning /x: y",
	} {
		if l, _ := systemdReads(text); l.refusal != want {
			t.Errorf("%s: got %q, want %q", text, l.refusal, want)
		}
	}
}

// systemdReads reads what a journal printed, the oldest entry first.
func systemdReads(text string) (startLog, bool) {
	entries, _ := journalEntries(context.Background(), systemdJournal{says: []string{text}, argv: new([]string)}, 9)
	slices.Reverse(entries)
	return readStart(entries, state{}, logMark{})
}

func TestTheLastWordsOfTheStartBeforeAreNotOfThisOne(t *testing.T) {
	t.Parallel()
	const entry = `{"MESSAGE":%q,"__MONOTONIC_TIMESTAMP":"%d","_SYSTEMD_INVOCATION_ID":%q,"_PID":%q}`
	for _, read := range []string{"", "abc"} { // too late: it names no start, or this one
		says := ""
		for _, e := range [][]any{{"first", 3, "abc", "8"}, {"last words", 3, read, "7"}, {"ready", 1, "old", "7"}} {
			says += fmt.Sprintf(entry, e...) + `{"MESSAGE":"Stopping","USER_INVOCATION_ID":"old","_PID":"1","SYSLOG_IDENTIFIER":"systemd"}`
		}
		entries, _ := journalEntries(context.Background(), systemdJournal{says: []string{says}, argv: new([]string)}, 9)
		l, _ := readStart(entries, state{invocation: "abc", startedAt: time.Microsecond, pid: 8}, logMark{})
		same(t, read, l.lines, []string{"first"})
		l, _ = readStart(entries, state{invocation: "abc", startedAt: time.Microsecond, pid: 7}, logMark{}) // which has its number by now
		same(t, read, l.lines, []string{"last words", "first"})
	}
}

func TestALineOfTheJournalIsOfThisStart(t *testing.T) {
	t.Parallel()
	const entry = `{"MESSAGE":"x","__MONOTONIC_TIMESTAMP":"%d","_SYSTEMD_INVOCATION_ID":%q}`
	for _, c := range []struct {
		of, now string
		at      int
		started time.Duration
		before  string
		want    bool
	}{
		{"abc", "abc", 5, 0, "", true},
		{"abc", "abc", 5, time.Second, "", true}, // of ExecStartPre=
		{"old", "abc", 5, 0, "", false},
		{"", "abc", 1000000, time.Second, "", true},
		{"", "abc", 999999, time.Second, "", false}, // the PID was another's
		{"", "abc", 2000000, 0, "", false},
		{"old", "", 5, 0, "old", false}, // the last words of what was restarted
		{"new", "", 5, 0, "old", true},
		{"", "", 5, 0, "", true},
	} {
		entries, _ := journalEntries(context.Background(), systemdJournal{says: []string{fmt.Sprintf(entry, c.at, c.of)}, argv: new([]string)}, 9)
		if l, _ := readStart(entries, state{invocation: c.now, startedAt: c.started}, logMark{before: c.before}); (len(l.lines) == 1) != c.want {
			t.Errorf("%+v: got %+v", c, l)
		}
	}
}

func FuzzTheLogOfOneStart(f *testing.F) {
	for _, text := range []string{`{"MESSAGE":"a\nb","_SYSTEMD_INVOCATION_ID":"i"}`, `{"MESSAGE":[104,105,256,-1],"__MONOTONIC_TIMESTAMP":"5"}{"MESSAGE":null}`,
		`{"MESSAGE":{"a":1},"MESSAGE_ID":["x","y"],"USER_INVOCATION_ID":7}`, `{"MESSAGE":"x: Failed at step EXEC spawning /x","MESSAGE_ID":"` + spawnFailed + `"}`,
		`{"MESSAGE":"x skipped because of an unmet condition check (ConditionPathExists=/x).","MESSAGE_ID":"x"}`, `[{"MESSAGE":"x"}]`, `{"MESSAGE":"x"`} {
		f.Add(text, "i")
	}
	f.Fuzz(func(t *testing.T, text, invocation string) {
		entries, err := journalEntries(context.Background(), systemdJournal{says: []string{text}, argv: new([]string)}, 9)
		must(t, err)
		l, _ := readStart(entries, state{invocation: invocation}, logMark{})
		for _, line := range l.lines {
			if strings.Contains(line, "\n") {
				t.Errorf("%q: a line of two: %q", text, line)
			}
		}
	})
}

// A systemdJournal is a journalctl that says one thing after the other, the last one for good.
type systemdJournal struct {
	planRunner
	says []string
	argv *[]string
}

func (r systemdJournal) Run(ctx context.Context, argv ...string) (string, error) {
	n := min(len(*r.argv), len(r.says)-1)
	*r.argv = append(*r.argv, strings.Join(argv, " "))
	if r.says[n] == "fails" {
		return "", errors.New("no journal")
	}
	return r.says[n], nil
}

func TestTheLogOfOneStart(t *testing.T) {
	t.Parallel()
	const start = "_SYSTEMD_INVOCATION_ID=abc _UID=1000 + USER_INVOCATION_ID=abc _UID=1000 + SYSLOG_IDENTIFIER=runtimescope _UID=1000"
	said := func(n int, text, id string) string {
		return fmt.Sprintf(`{"__CURSOR":"%d","MESSAGE":%q,"MESSAGE_ID":%q,"_SYSTEMD_INVOCATION_ID":"abc"}`+"\n", n, text, id)
	}
	one, end, two := said(1, "one", ""), said(2, "Main process exited", processEnd), said(3, "two", "")
	for _, c := range []struct {
		what  string
		says  []string
		s     state
		argv  string
		lines []string
		none  string
		asked int // at least; 0: until it is late
	}{
		{"it has ended", []string{end + one}, state{invocation: "abc"},
			start, []string{"one"}, "It logged nothing.", 2},
		{"the start is forgotten", []string{end + one}, state{},
			"--since=@1700000000.000123 _SYSTEMD_USER_UNIT=runtimescope.service _UID=1000 + USER_UNIT=runtimescope.service _UID=1000 + SYSLOG_IDENTIFIER=runtimescope _UID=1000", []string{"one"}, "It logged nothing.", 2},
		{"the journal is late", []string{"", one, end + one, two + end + one}, state{invocation: "abc"}, start, []string{"one", "two"}, "It logged nothing.", 5},
		{"it runs", []string{one, two + one}, state{invocation: "abc", pid: 7}, start, []string{"one", "two"}, "The journal has nothing that it logged.", 3},
		{"no end is told", []string{one}, state{invocation: "abc"}, start, []string{"one"}, "The journal has nothing that it logged.", 0},
		{"nothing comes but the end", []string{end}, state{invocation: "abc"}, start, nil, "It logged nothing.", 0},
		{"nothing comes", []string{""}, state{invocation: "abc"}, start, nil, "The journal has nothing that it logged.", 0},
		{"no journal", []string{"fails"}, state{invocation: "abc"}, start, nil, "What it logged cannot be read: no journal", 1},
	} {
		var argv []string
		before := time.Now()
		l := systemd{uid: 1000, root: "/nowhere"}.startLog(context.Background(), systemdJournal{says: c.says, argv: &argv}, c.s, logMark{time: time.Unix(1700000000, 123456)})
		if !slices.Equal(l.lines, c.lines) || l.none != c.none {
			t.Errorf("%s: got %+v", c.what, l)
		}
		if len(argv) < c.asked || c.asked == 0 && time.Since(before) < 500*time.Millisecond {
			t.Errorf("%s: asked %d times in %s", c.what, len(argv), time.Since(before))
		}
		if !strings.HasPrefix(argv[0], "journalctl --no-pager --quiet --boot --all --reverse --output=json ") || !strings.HasSuffix(argv[0], " --lines=2000 "+c.argv) {
			t.Errorf("%s: ran %s", c.what, argv[0])
		}
	}
	var argv []string
	l := systemd{}.readLog(t.Context(), systemdJournal{says: []string{end + one}, argv: &argv}, state{invocation: "abc"}, logMark{}, true)
	if len(argv) != 1 || !slices.Equal(l.lines, []string{"one"}) {
		t.Errorf("of a start that is long over: %+v after %q", l, argv)
	}
}

func TestSystemdRemembersTheMomentBeforeAStart(t *testing.T) {
	t.Parallel()
	before := time.Now()
	mark := systemd{}.mark()
	if mark.time.Before(before) || mark.time.After(time.Now()) || mark.lengths != nil {
		t.Errorf("got %+v", mark)
	}
}

func TestSystemdIsNamedAndItsPathsAreThese(t *testing.T) {
	t.Parallel()
	m := systemd{home: "/home/ada"}
	n := m.names()
	got := []string{n.name, n.definition, filepath.ToSlash(n.path), n.logs}
	if want := []string{"systemd", "unit", systemdUnit, "journalctl --user -u runtimescope -f"}; !slices.Equal(got, want) || n.logFiles != nil || m.path() != n.path {
		t.Errorf("got %q", got)
	}
}

func ada() string { return "ada" }

func TestAStartThatSystemdRefusedIsExplained(t *testing.T) {
	t.Parallel()
	const call, job = "systemctl --user show runtimescope.service -p ", "Job for runtimescope.service failed because the control process exited with error code."
	stopped := fakebinText(t, "systemctl-show-stopped.txt")
	refused := planFailed(1, job, "systemctl", "--user", "start")
	bad := planFailed(1, "Unit runtimescope.service has a bad unit file setting.", "systemctl", "--user", "start")
	for _, c := range []struct {
		what  string
		err   error
		shown string
		want  string
		fix   string
	}{
		{"not systemctl", planFailed(1, job, "other"), stopped, "other: exit status 1: " + job, ""},
		{"another reason", planFailed(1, "no", "systemctl"), stopped, "systemctl: exit status 1: no", ""},
		{"how it ended is not known", refused, stopped, refused.Error(), ""},
		{"no answer", refused, "", refused.Error(), ""},
		{"ended", refused, fakebinText(t, "systemctl-show-failed-gave-up.txt"), "The service did not start: status ", ""},
		{"not run", refused, fakebinText(t, "systemctl-show-auto-restart-203.txt"), "The service did not start: status 203/EXEC: /home/ada/app/nowhere is missing (", ""},
		{"an assertion", planFailed(1, "Assertion failed on job for runtimescope.service.", "systemctl", "--user", "start"), stopped,
			"The service did not start: a condition of its unit is not met (systemctl --user start: exit status 1: Assertion", ""},
		{"what enable did before is no reason", planFailed(1, "Created symlink a → b.\nCreated symlink c → b.\nAssertion failed on job x.\nSee y", "systemctl"),
			stopped, "The service did not start: a condition of its unit is not met (systemctl: exit status 1: Assertion failed on job x.)", ""},
		{"a dependency", planFailed(1, "A dependency job for runtimescope.service failed. See", "systemctl", "--user", "start"),
			stopped + "Requires=basic.target db.service a.slice\n", "The service did not start: it requires db.service, which failed", ""},
		{"a dependency that nobody knows", planFailed(1, "A dependency job", "systemctl"), stopped, "systemctl: exit status 1: A dependency job", ""},
		{"bad", bad, fakebinText(t, "systemctl-show-bad-setting.txt"), bad.Error(), "runtimescope service install"},
		{"bad, and it ended once", bad, fakebinText(t, "systemctl-show-failed-gave-up.txt"), bad.Error(), ""},
	} {
		run := planRunner{outputs: map[string]string{call + unitProperties: c.shown,
			"systemctl --user show -p Id,LoadState,ActiveState db.service": "Id=db.service\nLoadState=loaded\nActiveState=failed\n"}}
		got := systemd{user: ada}.explain(t.Context(), run, c.err)
		if !strings.HasPrefix(got.Error(), c.want) || fromError(got, 0).fix != c.fix {
			t.Errorf("%s: got %v [%s], want %s [%s]", c.what, got, fromError(got, 0).fix, c.want, c.fix)
		}
	}
}

func TestALinkThatStartsTheServiceForEveryUserIsSeen(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", "etc", "usr/local/lib", "usr/lib"} {
		root, want := t.TempDir(), ""
		if dir != "" {
			want = "/" + dir + "/systemd/user/default.target.wants/" + unitName
			put(t, root+want, "", 0o644)
		}
		s := systemd{home: t.TempDir(), user: ada, root: root}.withFiles(state{})
		same(t, dir, s.globalLink, want)
	}
}

func TestASettingThatWasTakenOutIsNotBlamed(t *testing.T) {
	t.Parallel()
	unit, dropIn := filepath.Join(t.TempDir(), unitName), filepath.Join(t.TempDir(), "x.conf")
	put(t, unit, "[Service]\n", 0o644)
	for text, want := range map[string]string{"[Unit]\nAssertPathExists=/x\n": "Assert", "[Unit]\n": ""} {
		put(t, dropIn, text, 0o644)
		s := systemd{home: t.TempDir(), user: ada, root: t.TempDir()}.withFiles(state{loaded: unit, dropIns: []string{dropIn}, skipped: "Assert"})
		same(t, text, s.skipped, want)
	}
	s := systemd{home: t.TempDir(), user: ada, root: t.TempDir()}.withFiles(state{loaded: "/not/there", skipped: "Assert"})
	same(t, "a file that cannot be read", s.skipped, "Assert")
}
