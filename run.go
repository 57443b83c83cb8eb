// run: the collector in the foreground, for containers and systems without a service manager.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A supervisor runs the collector, one start after the other, each in a process group of its own.
type supervisor struct {
	*app
	collector string
	ports     ports
	signals   chan os.Signal              // for us
	died      <-chan os.Signal            // a child of ours has ended, perhaps one by adoption; nil: nothing is adopted
	strays    func(keep, group int) []int // collects those; see adopt
	asked     bool                        // to end

	group   int              // of the present start; 0: there is none
	kill    <-chan time.Time // when what has not ended by itself is killed; nil: nothing has to end
	killing bool             // that time is over
	told    []int            // strays that were asked to end
}

func (a *app) foreground(ctx context.Context, o options) error {
	if err := a.portsValid(); err != nil {
		return err
	}
	collector, err := a.findCollector(o.collector)
	if err != nil {
		return err
	}
	p := a.shell().ports.orDefault()
	if err := a.portsTaken(ctx, p, state{}); err != nil {
		if s := a.service(ctx); s.up() && a.portsTaken(ctx, p, s) == nil {
			return hint(fmt.Errorf("the service is already running (PID %d) and holds the ports", s.pid), stopCommand)
		}
		return err
	}
	s := &supervisor{app: a, collector: collector, ports: p, signals: a.endings(), strays: func(int, int) []int { return nil }}
	if a.adopt != nil {
		s.died, s.strays = a.adopt()
	}
	flush, err := s.relay()
	if err != nil {
		return err
	}
	defer flush()
	for {
		e, err := s.runOnce(ctx)
		if err != nil || e == (exitStatus{}) {
			return err
		}
		ended := &statusError{fmt.Errorf("the collector exited with status %d", e.code), e.code}
		if e.signal != 0 {
			ended = &statusError{fmt.Errorf("the collector was killed by %s", signalName(e.signal, a.platform)), 128 + e.signal}
		}
		if !s.asked {
			a.out.warn("%v; restarting in %s", ended, duration(a.timings.restart))
			s.pause(a.timings.restart)
		}
		if s.asked {
			return &statusError{code: ended.code} // which is no failure
		}
	}
}

// notRun adds to the error of a program that was not run why that may be.
func (a *app) notRun(path string, err error) error {
	if why, _ := whyNotRun(path, a.platform); why != "" {
		return fmt.Errorf("%w: %s", err, why)
	}
	return err
}

// service is the state of the background service, as far as it can be told here.
func (a *app) service(ctx context.Context) (s state) {
	if a.mayManage() == nil {
		s, _ = a.manager.state(ctx, a.run)
	}
	return s
}

// portsTaken says who else than the service in state st holds one of the ports.
func (a *app) portsTaken(ctx context.Context, p ports, st state) error {
	s := snapshot{shell: a.shell(), ports: map[int]portFacts{}}
	s.shell.ports, s.state = p, st
	s.state.phase = notInstalled // what it will do is no question here
	for i, port := range []int{p.http, p.ws} {
		if a.portFacts(ctx, s, nil, port); len(s.ports[port].holders) > 0 || a.unbound == nil {
			continue
		}
		if err := a.unbound(port); err != nil { // by whom cannot be told
			variable := []string{httpPortEnv, wsPortEnv}[i]
			return problem{id: "port-held", summary: fmt.Sprintf("port %d cannot be bound: %v", port, err),
				advice: "set " + variable + " to another port"}.refusal()
		}
	}
	a.conflictFacts(ctx, &s)
	for _, find := range []func(snapshot) (problem, bool){findPortsSame, findPortHeld} {
		if found, ok := find(s); ok {
			itself := cmp.Or(a.commandLine, runCommand)
			found.fix = strings.Replace(found.fix, installCommand, itself, 1)
			found.install = strings.Replace(found.install, installCommand, itself, 1)
			return found.refusal()
		}
	}
	return nil
}

// endings are the signals that ask the collector to end, Ctrl-C as it is and all others as SIGTERM, which it heeds, and those of
// job control. SIGPIPE, which sockets have, too, is caught so that it does not end us first.
func (a *app) endings() chan os.Signal {
	endings := make(chan os.Signal, 8)
	stop, goOn := jobSignals()
	go func() {
		for sig := range a.signals(syscall.SIGQUIT, syscall.SIGPIPE, stop, goOn) {
			switch sig {
			case syscall.SIGPIPE:
			case os.Interrupt, stop, goOn:
				endings <- sig
			default:
				endings <- syscall.SIGTERM
			}
		}
	}()
	return endings
}

// relay has all output go through pipes of our own, which are read whatever becomes of it. flush waits until it has been passed on.
func (s *supervisor) relay() (flush func(), err error) {
	out, flushes := s.out, []func(over <-chan time.Time) bool{}
	for _, stream := range []*io.Writer{&s.out.stdout, &s.out.stderr} {
		reader, writer, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		to := *stream
		if watched, ok := to.(*watchedWriter); ok {
			to = watched.Writer // the exit status is the collector's
		}
		done := s.pass(to, reader)
		*stream = writer
		flushes = append(flushes, func(over <-chan time.Time) bool {
			writer.Close()
			reader.SetReadDeadline(time.Now().Add(s.timings.unread)) // somebody may have it open still
			select {
			case <-done:
				return true
			case <-over:
				return false
			}
		})
	}
	return func() {
		if over := time.After(2 * s.timings.unread); flushes[0](over) && flushes[1](over) {
			s.out = out
		} // else nobody would read what is said from now on
	}, nil
}

// pass writes to w what it reads, until there is no more. Where w takes nothing for a while, what is said meanwhile is
// lost: a full disk, or a pipe that nobody reads, must not stop the collector. A pipe without a reader asks for its end.
func (s *supervisor) pass(w io.Writer, r *os.File) (done chan bool) {
	chunks, done := make(chan []byte, 64), make(chan bool)
	go func() {
		defer close(chunks)
		defer r.Close()
		for patience := s.timings.unread; ; {
			chunk := make([]byte, 16<<10)
			n, err := r.Read(chunk)
			if err != nil {
				return
			}
			select {
			case chunks <- chunk[:n]:
				patience = s.timings.unread
			case <-time.After(patience):
				patience = 0
			}
		}
	}()
	go func() {
		defer close(done)
		for chunk := range chunks {
			if _, err := w.Write(chunk); errors.Is(err, syscall.EPIPE) {
				select {
				case s.signals <- syscall.SIGTERM:
				default:
				}
			}
		}
	}()
	return done
}

// heed does what a signal asks for.
func (s *supervisor) heed(sig os.Signal) {
	if s.group != 0 {
		signalGroup(s.group, sig.(syscall.Signal))
	}
	switch stop, goOn := jobSignals(); {
	case sig == stop:
		suspend()
	case sig != goOn && !s.asked:
		s.asked, s.kill = true, time.After(s.timings.kill)
	}
}

// pause waits before the next start.
func (s *supervisor) pause(d time.Duration) {
	s.group = 0 // whose number may be another's by now
	for over := time.After(d); !s.asked; {
		select {
		case <-over:
			return
		case sig := <-s.signals:
			s.heed(sig)
		case <-s.died:
			s.strays(0, 0)
		}
	}
}

// runOnce runs the collector to its end, and ends all that it leaves behind.
func (s *supervisor) runOnce(ctx context.Context) (e exitStatus, err error) {
	env := append(slices.Clone(s.environ), "LC_ALL="+s.getenv("LC_ALL"),
		fmt.Sprintf("%s=%d", httpPortEnv, s.ports.http), fmt.Sprintf("%s=%d", wsPortEnv, s.ports.ws))
	child, err := s.run.Start(bond{ownGroup: true, death: syscall.SIGTERM}, s.out.stdout, s.out.stderr, env, s.collector)
	if err != nil {
		return e, s.notRun(s.collector, err)
	}
	s.group, s.kill, s.killing, s.told = child.Pid(), nil, false, nil
	ended := make(chan error, 1)
	var how exitStatus
	go func() {
		var err error
		how, err = child.Wait()
		ended <- err
	}()
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	healthy, late := s.watchHealth(watch), time.After(s.timings.late)
	var tick, givenUp <-chan time.Time
	for alive := s.group; s.tend(alive); {
		select {
		case err = <-ended:
			e, alive, healthy, late, tick = how, 0, nil, nil, time.Tick(s.timings.slow)
			if !s.asked {
				signalGroup(s.group, syscall.SIGTERM)
				s.kill = time.After(s.timings.kill)
			}
		case result := <-healthy:
			s.sayServing(result)
			late = nil
		case <-late:
			if _, err := s.serving(ctx, s.group, false); err != nil { // else watchHealth says so
				s.out.warn("The collector is not ready on %s: %v", collectorURL(s.ports.http), err)
			}
		case sig := <-s.signals:
			s.heed(sig)
		case <-s.kill:
			s.out.warn("The collector did not exit within %s and is killed", duration(s.timings.kill))
			s.killing, givenUp = true, time.After(s.timings.unread)
		case <-givenUp: // not even SIGKILL ends it
			return exitStatus{signal: int(syscall.SIGKILL)}, nil
		case <-s.died:
		case <-tick:
		}
	}
	return e, err
}

// tend collects what has ended, and asks what is to end to do so: once the collector has, or we are asked to, also what has
// left its process group, as systemd ends what is left in a control group. It tells whether anything is left.
func (s *supervisor) tend(alive int) (left bool) {
	strays := s.strays(alive, s.group)
	if alive != 0 && !s.asked {
		return true
	}
	for _, pid := range strays {
		if p, _ := os.FindProcess(pid); s.killing {
			p.Kill()
		} else if !slices.Contains(s.told, pid) {
			p.Signal(syscall.SIGTERM)
			s.told = append(s.told, pid)
		}
	}
	if s.killing {
		signalGroup(s.group, syscall.SIGKILL)
	}
	return alive != 0 || len(strays) > 0 || signalGroup(s.group, 0) == nil
}

// watchHealth tells once that the collector answers, and what is doubtful about that, or that it cannot be asked. One that is
// late is asked less often.
func (s *supervisor) watchHealth(ctx context.Context) <-chan waitResult {
	healthy, start, group := make(chan waitResult, 1), time.Now(), s.group
	go func() {
		for ctx.Err() == nil {
			if result, err := s.serving(ctx, group, time.Since(start) < s.timings.late); err == nil {
				healthy <- result
				return
			}
			select {
			case <-time.After(max(s.timings.slow, min(time.Since(start)/20, 10*time.Second))):
			case <-ctx.Done():
			}
		}
	}()
	return healthy
}

// serving tells whether the collector of a start answers, or why it cannot be asked. quick: where its variables do not say that, a
// look at the sockets can wait.
func (s *supervisor) serving(ctx context.Context, group int, quick bool) (r waitResult, err error) {
	r.port = s.ports.http
	st := state{pid: group, processEnv: s.environ}
	if err = s.probe(ctx, r.port); err != nil && quick && st.variable(certEnv)+st.variable(hostEnv) == "" {
		return r, err
	}
	own, _ := s.owner(ctx, r.port, st)
	switch r.doubt = own.doubt; {
	case err == nil && own.foreign != nil:
		err = fmt.Errorf("%s answers there", own.foreign)
	case err != nil && st.unaskable(own) != "":
		r.unaskable, err = st.unaskable(own), nil
	}
	return r, err
}
