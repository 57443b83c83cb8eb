// Every failure that launchctl is known to have, at every verb of ours, through the whole program: exit status, words,
// files, and what the fake Mac has loaded afterwards. The benches go from one failure to the next: what one of them
// leaves behind, the following ones trip over.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// faultyVerbs are our verbs, and the commands that change something which each of them runs.
func faultyVerbs() map[string][]string {
	return map[string][]string{
		"install":   {"enable", "bootstrap", "kickstart"}, // where nothing is installed
		"reinstall": {"bootout", "enable", "bootstrap", "kickstart"},
		"restart":   {"bootout", "enable", "bootstrap", "kickstart"},
		"stop":      {"bootout"},
		"uninstall": {"bootout"},
		"status":    nil,
		"doctor":    nil,
	}
}

// launchctlFails is what launchctl says of a failure with a code, and exits with.
func launchctlFails(verb string, code int) plant {
	text := map[string]string{"enable": "Could not enable service: ", "bootstrap": "Bootstrap failed: ", "bootout": "Boot-out failed: ",
		"kickstart": `Could not kickstart service "` + label + `": `, "list": "Could not list service: ", "print": "Could not print service: "}[verb]
	return plant{Call: "launchctl " + verb, Code: code, Stderr: fmt.Sprintf("%s%d: %s\n", text, code, launchctlError(code))}
}

// causeOf is what our words must hold for a code: the cause, never only its number.
func causeOf(code int) string {
	switch code {
	case 112, 125:
		return "user ada is not logged in to the desktop"
	case 119:
		return "the agent is disabled"
	}
	return launchctlError(code)
}

// A trial is a bench that stands where a verb finds it, and what it was like there.
type trial struct {
	*bench
	verb  string
	files map[string]string
	job   string
}

func newTrial(t *testing.T, verb, behave string) *trial {
	t.Helper()
	b := mac(t)
	b.timings.throttle = time.Millisecond
	if verb != "install" {
		b.installed()
	}
	if behave != "" && verb != "install" {
		b.behaves(behave)
		b.want(1, "service restart")
	}
	if verb == "reinstall" {
		b.env[wsPortEnv] = "7001"
	}
	r := &trial{bench: b, verb: verb}
	r.files, r.job = r.now()
	return r
}

// now is what the machine is like: the files without the logs, and the job without its PID and how often it was started.
func (r *trial) now() (files map[string]string, job string) {
	files = map[string]string{}
	for _, name := range r.bench.files() {
		if !strings.HasSuffix(name, ".log") {
			files[name] = r.read(r.home + "/" + name)
		}
	}
	if j := r.bench.job(); j != nil {
		job = fmt.Sprint("runs: ", j.PID != 0, " ends: ", j.Draining, " as: ", j.Program, j.Environ)
	}
	return files, job
}

// fails runs the verb and holds it to this: exit 1, the cause in words, and everything as it was.
func (r *trial) fails(what string, words ...string) bool {
	r.t.Helper()
	code := r.try()
	said := r.stdout.String() + r.stderr.String()
	ok := code == 1
	for _, text := range words {
		ok = ok && strings.Contains(said, text)
	}
	if !ok {
		r.t.Errorf("%s, %s: exit %d, want 1 and %q:\n%s", what, r.verb, code, words, said)
	}
	return r.asBefore(what) && ok
}

func (r *trial) try() int {
	r.t.Helper()
	verb := r.verb
	if verb == "reinstall" {
		verb = "install"
	}
	r.fake.called()
	return r.runs("service", verb)
}

func (r *trial) asBefore(what string) bool {
	r.t.Helper()
	files, job := r.now()
	if len(files) != len(r.files) || fmt.Sprint(files) != fmt.Sprint(r.files) || job != r.job {
		r.t.Errorf("%s, %s: it is not as it was before\nfiles %v, before %v\njob %s, before %s\n%s%s", what, r.verb,
			names(files), names(r.files), job, r.job, r.stdout.String(), r.stderr.String())
		return false
	}
	return true
}

func names(files map[string]string) (all []string) {
	for name := range files {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func TestMacEveryRefusalOfEveryCommandIsNamedAndTakenBack(t *testing.T) {
	t.Parallel()
	for behave, codes := range map[string][]int{
		"":           {1, 2, 3, 5, 17, 22, 36, 37, 78, 109, 112, 113, 119, 122, 125, 134, 150, 161},
		"reason TCC": {5, 113, 161}, "held CODESIGNING": {5, 113, 161}, "pended inefficient": {5, 113, 161}, // where it was not running
	} {
		for verb, commands := range faultyVerbs() {
			t.Run(verb+behave, func(t *testing.T) {
				t.Parallel()
				r := newTrial(t, verb, behave)
				for _, command := range commands {
					for _, code := range codes {
						switch {
						case command == "bootout" && (code == 3 || code == 36), command == "kickstart" && code == 37:
							continue // no refusals: see below
						}
						r.plant(launchctlFails(command, code))
						if !r.fails(fmt.Sprintf("%s exits %d, %q", command, code, behave), causeOf(code)) {
							r = newTrial(t, verb, behave)
						}
					}
				}
			})
		}
	}
}

func TestMacARefusalWithoutAWordIsNamedAllTheSame(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"bootout", "enable", "bootstrap", "kickstart"} {
		r := newTrial(t, "restart", "")
		p := launchctlFails(command, 150)
		p.Stderr = ""
		r.plant(p)
		r.fails(command+" exits 150", launchctlError(150))
	}
}

func TestMacWhatOnlySoundsLikeARefusalIsDone(t *testing.T) {
	t.Parallel()
	for verb, commands := range faultyVerbs() {
		for _, p := range []plant{launchctlFails("bootout", 3), launchctlFails("bootout", 36), {Call: "launchctl kickstart", Code: 37}} {
			command := strings.Fields(p.Call)[1]
			if !slices.Contains(commands, command) {
				continue
			}
			r := newTrial(t, verb, "")
			p.Also = true
			r.plant(p)
			if code := r.try(); code != 0 {
				t.Errorf("%s exits %d, %s: exit %d\n%s%s", command, p.Code, verb, code, r.stdout.String(), r.stderr.String())
			}
			if loaded := r.bench.job() != nil; loaded == (verb == "stop" || verb == "uninstall") {
				t.Errorf("%s exits %d, %s: loaded %v", command, p.Code, verb, loaded)
			}
		}
	}
}

func TestMacWhenListGivesNoAnswerNothingChanges(t *testing.T) {
	t.Parallel()
	for verb := range faultyVerbs() {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			r := newTrial(t, verb, "")
			for _, code := range []int{1, 5, 64, 112, 118, 125} {
				what := fmt.Sprint("list exits ", code)
				r.plant(launchctlFails("list", code))
				ok := r.fails(what, causeOf(code))
				if calls := r.calls(); len(calls) > 0 {
					t.Errorf("%s, %s: it called %v", what, verb, calls)
				}
				if !ok {
					r = newTrial(t, verb, "")
				}
			}
		})
	}
}

func TestMacWhenPrintGivesNoAnswerListSuffices(t *testing.T) {
	t.Parallel()
	for verb := range faultyVerbs() {
		if verb == "install" {
			continue // "list" finds nothing there, so that "print" tells whether there is a domain
		}
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			for _, code := range []int{5, 64, 113} {
				r := newTrial(t, verb, "")
				r.plant(launchctlFails("print", code))
				if code := r.try(); code != 0 {
					t.Errorf("print exits %d, %s: exit %d\n%s%s", code, verb, code, r.stdout.String(), r.stderr.String())
				}
			}
		})
	}
}

func TestMacALaunchctlThatDoesNotAnswerIsNamedAndTakenBack(t *testing.T) {
	t.Parallel()
	for verb, commands := range faultyVerbs() {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			r := newTrial(t, verb, "")
			for _, command := range append([]string{"list"}, commands...) {
				for _, cause := range []error{errors.New("no answer within 10s"), errors.New("signal: killed")} {
					for _, after := range []bool{false, true} {
						if after && verb == "stop" {
							continue // it is stopped then, and a stop is not taken back
						}
						met := false
						r.app.run = hooked{inProcess{r.fake}, func(argv []string, run func() (string, error)) (string, error) {
							if met || !calls(command)(argv) {
								return run()
							}
							if met = true; after {
								run()
							}
							return "", &commandError{argv: argv, code: -1, cause: cause}
						}}
						if !r.fails(fmt.Sprint(command, ": ", cause, ", after: ", after), "launchctl "+command, cause.Error()) {
							r = newTrial(t, verb, "")
						}
					}
				}
			}
		})
	}
}

func TestMacWithoutLaunchctlThatIsSaid(t *testing.T) {
	t.Parallel()
	for verb := range faultyVerbs() {
		r := newTrial(t, verb, "")
		r.app.run = osRunner{}
		r.fails("no launchctl", "launchctl is not on this system", "runtimescope service run")
	}
}

// calls tells whether launchctl is run with a verb.
func calls(verb string) func(argv []string) bool {
	return func(argv []string) bool { return len(argv) > 1 && argv[0] == "launchctl" && argv[1] == verb }
}

func TestMacTheGUISessionThatEndsHalfWayIsNamed(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"enable", "bootstrap", "kickstart"} {
		b := mac(t)
		b.before(calls(before), func() { b.set(func(l *fakeLaunchd) { l.NoGUI, l.Jobs = 125, map[string]*fakeJob{} }) })
		b.want(1, "service install", "user ada is not logged in to the desktop")
		if files := b.files(); strings.Contains(strings.Join(files, " "), "plist") {
			t.Errorf("%s: files %v", before, files)
		}
	}
}

func TestMacAsRootTheCauseIsSaidByLaunchctl(t *testing.T) {
	b := onMac(t)
	b.set(func(l *fakeLaunchd) { l.Root, l.Disabled[label] = true, true })
	b.plant(plant{Call: "launchctl enable"})
	b.want(1, "service install", "the agent is disabled", "Service is disabled")
	b.installed()
	b.before(calls("bootstrap"), func() { os.Chmod(b.manager.names().path, 0o666) })
	b.want(1, "service install", "is writable by others (mode 0666)", "Path had bad ownership/permissions")
}
