// All the checks that are made before anything changes.
package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// An intent is what preflight found: the state, and what the verb is to bring about.
type intent struct {
	state state
	want  definition
	asked ports  // by the variables of this shell, where the verb goes by them
	text  string // the definition to write, "" where none is
}

// preflight makes every check there is before anything changes. An error means: nothing was written, nothing was run
// that changes anything.
func (a *app) preflight(ctx context.Context, v verb, o options) (intent, error) {
	var in intent
	env, err := envPorts(a.getenv)
	if err != nil {
		return in, err
	}
	var found string
	var findErr error
	if v == install || v == update || v == ensure {
		if found, findErr = a.findCollector(o.collector); findErr != nil && (v == install || o.collector != "") {
			return in, findErr
		}
	}
	if in.state, err = a.look(ctx); err != nil {
		return in, err
	}
	s := in.state
	if present := s.collector(); findErr != nil || v == ensure { // which must not move the service
		if executable(present) == nil {
			found = present
		} else if findErr != nil {
			return in, findErr
		}
	}
	if s.file.err != nil {
		return in, s.file.err
	}
	if v != install && v != ensure && s.phase == notInstalled {
		return in, errNotInstalled
	}
	if err := foreignDefinition(a.manager, s); err != nil {
		return in, err
	}
	in.want = definition{collector: s.collector(), ports: s.servicePorts()}
	if found == s.file.definition.collector {
		found = s.collector() // a drop-in may run another one
	}
	switch v {
	case install, update, ensure:
		in.asked = env
		if v == ensure && (s.phase == running || s.phase == starting) && a.restartReason(ctx, s) == "" && env.or(s.servicePorts()) == s.servicePorts() {
			break // it only has to be waited for
		}
		if s.vendor() && sameFile(found, s.collector()) { // /bin is /usr/bin
			found = s.collector()
		}
		in.want = definition{collector: found, ports: env.or(s.servicePorts())}
		if v == update && in.want == (definition{s.collector(), s.servicePorts()}) {
			break // keeps a definition that was edited by hand
		}
		if s.vendor() && in.want == (definition{s.collector(), s.servicePorts()}) {
			break // a package's definition says what we would say
		}
		if s.loadError != "" && len(s.dropIns) > 0 {
			return in, hint(errors.New(s.loadError), s.repair())
		}
		write := in.want
		if s.overridden() && found == s.collector() && filepath.IsAbs(s.file.definition.collector) {
			write.collector = s.file.definition.collector
		}
		if in.text, err = a.manager.render(write); err != nil {
			return in, err
		}
		if err := a.manager.reach(ctx, a.run, in.want.ports); err != nil {
			return in, err
		}
	default:
		if !s.file.exists && !s.vendor() {
			return in, hint(fmt.Errorf("the %s of the service is gone: %s", a.manager.what(), s.file.path), "runtimescope service install")
		}
		if in.want.collector != "" {
			if err := executable(in.want.collector); err != nil {
				return in, hint(fmt.Errorf("cannot use the collector of the service, %s: %w", in.want.collector, err), "runtimescope service install")
			}
		}
		if in.state.loadError != "" && !s.stale && len(s.dropIns) == 0 { // systemd may not see that a drop-in was mended
			return in, hint(errors.New(s.loadError), s.repair())
		}
	}
	return in, a.portsFree(ctx, in.want.ports, s)
}

// foreignDefinition refuses a definition that is not ours to change: a mask, or a link into somebody else's files.
func foreignDefinition(m serviceManager, s state) error {
	switch {
	case s.masked || s.file.link == "/dev/null":
		return hint(fmt.Errorf("the service is masked, that is, forbidden to start (%s)", s.definitionPath()), s.unmask())
	case s.ofAnotherHome():
		return hint(fmt.Errorf("the user manager of systemd has the unit from %s: the HOME of this shell is another", s.loaded),
			"export HOME="+quoteArgv([]string{strings.TrimSuffix(s.loaded, "/.config/systemd/user/"+unitName)}))
	case s.file.link != "":
		return fmt.Errorf("%s is a symbolic link to %s: something else manages it, so change it there, or remove the link", s.file.path, s.file.link)
	}
	return nil
}

// portsFree refuses ports that are the same, or that somebody else holds.
func (a *app) portsFree(ctx context.Context, p ports, s state) error {
	if p.http == p.ws {
		return fmt.Errorf("RUNTIMESCOPE_HTTP_PORT and RUNTIMESCOPE_PORT are both %d: they must differ", p.http)
	}
	return a.held(ctx, p, s)
}

// held says who else than the service holds one of its ports.
func (a *app) held(ctx context.Context, p ports, s state) error {
	for i, port := range []int{p.http, p.ws} {
		who, err := a.processes.holders(ctx, port)
		if err != nil {
			continue // the wait finds out; a check that cannot be made is no reason to refuse
		}
		for _, h := range who(s.pid) {
			if a.inTheWay(ctx, h, port, s) {
				return h.refusal(port, []string{httpPortEnv, wsPortEnv}[i])
			}
		}
	}
	return nil
}

// inTheWay tells whether a holder keeps the service from its port: it is not the service's, and no listener on IPv6 alone.
func (a *app) inTheWay(ctx context.Context, h holder, port int, s state) bool {
	return !a.processes.belongs(ctx, h.pid, s) && !a.mayBeOurs(h, s) && !(h.wildcard6 && !answers(port))
}

// mayBeOurs tells whether a holder that cannot be looked into may be the service's.
func (a *app) mayBeOurs(h holder, s state) bool { return h.pid == 0 && h.uid == a.uid && s.up() }

// mayManage refuses where there is no service manager, and a shell whose home is not its user's.
func (a *app) mayManage() error {
	switch {
	case a.manager == nil:
		return hint(&failure{headline: "Platform '" + a.platform + "' is not supported (macOS launchd / Linux systemd only)."}, "runtimescope service run")
	case !filepath.IsAbs(a.home):
		return fmt.Errorf("HOME is %q: it must be set to an absolute path", a.home)
	case a.uid == 0 && a.getenv("SUDO_USER") != "":
		return hint(errors.New("this is a service of the user, not of root: run it without sudo"), a.commandLine)
	}
	return nil
}
