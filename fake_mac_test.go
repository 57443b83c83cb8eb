// What the stories of the launchd side share: a bench whose Mac can be set, and what they check of it.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// mac is a bench on launchd whose fakes are called in this process. At its end it holds every story to this: the
// verbs whose exit status means nothing were never called.
func mac(t testing.TB) *bench {
	t.Helper()
	b := newBench(t, "launchd").quick()
	t.Cleanup(func() {
		s := b.fakeState()
		if calls := s.mac().Legacy; len(calls) > 0 {
			t.Errorf("it called launchctl %s", strings.Join(calls, ", "))
		}
	})
	return b
}

// set changes the fake Mac.
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
