// Command collector-server stands in for the real collector: it listens on the two ports that the real one takes from
// the same variables, answers /readyz and /api/health, and ends on SIGTERM. It binds the WebSocket port first, as the
// real one does. STANDIN_* variables, or a file named "standin" beside the program with the same K=V lines, make it
// misbehave: a service manager hands on no variables.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	set := map[string]string{}
	if file, err := os.Open(filepath.Join(filepath.Dir(os.Args[0]), "standin")); err == nil {
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if key, value, ok := strings.Cut(lines.Text(), "="); ok {
				set[key] = value
			}
		}
	}
	get := func(key, otherwise string) string {
		if value := os.Getenv(key); value != "" {
			return value
		}
		if value := set[key]; value != "" {
			return value
		}
		return otherwise
	}
	wait := func(key string) time.Duration {
		d, err := time.ParseDuration(get(key, "0"))
		if err != nil {
			fail("%s: %v", key, err)
		}
		return d
	}
	fmt.Fprintln(os.Stderr, "[RuntimeScope] Starting standalone collector...", os.Args[0])
	ended := make(chan os.Signal, 1)
	if get("STANDIN_DEAF", "") == "" {
		signal.Notify(ended, syscall.SIGTERM, os.Interrupt)
	} else {
		signal.Ignore(syscall.SIGTERM, os.Interrupt)
	}
	if code := get("STANDIN_EXIT", ""); code != "" { // exit with this status, after STANDIN_AFTER
		time.Sleep(wait("STANDIN_AFTER"))
		fmt.Fprintln(os.Stderr, "[RuntimeScope] Fatal error: told to exit with", code)
		n, _ := strconv.Atoi(code)
		stamp(get)
		os.Exit(n)
	}
	if get("STANDIN_UNBOUND", "") == "" {
		serve(get, wait)
	}
	<-ended
	fmt.Fprintln(os.Stderr, "[RuntimeScope] Collector stopped")
}

func serve(get func(key, otherwise string) string, wait func(string) time.Duration) {
	start := time.Now()
	host := get("RUNTIMESCOPE_HOST", "127.0.0.1")
	ws, err := net.Listen("tcp", host+":"+get("RUNTIMESCOPE_PORT", "6767"))
	if err != nil && get("STANDIN_MOVE", "") != "" { // as the collector for Node does
		ws, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		fail("%v", err)
	}
	go http.Serve(ws, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Upgrade Required", http.StatusUpgradeRequired)
	}))
	time.Sleep(wait("STANDIN_BIND")) // before the HTTP port is bound
	listener, err := net.Listen("tcp", host+":"+get("RUNTIMESCOPE_HTTP_PORT", "6768"))
	if err != nil {
		fail("%v", err)
	}
	ready := wait("STANDIN_READY") // 503 until then
	if ready >= 0 {
		time.AfterFunc(ready-time.Since(start), func() { stamp(get) })
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if time.Since(start) < ready || ready < 0 {
			http.Error(w, `{"status":"starting"}`, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"status":"ready","timestamp":%d}`, time.Now().UnixMilli())
	})
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"ok","version":%q,"uptime":%d}`, get("STANDIN_VERSION", "0.0.0-standin"), int(time.Since(start).Seconds()))
	})
	if get("STANDIN_PAGE", "yes") == "yes" { // as the Rust collector has; Node's has none
		mux.HandleFunc("GET /dashboard", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, "<!doctype html><title>RuntimeScope</title>")
		})
	}
	go http.Serve(listener, mux)
	fmt.Fprintln(os.Stderr, "[RuntimeScope] Standalone collector ready")
}

// stamp writes the time in nanoseconds to the file STANDIN_STAMP: from which it answers 200, or of an exit that was asked for.
func stamp(get func(key, otherwise string) string) {
	if path := get("STANDIN_STAMP", ""); path != "" {
		os.WriteFile(path, []byte(strconv.FormatInt(time.Now().UnixNano(), 10)), 0o600)
	}
}

func fail(format string, a ...any) {
	fmt.Fprintf(os.Stderr, "[RuntimeScope] Fatal error: "+format+"\n", a...)
	os.Exit(1)
}
