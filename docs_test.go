// The manual and the completions against the command tables: what the program has, they have, and nothing else.
package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A surface maps each command, as it is typed after the program's name, to its flags, sorted, without -h and --help,
// which all commands have.
type surface map[string][]string

// surfaceOfTables is what the program itself says.
func surfaceOfTables() surface {
	all := surface{}
	add := func(prefix string, table []subcommand) {
		for _, c := range table {
			flags := []string{}
			for _, key := range c.flags {
				flags = append(flags, flagNames(flagRows()[key].spelling)...)
			}
			slices.Sort(flags)
			all[prefix+c.name] = flags
		}
	}
	add("", commands())
	add("service ", serviceCommands())
	return all
}

var flagName = regexp.MustCompile(`(?:^|[\s,'"({|*])(-[a-z]|--[a-z-]+)`)

// flagNames finds the flags in a text, sorted, each once, without -h and --help.
func flagNames(text string) []string {
	flags := []string{}
	for _, match := range flagName.FindAllStringSubmatch(text, -1) {
		if name := match[1]; name != "-h" && name != "--help" {
			flags = append(flags, name)
		}
	}
	slices.Sort(flags)
	return slices.Compact(flags)
}

// readDoc reads a file, or skips the test where a packager's build leaves out all that is no source.
func readDoc(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if _, none := os.Stat("LICENSE"); err != nil && none != nil {
		t.Skipf("these sources are without the documentation: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n") // as git may check it out on Windows
}

// matches returns what the groups of a pattern match, for each match.
func matches(pattern, text string) [][]string {
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	for i := range found {
		found[i] = found[i][1:]
	}
	return found
}

func expectSurface(t *testing.T, got surface) {
	t.Helper()
	want := surfaceOfTables()
	for name, flags := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%q is missing", name)
		} else if !slices.Equal(got[name], flags) {
			t.Errorf("%q has the flags %q, not %q", name, flags, got[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is not a command", name)
		}
	}
}

func TestTheVersionIsThatOfTheChangelogAndTheManual(t *testing.T) {
	changelog := matches(`\n## \[([^]]+)\] - (unreleased|\d{4}-\d\d-\d\d)\n`, readDoc(t, "CHANGELOG.md"))
	frame := matches(`\n\.Os runtimescope (.+)\n`, readDoc(t, "docs/runtimescope.1"))
	if len(changelog) == 0 || len(frame) != 1 {
		t.Fatalf("the newest entry is none: %q; the frame of the manual: %q", changelog, frame)
	}
	same(t, "the version", [2]string{changelog[0][0], frame[0][0]}, [2]string{version, version})
}

func TestTheManualHasEveryCommandAndFlagAndNoOther(t *testing.T) {
	man := readDoc(t, "docs/runtimescope.1")
	got := surface{}
	flags := strings.NewReplacer("Fl -", "--", "Fl ", "-")
	for _, item := range matches(`\n\.It Cm ((?:service )?[a-z]+)(.*)`, man) {
		got[item[0]] = flagNames(flags.Replace(item[1]))
	}
	expectSurface(t, got)

	var explained, used []string
	for _, item := range matches(`\n\.It (Fl .*)`, man) {
		explained = append(explained, flagNames(flags.Replace(item[0]))...)
	}
	for _, names := range got {
		used = append(used, names...)
	}
	slices.Sort(explained)
	slices.Sort(used)
	if explained, used = slices.Compact(explained), slices.Compact(used); !slices.Equal(explained, used) {
		t.Errorf("the flags explained are %q, those of the commands %q", explained, used)
	}
}

func TestTheManualHasEveryIDOfAProblem(t *testing.T) {
	var described, ids []string
	for _, item := range matches(`\n\.It Li ([a-z-]+)\n`, readDoc(t, "docs/runtimescope.1")) {
		described = append(described, item[0])
	}
	for _, k := range slices.Concat(commonKinds(), systemd{}.judgements().kinds, launchd{}.judgements().kinds) {
		ids = append(ids, k.id)
	}
	slices.Sort(described)
	slices.Sort(ids)
	same(t, "the ids in the manual", described, slices.Compact(ids))
}

func TestTheManualHasEveryKeyOfTheJSON(t *testing.T) {
	man := readDoc(t, "docs/runtimescope.1")
	described := map[string]bool{}
	for _, item := range matches(`\n\.It Va (.*)`, man) {
		described[item[0]] = true
	}
	keys := map[string]bool{"checks": true, "ok": true}
	for _, shape := range []any{report{}, checkReport{}, problemReport{}, errorReport{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(shape)) {
			if key, _, _ := strings.Cut(field.Tag.Get("json"), ","); key != "" {
				keys[key] = true
			}
		}
	}
	if !maps.Equal(described, keys) {
		t.Errorf("the keys are %q, those in the manual %q", slices.Sorted(maps.Keys(keys)), slices.Sorted(maps.Keys(described)))
	}
	for _, state := range []phase{notInstalled, stopped, starting, running, crashLooping, failed, unknown} {
		if !strings.Contains(man, "\n.Dq "+string(state)) {
			t.Errorf("the state %q is not in the manual", state)
		}
	}
	for _, name := range []string{httpPortEnv, wsPortEnv} {
		if !strings.Contains(man, "\n.It Ev "+name+"\n") {
			t.Errorf("the variable %s is not in the manual", name)
		}
	}
}

func TestTheBashCompletionHasEveryCommandAndFlagAndNoOther(t *testing.T) {
	text := readDoc(t, "completions/runtimescope.bash")
	got := surface{"service": {}}
	for _, arm := range matches(`\n +'?([a-z ]+?)'?\) flags='(.*)' ;;`, text) {
		got[arm[0]] = flagNames(arm[1])
	}
	expectSurface(t, got)
	expectWords(t, matches(`words='([a-z ]+)'`, text))
}

func TestTheZshCompletionHasEveryCommandAndFlagAndNoOther(t *testing.T) {
	text := readDoc(t, "completions/_runtimescope")
	specs := map[string]string{}
	for _, variable := range matches(`\n  local (?:-a )?([a-z_]+)=(.*)`, text) {
		specs["$"+variable[0]] = variable[1]
	}
	got := surface{"service": {}}
	for _, arm := range matches(`\n +'?([a-z ]+?)'?\) flags=\((.*)\) ;;`, text) {
		spec := regexp.MustCompile(`\$[a-z_]+`).ReplaceAllStringFunc(arm[1], func(name string) string { return specs[name] })
		spec = regexp.MustCompile(`\[[^]]*\]|'\([^)]*\)|:[^']*`).ReplaceAllString(spec, "'") // what is said of a flag, what it excludes, its values
		got[arm[0]] = flagNames(spec)
	}
	expectSurface(t, got)
	expectShorts(t, matches(`\n +['"]([a-z]+):(.*)['"]`, text))
	var tables [][]string
	for _, table := range matches(`table=\(\n((?:.*:.*\n)+) +\)`, text) {
		names := ""
		for _, entry := range matches(`['"]([a-z]+):`, table[0]) {
			names += " " + entry[0]
		}
		tables = append(tables, []string{names})
	}
	expectWords(t, tables)
}

func TestTheFishCompletionHasEveryCommandAndFlagAndNoOther(t *testing.T) {
	text := strings.ReplaceAll(readDoc(t, "completions/runtimescope.fish"), `\'`, "’")
	got := surface{}
	var shorts [][]string
	for _, word := range matches(`\ncomplete -c runtimescope -n '__runtimescope_after( service)?' -a ([a-z]+) -d '(.*)'`, text) {
		got[strings.TrimSpace(word[0]+" "+word[1])] = []string{}
		shorts = append(shorts, []string{word[1], strings.ReplaceAll(word[2], "’", "'")})
	}
	for _, line := range matches(`\ncomplete -c runtimescope -n '__runtimescope_in ([a-z ]+)'((?: -s [a-z])?(?: -l [a-z-]+)?) `, text) {
		got[line[0]] = append(got[line[0]], flagNames(strings.NewReplacer("-s ", "-", "-l ", "--").Replace(line[1]))...)
	}
	for _, flags := range got {
		slices.Sort(flags)
	}
	expectSurface(t, got)
	expectShorts(t, shorts)
}

// expectWords compares the words offered after "runtimescope" and after "runtimescope service" with the tables.
func expectWords(t *testing.T, got [][]string) {
	t.Helper()
	tables := [][]subcommand{commands(), serviceCommands()}
	if len(got) != len(tables) {
		t.Fatalf("%d lists of words: %q", len(got), got)
	}
	for i, table := range tables {
		var want []string
		for _, c := range table {
			want = append(want, c.name)
		}
		same(t, "offered", strings.Fields(got[i][0]), want)
	}
}

// expectShorts compares what is said of each command, in the order of the tables.
func expectShorts(t *testing.T, got [][]string) {
	t.Helper()
	table := append(commands(), serviceCommands()...)
	if len(got) != len(table) {
		t.Fatalf("%d commands have a description, not %d", len(got), len(table))
	}
	for i, c := range table {
		if got[i][0] != c.name || got[i][1] != c.short {
			t.Errorf("%q is said to %q, not %q: %q", got[i][0], got[i][1], c.name, c.short)
		}
	}
}

func TestContributingSaysWhereEachFileLives(t *testing.T) {
	text := readDoc(t, "CONTRIBUTING.md")
	sources, err := filepath.Glob("*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	scripts, _ := filepath.Glob(".ci/*")
	for _, path := range append(sources, scripts...) {
		if !strings.HasSuffix(path, "_test.go") && !strings.Contains(text, filepath.ToSlash(path)) {
			t.Errorf("%s has no line", path)
		}
	}
	for _, row := range matches(`\n\| ((?:[a-z0-9_/.]+(?:\.go|/|\.1)(?:, )?)+) \|`, text) {
		for _, path := range strings.Split(row[0], ", ") {
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestEveryPromiseNamesItsTestsAndEveryTestOfTheWholeProgramAPromise(t *testing.T) {
	sources := need(filepath.Glob("*_test.go"))(t)
	promises := readDoc(t, "docs/PROMISES.md")
	whole, err := filepath.Glob("e2e/*_test.go")
	if err != nil || len(whole) == 0 {
		t.Fatalf("no end-to-end tests: %v", err)
	}
	tests := map[string]bool{}
	for _, path := range append(sources, whole...) {
		for _, match := range matches(`\nfunc ((?:Test|Fuzz|Benchmark)\w+)\(`, readDoc(t, path)) {
			tests[match[0]] = true
		}
	}
	promised := map[string]bool{}
	for _, row := range matches(`\n\| ([^|]+) \|(.*)`, promises) {
		names := matches("`((?:Test|Fuzz|Benchmark)\\w+)`", row[1])
		if len(names) == 0 && row[0] != "guarantee" && row[0] != "---" {
			t.Errorf("no test shows that %s", row[0])
		}
		for _, name := range names {
			promised[name[0]] = true
			if !tests[name[0]] {
				t.Errorf("%s: there is no %s", row[0], name[0])
			}
		}
	}
	for name := range tests {
		if (strings.HasPrefix(name, "TestE2E") || strings.HasPrefix(name, "Fuzz")) && !promised[name] {
			t.Errorf("%s shows no promise", name)
		}
	}
}
