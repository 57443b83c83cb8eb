// Tests of one probe against servers that behave and servers that do not, of whose socket it is that answers, and of
// what tells one start of the service from the next.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// readyzServer answers with a handler and returns its port.
func readyzServer(t testing.TB, answer http.HandlerFunc) (port int) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).Port
}

// patient is an app that waits for an answer for as long as it takes.
func patient() *app { return &app{timings: timings{answer: time.Hour}} }

// readyzSpeaks is a server that reads a request, says text, and hangs up once hold has ended.
func readyzSpeaks(t testing.TB, text string, hold func(net.Conn)) (port int) {
	t.Helper()
	listener := need(net.Listen("tcp4", "127.0.0.1:0"))(t)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					io.WriteString(conn, text)
				}
				if hold != nil {
					hold(conn)
				}
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestAProbeSaysWhatCameOfIt(t *testing.T) {
	t.Parallel()
	waits := func(conn net.Conn) { conn.Read(make([]byte, 1)) }
	const head, chunked = "HTTP/1.1 200 OK\r\n", "Transfer-Encoding: Chunked\r\n\r\n"
	for _, c := range []struct {
		what, says string
		port       int
	}{
		{"200", "", readyzSpeaks(t, head+"\r\nready", nil)},
		{"204", "", readyzSpeaks(t, "HTTP/1.0 204 No Content\r\n\r\n", nil)},
		{"299 without a word", "", readyzSpeaks(t, "HTTP/1.1 299\r\n\r\n", nil)},
		{"503", "HTTP 503", readyzServer(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"status":"starting"}`, http.StatusServiceUnavailable)
		})},
		{"404", "HTTP 404", readyzServer(t, http.NotFound)},
		{"100 and no more", `not an HTTP response: ""`, readyzSpeaks(t, "HTTP/1.1 100 x\r\n\r\n", nil)},
		{"interim answers, and then one", "HTTP 503", readyzSpeaks(t, "HTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 199 x\r\n\r\nHTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", waits)},
		{"101, which is none of them", "HTTP 101", readyzSpeaks(t, "HTTP/1.1 101 x\r\n\r\n", waits)},
		{"a length, and the connection stays open", "", readyzSpeaks(t, head+"Content-Length: 5\r\n\r\nready", waits)},
		{"no body, and it stays open", "", readyzSpeaks(t, head+"Content-Length: 0\r\n\r\n", waits)},
		{"204, and it stays open", "", readyzSpeaks(t, "HTTP/1.1 204 No Content\r\n\r\n", waits)},
		{"304 with the length of another answer", "HTTP 304", readyzSpeaks(t, "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", waits)},
		{"chunks, and it stays open", "", readyzSpeaks(t, head+chunked+"3\r\nrea\r\n00002;x=\"y\"\r\ndy\r\n0\r\nX: a trailer\r\n\r\n", waits)},
		{"chunks that count, not the length", "", readyzSpeaks(t, head+"Content-Length: 500\r\n"+chunked+"0\r\n", waits)},
		{"chunks without the last", "the answer was cut off", readyzSpeaks(t, head+chunked+"5\r\nready\r\n", nil)},
		{"half a chunk", "the answer was cut off", readyzSpeaks(t, head+chunked+"6\r\nready", nil)},
		{"half the size of a chunk", "the answer was cut off", readyzSpeaks(t, head+chunked+"0", nil)},
		{"what is no chunk", `not a chunk size: "ready"`, readyzSpeaks(t, head+chunked+"ready\r\n", waits)},
		{"bare line feeds", "", readyzSpeaks(t, "HTTP/1.0 200 OK\n\nready", nil)},
		{"300", "HTTP 300", readyzSpeaks(t, "HTTP/1.1 300 x\r\n\r\n", nil)},
		{"999", "HTTP 999", readyzSpeaks(t, "HTTP/1.1 999 x\r\n\r\n", nil)},
		{"as many bytes as it says", "", readyzSpeaks(t, head+"Content-Length: 5\r\n\r\nready", nil)},
		{"more bytes than it says", "", readyzSpeaks(t, head+"content-length:5 \r\n\r\nready and more", nil)},
		{"fewer bytes than it says", "the answer was cut off", readyzSpeaks(t, head+"Content-Length: 500\r\n\r\nready", nil)},
		{"no length", "the answer was cut off", readyzSpeaks(t, head+"Content-Length: many\r\n\r\nready", nil)},
		{"half a head", "the answer was cut off", readyzSpeaks(t, head+"Content-Type: text/plain\r\n", nil)},
		{"half a head that promises no more", "the answer was cut off", readyzSpeaks(t, head+"Content-Length: 0\r\n", nil)},
		{"two lengths, and fewer bytes than the first", "the answer was cut off", readyzSpeaks(t, head+"Content-Length: 6\r\nContent-Length: 5\r\n\r\nready", nil)},
		{"a refusal that is cut off", "the answer was cut off", readyzSpeaks(t, "HTTP/1.1 503 x\r\n", nil)},
		{"nothing", `not an HTTP response: ""`, readyzSpeaks(t, "", nil)},
		{"another protocol", `not an HTTP response: "SSH-2.0-OpenSSH_9.2"`, readyzSpeaks(t, "SSH-2.0-OpenSSH_9.2\r\n", nil)},
		{"HTTP/2", `not an HTTP response: "HTTP/2 200"`, readyzSpeaks(t, "HTTP/2 200\r\n\r\n", nil)},
		{"no status", `not an HTTP response: "HTTP/1.1 "`, readyzSpeaks(t, "HTTP/1.1 \r\n\r\n", nil)},
		{"a status that is no number", `no HTTP status: "HTTP/1.1 OK"`, readyzSpeaks(t, "HTTP/1.1 OK\r\n\r\n", nil)},
		{"a status that is none", `no HTTP status: "HTTP/1.1 99 x"`, readyzSpeaks(t, "HTTP/1.1 99 x\r\n\r\n", nil)},
		{"a status that is too long", `no HTTP status: "HTTP/1.1 1000 x"`, readyzSpeaks(t, "HTTP/1.1 1000 x\r\n\r\n", nil)},
		{"garbage", `not an HTTP response: "\x00\x01` + strings.Repeat("x", 57) + `…"`, readyzSpeaks(t, "\x00\x01\xff"+strings.Repeat("x", 500), nil)},
		{"no word at all", "no answer within 50ms", readyzSpeaks(t, "", waits)},
		{"no end", "no answer within 50ms", readyzSpeaks(t, head+"\r\nready", waits)},
		{"no end of the head", "no answer within 50ms", readyzSpeaks(t, head, waits)},
		{"an endless trickle", "no answer within 50ms", readyzSpeaks(t, head+"\r\n", func(conn net.Conn) {
			for {
				if _, err := conn.Write([]byte(".")); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			a := patient()
			if strings.HasPrefix(c.says, "no answer") {
				a.timings.answer = 50 * time.Millisecond
			}
			if err := a.probe(context.Background(), c.port); errText(err) != c.says {
				t.Errorf("got %q, want %q", errText(err), c.says)
			}
		})
	}
}

func TestAProbeOfAPortWhereNobodyListensIsRefused(t *testing.T) {
	t.Parallel()
	port := silentPort(t)
	err := patient().probe(context.Background(), port)
	if _, ok := err.(syscall.Errno); !ok || strings.Contains(err.Error(), strconv.Itoa(port)) {
		t.Errorf("got %T %v; want the bare error", err, err)
	}
}

func TestWhetherAnybodyAcceptsConnections(t *testing.T) {
	t.Parallel()
	if !patient().answers(readyzSpeaks(t, "", nil)) {
		t.Error("nobody answers a port that is listened on")
	}
	if patient().answers(silentPort(t)) {
		t.Error("somebody answers a port that nobody listens on")
	}
}

func TestAProbeIsTheRequestThatTheCollectorExpects(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	listener := need(net.Listen("tcp4", "127.0.0.1:0"))(t)
	defer listener.Close()
	closed := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		text := ""
		for !strings.HasSuffix(text, "\r\n\r\n") {
			line, err := reader.ReadString('\n')
			if err != nil {
				break
			}
			text += line
		}
		got <- text
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok")
		conn.(*net.TCPConn).CloseWrite()
		_, err = reader.ReadByte()
		closed <- err
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	must(t, patient().probe(context.Background(), port))
	want := fmt.Sprintf("GET /readyz HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nUser-Agent: runtimescope\r\nConnection: close\r\n\r\n", port)
	same(t, "", <-got, want)
	if err := <-closed; err == nil { // were the connection left open, the collector would wait for it when it ends
		t.Error("it said more")
	}
}

func TestAProbeFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	elsewhere := readyzServer(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	port := readyzServer(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, collectorURL(elsewhere)+"/readyz", http.StatusFound)
	})
	if err := patient().probe(context.Background(), port); errText(err) != "HTTP 302" || asked.Load() != 0 {
		t.Errorf("got %v, and %d requests elsewhere", err, asked.Load())
	}
}

func TestAProbeUsesNoProxy(t *testing.T) {
	var asked atomic.Int32
	proxy := readyzServer(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, collectorURL(proxy))
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		t.Setenv(name, "")
	}
	port := readyzServer(t, func(http.ResponseWriter, *http.Request) {})
	if err := patient().probe(context.Background(), port); err != nil || asked.Load() != 0 {
		t.Errorf("got %v, and %d requests to the proxy", err, asked.Load())
	}
}

func TestAProbeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	port := readyzSpeaks(t, "", func(conn net.Conn) {
		cancel()
		conn.Read(make([]byte, 1))
	})
	if err := patient().probe(ctx, port); err == nil { // or it takes an hour
		t.Error("a cancelled probe is ready")
	}
	if err := patient().probe(ctx, port); err == nil {
		t.Error("a probe that was cancelled before is ready")
	}
}

func TestOfALongAnswerTheBeginningIsRead(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"} {
		port := readyzSpeaks(t, head+strings.Repeat("x", 1000000), nil)
		status, body, err := patient().get(context.Background(), port, "/x")
		if status != 200 || len(body) != answerLimit-len(head) || err != nil {
			t.Errorf("got %d, %d bytes, %v", status, len(body), err)
		}
	}
	port := readyzSpeaks(t, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X: y\r\n", 100000), nil)
	if _, _, err := patient().get(context.Background(), port, "/x"); errText(err) != "the answer was cut off" {
		t.Errorf("an endless head: %v", err)
	}
}

func TestTheVersionOfTheCollector(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{200, `{"status":"ok","version":"0.10.7","uptime":0}`, "0.10.7"},
		{200, `{"version":"` + strings.Repeat("9", 100) + `"}`, strings.Repeat("9", 60) + "…"},
		{200, `{"version":7}`, ""},
		{200, `{}`, ""},
		{200, `ready`, ""},
		{200, ``, ""},
		{204, ``, ""},
		{404, `{"version":"0.10.7"}`, ""},
		{500, `{"version":"0.10.7"}`, ""},
	} {
		port := readyzServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/health" || r.Method != http.MethodGet {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		same(t, fmt.Sprintf("%d %s", c.status, c.body), patient().collectorVersion(context.Background(), port), c.want)
	}
	port := readyzSpeaks(t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"+`{"version":"0.10.7"}`, nil)
	same(t, "of an answer that was cut off", patient().collectorVersion(context.Background(), port), "")
}

// A readyzTable is a process table of one port: process N is the service's if it is in ours.
type readyzTable struct {
	processTable
	held []holder
	ours []int
	err  error
}

func (t readyzTable) holders(context.Context, int) (func(int) []holder, error) {
	return func(int) []holder { return t.held }, t.err
}

func (t readyzTable) describe(_ context.Context, _ Runner, _ int, h holder) holder { return h }

func (t readyzTable) belongs(_ context.Context, pid int, _ state) bool {
	for _, n := range t.ours {
		if n == pid {
			return true
		}
	}
	return false
}

func TestWhoseSocketItIsThatAnswers(t *testing.T) {
	t.Parallel()
	own, alien := heldBy(5, "collector-server"), heldBy(7, "vite")
	for _, c := range []struct {
		what string
		held []holder
		err  error
		want ownership
	}{
		{"the service's", []holder{own}, nil, ownership{verified: true}},
		{"two of the service's", []holder{own, {pid: 6, uid: -1, command: "its child"}}, nil, ownership{verified: true}},
		{"somebody else's", []holder{alien}, nil, ownership{foreign: &alien}},
		{"another user's", []holder{{uid: 33}}, nil, ownership{foreign: &holder{uid: 33}}},
		{"both", []holder{own, alien}, nil, ownership{doubt: "port 7001 is also held by PID 7 (vite)"}},
		{"both, the other way round", []holder{alien, own}, nil, ownership{doubt: "port 7001 is also held by PID 7 (vite)"}},
		{"ours and another user's", []holder{own, {uid: 33}}, nil, ownership{doubt: "port 7001 is also held by " + holder{uid: 33}.String()}},
		{"one of this user that may not be looked into", []holder{{uid: 1000}}, nil, ownership{doubt: "no permission to inspect the process on port 7001"}},
		{"one that lsof does not see", []holder{{uid: -1}}, nil, ownership{foreign: &holder{uid: -1}}},
		{"nobody's", nil, nil, ownership{doubt: "no process found on port 7001"}},
		{"not to be found out", []holder{own}, errors.New("no lsof"), ownership{doubt: "cannot find out which process holds port 7001: no lsof"}},
	} {
		a := &app{uid: 1000, processes: readyzTable{held: slices.Clone(c.held), ours: []int{0, 5, 6}, err: c.err}}
		got, again := a.owner(context.Background(), 7001, state{pid: 5})
		if !reflect.DeepEqual(got, c.want) || again != (c.what == "nobody's") { // which may be a moment between two collectors
			t.Errorf("%s: got %+v, %t, want %+v", c.what, got, again, c.want)
		}
	}
}

func TestAStartIsOverWhenItHasEndedOrAnotherHasBegun(t *testing.T) {
	t.Parallel()
	first := state{phase: running, invocation: "1", pid: 5}
	for _, c := range []struct {
		what       string
		first, now state
		want       bool
	}{
		{"the same", first, first, false},
		{"nothing seen yet", state{}, state{phase: starting, invocation: "1"}, false},
		{"the first that is seen", state{}, first, false},
		{"another", first, state{phase: running, invocation: "2", pid: 6}, true},
		{"another that is starting", first, state{phase: starting, invocation: "2", pid: 6}, true},
		{"one between two processes", first, state{phase: starting, invocation: "2"}, false},
		{"one of an unknown start", first, state{phase: running, pid: 5}, false},
		{"unknown", first, state{phase: unknown}, false},
		{"stopped", first, state{phase: stopped, rawState: "inactive"}, true},
		{"never started", state{}, state{phase: stopped, rawState: "inactive"}, true},
		{"failed", first, state{phase: failed, rawState: "failed"}, true},
		{"about to be started again", first, state{phase: crashLooping, rawState: "activating (auto-restart)"}, true},
		{"gone", first, state{phase: notInstalled}, true},
	} {
		same(t, c.what, (wait{first: c.first, state: c.now}).ended(), c.want)
	}
}

// A logAsked is a systemd that remembers whose log it was asked for.
type logAsked struct {
	systemd
	of  *state
	log startLog
}

func (m logAsked) startLog(_ context.Context, _ Runner, of state, _ logMark) startLog {
	*m.of = of
	return m.log
}

func TestAnEarlyEndIsToldWithTheLogOfTheStartThatEnded(t *testing.T) {
	t.Parallel()
	first := state{phase: running, rawState: "active", invocation: "1", pid: 5}
	crashed := &exitStatus{code: 3}
	refused := func(code int, step, why string) state {
		return state{phase: failed, invocation: "1", lastExit: &exitStatus{code: code}, lastName: fmt.Sprintf("status %d/%s", code, step), notExecuted: code == 203, whyNotExecuted: why}
	}
	for _, c := range []struct {
		what       string
		first, now state
		says       string
		start      string
		log        startLog
	}{
		{"another has begun", first, state{phase: running, invocation: "2", pid: 6, lastExit: crashed, lastName: "status 3"}, "The collector exited with status 3 before it was ready", "1", startLog{}},
		{"another is about to begin", first, state{phase: crashLooping, invocation: "2", lastExit: crashed, lastName: "status 3"}, "The collector exited with status 3 before it was ready", "2", startLog{}},
		{"the same", first, state{phase: failed, invocation: "1", pid: 7, lastExit: &exitStatus{signal: 9}, lastName: "SIGKILL"}, "The collector was killed by SIGKILL before it was ready", "1", startLog{}},
		{"none was seen", state{}, state{phase: failed, invocation: "2", pid: 6, lastExit: crashed, lastName: "status 3"}, "The collector exited with status 3 before it was ready", "2", startLog{}},
		{"a clean end", first, state{phase: stopped, invocation: "1"}, "The collector exited cleanly before it was ready", "1", startLog{}},
		{"an end of which nothing is known", first, state{phase: failed, invocation: "1"}, "The collector exited before it was ready", "1", startLog{}},
		{"it could not be run", first, refused(203, "EXEC", "/nowhere is missing"), "The collector could not be run: status 203/EXEC: /nowhere is missing", "1", startLog{}},
		{"why is not known", first, refused(203, "EXEC", ""), "The collector could not be run: status 203/EXEC", "1", startLog{}},
		{"systemd knows", first, refused(203, "EXEC", ""), "The collector could not be run: status 203/EXEC: Failed at step EXEC spawning /x: Text file busy", "1", startLog{refusal: "Failed at step EXEC spawning /x: Text file busy"}},
		{"systemd does not see it", first, refused(203, "EXEC", ""), "The collector could not be run: status 203/EXEC: systemd does not see this file: Failed at step EXEC spawning /x: No such file or directory", "1", startLog{refusal: "Failed at step EXEC spawning /x: No such file or directory"}},
		{"after a command that logged", first, refused(203, "EXEC", ""), "The collector could not be run: status 203/EXEC: Failed at step EXEC spawning /x: Permission denied", "1", startLog{lines: []string{"x"}, refusal: "Failed at step EXEC spawning /x: Permission denied"}},
		{"it was run", first, refused(203, "EXEC", "/nowhere is missing"), "The collector exited with status 203 before it was ready", "1", startLog{lines: []string{"x"}}},
		{"another step", first, refused(216, "GROUP", ""), "The collector was not started: status 216/GROUP: Failed at step GROUP spawning /x: Operation not permitted", "1", startLog{refusal: "Failed at step GROUP spawning /x: Operation not permitted"}},
		{"a status of its own", first, refused(216, "GROUP", ""), "The collector exited with status 216 before it was ready", "1", startLog{lines: []string{"x"}}},
		{"nobody knows whose status", first, refused(216, "GROUP", ""), "The collector exited with status 216/GROUP before it was ready", "1", startLog{}},
		{"a condition", first, state{phase: stopped, invocation: "1", lastExit: &exitStatus{}, lastName: "status 0", skipped: "Condition"},
			"The collector was not started: a condition of its unit is not met: ConditionUser=b", "", startLog{skipped: ": ConditionUser=b"}},
		{"a condition without a name", state{}, state{phase: stopped, skipped: "Condition"},
			"The collector was not started: a condition of its unit is not met. See: systemctl --user status runtimescope.service", "", startLog{}},
	} {
		var of state
		a := &app{manager: logAsked{of: &of, log: c.log}}
		err := a.diedEarly(context.Background(), wait{first: c.first, state: c.now}, logMark{})
		if errText(err) != c.says || of.invocation != c.start {
			t.Errorf("%s: got %v, with the log of start %q", c.what, err, of.invocation)
		}
	}
}

func TestWhatIsSaidOfACollectorThatIsTooLate(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:7001/readyz"
	refused := errors.New("HTTP 503")
	this := state{phase: starting, rawState: "activating (start)", pid: 5, invocation: "2"}
	for _, c := range []struct {
		what, headline string
		notes          string // but for the last
		change         func(w *wait)
	}{
		{"no answer", "Collector did not respond on /readyz within 1s.", url + ": HTTP 503|The service is activating (start) (PID 5) and stays installed.|It logged:|  its last words",
			func(w *wait) { w.answer = refused }},
		{"no main process", "Collector did not respond on /readyz within 1s.", url + ": HTTP 503|The service is activating (start) and stays installed.|It logged:|  its last words",
			func(w *wait) { w.answer, w.state.pid = refused, 0 }},
		{"an earlier start", "Collector did not respond on /readyz within 1s.", "The service has not been restarted yet and stays installed.",
			func(w *wait) { w.state.invocation = "1" }},
		{"never told what it does", "Collector did not respond on /readyz within 1ns.", url + ": HTTP 503|no bus|The service stays installed.",
			func(w *wait) { w.answer, w.state, w.silent, w.timeout = refused, state{}, errors.New("no bus"), 1 }},
		{"it answers", "The collector answers on " + url + ", but systemd did not report the service as running within 0.5s",
			"The service is activating (start) (PID 5) and stays installed.|It logged:|  its last words", func(w *wait) { w.timeout /= 2 }},
		{"it answers, and the manager does not", url + " answers, but could not check whether that is the service: no bus", "",
			func(w *wait) { w.silent = errors.New("no bus") }},
		{"somebody else answers", url + " is answered by PID 9 (vite), not by the service", "The service is active (PID 5) and stays installed.|It logged:|  its last words",
			func(w *wait) {
				w.state.rawState, w.owner.foreign = "active", ptr(heldBy(9, "vite"))
			}},
	} {
		a := &app{manager: logAsked{of: new(state), log: startLog{lines: []string{"its last words"}}}}
		w := wait{ports: ports{http: 7001}, state: this, timeout: time.Second}
		c.change(&w)
		err := a.tooLate(context.Background(), w, logMark{before: "1"})
		told, notes := &failure{}, ""
		if errors.As(err, &told) {
			notes = strings.TrimSuffix(strings.Join(told.notes, "|"), "|See: runtimescope service status")
		}
		if err.Error() != c.headline || notes != c.notes {
			t.Errorf("%s: %v\n%s", c.what, err, notes)
		}
	}
}

func TestLogLinesAreShownIndentedTwentyOfThemFromTheFirstErrorOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		log  startLog
		want []string
	}{
		{startLog{}, []string{}},
		{startLog{none: "It logged nothing."}, []string{"It logged nothing."}},
		{startLog{lines: []string{"a\r\n", "", strings.Repeat("x", 401)}, none: "no"}, []string{"It logged:", "  a", "  ", "  " + strings.Repeat("x", 400) + "…"}},
	} {
		same(t, c.log, logNotes(c.log, 20), c.want)
	}
	for _, c := range []struct {
		lines, error int // that many, and which of them tells of one
		first, last  int // of those shown
	}{{20, 19, 0, 19}, {21, -1, 1, 20}, {21, 0, 0, 19}, {5000, 4999, 4999, 4999}, {100, 30, 30, 49}} {
		for _, word := range []string{"TypeError: x", "FATAL", "panic:", "an Exception"} {
			lines := make([]string, c.lines)
			for n := range lines {
				if lines[n] = strconv.Itoa(n); n >= c.error && c.error >= 0 && n%2 == c.error%2 {
					lines[n] += " " + word
				}
			}
			got := logNotes(startLog{lines: lines}, 20)
			if got[1] != "  "+lines[c.first] || got[len(got)-1] != "  "+lines[c.last] {
				t.Errorf("%+v, %s: got %q", c, word, got)
			}
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready")
	f.Add("HTTP/1.1 200 OK\r\n\r\n")
	f.Add("HTTP/1.0 503 x\r\nContent-Length: -1\r\nContent-Length: 99\r\n\r\n")
	f.Add("\r\n\r\n")
	f.Add("HTTP/1.1  204\n\n")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nready\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > answerLimit {
			return
		}
		status, body, err := patient().get(context.Background(), readyzSpeaks(t, text, nil), "/readyz")
		if err == nil && (status < 100 || status > 999 || !strings.HasPrefix(text, "HTTP/1.") && strings.TrimSpace(text)[:7] != "HTTP/1.") {
			t.Errorf("%q: %d", text, status)
		}
		// What the standard library reads to its end must agree, unless it is more tolerant.
		reader := bufio.NewReader(strings.NewReader(text))
		response, httpErr := http.ReadResponse(reader, nil)
		for httpErr == nil && response.StatusCode/100 == 1 && response.StatusCode != 101 {
			response, httpErr = http.ReadResponse(reader, nil)
		}
		if err != nil || httpErr != nil {
			return
		}
		all, httpErr := io.ReadAll(response.Body)
		if response.StatusCode != status || httpErr == nil && response.ProtoMinor > 0 && string(all) != string(body) {
			t.Errorf("%q: %d %q, and net/http reads %d %q", text, status, body, response.StatusCode, all)
		}
	})
}

// A scripted manager says its answers one after another, the last one for ever, and remembers whose log it was asked for.
type scripted struct {
	serviceManager
	mu      sync.Mutex
	answers []state // phase unknown: no answer
	asked   int
	logged  []string
	logOf   state
}

func (m *scripted) state(context.Context, Runner) (state, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.answers[min(m.asked, len(m.answers)-1)]
	m.asked++
	if s.phase == unknown {
		return s, errors.New("no answer")
	}
	return s, nil
}

func (m *scripted) startLog(_ context.Context, _ Runner, s state, _ logMark) startLog {
	m.logOf = s
	return startLog{lines: m.logged}
}

// waitFor waits for a service that its manager describes so, on a port where ours holds the socket.
func waitFor(t *testing.T, m *scripted, port int, held holder, change func(*timings)) (waitResult, error) {
	t.Helper()
	m.serviceManager = systemd{}
	w := &app{out: printer{stdout: io.Discard}, manager: m, lock: folderLock(private(t, t.TempDir())), processes: waitTable{readyzTable{held: []holder{held}, ours: []int{1, 2}}}, alive: func(int) bool { return true },
		timings: timings{answer: time.Hour, probe: time.Millisecond, slow: 2 * time.Millisecond, fast: time.Minute, look: 2 * time.Millisecond, grace: 40 * time.Millisecond}}
	if change != nil {
		change(&w.timings)
	}
	return w.awaitHealthy(t.Context(), wait{ports: ports{port, port + 1}, begin: time.Now(), timeout: time.Hour}, nil, logMark{})
}

// A waitTable knows of no environment.
type waitTable struct{ readyzTable }

func (waitTable) environ(int) []string { return nil }

// waitStates are what a manager may out: two starts, no answer, and that nothing runs, not knowing or knowing why.
func waitStates() (one, two, mute, idle, over state) {
	return state{phase: running, rawState: "active", pid: 1, invocation: "1"}, state{phase: running, rawState: "active", pid: 2, invocation: "2"},
		state{phase: unknown}, state{phase: stopped, rawState: "inactive", invocation: "0", maybeNotStarted: true},
		state{phase: stopped, rawState: "inactive", invocation: "1"}
}

// then is a state said n times, and then others.
func then(s state, n int, others ...state) []state {
	return append(slices.Repeat([]state{s}, n), others...)
}

func TestTheWaitEndsWithTheStartThatWasFirstSeen(t *testing.T) {
	t.Parallel()
	one, two, _, idle, over := waitStates()
	nobody := silentPort(t)
	for name, c := range map[string]struct {
		answers []state
		logged  []string
		says    string
		of      state // whose log is shown
	}{
		"another start":               {then(one, 3, two), nil, "The collector exited before it was ready", state{invocation: "1"}},
		"the end":                     {then(one, 3, over), []string{"bye"}, "The collector exited cleanly before it was ready", over},
		"the end, without a word":     {then(one, 3, over), nil, "The collector exited cleanly before it was ready", over},
		"forgotten":                   {then(one, 3, state{phase: stopped}), nil, "The collector exited cleanly, or was stopped, before it was ready", state{}},
		"never seen":                  {then(over, 1), nil, "The collector is not running: it exited cleanly right away, or a condition of its unit is not met", over},
		"never seen, but heard":       {then(over, 1), []string{"bye"}, "The collector exited cleanly before it was ready", over},
		"seen, and then nobody knows": {then(one, 3, idle), nil, "The collector exited cleanly before it was ready", idle},
	} {
		m := &scripted{answers: c.answers, logged: c.logged}
		_, err := waitFor(t, m, nobody, holder{pid: 1}, nil)
		var f *failure
		if !errors.As(err, &f) || !strings.HasPrefix(f.headline, c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if m.logOf.invocation != c.of.invocation {
			t.Errorf("%s: the log of %+v", name, m.logOf)
		}
	}
}

func TestTheWaitLetsPassingStatesPass(t *testing.T) {
	t.Parallel()
	port := readyzServer(t, func(http.ResponseWriter, *http.Request) {})
	one, _, mute, idle, _ := waitStates()
	half := state{phase: starting, rawState: "activating (start)", pid: 1, invocation: "1"}
	for name, answers := range map[string][]state{
		"running at once":                 {one},
		"nobody knows yet":                then(idle, 3, one),
		"answers before it is running":    then(half, 3, one),
		"a manager that is deaf at times": then(mute, 2, half, mute, mute, one),
	} {
		result, err := waitFor(t, &scripted{answers: answers}, port, holder{pid: 1}, func(p *timings) { p.grace = time.Hour })
		if err != nil || result.state.pid != 1 || result.port != port || result.doubt != "" {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

func TestTheWaitDoesNotLetThemPassForLong(t *testing.T) {
	t.Parallel()
	one, _, mute, idle, _ := waitStates()
	port := readyzServer(t, func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		s     state
		held  holder
		says  string
		after time.Duration
	}{
		"nobody knows":   {idle, holder{pid: 1}, "The collector is not running", 40 * time.Millisecond},
		"deaf":           {mute, holder{pid: 1}, "no answer", 200 * time.Millisecond},
		"another's port": {one, holder{pid: 9, command: "x"}, "is held by PID 9 (x)", 40 * time.Millisecond},
	} {
		start := time.Now()
		_, err := waitFor(t, &scripted{answers: []state{c.s}}, port, c.held, nil)
		if took := time.Since(start); err == nil || !strings.Contains(err.Error(), c.says) || took < c.after {
			t.Errorf("%s: %v after %s", name, err, took)
		}
	}
}

func TestADeafManagerThatHearsAgainStartsAnew(t *testing.T) {
	t.Parallel()
	_, _, mute, _, over := waitStates()
	var answers []state
	for range 100 { // deaf half of the time, for longer than it may be deaf at a stretch
		answers = append(answers, mute, state{phase: starting, pid: 1, invocation: "1"})
	}
	port := silentPort(t)
	result, err := waitFor(t, &scripted{answers: append(answers, over)}, port, holder{pid: 1}, func(p *timings) { p.grace = 40 * time.Millisecond })
	if err == nil || strings.Contains(err.Error(), "no answer") {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestTheWaitSlowsDown(t *testing.T) {
	t.Parallel()
	one, _, _, _, over := waitStates()
	var probes atomic.Int64
	port := readyzServer(t, func(w http.ResponseWriter, _ *http.Request) {
		probes.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	m := &scripted{answers: then(one, 8, over)}
	_, err := waitFor(t, m, port, holder{pid: 1}, func(p *timings) { p.fast, p.slow, p.look = 0, 40*time.Millisecond, 20*time.Millisecond })
	if n := probes.Load(); err == nil || n > 40 {
		t.Errorf("%d probes, %v", n, err)
	}
}

func TestTheVerdictOverAllThatTheWaitHasSeen(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1000, 0)
	alien := ownership{foreign: &holder{pid: 9}}
	for _, c := range []struct {
		what   string
		change func(w *wait)
		want   outcome
	}{
		{"healthy", func(*wait) {}, serves},
		{"an answer older than the state", func(w *wait) { w.fresh = false }, notYet},
		{"no answer", func(w *wait) { w.answer = errors.New("refused") }, notYet},
		{"an answer before it is running", func(w *wait) { w.state.phase = starting }, notYet},
		{"on other ports than it was told", func(w *wait) { w.live = ports{7000, 7001} }, notYet},
		{"on other ports than this shell asks for", func(w *wait) { w.live, w.asked = ports{7000, 7001}, ports{http: 6768} }, otherPorts},
		{"on those that this shell asks for", func(w *wait) { w.live, w.asked = ports{7000, 7001}, ports{http: 7000} }, notYet},
		{"ended", func(w *wait) { w.state.phase = failed }, died},
		{"another start", func(w *wait) { w.state.invocation = "2" }, died},
		{"ended, as an older look says", func(w *wait) { w.state.phase, w.fresh = failed, false }, notYet},
		{"ended, before the manager gave no answer", func(w *wait) { w.state.phase, w.silent, w.silentSince = failed, errors.New("x"), w.now }, notYet},
		{"no answer of the manager for a while", func(w *wait) { w.silent, w.silentSince = errors.New("x"), w.now.Add(-5*time.Second) }, notYet},
		{"no answer of the manager for too long", func(w *wait) { w.silent, w.silentSince = errors.New("x"), w.now.Add(-5*time.Second-1) }, deaf},
		{"somebody else answers", func(w *wait) { w.owner, w.heldBackSince = alien, w.now }, notYet},
		{"somebody else answered a moment ago", func(w *wait) { w.owner, w.heldBackSince = alien, w.now.Add(-time.Second) }, notYet},
		{"somebody else answers for good", func(w *wait) { w.owner, w.heldBackSince = alien, w.now.Add(-time.Second-1) }, foreign},
		{"an orphan of it answers", func(w *wait) { w.orphan, w.heldBackSince = true, w.now.Add(-400*time.Millisecond) }, notYet},
		{"an orphan still answers", func(w *wait) { w.orphan, w.heldBackSince = true, w.now.Add(-400*time.Millisecond-1) }, serves},
		{"at the last moment", func(w *wait) { w.answer, w.now = errors.New("x"), begin.Add(time.Minute) }, notYet},
		{"too late", func(w *wait) { w.answer, w.now = errors.New("x"), begin.Add(time.Minute+1) }, tooLate},
		{"too late, but healthy", func(w *wait) { w.now = begin.Add(time.Hour) }, serves},
		{"too late, and ended", func(w *wait) { w.state.phase, w.now = failed, begin.Add(time.Hour) }, died},
		{"nothing yet", func(w *wait) { w.state, w.first = state{phase: stopped, maybeNotStarted: true}, state{} }, notYet},
		{"nothing for a moment", func(w *wait) {
			w.state, w.first, w.idleSince = state{phase: stopped, maybeNotStarted: true}, state{}, w.now.Add(-time.Second+1)
		}, notYet},
		{"nothing for longer", func(w *wait) {
			w.state, w.first, w.idleSince = state{phase: stopped, maybeNotStarted: true}, state{}, w.now.Add(-time.Second)
		}, died},
		{"nothing, after it was seen", func(w *wait) { w.state = state{phase: stopped, maybeNotStarted: true} }, died},
		{"stopped before this start", func(w *wait) {
			w.first, w.before, w.state = state{}, "1", state{phase: stopped, invocation: "1", toldToStop: true}
		}, notYet},
		{"stopped since", func(w *wait) { w.before, w.state = "0", state{phase: stopped, invocation: "1", toldToStop: true} }, died},
		{"still ending", func(w *wait) { w.state.phase, w.state.ending = stopped, true }, notYet},
	} {
		one := state{phase: running, pid: 5, invocation: "1"}
		w := wait{timings: timings{grace: time.Second, look: 400 * time.Millisecond}, timeout: time.Minute, ports: ports{6768, 6767}, live: ports{6768, 6767},
			begin: begin, now: begin.Add(10 * time.Second), state: one, first: one, fresh: true}
		c.change(&w)
		same(t, c.what, w.verdict(), c.want)
	}
}

func TestWhenTheManagerIsAskedWhileItIsWaitedFor(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		what  string
		w     wait
		alive bool
		want  bool
	}{
		{"at first", wait{answer: errors.New("x")}, true, true},
		{"a moment later", wait{answer: errors.New("x"), looked: now.Add(-400 * time.Millisecond)}, true, false},
		{"at its pace", wait{answer: errors.New("x"), looked: now.Add(-400*time.Millisecond - 1)}, true, true},
		{"the process has gone", wait{answer: errors.New("x"), looked: now, state: state{pid: 5}}, false, true},
		{"there was none", wait{answer: errors.New("x"), looked: now}, false, false},
		{"the time is over", wait{answer: errors.New("x"), looked: now, timeout: time.Second}, true, true},
		{"an answer", wait{looked: now}, true, true},
		{"an answer of somebody else", wait{looked: now.Add(-100 * time.Millisecond), heldBackSince: now}, true, false},
		{"again after a while", wait{looked: now.Add(-100*time.Millisecond - 1), heldBackSince: now}, true, true},
	} {
		c.w.now, c.w.timings.look, c.w.begin, c.w.timeout = now, 400*time.Millisecond, now.Add(-time.Minute), cmp.Or(c.w.timeout, time.Minute)
		same(t, c.what, c.w.due(func(int) bool { return c.alive }), c.want)
	}
}
