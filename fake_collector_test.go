// The fake launchd with real processes: the test binary, started under the collector's name, stands in for it, and
// the fake's own goroutines are launchd, which waits for the process, remembers how it ended and starts it again.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// standIn is the collector's process. A file "standin" beside it tells it to misbehave: "exit 3", "exit once 3", "deaf",
// "late": as long as the file is there, "elsewhere".
func standIn() int {
	text, _ := os.ReadFile(filepath.Join(filepath.Dir(os.Args[0]), "standin"))
	words := strings.Fields(string(text))
	ended := make(chan os.Signal, 1)
	if len(words) == 1 && words[0] == "deaf" {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signal.Notify(ended, syscall.SIGTERM, os.Interrupt)
	}
	fmt.Fprintln(os.Stderr, "stand-in", os.Getpid(), "starting")
	if len(words) > 1 && words[0] == "exit" {
		if words[1] == "once" {
			os.Remove(filepath.Join(filepath.Dir(os.Args[0]), "standin"))
		}
		code, _ := strconv.Atoi(words[len(words)-1])
		fmt.Fprintln(os.Stderr, "stand-in", os.Getpid(), "fatal: exits with", code)
		return code
	}
	for len(words) == 1 && words[0] == "late" {
		time.Sleep(2 * time.Millisecond)
		if _, err := os.Stat(filepath.Join(filepath.Dir(os.Args[0]), "standin")); err != nil {
			words = nil
		}
	}
	host := "127.0.0.1:"
	if len(words) == 1 && words[0] == "elsewhere" {
		host = "127.0.0.2:"
	}
	for _, key := range []string{wsPortEnv, httpPortEnv} {
		listener, err := net.Listen("tcp", host+os.Getenv(key))
		if err != nil {
			fmt.Fprintln(os.Stderr, "stand-in", os.Getpid(), "fatal:", err)
			return 1
		}
		go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if os.Getenv(certEnv) != "" { // as net/http answers what is not TLS
				w.WriteHeader(http.StatusBadRequest)
			}
			fmt.Fprint(w, `{"status":"ready","version":"0.0.0-standin"}`)
		}))
	}
	fmt.Println("stand-in", os.Getpid(), "HOME", os.Getenv("HOME"))
	select {
	case sig := <-ended:
		if sig == os.Interrupt { // told apart by its status, and not left to a default that a shell may have switched off
			return 130
		}
		fmt.Fprintln(os.Stderr, "stand-in", os.Getpid(), "stopped")
	case <-time.After(time.Minute): // a test that was killed leaves nothing behind for long
	}
	return 0
}

// spawn starts a job's process. The caller holds the machine's lock, and its process lives on: this works in quick
// benches only.
func (m fakeMachine) spawn(l *fakeLaunchd, j *fakeJob) {
	open := func(path string) *os.File {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			panic(err)
		}
		return file
	}
	out, err := open(j.Out), open(j.Err)
	defer out.Close()
	defer err.Close()
	environ := append([]string{"GORACE=atexit_sleep_ms=0", "XPC_SERVICE_NAME=" + label}, j.Environ...)
	p, failed := osRunner{env: environ}.Start(bond{ownGroup: true}, out, err, nil, j.Program)
	if failed != nil {
		j.Status, j.Exited, j.SpawnError, j.Scheduled = 78<<8, true, true, true
		return
	}
	j.PID = p.Pid()
	l.Watchers++
	go m.watch(p, j.Serial, l.Throttle)
}

// watch is launchd's part in the life of one process.
func (m fakeMachine) watch(p process, serial int, throttle time.Duration) {
	began := time.Now()
	e, _ := p.Wait()
	mine := func(l *fakeLaunchd) (string, *fakeJob) {
		for target, j := range l.Jobs {
			if j.Serial == serial {
				return target, j
			}
		}
		return "", nil
	}
	again := false
	m.change(func(s *fakeState) {
		l := s.mac()
		if target, j := mine(l); j != nil {
			j.PID, j.Exited, j.Status = 0, true, rawStatus(e)
			if again = !j.Draining && j.again(); again {
				j.Scheduled = true
			}
			if j.Draining {
				delete(l.Jobs, target)
			}
		}
		if !again {
			l.Watchers--
		}
		s.keep(l)
	})
	if !again {
		return
	}
	time.Sleep(throttle - time.Since(began))
	m.change(func(s *fakeState) {
		l := s.mac()
		l.Watchers--
		if _, j := mine(l); j != nil && j.PID == 0 {
			fakeCall{m: m, s: s, l: l}.start(j)
		}
		s.keep(l)
	})
}

// realMac is a quick bench whose collector is a process, on two ports of its own.
func realMac(t *testing.T) *bench {
	t.Parallel()
	notOnWindows(t, "there is no SIGTERM here")
	b := mac(t)
	b.set(func(l *fakeLaunchd) {
		l.Real, l.Throttle, l.KillAfter = true, 150*time.Millisecond, time.Hour
	})
	b.app.alive, b.app.platform = alive, runtime.GOOS // whose program the real collector is
	for _, key := range []string{httpPortEnv, wsPortEnv} {
		b.env[key] = strconv.Itoa(freePort(t))
	}
	self := need(os.Executable())(t)
	program := filepath.Join(b.fake.dir, "app", collectorName)
	must(t, os.Remove(program))
	link(t, self, program)
	t.Cleanup(func() {
		until(t, func() bool {
			left := 0
			b.set(func(l *fakeLaunchd) {
				for target, j := range l.Jobs {
					j.Draining = true
					if j.PID == 0 {
						delete(l.Jobs, target)
					} else if p, err := os.FindProcess(j.PID); err == nil {
						p.Kill()
					}
				}
				left = l.Watchers
			})
			return left == 0
		}, func() string { return "a stand-in did not end" })
	})
	return b
}

// standIn tells the next start of the stand-in how to behave.
func (b *bench) standIn(behave string) {
	b.t.Helper()
	b.write(filepath.Join(b.fake.dir, "app", "standin"), behave, 0o600)
}

// lines returns the lines of a file that hold a word.
func lines(text, word string) (found []string) {
	for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
		if strings.Contains(scan.Text(), word) {
			found = append(found, scan.Text())
		}
	}
	return found
}
