// Which ports the collector uses, and what to say of a process that holds one.
package main

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

const (
	defaultHTTPPort = 6768
	defaultWSPort   = 6767
	httpPortEnv     = "RUNTIMESCOPE_HTTP_PORT"
	wsPortEnv       = "RUNTIMESCOPE_PORT"
)

// ports are the TCP ports of a collector, 1 to 65535; 0 means not said.
type ports struct{ http, ws int }

// envPorts reads the ports from the environment. bad names the variable whose value is no port, and not the value: it may
// be a secret that went astray.
func envPorts(getenv func(string) string) (p ports, bad string) {
	for _, v := range []struct {
		name string
		port *int
	}{{httpPortEnv, &p.http}, {wsPortEnv, &p.ws}} {
		text := getenv(v.name)
		if text == "" {
			continue
		}
		if *v.port = parsePort(text); *v.port == 0 {
			return ports{}, v.name
		}
	}
	return p, ""
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

// badPort names a variable among K=V words whose value is no port; "" when there is none. The last one counts, of each.
func badPort(environ []string) string {
	last := map[string]string{}
	for _, word := range environ {
		key, value, _ := strings.Cut(word, "=")
		last[key] = value
	}
	for _, key := range []string{httpPortEnv, wsPortEnv} {
		if value, ok := last[key]; ok && parsePort(value) == 0 {
			return key
		}
	}
	return ""
}

// or fills in from q what p does not say.
func (p ports) or(q ports) ports {
	if p.http == 0 {
		p.http = q.http
	}
	if p.ws == 0 {
		p.ws = q.ws
	}
	return p
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

// A holder is a process with a listening socket on a port where 127.0.0.1 is answered.
type holder struct {
	pid     int // 0: it is another user's, or gone already, and cannot be looked into
	uid     int // -1: unknown; without a PID, not this user's
	command string
	stop    string // the command that ends the service of systemd it is part of; "" when it is of none
	// wildcard6 means that it listens on [::], which may or may not take in 127.0.0.1.
	wildcard6 bool
	ours      bool // it is the service's
}

func (h holder) String() string {
	if h.pid == 0 && h.uid == -1 {
		return "a process that this user may not look into"
	}
	if h.pid == 0 {
		return fmt.Sprintf("a process that this user may not look into (uid %d)", h.uid)
	}
	return fmt.Sprintf("PID %d (%s)", h.pid, shorten(h.command, 160))
}

// maybeService tells whether a holder that cannot be looked into may be the service's.
func (h holder) maybeService(s state, uid int) bool { return h.pid == 0 && h.uid == uid && s.up() }

// conflict tells whether a holder keeps the service from its port: it is not the service's, and no listener on IPv6 alone.
func (h holder) conflict(f portFacts, s state, uid int) bool {
	return !h.ours && !h.maybeService(s, uid) && !(h.wildcard6 && !f.answers)
}

// is tells whether the program that holds the port, or the script that it runs, has one of these names, whatever its
// ending. A name with a slash after it may also be that of a folder the program is in. Other arguments say nothing.
func (h holder) is(names ...string) bool {
	for i, word := range strings.Fields(h.command) {
		if strings.HasPrefix(word, "-") {
			continue
		}
		for _, name := range names {
			file, folder := strings.CutSuffix("/"+name, "/")
			if strings.HasSuffix("/"+strings.TrimSuffix(word, path.Ext(word)), file) || folder && strings.Contains("/"+word, file+"/") {
				return true
			}
		}
		if i > 0 {
			break
		}
	}
	return false
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
	verified bool    // the service's
	foreign  *holder // certainly somebody else's
	doubt    string  // neither is known: why
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
		return ownership{doubt: fmt.Sprintf("no process is seen to hold port %d", port)}
	case ours == len(f.holders):
		return ownership{verified: true}
	case other.pid == 0 && other.uid == uid:
		return ownership{doubt: fmt.Sprintf("the process that holds port %d may not be looked into", port)}
	case ours > 0:
		return ownership{doubt: fmt.Sprintf("port %d is also held by %s", port, other)}
	}
	return ownership{foreign: &other}
}
