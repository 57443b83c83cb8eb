// run: the collector in the foreground, for containers and systems without a service manager.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"
)

func (a *app) foreground(ctx context.Context, o options) error {
	if bad, ok := findPortInvalid(snapshot{shell: a.shell()}); ok {
		return bad.refusal()
	}
	collector, err := a.findCollector(o.collector)
	if err != nil {
		return err
	}
	p := a.shell().ports.orDefault()
	if err := a.portsTaken(ctx, p, state{}); err != nil {
		if s := a.service(ctx); s.up() && a.portsTaken(ctx, p, s) == nil {
			return hint(fmt.Errorf("the service is running already (PID %d), and holds the ports", s.pid), stopCommand)
		}
		return err
	}
	signals := a.endings()
	for {
		asked, e, err := a.runOnce(ctx, collector, p, signals)
		if err != nil || e == (exitStatus{}) {
			return err
		}
		ended := &statusError{fmt.Errorf("the collector exited with status %d", e.code), e.code}
		if e.signal != 0 {
			ended = &statusError{fmt.Errorf("the collector was ended by %s", signalName(e.signal, a.platform)), 128 + e.signal}
		}
		if asked {
			return ended
		}
		a.out.warn("%v; it is started again in %s", ended, duration(a.timings.restart))
		select {
		case <-time.After(a.timings.restart):
		case <-signals:
			return ended
		}
	}
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
	for _, port := range []int{p.http, p.ws} {
		a.portFacts(ctx, s, nil, port)
	}
	for _, find := range []func(snapshot) (problem, bool){findPortsSame, findPortHeld} {
		if found, ok := find(s); ok {
			return found.refusal()
		}
	}
	return nil
}

// endings are the signals that ask the collector to end: the terminal's Ctrl-C as it is, all others as SIGTERM, which
// the collector heeds. SIGPIPE is caught so that it does not end us before the collector; it says nothing by itself,
// since sockets have it, too.
func (a *app) endings() chan os.Signal {
	endings := make(chan os.Signal, 4)
	go func() {
		for sig := range a.signals(syscall.SIGQUIT, syscall.SIGPIPE) {
			switch sig {
			case syscall.SIGPIPE:
			case os.Interrupt:
				endings <- sig
			default:
				endings <- syscall.SIGTERM
			}
		}
	}()
	return endings
}

// A forwardWriter passes on what the collector says, and asks it to end when nobody reads that any more.
type forwardWriter struct {
	io.Writer
	endings chan<- os.Signal
}

func (p forwardWriter) Write(text []byte) (int, error) {
	n, err := p.Writer.Write(text)
	if err != nil {
		select {
		case p.endings <- syscall.SIGTERM:
		default:
		}
	}
	return n, err
}

// runOnce runs the collector to its end. asked tells whether a signal asked us to end.
func (a *app) runOnce(ctx context.Context, collector string, p ports, signals chan os.Signal) (asked bool, e exitStatus, err error) {
	child, err := a.run.Start(forwardWriter{a.out.stdout, signals}, forwardWriter{a.out.stderr, signals}, append(slices.Clone(a.environ), "LC_ALL="+a.getenv("LC_ALL"),
		fmt.Sprintf("%s=%d", httpPortEnv, p.http), fmt.Sprintf("%s=%d", wsPortEnv, p.ws)), collector)
	if err != nil {
		if why, _ := whyNotRun(collector, a.platform); why != "" {
			err = fmt.Errorf("%w: %s", err, why)
		}
		return true, exitStatus{}, err
	}
	type end struct {
		e   exitStatus
		err error
	}
	ended := make(chan end, 1)
	go func() {
		e, err := child.Wait()
		ended <- end{e, err}
	}()
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	healthy := make(chan string, 1)
	var late <-chan time.Time = time.After(a.timings.late)
	go func() {
		for watch.Err() == nil {
			if a.probe(watch, p.http) == nil {
				if own := a.owner(watch, p.http, state{pid: child.Pid()}); own.foreign == nil {
					healthy <- own.doubt
					return
				}
			}
			select {
			case <-time.After(a.timings.slow):
			case <-watch.Done():
			}
		}
	}()
	var kill, orphans <-chan time.Time
	if a.reap != nil {
		ticker := time.NewTicker(a.timings.reap)
		defer ticker.Stop()
		orphans = ticker.C
	}
	for {
		select {
		case end := <-ended:
			return asked, end.e, end.err
		case doubt := <-healthy:
			a.sayHealthy(p.http, "", doubt)
			late = nil
		case <-late:
			if err := a.probe(ctx, p.http); err != nil {
				a.out.warn("The collector does not answer on %s: %v", collectorURL(p.http), err)
			}
		case sig := <-signals:
			child.Signal(sig)
			if !asked {
				kill = time.After(a.timings.kill)
			}
			asked = true
		case <-orphans:
			a.reap(child.Pid())
		case <-kill:
			a.out.warn("The collector has not ended within %s and is killed", duration(a.timings.kill))
			child.Signal(os.Kill)
		}
	}
}
