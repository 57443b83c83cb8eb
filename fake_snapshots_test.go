// Made-up snapshots: a machine in one line, from named options.
package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"
)

// An option is one thing that a machine may have; those of a snapshot are applied in order.
type option struct {
	name string
	set  func(*snapshot)
}

const (
	snapHTTP, snapWS = defaultHTTPPort, defaultWSPort
	snapProgram      = "/opt/bin/collector-server"
	snapInterpreter  = "/usr/bin/node"
	snapSecret       = "s3cr3t-value"
)

// snapManager is a manager that nothing is asked of but what it says by itself.
func snapManager(name string) serviceManager {
	if name == "launchd" {
		return launchd{home: "/Users/ada", user: "ada", uid: 501}
	}
	return systemd{home: "/home/ada", uid: 1000, user: ada, getenv: os.Getenv}
}

// snapshotOf is a machine with nothing wrong and nothing installed, and then these options.
func snapshotOf(manager string, options ...option) snapshot {
	m := snapManager(manager)
	names := m.names()
	s := snapshot{
		shell:     shell{home: "/home/ada", uid: 1000, platform: "linux", supported: true, commandLine: "runtimescope service x"},
		state:     state{phase: notInstalled, rawState: "inactive", file: file{path: names.path, folder: true}},
		ports:     map[int]portFacts{snapHTTP: {}, snapWS: {}},
		ready:     readyFacts{port: snapHTTP, err: errors.New("connection refused")},
		candidate: programFacts{path: snapProgram},
		mcp:       programFacts{path: "/opt/bin/mcp-server"},
		logSizes:  map[string]int64{},
		folders:   map[string]bool{},
		names:     names,
	}
	if manager == "systemd" {
		s.state.linger = ptr(true)
	}
	for _, o := range options {
		s.ports = maps.Clone(s.ports)
		o.set(&s)
	}
	return s
}

// installed is a definition that we wrote, loaded, enabled, and stopped.
func installed() option {
	return option{"installed", func(s *snapshot) {
		s.state.phase, s.state.loaded, s.state.enabled, s.state.program = stopped, s.names.path, ptr(true), snapProgram
		s.state.unitEnv = []string{}
		s.state.file.exists, s.state.file.definition = true, definition{collector: snapProgram}
		s.installed, s.sameProgram = programFacts{path: snapProgram}, true
	}}
}

// running is the service up and healthy.
func runningAs(pid int) option {
	return option{"running", func(s *snapshot) {
		s.state.phase, s.state.rawState, s.state.pid, s.state.invocation = running, "active", pid, "1"
		if s.state.loaded == "" {
			s.state.loaded = s.names.path
		}
		own := holder{pid: pid, uid: 1000, command: snapProgram, ours: true}
		s.ports[snapHTTP], s.ports[snapWS] = portFacts{holders: []holder{own}}, portFacts{holders: []holder{own}}
		s.ready = readyFacts{port: snapHTTP, version: "0.11.2"}
	}}
}

// inPhase is the service doing something else than to run.
func inPhase(p phase, rawState string, lastExit *exitStatus) option {
	return option{string(p), func(s *snapshot) {
		s.state.phase, s.state.rawState, s.state.pid, s.state.lastExit = p, rawState, 0, lastExit
		if s.state.loaded == "" {
			s.state.loaded = s.names.path
		}
		s.ready.err = errors.New("connection refused")
		if lastExit != nil {
			s.state.lastName, s.state.next = fmt.Sprintf("status %d", lastExit.code), "what comes next"
		}
	}}
}

func noMainProcess() option {
	return change("no main process", func(s *snapshot) {
		s.state.phase, s.state.rawState, s.state.pid, s.state.activeFor = running, "active (exited)", 0, ptr(time.Minute)
	})
}

func empty() option {
	return change("no process at all", func(s *snapshot) {
		noMainProcess().set(s)
		s.state.empty, s.ready.err = true, errors.New("connection refused")
	})
}

func startLimited() option {
	return option{"start limit", func(s *snapshot) {
		inPhase(failed, "failed", &exitStatus{}).set(s)
		s.state.startLimit = true
	}}
}

func ending() option {
	return option{"ending", func(s *snapshot) {
		s.state.phase, s.state.rawState, s.state.pid, s.state.ending = stopped, "deactivating (stop-sigterm)", 4242, true
	}}
}

// portHeldBy is somebody else on a port; an answer on the HTTP port is then that one's.
func portHeldBy(port int, h holder) option {
	return option{fmt.Sprintf("%d held by %s", port, h), func(s *snapshot) {
		s.ports[port] = portFacts{holders: []holder{h}}
		if port == s.ready.port {
			s.ready.err = nil
		}
	}}
}

// change is an option that sets one fact.
func change(name string, set func(*snapshot)) option { return option{name, set} }

func masked() option {
	return change("masked", func(s *snapshot) {
		s.state.masked, s.state.unmask, s.state.file.exists = true, unmaskCommand("", false), false
	})
}

func maskedRuntime() option {
	return change("masked until the next boot", func(s *snapshot) { s.state.masked, s.state.unmask = true, unmaskCommand("", true) })
}

func linked() option {
	return change("linked", func(s *snapshot) { s.state.file.link, s.state.file.exists = "/nix/store/x/runtimescope.service", false })
}

func noManager() option {
	return change("no manager", func(s *snapshot) {
		s.silent = hint(errors.New("cannot reach the manager"), runCommand)
		s.state.pid, s.state.enabled = 0, nil
		if s.state.file.exists || s.state.file.link != "" {
			s.state.phase = unknown
		}
	})
}

func interpreted() option {
	return change("behind an interpreter", func(s *snapshot) {
		s.state.program, s.installed, s.sameProgram = snapInterpreter, programFacts{path: snapInterpreter}, false
		s.state.arguments = "/opt/x.js --token=…"
		s.state.file.definition.collector, s.state.file.definition.arguments = snapInterpreter, s.state.arguments
	})
}

func noCollector() option {
	return change("no collector", func(s *snapshot) {
		s.candidate = programFacts{err: &failure{"Could not locate the `collector-server` binary", []string{"/opt/bin: missing"}}}
		s.installed.err = errors.New("missing")
	})
}

// The holders of a port that a machine may have.
var (
	otherCollector = heldBy(77, "/usr/local/bin/collector-server")
	editorPlugin   = heldBy(78, "node /x/mcp-server/index.js")
	stranger       = heldBy(79, "python3 -m http.server")
	anotherUsers   = holder{uid: 1001, user: "bob"}
	nobodyKnown    = holder{uid: 1000}
	boundOnly      = holder{uid: -1, unbound: "address already in use"}
	unitsCollector = heldBy(80, "/usr/bin/collector-server", func(h *holder) { h.unit, h.stop = "other.service", "systemctl --user stop other.service" })
	childOfRun     = heldBy(81, "/usr/bin/collector-server", func(h *holder) { h.parent = 82 })
	socketUnits    = heldBy(83, "/lib/systemd/systemd --user", func(h *holder) { h.unit, h.stop = "rs.socket", "systemctl --user stop rs.socket" })
)

// heldBy is a holder that runs a command line, with what is known of it besides.
func heldBy(pid int, command string, more ...func(*holder)) holder {
	h := holder{pid: pid, uid: -1}.runs(strings.Fields(command), "").above(func(int) holder { return holder{} })
	for _, add := range more {
		add(&h)
	}
	return h
}

// allOptions are the options that the invariants are tried on, in pairs.
func allOptions() []option {
	return []option{
		{"no mcp-server", func(s *snapshot) { s.mcp.err = errors.New("missing") }},
		installed(), runningAs(4242), inPhase(stopped, "inactive", nil), inPhase(starting, "activating (start)", nil),
		inPhase(crashLooping, "activating (auto-restart)", &exitStatus{code: 3}), inPhase(failed, "failed", &exitStatus{code: 3}), inPhase(unknown, "odd", nil),
		startLimited(), ending(), noMainProcess(), empty(), masked(), maskedRuntime(), linked(), noManager(), noCollector(),
		portHeldBy(snapHTTP, otherCollector), portHeldBy(snapHTTP, editorPlugin), portHeldBy(snapHTTP, stranger), portHeldBy(snapHTTP, anotherUsers),
		portHeldBy(snapWS, stranger), portHeldBy(snapWS, unitsCollector), portHeldBy(7000, stranger), portHeldBy(snapHTTP, nobodyKnown),
		portHeldBy(snapWS, boundOnly),
		portHeldBy(snapWS, childOfRun), portHeldBy(snapHTTP, socketUnits),
		change("two ports are free", func(s *snapshot) { s.free = ports{6778, 6777} }),
		change("a mask as a file", func(s *snapshot) {
			s.state.file.link, s.state.file.exists, s.state.masked, s.state.unmask = "/dev/null", false, true, unmaskCommand("", false)
		}),
		change("no platform", func(s *snapshot) { s.shell.supported = false }),
		change("sudo", func(s *snapshot) { s.shell.sudo = true }),
		change("no home", func(s *snapshot) { s.shell.home = "" }),
		change("not a port", func(s *snapshot) { s.shell.badPort = httpPortEnv }),
		change("other ports in the shell", func(s *snapshot) { s.shell.ports = ports{7000, 7001} }),
		change("the same ports in the shell", func(s *snapshot) { s.shell.ports = ports{7000, 7000} }),
		change("the same ports in the definition", func(s *snapshot) { s.state.file.definition.ports, s.state.unitEnv = ports{7000, 7000}, nil }),
		change("reached from the network", func(s *snapshot) { s.state.file.definition.setVariables(hostEnv + "=10.9.8.7") }),
		change("reached from the network by a drop-in, with a token", func(s *snapshot) {
			s.state.dropIns, s.state.unitEnv = []string{"/x/y.conf"}, append(s.state.unitEnv, hostEnv+"=10.9.8.7", tokenEnv+"="+snapSecret)
		}),
		change("speaks TLS", func(s *snapshot) { s.state.file.definition.setVariables(certEnv+"=/c", keyEnv+"=/k") }),
		change("a secret in the shell", func(s *snapshot) { s.shell.variables = []string{"RUNTIMESCOPE_AUTH_TOKEN=" + snapSecret} }),
		change("a secret in the service", func(s *snapshot) {
			s.state.unitEnv = append(s.state.unitEnv, "RUNTIMESCOPE_AUTH_TOKEN="+snapSecret)
			s.state.processEnv = s.state.unitEnv
		}),
		change("another home", func(s *snapshot) {
			s.state.otherHome, s.state.loaded = "/home/b b", "/home/b b/.config/systemd/user/runtimescope.service"
		}),
		change("a package's", func(s *snapshot) {
			s.state.loaded, s.state.file.exists = "/usr/lib/systemd/user/runtimescope.service", false
		}),
		change("until the next boot", func(s *snapshot) {
			s.state.loaded, s.state.file.exists, s.state.untilBoot, s.state.enabled = "/run/user/1/systemd/user/runtimescope.service", false, true, ptr(false)
		}),
		change("gone", func(s *snapshot) { s.state.file.exists = false }),
		change("a link left over", func(s *snapshot) { s.state.loginLink = "/home/ada/wants" }),
		change("unreadable", func(s *snapshot) { s.state.file.err, s.state.file.exists = errors.New("permission denied"), true }),
		change("broken", func(s *snapshot) { s.state.loadError = "systemd cannot load the unit (bad-setting): x" }),
		change("broken by a drop-in", func(s *snapshot) {
			s.state.file.ours = true
			s.state.loadError, s.state.dropIns = "systemd cannot load the unit (bad-setting): x", []string{"/x/y.conf"}
		}),
		change("a drop-in that runs another", func(s *snapshot) { s.state.dropIns, s.state.program = []string{"/x/y.conf"}, "/opt/other" }),
		change("ports by a drop-in", func(s *snapshot) {
			s.state.dropIns, s.state.unitEnv, s.state.file.ours = []string{"/x/y.conf"}, []string{httpPortEnv + "=7000", wsPortEnv + "=7000"}, true
		}),
		change("ending without a main process", func(s *snapshot) { ending().set(s); s.state.pid = 0 }),
		interpreted(),
		change("too long an answer", func(s *snapshot) { s.state.cut = "systemctl show: its answer was cut off" }),
		change("changed on disk", func(s *snapshot) { s.state.stale = true }),
		change("changed since the start", func(s *snapshot) { s.process.definitionChanged = true }),
		change("replaced", func(s *snapshot) { s.process.replaced = true }),
		change("not loaded", func(s *snapshot) {
			s.state.loaded, s.state.pid = "", 0
			if s.state.phase = stopped; !s.state.there() {
				s.state.phase = notInstalled
			}
		}),
		change("not enabled", func(s *snapshot) { s.state.enabled = ptr(false) }),
		change("cannot be enabled", func(s *snapshot) { s.state.enabled, s.state.static = ptr(false), true }),
		change("another network namespace", func(s *snapshot) { s.process.otherNetwork = true }),
		change("an unreadable drop-in", func(s *snapshot) {
			s.state.badDropIn = &os.PathError{Op: "open", Path: "/x.conf", Err: os.ErrPermission}
		}), change("a folder of drop-ins that cannot be read", func(s *snapshot) {
			s.state.badDropIn = &os.PathError{Op: "open", Path: "/x.d", Err: os.ErrPermission}
		}),
		change("an unmet condition", func(s *snapshot) { s.state.skipped = "Condition" }),
		change("no start by hand", func(s *snapshot) { s.state.refusesStart = true }),
		change("no stop by hand", func(s *snapshot) { s.state.refusesStop, s.state.file.text = true, "RefuseManualStop=yes" }),
		change("requires what is not there", func(s *snapshot) { s.around.missing, s.state.file.text = []string{"db.service"}, "Requires=db.service" }),
		change("other mounts", func(s *snapshot) { s.process.otherMounts = true }),
		change("another unit before it", func(s *snapshot) { s.state.loaded = "/home/ada/.config/systemd/user.control/" + unitName }),
		change("enabled for all", func(s *snapshot) { s.state.globalLink = "/etc/systemd/user/default.target.wants/" + unitName }),
		change("triggered", func(s *snapshot) { s.state.triggers = []string{"x.socket"} }),
		change("transient", func(s *snapshot) {
			s.state.transient, s.state.enabled, s.state.file.exists, s.state.loaded = true, ptr(false), false, "/run/user/1000/systemd/transient/"+unitName
		}),
		change("an alias", func(s *snapshot) { s.state.file.link, s.state.file.exists = "/home/ada/other.service", false }),
		change("nobody knows whether enabled", func(s *snapshot) { s.state.enabled = nil }),
		change("restarted", func(s *snapshot) { s.state.restarts = ptr(3) }),
		change("the collector is gone", func(s *snapshot) { s.installed.err = errors.New("missing") }),
		change("the collector cannot run", func(s *snapshot) { s.installed.why, s.installed.certain = "its interpreter is missing", true }),
		change("the collector beside cannot run", func(s *snapshot) { s.candidate.why, s.candidate.certain = "the file is empty", true }),
		change("the path is odd", func(s *snapshot) { s.candidate.cannotCarry = errors.New(`systemd cannot run "x": the character '"'`) }),
		change("the path will not last", func(s *snapshot) { s.installed.wontLast, s.candidate.wontLast = "temporary", "temporary" }),
		change("the manager does not look here", func(s *snapshot) { s.around.err = errors.New("does not look for units") }),
		change("the manager has a port", func(s *snapshot) { s.around.inherited = ports{http: 7000} }),
		change("no linger", func(s *snapshot) { s.state.linger = ptr(false) }),
		change("nobody knows of linger", func(s *snapshot) { s.state.linger = nil }),
		change("ports unknown", func(s *snapshot) {
			s.ports[snapHTTP], s.ports[snapWS] = portFacts{err: errors.New("no lsof")}, portFacts{err: errors.New("no lsof")}
		}),
		change("nobody seen", func(s *snapshot) { s.ports[snapHTTP], s.ports[snapWS] = portFacts{}, portFacts{} }),
		change("launchd: deferred", func(s *snapshot) {
			inPhase(crashLooping, "not running", &exitStatus{code: 75}).set(s)
			s.state.deferred = "inefficient"
		}),
		change("launchd: deferred at first", func(s *snapshot) {
			inPhase(stopped, "not running", nil).set(s)
			s.state.deferred = "speculative"
		}),
		change("launchd: its signature", func(s *snapshot) { s.state.cause = "codesigning" }),
		change("launchd: held back", func(s *snapshot) {
			inPhase(failed, "not running", nil).set(s)
			s.state.cause = "tcc"
		}),
		change("launchd: out of memory", func(s *snapshot) {
			inPhase(crashLooping, "not running", nil).set(s)
			s.state.cause = "jetsam"
		}),
		change("launchd: no session", func(s *snapshot) {
			s.state.noSession = hint(errors.New("user ada is not logged in to the desktop"), runCommand)
		}),
		change("launchd: no log", func(s *snapshot) {
			s.state.logFault = hint(errors.New("launchd cannot open its log"), "sudo chown $USER ~/x")
		}),
		change("launchd: a binary plist", func(s *snapshot) { s.state.file.text = "bplist00" }),
		change("launchd: another plist's", func(s *snapshot) {
			s.state.loaded, s.state.program = "/Library/LaunchAgents/"+label+".plist", "/opt/other"
		}),
		change("launchd: of another folder", func(s *snapshot) { s.state.loaded, s.state.program = "/Users/ada/x.plist", "/opt/other" }),
		change("a log too large", func(s *snapshot) {
			for _, path := range s.names.logFiles {
				s.logSizes = map[string]int64{path: logLimit + 1}
			}
		}),
	}
}
