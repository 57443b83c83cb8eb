// The shorter ways that only Linux has, held against the long ones.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSockDiagListsWhatProcNetTCPLists(t *testing.T) {
	var ports []int
	for _, place := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		listener, err := net.Listen("tcp", place)
		if err != nil {
			t.Skipf("no %s here: %v", place, err)
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	if !hasSockDiag(t) {
		t.Skip("the kernel has no sock_diag, or a sandbox forbids it")
	}
	fast := need(sockDiag())(t)
	slow := need(procfs{root: "/proc"}.listeners())(t)
	ours := func(all []listener) (text []string) {
		for _, l := range all {
			if slices.Contains(ports, l.port) {
				text = append(text, fmt.Sprint(l))
			}
		}
		slices.Sort(text)
		return text
	}
	if got, want := ours(fast), ours(slow); len(got) != len(ports) || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// hasSockDiag tells whether the kernel answers the question for the listening sockets of IPv4 with anything but an error.
func hasSockDiag(t *testing.T) bool {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 4)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	var question struct {
		Length         uint32
		Kind, Flags    uint16
		Number, Sender uint32
		Family, TCP    byte
		_              [2]byte
		States         uint32
		_              [48]byte
	}
	question.Length, question.Kind, question.Flags = 72, 20, 0x301
	question.Family, question.TCP, question.States = 2, 6, 1<<10
	var request bytes.Buffer
	must(t, binary.Write(&request, binary.NativeEndian, question))
	if err := syscall.Sendto(fd, request.Bytes(), syscall.MSG_DONTWAIT, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return false
	}
	answer := make([]byte, 1<<16)
	n, _, err := syscall.Recvfrom(fd, answer, syscall.MSG_DONTWAIT)
	return err == nil && n >= 16 && binary.NativeEndian.Uint16(answer[4:]) != syscall.NLMSG_ERROR
}

func TestWithoutSockDiagProcNetTCPIsRead(t *testing.T) {
	p := parallelProc(t)
	p.listens("127.0.0.1", 7000, 1000, 1)
	p.process(5, 1, "x", 1)
	p.diag = func() ([]listener, error) { return nil, syscall.EPROTONOSUPPORT }
	p.wantHolders(7000, 0, heldBy(5, "x"))
	p.diag = func() ([]listener, error) { return nil, nil }
	p.wantHolders(7000, 0)
}

func TestDialConnectsOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	somebody, nobody, never := readyzServer(t, func(http.ResponseWriter, *http.Request) {}), silentPort(t), time.Now().Add(time.Hour)
	for range 100 { // whichever of the two is faster, the answer or we
		conn := need(dial(somebody, never))(t)
		conn.Close()
		if _, err := dial(nobody, never); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("nobody listens: %v", err)
		}
	}
}

func TestDialGivesUpAtItsDeadline(t *testing.T) {
	t.Parallel()
	// A queue of one that nobody empties: the third connection is not answered.
	fd := need(syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0))(t)
	defer syscall.Close(fd)
	must(t, errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)))
	name := need(syscall.Getsockname(fd))(t)
	for range 8 {
		deadline := time.Now().Add(100 * time.Millisecond)
		conn, err := dial(name.(*syscall.SockaddrInet4).Port, deadline)
		if err == nil {
			defer conn.Close()
			continue
		}
		if early := time.Until(deadline); !errors.Is(err, os.ErrDeadlineExceeded) || early > 10*time.Millisecond {
			t.Errorf("%v, %s before it", err, early)
		}
		return
	}
	t.Error("every connection was taken")
}

func TestADropInThatIsANamedPipeIsNotOpened(t *testing.T) {
	t.Parallel()
	m := systemd{home: t.TempDir()}
	path := m.path() + ".d/a.conf"
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, syscall.Mkfifo(path, 0o644))
	if _, err := m.userDropIns(); errText(err) != "open "+path+": not a regular file" {
		t.Errorf("got %v", err)
	}
}

func TestTheOnlyFileOfAProcessMayBeTheSocket(t *testing.T) {
	t.Parallel()
	ownByteOrder(t)
	listener := need(net.Listen("tcp4", "127.0.0.1:0"))(t)
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	file := need(listener.(*net.TCPListener).File())(t)
	defer file.Close()
	const closed = ^uintptr(0)
	pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "60"}, &syscall.ProcAttr{Files: []uintptr{closed, closed, closed, file.Fd()}})
	if err != nil {
		t.Skip("there is no /bin/sleep here:", err)
	}
	defer func() {
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
	}()
	listener.Close()
	file.Close()
	for _, first := range []int{0, pid} {
		who := need(procfs{root: "/proc"}.holders(t.Context(), port))(t)
		if got := who(first); len(got) != 1 || got[0].pid != pid || got[0].command != "sleep 60" {
			t.Errorf("%d first: got %v, want %d", first, got, pid)
		}
	}
}

func TestOrphansThatHaveEndedAreCollectedButNotTheCollector(t *testing.T) { // alone, for it would take other tests' children
	self := need(os.Executable())(t)
	dir := t.TempDir()
	start := func() int {
		pid := need(syscall.ForkExec(self, []string{filepath.Join(dir, collectorName)}, &syscall.ProcAttr{Env: []string{"GORACE=atexit_sleep_ms=0"}}))(t)
		return pid
	}
	put(t, filepath.Join(dir, "standin"), "exit 0", 0o600)
	collector, orphan := start(), start()
	for _, pid := range []int{collector, orphan} {
		const byPID = 1 // and WNOWAIT leaves it to be waited for again
		if _, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(pid), 0, syscall.WEXITED|syscall.WNOWAIT, 0, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	collect(collector)
	if pid, err := syscall.Wait4(orphan, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("the orphan is there: %d, %v", pid, err)
	}
	if pid, err := syscall.Wait4(collector, nil, syscall.WNOHANG, nil); pid != collector {
		t.Errorf("the collector is not: %d, %v", pid, err)
	}
}

func TestSystemdIsChosenWithTheRuntimeFolderThatThereIs(t *testing.T) {
	t.Parallel()
	runtimeDir, home := private(t, t.TempDir()), private(t, t.TempDir())
	for _, c := range []struct{ what, given, locks string }{
		{"a folder", runtimeDir, runtimeDir},
		{"one that is gone", filepath.Join(runtimeDir, "none"), home},
		{"a file", os.DevNull, home},
	} {
		w := &app{home: home, uid: os.Getuid(), getenv: func(key string) string { return map[string]string{"XDG_RUNTIME_DIR": c.given}[key] }}
		same(t, c.what, w.choose(), nil)
		if m, ok := w.manager.(systemd); !ok || m.runtimeDir != c.given || m.home != home || m.uid != w.uid {
			t.Errorf("%s: got %+v", c.what, w.manager)
		}
		if p, ok := w.processes.(procfs); !ok || p.root != "/proc" || p.diag == nil {
			t.Errorf("%s: got %+v", c.what, w.processes)
		}
		locked(t, w.lock, c.locks)
	}
	w := &app{home: home, uid: os.Getuid(), getenv: func(string) string { return "" }}
	environ, own := w.choose(), fmt.Sprintf("/run/user/%d", w.uid)
	if info, err := os.Stat(own); err == nil {
		if owner, _ := fileOwner(info); owner == w.uid {
			if m := w.manager.(systemd); m.runtimeDir != own || !slices.Equal(environ, []string{"XDG_RUNTIME_DIR=" + own}) {
				t.Errorf("su left it out: got %q, %q", m.runtimeDir, environ)
			}
			return
		}
	}
	if m := w.manager.(systemd); m.runtimeDir != "" || len(environ) != 0 {
		t.Errorf("there is none: got %q, %q", m.runtimeDir, environ)
	}
	locked(t, w.lock, home)
}

// locked checks that a lock is that of a folder.
func locked(t *testing.T, lock func(context.Context, func()) (func(), error), folder string) {
	t.Helper()
	unlock := need(lock(t.Context(), func() {}))(t)
	defer unlock()
	dir := need(os.Open(folder))(t)
	defer dir.Close()
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
		t.Errorf("%s is not locked: %v", folder, err)
	}
}

func TestATerminalIsTold(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{"/dev/ptmx": true, os.DevNull: false} {
		file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Skip("there are no terminals here:", err)
		}
		defer file.Close()
		same(t, path, isTerminal(file.Fd()), want)
	}
}

func TestTheNameOfAUserIsThatOfThePasswdFile(t *testing.T) {
	t.Parallel()
	if text, err := os.ReadFile("/etc/passwd"); err != nil || !strings.HasPrefix(string(text), "root:x:0:0:") {
		t.Skip("the file does not begin with root here:", err)
	}
	same(t, "", userName(0, "ada"), "root")
	same(t, "of a user that is not in it", userName(1<<30, "ada"), "ada")
}
