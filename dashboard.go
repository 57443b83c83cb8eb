// dashboard: makes sure that a collector serves, then opens its page.
package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"
)

func (a *app) dashboard(ctx context.Context, o options) error {
	if err := a.portsValid(); err != nil {
		return err
	}
	s := snapshot{shell: a.shell()}
	managed := a.manager != nil && filepath.IsAbs(a.home)
	if managed {
		s = a.inspect(ctx, request{shellPort: true})
	} else {
		s.ready = a.askReady(ctx, s.shell.ports.orDefault().http)
	}
	url := collectorURL(s.ready.port)
	if !s.answered() {
		if err := a.ensureRunning(ctx, s.state.phase == running); err != nil {
			return err
		}
	} else if p, ok := findAnsweredByOther(s); ok && managed {
		a.out.warn("%s", p.summary)
	}
	if o.noOpen {
		a.out.info("%s", url)
		return nil
	}
	if err := a.open(url); err != nil {
		a.out.info("%s", url)
		a.out.info("Open it in a browser: %v", err)
		return nil
	}
	a.out.info("Opening %s", url)
	return nil
}

// ensureRunning installs and starts the service, unless another invocation is doing just that.
func (a *app) ensureRunning(ctx context.Context, elsewhere bool) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	if elsewhere { // or it does not answer yet
		a.out.info("The service does not answer on the port that this shell asks for — installing it there…")
	} else {
		a.out.info("No collector is running — installing + starting the background service…")
	}
	if err := a.change(ctx, ensure, options{timeout: time.Minute}); err != nil {
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
	first := errors.New("there is no desktop here")
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
