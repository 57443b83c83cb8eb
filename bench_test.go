// Benchmarks of what grows with the machine: processes, listening sockets, logs. What a user waits for as a whole is
// measured on a real systemd by .ci/measure.
package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
)

// BenchmarkOwnerOfAPort finds who holds a port among so many processes, each with a few sockets open. Their /proc is a
// folder on a disk here, which is slower than the real one: it says how the time grows, not what it is.
func BenchmarkOwnerOfAPort(b *testing.B) {
	for _, count := range []int{100, 5000} {
		b.Run(fmt.Sprintf("%d_processes", count), func(b *testing.B) {
			p := newPortsProc(b)
			for port := range 50 {
				p.listens("127.0.0.1", 7000+port, 1000, 900000+port)
			}
			for pid := 2; pid < 2+count; pid++ {
				p.process(pid, 1, "x", 10*pid, 10*pid+1, 10*pid+2, 10*pid+3)
			}
			p.link("socket:[900049]", "2/fd/9") // of the process that is looked into last
			for b.Loop() {
				who, err := p.holders(b.Context(), 7049)
				if err != nil {
					b.Fatal(err)
				}
				if found := who(0); len(found) != 1 || found[0].pid != 2 {
					b.Fatalf("found %v", found)
				}
			}
		})
	}
}

// BenchmarkLastLines reads the last 50 lines of a log of 5 KB and of one of 5 GB.
func BenchmarkLastLines(b *testing.B) {
	tail := strings.Repeat(strings.Repeat("x", 79)+"\n", 64)
	for _, size := range []int64{int64(len(tail)), 5 << 30} {
		b.Run(fmt.Sprintf("%d_bytes", size), func(b *testing.B) {
			if runtime.GOOS == "windows" && size > 1<<20 {
				b.Skip("a file with a hole takes its whole size here")
			}
			path := logsFile(b, tail)
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			if _, err := file.WriteAt([]byte(tail), size-int64(len(tail))); err != nil {
				b.Skip("no file with a hole here:", err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if lines, err := lastLines(path, 0, 50); err != nil || len(lines) != 50 {
					b.Fatalf("%d lines, %v", len(lines), err)
				}
			}
		})
	}
}

// BenchmarkProbe asks /readyz of a server beside it.
func BenchmarkProbe(b *testing.B) {
	w := &app{}
	port := readyzServer(b, func(answer http.ResponseWriter, _ *http.Request) { answer.Write([]byte(`{"status":"ready"}`)) })
	for b.Loop() {
		if err := w.probe(b.Context(), port); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStateOfAUnit reads what systemctl says of a running service.
func BenchmarkStateOfAUnit(b *testing.B) {
	text := readDoc(b, "testdata/fakebin/systemctl-show-running.txt")
	for b.Loop() {
		if s, err := parseUnitState(text); err != nil || s.phase != running {
			b.Fatalf("%v, %v", s.phase, err)
		}
	}
}
