// dashboard: makes sure that a collector serves, then opens its page.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"
)

func (a *app) dashboard(ctx context.Context, o options) error {
	if err := a.portsValid(); err != nil {
		return err
	}
	if p, sudo := findSudo(snapshot{shell: a.shell()}); sudo {
		return p.refusal()
	}
	s := a.dashboardSnapshot(ctx)
	if o.network {
		return a.sayNetwork(s)
	}
	if p, ok := findOtherNetwork(s); ok {
		p.id = "other-network"
		return p.refusal()
	}
	if !s.answered() && s.unaskable() == "" {
		if err := a.ensureRunning(ctx, s.state.phase == running, o); err != nil {
			return err
		}
		if !o.dryRun {
			s = a.dashboardSnapshot(ctx)
		}
	} else if p, ok := findAnsweredByOther(s); ok {
		a.out.warn("%s", p.summary)
	}
	url := collectorURL(s.ready.port) + dashboardPath
	if why := s.unaskable(); why != "" {
		return fmt.Errorf("the dashboard is not on %s: %s", url, why)
	}
	if s.answered() {
		if err := a.mayOpen(ctx, s, o.noOpen); err != nil {
			return err
		}
	}
	switch {
	case o.dryRun && !o.noOpen:
		a.out.info("would open %s", url)
		return nil
	case o.noOpen:
		a.out.info("%s", url)
		return nil
	}
	if err := a.open(url); err != nil {
		a.out.info("%s", url)
		a.out.info("Open this URL in a browser (%v)", err)
		return nil
	}
	a.out.info("Opening %s", url)
	return nil
}

// dashboardPath is the page of the collector; the one that runs on Node, 0.10, has none.
const dashboardPath = "/dashboard"

// dashboardSnapshot knows who answers, also without a service manager.
func (a *app) dashboardSnapshot(ctx context.Context) snapshot {
	if a.manager != nil && filepath.IsAbs(a.home) {
		return a.inspect(ctx, request{shellPort: true})
	}
	s := snapshot{shell: a.shell(), ports: map[int]portFacts{}, silent: errors.New("there is none to ask")}
	s.ready = a.askReady(ctx, s.shell.ports.orDefault().http)
	a.portFacts(ctx, s, nil, s.ready.port)
	return s
}

// mayOpen refuses a page of another user, who would be told what is typed there, and one that does not exist; that one may be
// printed.
func (a *app) mayOpen(ctx context.Context, s snapshot, printed bool) error {
	f, url := s.ports[s.ready.port], collectorURL(s.ready.port)
	if f.err == nil && len(f.holders) == 0 && a.probe(ctx, s.ready.port) != nil {
		return fmt.Errorf("%s stopped answering", url)
	}
	if f.err != nil || len(f.holders) == 0 {
		return fmt.Errorf("%s answers, but could not check whose process that is: %s", url, s.owner().doubt)
	}
	for _, h := range f.holders {
		mine := h.pid != 0 && h.uid == -1 && s.shell.uid != 0 // nobody else's may be looked into, but by root
		if !h.ours && !mine && h.uid != s.shell.uid {
			return fmt.Errorf("%s is answered by %s: that is not yours, so it is not opened", url, h)
		}
	}
	status, _, err := a.get(ctx, s.ready.port, dashboardPath)
	if err != nil || status != 404 {
		return nil
	}
	none := "the collector has no dashboard (404)"
	if s.ready.version != "" {
		none = fmt.Sprintf("the collector (version %s) has no dashboard (404)", s.ready.version)
	}
	if printed {
		a.out.warn("%s", none)
		return nil
	}
	return errors.New(none)
}

// sayNetwork says where the dashboard is for other machines, and what the collector needs for that.
func (a *app) sayNetwork(s snapshot) error {
	addresses, _ := net.InterfaceAddrs()
	address := lanAddress(addresses)
	if address == "" {
		return errors.New("this machine has no network address")
	}
	a.out.info("http://%s:%d%s", address, s.ready.port, dashboardPath)
	a.out.info("The collector must listen on the network, with a token that keeps others out:")
	a.out.info("  RUNTIMESCOPE_HOST=0.0.0.0 RUNTIMESCOPE_AUTH_TOKEN=… %s --env RUNTIMESCOPE_HOST --env RUNTIMESCOPE_AUTH_TOKEN",
		installCommand)
	a.out.info("It speaks plain HTTP: the network can read what is sent, the token included.")
	return nil
}

// lanAddress is the first IPv4 address of a machine that others of its network may reach; "" when there is none.
func lanAddress(addresses []net.Addr) string {
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

// ensureRunning installs and starts the service, unless another invocation is doing just that.
func (a *app) ensureRunning(ctx context.Context, elsewhere bool, o options) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	switch {
	case o.dryRun:
	case elsewhere: // or it does not answer yet
		a.out.info("The service does not answer on this shell's port — installing it there…")
	default:
		a.out.info("No collector is running — installing + starting the background service…")
	}
	if err := a.change(ctx, ensure, options{timeout: o.timeout, dryRun: o.dryRun}); err != nil || o.dryRun {
		return err
	}
	a.out.info("Tip: `runtimescope service stop` / `uninstall` to manage or remove it.")
	return nil
}

// open shows a page in the user's browser, by the first command that does.
func (a *app) open(url string) error {
	commands := []string{"open"}
	if a.platform != "darwin" {
		commands = strings.FieldsFunc(a.getenv("BROWSER"), func(r rune) bool { return r == ':' }) // which may need no desktop
		if a.getenv("DISPLAY")+a.getenv("WAYLAND_DISPLAY")+a.getenv("WSL_DISTRO_NAME") != "" {
			commands = append(commands, "xdg-open", "wslview")
		}
	}
	first := errors.New("no graphical session")
	for i, command := range commands {
		argv := strings.Fields(strings.ReplaceAll(command, "%s", url))
		if !strings.Contains(command, "%s") {
			argv = append(argv, url)
		}
		err := a.browse(argv)
		if err == nil {
			return nil
		}
		if i == 0 {
			first = err
		}
	}
	return first
}

// browse runs a browser. One that takes long to start, or that stays, is no failure.
func (a *app) browse(argv []string) error {
	p, err := a.run.Start(bond{ownGroup: true}, nil, nil, []string{"LC_ALL=" + a.getenv("LC_ALL")}, argv...)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		e, err := p.Wait()
		if e != (exitStatus{}) {
			err = endedBadly(argv, e, "")
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(2 * time.Second):
		return nil
	}
}
