// Which ports the collector uses, and what to say of a process that holds one.
package main

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	defaultHTTPPort = 6768
	defaultWSPort   = 6767
	httpPortEnv     = "RUNTIMESCOPE_HTTP_PORT"
	wsPortEnv       = "RUNTIMESCOPE_PORT"
)

// ports are the TCP ports of a collector, 1 to 65535; 0 means not said.
type ports struct{ http, ws int }

// envPorts reads the ports from the environment. bad names the variable whose value is none, which may be a stray secret.
func envPorts(getenv func(string) string) (p ports, bad string) {
	var words []string
	for _, name := range []string{httpPortEnv, wsPortEnv} {
		if value := getenv(name); value != "" {
			words = append(words, name+"="+value)
		}
	}
	if bad = badPort(words); bad == "" {
		p.read(words)
	}
	return p, bad
}

// parsePort returns 0 for what is no port.
func parsePort(text string) int {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// read takes the ports out of K=V words; the last one counts, as for both managers.
func (p *ports) read(environ []string) {
	for _, word := range environ {
		switch key, value, _ := strings.Cut(word, "="); key {
		case httpPortEnv:
			p.http = parsePort(value)
		case wsPortEnv:
			p.ws = parsePort(value)
		}
	}
}

// badPort names a variable among K=V words whose value is no port; "" when there is none.
func badPort(environ []string) string {
	p := ports{-1, -1}
	switch p.read(environ); 0 {
	case p.http:
		return httpPortEnv
	case p.ws:
		return wsPortEnv
	}
	return ""
}

// or fills in from q what p does not say.
func (p ports) or(q ports) ports {
	return ports{cmp.Or(p.http, q.http), cmp.Or(p.ws, q.ws)}
}

func (p ports) orDefault() ports { return p.or(ports{defaultHTTPPort, defaultWSPort}) }

// environment says in K=V words the ports that are not the default.
func (p ports) environment() []string {
	var words []string
	if p.http != 0 && p.http != defaultHTTPPort {
		words = append(words, httpPortEnv+"="+strconv.Itoa(p.http))
	}
	if p.ws != 0 && p.ws != defaultWSPort {
		words = append(words, wsPortEnv+"="+strconv.Itoa(p.ws))
	}
	return words
}

// The variables of the collector that say who reaches it.
const (
	hostEnv  = "RUNTIMESCOPE_HOST"
	tokenEnv = "RUNTIMESCOPE_AUTH_TOKEN"
	certEnv  = "RUNTIMESCOPE_TLS_CERT"
	keyEnv   = "RUNTIMESCOPE_TLS_KEY"
)

// A holder is a process with a listening socket on a port where 127.0.0.1 is answered.
type holder struct {
	pid     int // 0: it is another user's, or gone already, and cannot be looked into
	uid     int // -1: unknown; without a PID, not this user's
	command string
	program string // the file that runs; where that is an interpreter, its script
	args    string // the two words after it
	exe     string // the file that the kernel runs; "" where that is unknown, or an interpreter
	unit    string // the unit of systemd that it is part of; "" when it is of none
	system  bool   // that unit is not the user's
	// wildcard6 means that it listens on [::], which may or may not take in 127.0.0.1.
	wildcard6 bool
	elsewhere bool // 127.0.0.1 does not reach it; only of the service's own is that kept
	ours      bool // it is the service's
	// unbound is why the port cannot be bound though nobody listens there; "" for a holder that listens.
	unbound string

	// Only of one that is in the way is asked:
	user   string // the name of the other user whose process it is
	editor bool   // it, or an ancestor, is an MCP server, which an editor starts
	parent int    // the "runtimescope service run" that it is a child of, and that would start it again; 0: none
	stop   string // the command that ends the unit for good; "" when neither it nor parent is the main process of one
}

func (h holder) String() string {
	switch {
	case h.pid != 0:
		return fmt.Sprintf("PID %d (%s)", h.pid, shorten(h.command, 160))
	case h.user != "":
		return "a process of user " + h.user
	case h.uid == -1:
		return "a process you cannot inspect"
	}
	return fmt.Sprintf("a process you cannot inspect (uid %d)", h.uid)
}

// runs adds what runs: the words of a command line, and the file that the kernel runs.
func (h holder) runs(words []string, exe string) holder {
	h.command = shownCommand(words)
	if len(words) == 0 {
		return h
	}
	at := scriptAt(words)
	if h.program, h.exe = words[at], exe; at > 0 {
		h.exe = ""
	}
	h.args = strings.Join(words[at+1:min(at+3, len(words))], " ")
	return h
}

// shownCommand is a command line without values: of --x=VALUE and NAME=VALUE, alone or in a line for a shell. They may be secrets.
func shownCommand(words []string) string {
	var shown []string
	for _, word := range words {
		if strings.Contains(word, "=") {
			word = assignment().ReplaceAllString(word, "$1$2…")
		}
		shown = append(shown, word)
	}
	return oneLine(strings.Join(shown, " "))
}

// Compiled on first use, so that a command that does not need it does not pay for it.
var assignment = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)(^-{0,2}[A-Za-z_][-.\w]*=).+|([\s;&|"'(]-{0,2}[A-Za-z_][-.\w]*=)(?:'[^']*'|"[^"]*"|[^\s;&|"')])+`)
})

// scriptAt is which word is the script that an interpreter, or an editor's own program, runs; 0 where there is none.
func scriptAt(words []string) int {
	program := strings.TrimRight(path.Base(words[0]), "0123456789.")
	interprets := slices.Contains(strings.Fields("node nodejs bun deno tsx python perl ruby sh bash dash zsh ksh"), program)
	for i := 1; i < len(words); i++ {
		switch word := words[i]; {
		case slices.Contains(strings.Fields("-c -e -m -p --eval --print"), word): // what follows is no file
			return 0
		case slices.Contains(strings.Fields("-r --require --import --loader -C --conditions -I -W -X"), word):
			i++
		case strings.HasPrefix(word, "-"), word == "run" && (program == "bun" || program == "deno"):
		case interprets, strings.Contains(word, "/") && slices.Contains([]string{".js", ".mjs", ".cjs"}, path.Ext(word)):
			return i
		default:
			return 0
		}
	}
	return 0
}

// above adds what its ancestors tell: whose child it is. parent looks one up; its PID is 0 where there is none.
func (h holder) above(parent func(pid int) holder) holder {
	at := h
	for range 64 { // up to the first process; a loop there can only be a torn read
		switch {
		case (at == h || h.collector()) && (at.is("runtimescope-mcp/", "mcp-server/") ||
			at.is("runtimescope") && strings.HasPrefix(at.args+" ", "mcp ")):
			h.editor = true
			return h
		case at.is("runtimescope") && at.args == "service run":
			h.parent = at.pid
			return h
		}
		if at = parent(at.pid); at.pid == 0 {
			break
		}
	}
	return h
}

// maybeService tells whether a holder that cannot be looked into may be the service's.
func (h holder) maybeService(s state, uid int) bool { return h.pid == 0 && h.uid == uid && s.up() }

// conflict tells whether a holder keeps the service from its port: it is not the service's, and no listener on IPv6 alone.
func (h holder) conflict(f portFacts, s state, uid int) bool {
	return !h.ours && !h.maybeService(s, uid) && !(h.wildcard6 && !f.answers)
}

// is tells whether the program that holds the port, or the script that it runs, has one of these names, whatever its
// ending. A name with a slash after it may also be that of a folder the program is in. Other words say nothing.
func (h holder) is(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		file, folder := strings.CutSuffix("/"+name, "/")
		return slices.ContainsFunc([]string{h.program, h.exe}, func(program string) bool {
			return strings.HasSuffix("/"+strings.TrimSuffix(program, path.Ext(program)), file) || folder && strings.Contains("/"+program, file+"/")
		})
	})
}

// shell tells whether it is a shell.
func (h holder) shell() bool {
	name, _, _ := strings.Cut(h.command, " ")
	return slices.Contains(strings.Fields("sh bash dash ash zsh ksh"), path.Base(name))
}

// collector tells whether it is a RuntimeScope collector.
func (h holder) collector() bool {
	return h.is(collectorName, "runtimescope", "runtimescope-collector", "collector/dist/standalone")
}

// shorten cuts a text for display to at most n bytes.
func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

func collectorURL(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

// ownership says whose the socket is that answers on the collector's port.
type ownership struct {
	verified  bool    // the service's
	elsewhere bool    // and not on 127.0.0.1
	foreign   *holder // certainly somebody else's
	doubt     string  // neither is known: why
}

// socketOwner says whose the socket is that answers on a port.
func socketOwner(port int, f portFacts, uid int) ownership {
	if f.err != nil {
		return ownership{doubt: fmt.Sprintf("cannot find out which process holds port %d: %v", port, f.err)}
	}
	ours, other := 0, holder{}
	for _, h := range f.holders {
		if h.ours {
			ours++
		} else {
			other = h
		}
	}
	switch {
	case len(f.holders) == 0:
		return ownership{doubt: fmt.Sprintf("no process found on port %d", port)}
	case ours == len(f.holders):
		return ownership{verified: true, elsewhere: f.holders[0].elsewhere}
	case other.pid == 0 && other.uid == uid:
		return ownership{doubt: fmt.Sprintf("no permission to inspect the process on port %d", port)}
	case ours > 0:
		return ownership{doubt: fmt.Sprintf("port %d is also held by %s", port, other)}
	}
	return ownership{foreign: &other}
}
