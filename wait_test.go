// The wait for a healthy collector, with a manager that says one thing after another.
package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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

func (m *scripted) startLog(_ context.Context, _ Runner, s state, _ logMark) []string {
	m.logOf = s
	return m.logged
}

// waitFor waits for a service that its manager describes so, on a port where ours holds the socket.
func waitFor(t *testing.T, m *scripted, port int, held holder, change func(*timings)) (waitResult, error) {
	t.Helper()
	m.serviceManager = systemd{}
	w := &app{manager: m, processes: waitTable{readyzTable{held: []holder{held}, ours: []int{1, 2}}}, alive: func(int) bool { return true },
		timings: timings{probe: time.Millisecond, slow: 2 * time.Millisecond, fast: time.Minute, look: 2 * time.Millisecond, grace: 40 * time.Millisecond}}
	if change != nil {
		change(&w.timings)
	}
	return w.awaitHealthy(t.Context(), definition{ports: ports{port, port + 1}}, ports{}, logMark{}, 10*time.Second)
}

// A waitTable knows of no environment.
type waitTable struct{ readyzTable }

func (waitTable) environ(int) []string { return nil }

// waitStates are what a manager may out: two starts, no answer, and that nothing runs, not knowing or knowing why.
func waitStates() (one, two, mute, idle, over state) {
	return state{phase: running, rawState: "active", pid: 1, invocation: "1"}, state{phase: running, rawState: "active", pid: 2, invocation: "2"},
		state{phase: unknown}, state{phase: stopped, rawState: "inactive", maybeNotStarted: true}, state{phase: stopped, rawState: "inactive"}
}

// then is a state said n times, and then others.
func then(s state, n int, others ...state) []state {
	return append(slices.Repeat([]state{s}, n), others...)
}

func TestTheWaitEndsWithTheStartThatWasFirstSeen(t *testing.T) {
	t.Parallel()
	one, two, _, idle, over := waitStates()
	nobody := freePort(t)
	for name, c := range map[string]struct {
		answers []state
		logged  []string
		says    string
		of      state // whose log is shown
	}{
		"another start":               {then(one, 3, two), nil, "The collector ended before it was ready", state{invocation: "1", lastPID: 1}},
		"the end":                     {then(one, 3, over), []string{"bye"}, "The collector ended cleanly before it was ready", over},
		"the end, without a word":     {then(one, 3, over), nil, "The collector ended cleanly before it was ready", over},
		"never seen":                  {then(over, 1), nil, "The collector is not running: it ended cleanly at once, or a condition of its unit does not hold", over},
		"never seen, but heard":       {then(over, 1), []string{"bye"}, "The collector ended cleanly before it was ready", over},
		"seen, and then nobody knows": {then(one, 3, idle), nil, "The collector ended cleanly before it was ready", idle},
	} {
		m := &scripted{answers: c.answers, logged: c.logged}
		start := time.Now()
		_, err := waitFor(t, m, nobody, holder{pid: 1}, nil)
		var f *failure
		if !errors.As(err, &f) || !strings.HasPrefix(f.headline, c.says) || time.Since(start) > 5*time.Second {
			t.Errorf("%s: %v after %s", name, err, time.Since(start))
		}
		if m.logOf.invocation != c.of.invocation || m.logOf.lastPID != c.of.lastPID {
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
		result, err := waitFor(t, &scripted{answers: answers}, port, holder{pid: 1}, func(p *timings) { p.grace = 10 * time.Second })
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
		if took := time.Since(start); err == nil || !strings.Contains(err.Error(), c.says) || took < c.after || took > 5*time.Second {
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
	port := freePort(t)
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
