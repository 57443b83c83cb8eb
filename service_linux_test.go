// The shorter ways that only Linux has, held against the long ones.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"slices"
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
	fast, err := sockDiag()
	if err != nil {
		t.Skipf("the kernel has no sock_diag, or a sandbox forbids it: %v", err)
	}
	slow, err := procfs{root: "/proc"}.listeners()
	if err != nil {
		t.Fatal(err)
	}
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

func TestWithoutSockDiagProcNetTCPIsRead(t *testing.T) {
	t.Parallel()
	p := newPortsProc(t)
	p.listens("127.0.0.1", 7000, 1000, 1)
	p.process(5, 1, "x", 1)
	p.diag = func() ([]listener, error) { return nil, syscall.EPROTONOSUPPORT }
	p.wantHolders(7000, 0, holder{pid: 5, uid: -1, command: "x"})
	p.diag = func() ([]listener, error) { return nil, nil }
	p.wantHolders(7000, 0)
}

func TestDialConnectsOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	port := server.Listener.Addr().(*net.TCPAddr).Port
	for range 100 { // whichever of the two is faster, the answer or we
		conn, err := dial(port, time.Now().Add(5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	server.Close()
	for range 100 {
		start := time.Now()
		if _, err := dial(port, start.Add(5*time.Second)); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) > 2*time.Second {
			t.Fatalf("nobody listens: %v after %s", err, time.Since(start))
		}
	}
}

func TestDialGivesUpAtItsDeadline(t *testing.T) {
	t.Parallel()
	// A queue of one that nobody empties: the third connection is not answered.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		start := time.Now()
		conn, err := dial(name.(*syscall.SockaddrInet4).Port, start.Add(100*time.Millisecond))
		if err == nil {
			defer conn.Close()
			continue
		}
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < 90*time.Millisecond || took > 5*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		return
	}
	t.Error("every connection was taken")
}
