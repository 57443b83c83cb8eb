// inspect takes the snapshot: it looks at everything that a command may need to know, each thing once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// inspect looks at everything that a request may need, once, and at what takes time while the manager's command runs.
func (a *app) inspect(ctx context.Context, r request) snapshot {
	s := snapshot{shell: a.shell(), ports: map[int]portFacts{}}
	if a.manager == nil {
		return s
	}
	s.names = a.located(ctx).names()
	looked := make(chan bool)
	go func() {
		s.state, s.silent = a.manager.state(ctx, a.run)
		close(looked)
	}()
	switch {
	case r.shellPort: // dashboard is in no hurry
		<-looked
	case r.verb == look:
		time.Sleep(a.timings.headStart) // what is done meanwhile does not hold up the command's start
	}
	file := a.readFile()
	guess := file.definition.ports.orDefault()
	if !file.exists {
		guess = s.shell.ports.orDefault()
	}
	if r.verb == look {
		s.ready = a.askReady(ctx, guess.http)
	}
	candidate := programFacts{} // that install would have the service run, as far as it can be told without the service
	candidate.path, candidate.err = a.findCollector(r.collector)
	installed := a.programOf(file.definition.collector)
	var sockets map[int]portLook
	if r.verb == look {
		sockets = a.lookAtPorts(ctx, guess)
	}
	<-looked
	s.state = a.withFile(s.state, file)
	if s.silent != nil && !file.exists && file.link == "" && s.state.loaded == "" { // nothing on disk, nobody to ask
		s.state.phase = notInstalled
	}
	if r.asks(s) {
		s.around = a.manager.surroundings(ctx, a.run, s.state)
		if s.state.enabled == nil && s.state.phase != notInstalled {
			s.state.enabled = s.around.enabled
		}
	}
	if isTrue(s.state.enabled) && (s.state.masked || !s.state.there()) {
		s.state.enabled = ptr(false)
	}
	if port := r.readyPort(s); r.verb == look && port != guess.http { // a drop-in says otherwise
		s.ready = a.askReady(ctx, port)
	}
	a.allPortFacts(ctx, s, sockets)
	a.boundFacts(s, r)
	a.conflictFacts(ctx, &s)
	a.programs(&s, installed, candidate)
	a.processFacts(ctx, &s)
	a.logFacts(&s)
	if r.checks {
		s.mcp.path, s.mcp.err = a.findProgram(mcpName, "")
	}
	return s
}

// located is the manager, which knows its folder from now on.
func (a *app) located(ctx context.Context) serviceManager {
	if a.locate != nil {
		a.manager, a.locate = a.locate(ctx, a.run), nil
	}
	return a.manager
}

// allPortFacts adds what is known of each port that the service uses or is to use. Who is in the way may have ended since.
func (a *app) allPortFacts(ctx context.Context, s snapshot, sockets map[int]portLook) {
	live, next, wanted := s.live(), s.state.servicePorts(), s.wanted()
	all := []int{live.http, live.ws, next.http, next.ws, wanted.http, wanted.ws}
	if next.http == next.ws || wanted.http == wanted.ws { // the defaults are advised
		all = append(all, defaultHTTPPort, defaultWSPort)
	}
	if s.ready.port != 0 {
		all = append(all, s.ready.port)
	}
	for _, port := range all {
		a.portFacts(ctx, s, sockets, port)
	}
	for _, port := range all {
		if _, conflict := s.portConflict(port); conflict && sockets != nil {
			delete(s.ports, port)
			a.portFacts(ctx, s, nil, port)
		}
	}
}

// boundFacts adds sockets that are bound and do not listen, which no table has, while no collector could find its port taken by us.
func (a *app) boundFacts(s snapshot, r request) {
	if a.unbound == nil || !r.locked || r.verb == stop || r.verb == uninstall || s.silent != nil || !s.state.gone() {
		return
	}
	for port, f := range s.ports {
		if f.err == nil && len(f.holders) == 0 {
			if err := a.unbound(port); err != nil {
				s.ports[port] = portFacts{holders: []holder{{uid: -1, unbound: err.Error()}}}
			}
		}
	}
}

// conflictFacts adds what is known of the holders that are in the way, and two ports that are free.
func (a *app) conflictFacts(ctx context.Context, s *snapshot) {
	held := false
	for port, f := range s.ports {
		for i, h := range f.holders {
			if s.silent == nil && h.conflict(f, s.state, s.shell.uid) {
				f.holders[i] = a.processes.describe(ctx, a.run, port, h)
				if held = true; h.uid == s.shell.uid {
					f.holders[i].user = ""
				}
			}
		}
	}
	for n := 10; held && n <= 100 && s.free == (ports{}); n += 10 {
		p := ports{defaultHTTPPort + n, defaultWSPort + n}
		if looks := a.lookAtPorts(ctx, p); looks[p.http].free() && looks[p.ws].free() && p.http != s.wanted().ws && p.ws != s.wanted().http {
			s.free = p
		}
	}
}

// shell is what this command was given.
func (a *app) shell() shell {
	p, bad := envPorts(a.getenv)
	s := shell{home: a.home, uid: a.uid, sudo: a.uid == 0 && a.getenv("SUDO_USER") != "", platform: a.platform,
		supported: a.manager != nil, commandLine: a.commandLine, ports: p, badPort: bad, variables: slices.Clone(a.environ)}
	s.variables = slices.DeleteFunc(s.variables, func(word string) bool { return !strings.HasPrefix(word, "RUNTIMESCOPE_") })
	return s
}

// askReady asks whether a collector is ready, and which version it is.
func (a *app) askReady(ctx context.Context, port int) readyFacts {
	r := readyFacts{port: port, err: a.probe(ctx, port)}
	if r.err == nil {
		r.version = a.collectorVersion(ctx, port)
	}
	return r
}

// A portLook is the listening sockets of one port, and what finds the processes that have them.
type portLook struct {
	who func(first int) []holder
	err error
}

func (l portLook) free() bool { return l.err == nil && len(l.who(0)) == 0 }

// lookAtPorts lists the sockets of both ports.
func (a *app) lookAtPorts(ctx context.Context, p ports) map[int]portLook {
	looks := map[int]portLook{}
	for _, port := range []int{p.http, p.ws} {
		who, err := a.processes.holders(ctx, port)
		looks[port] = portLook{who, err}
	}
	return looks
}

// portFacts adds what is known of a port, from a look that was taken already where there is one.
func (a *app) portFacts(ctx context.Context, s snapshot, looks map[int]portLook, port int) {
	if _, known := s.ports[port]; known {
		return
	}
	look, taken := looks[port]
	if !taken {
		look.who, look.err = a.processes.holders(ctx, port)
	}
	s.ports[port] = a.holdersOf(ctx, look, port, s.state)
}

// holdersOf finds who holds a port, and which of them are the service's.
func (a *app) holdersOf(ctx context.Context, look portLook, port int, s state) portFacts {
	f := portFacts{err: look.err}
	if look.err != nil {
		return f
	}
	f.holders = look.who(s.pid)
	for i := range f.holders {
		h := &f.holders[i]
		h.ours = h.pid != 0 && a.processes.belongs(ctx, h.pid, s)
		if h.wildcard6 && !f.answers {
			f.answers = a.answers(port)
			h.elsewhere = h.ours && !f.answers // IPv6 alone
		}
	}
	f.holders = slices.DeleteFunc(f.holders, func(h holder) bool { return h.elsewhere && !h.ours })
	return f
}

// programOf is what is known of a program file; nothing where the path is "".
func (a *app) programOf(path string) programFacts {
	f := programFacts{path: path}
	if path != "" {
		f.err = executable(path)
		f.why, f.certain = whyNotRun(path, a.platform)
		f.wontLast = whyPathWontLast(path)
	}
	return f
}

// programs adds what is known of the program files. Where no collector is found, the one that is installed stays.
// installed is the one that the file names, which the service runs unless its manager knows better.
func (a *app) programs(s *snapshot, installed, candidate programFacts) {
	s.installed = installed
	if path := s.state.collector(); path != installed.path {
		s.installed = a.programOf(path)
	}
	if candidate.path == "" && s.installed.path != "" && s.installed.err == nil && !s.state.wrapped() {
		candidate = programFacts{path: s.installed.path}
	}
	if path := candidate.path; path != "" {
		if candidate = s.installed; path != s.installed.path {
			candidate = a.programOf(path)
		}
		_, candidate.cannotCarry = a.manager.render(definition{collector: candidate.path})
	}
	s.candidate = candidate
	s.sameProgram = sameFile(candidate.path, s.installed.path)
}

// processFacts adds what is known of the process that runs.
func (a *app) processFacts(ctx context.Context, s *snapshot) {
	st, pid := s.state, s.state.pid
	for _, h := range s.ports[s.live().http].holders {
		if pid == 0 && h.ours {
			pid = h.pid
		}
	}
	if s.process.pid = pid; pid == 0 {
		return
	}
	if table, ok := a.processes.(procfs); ok {
		s.process.otherNetwork = table.otherNetwork(pid)
		if s.process.otherMounts = st.pid != 0 && table.otherMounts(st.pid, s.names.path); s.process.otherMounts {
			s.state.enabled = nil // the links are not seen, either
		}
	}
	s.process.age, s.process.memory, s.process.err = a.processes.facts(ctx, pid)
	since := startedAfter(s.process.age, s.process.err)
	path := st.definitionPath()
	for _, at := range append([]string{path, path + ".d", filepath.Dir(path)}, st.dropIns...) {
		// by a wrapper, or UnsetEnvironment=, the process has ports of its own, without any change
		info, err := os.Lstat(at)
		other := err == nil && st.runsOnOtherPorts() && since(changeTime(info))
		// who makes links makes them anew, and set-property takes effect at once
		file := st.file.link == "" && (err != nil || !info.IsDir()) && !strings.Contains(at, "/user.control/")
		s.process.definitionChanged = s.process.definitionChanged || other || file && changed(at, since)
	}
	s.process.replaced = st.collector() != "" && a.processes.replaced(ctx, pid, st.collector(), since)
}

// logFacts adds the sizes of the log files, and whether their folder is there.
func (a *app) logFacts(s *snapshot) {
	s.logSizes, s.folders = map[string]int64{}, map[string]bool{}
	for _, path := range s.names.logFiles {
		if info, err := os.Stat(path); err == nil {
			s.logSizes[path] = info.Size()
		}
		s.folders[filepath.Dir(path)] = isFolder(filepath.Dir(path))
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// withFile adds to what the manager says what the file says.
func (a *app) withFile(s state, f file) state {
	s.file = f
	s.masked = s.masked || f.link == os.DevNull
	s.processEnv = a.processEnv(s)
	if (f.exists || f.link != "" && f.link != os.DevNull) && s.phase == notInstalled {
		s.phase = stopped
	}
	// systemd takes only a newer file for a changed one, not an older one put back. What install wrote can be compared.
	s.file.ours = wrote(a.manager, f.definition, f.text)
	if s.file.ours && s.cut == "" && s.loaded == f.path && s.program != "" && !says(s.dropIns, "Environment", "ExecStart") {
		has := definition{collector: s.program}
		has.read(s.unitEnv...)
		s.stale = s.stale || has != f.definition
	}
	if s.vendor() {
		s.readVendor(a.manager)
	}
	return s
}

// wrote tells whether a text is what install would write for a definition.
func wrote(m serviceManager, d definition, text string) bool {
	written, err := m.render(d)
	return err == nil && written == text
}

// processEnv is what the running process was given; nil while that is the manager's, which lacks INVOCATION_ID (systemd.exec(5)).
func (a *app) processEnv(s state) []string {
	if s.pid == 0 || s.invocation == "" {
		return nil
	}
	if environ := a.processes.environ(s.pid); slices.Contains(environ, "INVOCATION_ID="+s.invocation) {
		return environ
	}
	return nil
}

// readVendor reads the definition that a package brought, as an upgrade or a removal of the package left it: the
// manager may have an older one loaded. One that is stopped and not enabled is there for others: this user has no service.
func (s *state) readVendor(m serviceManager) {
	text, err := os.ReadFile(s.loaded)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.loaded = ""
	case err == nil:
		s.file.definition = m.parse(string(text))
	}
	if s.untilBoot && isTrue(s.enabled) {
		s.enabled = ptr(false)
	}
	if s.phase == stopped && !s.ending && (s.loaded == "" || s.enabled != nil && !*s.enabled) {
		s.phase = notInstalled
	}
}

// readFile reads the definition on disk.
func (a *app) readFile() file {
	f := file{path: a.manager.names().path}
	f.folder = isFolder(filepath.Dir(f.path))
	f.link, _ = os.Readlink(f.path)
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), f.link == os.DevNull:
		f.dangling = f.link != "" && f.link != os.DevNull
		return f
	case err == nil && !info.Mode().IsRegular():
		err = fmt.Errorf("%s exists but is not a regular file", f.path)
	}
	text := []byte(nil)
	if err == nil {
		text, err = os.ReadFile(f.path)
	}
	if err != nil {
		f.exists, f.err = true, err // something is there, so nobody may say that nothing is installed
		return f
	}
	f.text = string(text)
	f.exists = f.link == "" && len(text) > 0 // systemd takes an empty file for a mask
	f.definition = a.manager.parse(f.text)
	f.kept = f.path + ".bak"
	f.keptOlder = backupName(f.path, f.text)
	return f
}
