// Tests of the ports, of what is said to who holds one, and of both process tables: a /proc made by hand, and a lsof
// and a ps that say what a table tells them to.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestPortsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		http, ws string
		want     ports
		err      string
	}{
		{"", "", ports{}, ""},
		{"7001", "", ports{7001, 0}, ""},
		{"1", "65535", ports{1, 65535}, ""},
		{"", "07", ports{0, 7}, ""},
		{"0", "", ports{}, "RUNTIMESCOPE_HTTP_PORT"},
		{"7001", "65536", ports{}, "RUNTIMESCOPE_PORT"},
		{"-1", "", ports{}, "RUNTIMESCOPE_HTTP_PORT"},
		{"", " 80", ports{}, "RUNTIMESCOPE_PORT"},
		{"+80", "x", ports{}, "RUNTIMESCOPE_HTTP_PORT"},
		{"0x50", "", ports{}, "RUNTIMESCOPE_HTTP_PORT"},
		{"", "http\x1b", ports{}, "RUNTIMESCOPE_PORT"},
	} {
		got, bad := envPorts(func(key string) string {
			return map[string]string{httpPortEnv: c.http, wsPortEnv: c.ws}[key]
		})
		if got != c.want || bad != c.err {
			t.Errorf("%q %q: got %v, %q", c.http, c.ws, got, bad)
		}
	}
}

// errText is what an error says, "" when there is none.
func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPortsOfADefinitionTheLastOneCounts(t *testing.T) {
	t.Parallel()
	p := ports{1, 2}
	p.read([]string{"PATH=/bin", "RUNTIMESCOPE_HTTP_PORT=7001", "RUNTIMESCOPE_PORT=x", "RUNTIMESCOPE_HTTP_PORT=7002", "XRUNTIMESCOPE_PORT=5", "RUNTIMESCOPE_PORT"})
	same(t, "", p, (ports{7002, 0}))
}

func TestAVariableThatIsNoPortIsNamed(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string]string{
		"":               "",
		"PATH=/bin TERM": "",
		"RUNTIMESCOPE_HTTP_PORT=7001 RUNTIMESCOPE_PORT=7002":                                 "",
		"RUNTIMESCOPE_HTTP_PORT=x RUNTIMESCOPE_PORT=7002":                                    "RUNTIMESCOPE_HTTP_PORT",
		"RUNTIMESCOPE_HTTP_PORT=7001 RUNTIMESCOPE_PORT=x":                                    "RUNTIMESCOPE_PORT",
		"RUNTIMESCOPE_PORT=":                                                                 "RUNTIMESCOPE_PORT",
		"RUNTIMESCOPE_PORT":                                                                  "RUNTIMESCOPE_PORT",
		"RUNTIMESCOPE_PORT=x RUNTIMESCOPE_PORT=7002":                                         "",
		"RUNTIMESCOPE_PORT=7002 RUNTIMESCOPE_PORT=x":                                         "RUNTIMESCOPE_PORT",
		"RUNTIMESCOPE_HTTP_PORT=x RUNTIMESCOPE_PORT=x RUNTIMESCOPE_PORT=7002":                "RUNTIMESCOPE_HTTP_PORT",
		"RUNTIMESCOPE_HTTP_PORT=x RUNTIMESCOPE_PORT=x RUNTIMESCOPE_HTTP_PORT=7001 OTHER=nil": "RUNTIMESCOPE_PORT",
	} {
		same(t, environ, badPort(strings.Fields(environ)), want)
	}
}

func TestPortsFillInWhatIsNotSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p, q, or, orDefault ports
		environment         string
	}{
		{ports{}, ports{1, 2}, ports{1, 2}, ports{6768, 6767}, ""},
		{ports{3, 0}, ports{1, 2}, ports{3, 2}, ports{3, 6767}, "RUNTIMESCOPE_HTTP_PORT=3"},
		{ports{0, 4}, ports{1, 2}, ports{1, 4}, ports{6768, 4}, "RUNTIMESCOPE_PORT=4"},
		{ports{3, 4}, ports{}, ports{3, 4}, ports{3, 4}, "RUNTIMESCOPE_HTTP_PORT=3 RUNTIMESCOPE_PORT=4"},
		{ports{6768, 6767}, ports{1, 2}, ports{6768, 6767}, ports{6768, 6767}, ""},
		{ports{6767, 6768}, ports{1, 2}, ports{6767, 6768}, ports{6767, 6768}, "RUNTIMESCOPE_HTTP_PORT=6767 RUNTIMESCOPE_PORT=6768"},
	} {
		same(t, fmt.Sprintf("%v or %v", c.p, c.q), c.p.or(c.q), c.or)
		same(t, fmt.Sprintf("%v or default", c.p), c.p.orDefault(), c.orDefault)
		same(t, fmt.Sprintf("%v: environment", c.p), strings.Join(c.p.environment(), " "), c.environment)
	}
}

func TestARefusedPortNamesItsHolderAndWhatHelps(t *testing.T) {
	t.Parallel()
	const plugin, other, alien = ": that is the collector inside your editor's plugin", ": that is another collector", ", which is not a RuntimeScope collector"
	const quit, kill, elsewhere = "quit the editor", "kill 5", "choose another port: X=1 runtimescope service install"
	const choose = "stop PID 5, or " + elsewhere
	for _, c := range []struct{ command, shown, says, helps string }{
		{"/opt/vite --port 6768", "", alien, choose},
		{"", "", alien, choose},
		{"/opt/" + strings.Repeat("é", 100), "/opt/" + strings.Repeat("é", 77) + "…", alien, choose},
		{"node /x/runtimescope-mcp/dist/index.js", "", plugin, quit},
		{"node /x/mcp-server/index.js", "", plugin, quit},
		{"node /x/mcp-serve/index.js", "", alien, choose},
		{"node /x/runtimescope-mc/index.js", "", alien, choose},
		{"node --inspect /x/mcp-server/index.js", "", plugin, quit},
		{"node18 --import tsx -r dotenv/config /x/mcp-server/index.js", "", plugin, quit},
		{"/opt/Cursor/cursor --ms-enable-electron-run-as-node /x/mcp-server/index.js", "", plugin, quit},
		{"/usr/bin/mcp-server.js", "", plugin, quit},
		{"/usr/bin/mcp-server", "", plugin, quit},
		{"node /x/.bin/runtimescope-mcp", "", plugin, quit},
		{"runtimescope mcp", "", plugin, quit},
		{"/usr/bin/runtimescope mcp --http", "", plugin, quit},
		{"node /x/bin/runtimescope mcp", "", plugin, quit},
		{"runtimescope mcpx", "", other, kill},
		{"github-mcp-server stdio", "", alien, choose},
		{"perl web.pl 6768 --root /home/ada/src/runtimescope/www", "", alien, choose},
		{"perl web.pl /home/ada/runtimescope", "", alien, choose},
		{"node /home/ada/runtimescope/node_modules/.bin/vite", "", alien, choose},
		{"ssh -N runtimescope", "", alien, choose},
		{"ssh runtimescope", "", alien, choose},
		{"nginx -c /etc/collector-server", "", alien, choose},
		{"http-server /x/mcp-server/", "", alien, choose},
		{"python3 -m http.server collector-server", "", alien, choose},
		{"node -e x collector-server", "", alien, choose},
		{"caddy run runtimescope mcp", "", alien, choose},
		{"-collector-server", "", alien, choose},
		{"node /x/collector/dist/standalon", "", alien, choose},
		{"/usr/bin/collector-server", "", other, kill},
		{"/usr/bin/collector-server --config /etc/x", "", other, kill},
		{"/opt/a\vb/collector-server", "/opt/a b/collector-server", other, kill},
		{"bash /x/collector-server.sh", "", other, kill},
		{"node /x/collector/dist/standalone.js", "", other, kill},
		{"bun run /x/collector/dist/standalone.ts", "", other, kill},
		{"runtimescope service runs", "", other, kill},
	} {
		if c.shown == "" {
			c.shown = c.command
		}
		words := strings.Split(c.command, " ")
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "\v", " ")
		}
		p := holder{pid: 5, uid: -1}.runs(words, "").above(func(int) holder { return holder{} }).refusal(7001, "X=1 "+installCommand, unitName)
		if want := "port 7001 is held by PID 5 (" + c.shown + ")" + c.says; p.summary != want || p.help() != c.helps {
			t.Errorf("got\n%s\n%s\nwant\n%s\n%s", p.summary, p.help(), want, c.helps)
		}
	}
	const left, run = ": it is left over from an earlier start of the service", ": that is the collector of `runtimescope service run` (PID 9)"
	of := func(unit string, system bool, stop string) func(*holder) {
		return func(h *holder) { h.unit, h.system, h.stop = unit, system, stop }
	}
	const stops = "systemctl --user stop rs.service"
	for _, c := range []struct {
		h           holder
		says, helps string
	}{
		{heldBy(5, "/usr/bin/collector-server", of("rs.service", false, stops)), other, stops},
		{heldBy(5, "/usr/bin/collector-server", of("emacs.service", false, "")), other, kill},
		{heldBy(5, "/usr/bin/collector-server", of("runtimescope.service", false, "")), left, kill},
		{heldBy(5, "/usr/bin/collector-server", of("runtimescope.service", true, "sudo systemctl stop runtimescope.service")), other, "sudo systemctl stop runtimescope.service"},
		{heldBy(5, "/usr/bin/vite", of("runtimescope.service", false, "")), left, kill},
		{heldBy(5, "/usr/bin/vite", of("vite.service", false, "systemctl --user stop vite.service")), alien, choose},
		{heldBy(5, "node /x/mcp-server/index.js", of("editor.service", false, "")), plugin, quit},
		{heldBy(5, "/usr/bin/collector-server", func(h *holder) { h.parent = 9 }), run, "kill 9"},
		{heldBy(5, "/usr/bin/collector-server", of("rs.service", false, stops), func(h *holder) { h.parent = 9 }), run, stops},
		{holder{pid: 5}.runs([]string{"renamed"}, "/usr/bin/collector-server"), other, kill},
	} {
		p := c.h.refusal(7001, "X=1 "+installCommand, unitName)
		if want := "port 7001 is held by PID 5 (" + c.h.command + ")" + c.says; p.summary != want || p.help() != c.helps {
			t.Errorf("got\n%s\n%s\nwant\n%s\n%s", p.summary, p.help(), want, c.helps)
		}
	}
	find := "find it with sudo lsof -nP -iTCP:7001 -sTCP:LISTEN and stop it"
	for _, c := range []struct {
		h                  holder
		other, says, helps string
	}{
		{holder{uid: 33}, "X=1 " + installCommand, "a process you cannot inspect (uid 33)", find + ", or " + elsewhere},
		{holder{uid: 33, user: "bob"}, "X=1 " + installCommand, "a process of user bob", "X=1 " + installCommand},
		{holder{uid: 33, user: "bob"}, "X=PORT " + installCommand, "a process of user bob", find + ", or choose another port: X=PORT " + installCommand},
		{holder{uid: 33, user: "bob"}, "", "a process of user bob", find},
		{socketUnits, "", "systemd for rs.socket", socketUnits.stop},
	} {
		if p := c.h.refusal(7001, c.other, unitName); p.summary != "port 7001 is held by "+c.says || p.help() != c.helps {
			t.Errorf("got\n%s\n%s\nwant\n%s\n%s", p.summary, p.help(), c.says, c.helps)
		}
	}
}

func TestAHolderIsKnownByItsAncestors(t *testing.T) {
	t.Parallel()
	lines := map[int]string{5: "/usr/bin/collector-server", 6: "vite", 7: "sh -c x", 2: "node /x/mcp-server/index.js", 3: "runtimescope service run --collector x", 4: "bash"}
	for _, c := range []struct {
		chain  []int
		editor bool
		parent int
	}{
		{[]int{5, 3, 4}, false, 3},
		{[]int{5, 7, 3, 4}, false, 3},
		{[]int{6, 3}, false, 3},
		{[]int{5, 2, 4}, true, 0},
		{[]int{6, 2, 4}, false, 0}, // an agent's server is no collector
		{[]int{5, 4, 4}, false, 0},
	} {
		at := 0
		h := holder{pid: c.chain[0]}.runs(strings.Fields(lines[c.chain[0]]), "").above(func(int) holder {
			if at++; at >= len(c.chain) {
				return holder{}
			}
			return holder{pid: c.chain[at]}.runs(strings.Fields(lines[c.chain[at]]), "")
		})
		if h.editor != c.editor || h.parent != c.parent {
			t.Errorf("%v: %+v", c.chain, h)
		}
	}
}

func TestShortenCutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"", 0, ""}, {"éé", 3, "é…"}, {"éé", 4, "éé"}, {"éé", 1, "…"}, {"日本", 5, "日…"}} {
		same(t, fmt.Sprintf("%q to %d", c.text, c.n), shorten(c.text, c.n), c.want)
	}
}

// portsLittleEndian skips what needs the /proc/net/tcp of a little-endian machine.
func portsLittleEndian(t testing.TB) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the samples of /proc/net/tcp are of a little-endian machine")
	}
}

func TestListenersOfRealTables(t *testing.T) {
	t.Parallel()
	portsLittleEndian(t)
	addr := netip.MustParseAddr
	for name, want := range map[string][]listener{
		"proc-net-tcp-collector.txt": {{addr("127.0.0.1"), 6767, 1000, "323261"}, {addr("127.0.0.1"), 6768, 1000, "323265"}},
		"proc-net-tcp-many.txt": {{addr("127.0.0.1"), 6768, 0, "577919"}, {addr("192.0.2.5"), 7006, 0, "577925"},
			{addr("0.0.0.0"), 6767, 0, "577920"}, {addr("127.0.0.2"), 7005, 0, "577924"}},
		"proc-net-tcp6-many.txt": {{addr("127.0.0.1"), 7003, 0, "577922"}, {addr("::1"), 7004, 0, "577923"}, {addr("::"), 7001, 0, "577921"}},
	} {
		same(t, name, parseProcTCP(strings.NewReader(fakebinText(t, name))), want)
	}
}

func TestListenersLeaveOutWhatIsNoListener(t *testing.T) {
	t.Parallel()
	good := "0: 00000000:1A70 00000000:0000 0A 0:0 0:0 0 7 0 99 1"
	for _, line := range []string{
		"", "sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
		strings.Replace(good, " 0A ", " 01 ", 1), strings.Replace(good, ":1A70", ":1A70F", 1), strings.Replace(good, ":1A70", "", 1),
		strings.Replace(good, "00000000:1A70", "000000:1A70", 1), strings.Replace(good, "00000000:1A70", "0000000G:1A70", 1),
		strings.Replace(good, " 7 ", " seven ", 1), "0: 00000000:1A70 00000000:0000 0A 0:0 0:0 0 7 0",
		strings.Replace(good, "00000000:1A70", strings.Repeat("0", 30)+":1A70", 1), strings.Replace(good, ":1A70", ":", 1),
		strings.Replace(good, "00000000:1A70", "000000000:1A70", 1),
	} {
		same(t, line, parseProcTCP(strings.NewReader(line+"\n")), nil)
	}
	want := []listener{{netip.MustParseAddr("0.0.0.0"), 6768, 7, "99"}}
	for _, text := range []string{"x\n" + good, strings.TrimSuffix(good, " 1"), good + "\n" + strings.Replace(good, " 0A ", " 01 ", 1) + "\n" + good} {
		same(t, text, parseProcTCP(strings.NewReader(text)), want)
	}
}

func FuzzListeners(f *testing.F) {
	for _, name := range []string{"proc-net-tcp-collector.txt", "proc-net-tcp-many.txt", "proc-net-tcp6-many.txt"} {
		f.Add(fakebinText(f, name))
	}
	f.Add("0: 0:0 0 0A 0 0 0 0 0 0")
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range parseProcTCP(strings.NewReader(text)) {
			if l.port < 0 || l.port > 65535 || !l.addr.IsValid() || l.addr.Is4In6() || l.inode == "" {
				t.Errorf("%q: %+v", text, l)
			}
		}
	})
}

// A portsProc is a /proc made by hand.
type portsProc struct {
	procfs
	t    testing.TB
	tcp  string
	tcp6 string
}

func newPortsProc(t testing.TB) *portsProc {
	t.Helper()
	p := &portsProc{procfs{root: t.TempDir(), boot: func() time.Duration { return 10000500 * time.Millisecond }}, t, "  sl  local_address\n", "  sl  local_address\n"}
	p.put("net/tcp", p.tcp)
	return p
}

// parallelProc is the /proc of a test that runs beside others.
func parallelProc(t *testing.T) *portsProc {
	t.Parallel()
	return newPortsProc(t)
}

// since knows the times after the start of a process.
func (p *portsProc) since(pid int) func(time.Time) bool {
	age, _, err := p.facts(context.Background(), pid)
	return startedAfter(age, err)
}

func (p *portsProc) isReplaced(pid int, path string) bool {
	return p.replaced(context.Background(), pid, path, p.since(pid))
}

func (p *portsProc) put(name, text string) {
	p.t.Helper()
	put(p.t, filepath.Join(p.root, name), text, 0o600)
}

func (p *portsProc) link(target, name string) {
	p.t.Helper()
	path := filepath.Join(p.root, name)
	must(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
	os.Remove(path)
	symlink(p.t, target, path)
}

// procTCPLine is a listening socket as /proc/net/tcp shows it: each four bytes of the address as one number of this machine.
func procTCPLine(addr netip.Addr, port, uid, inode int) string {
	raw := addr.AsSlice()
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	return fmt.Sprintf("   0: %X:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000  %4d        0 %d 1 0 100 0 0 10 0\n", raw, port, uid, inode)
}

// listens adds a listening socket.
func (p *portsProc) listens(addr string, port, uid, inode int) {
	p.t.Helper()
	line := procTCPLine(netip.MustParseAddr(addr), port, uid, inode)
	if !strings.Contains(addr, ":") {
		p.tcp += line
		p.put("net/tcp", p.tcp)
	} else {
		p.tcp6 += line
		p.put("net/tcp6", p.tcp6)
	}
}

// process adds a process that has sockets open.
func (p *portsProc) process(pid, parent int, command string, inodes ...int) {
	p.t.Helper()
	dir := strconv.Itoa(pid)
	p.put(dir+"/cmdline", command)
	p.put(dir+"/stat", fmt.Sprintf("%d (a ) R 9 (b) S %d 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 986700 1000000 1525 0 0 0\n", pid, parent))
	p.link("/dev/null", dir+"/fd/0")
	for i, inode := range inodes {
		p.link(fmt.Sprintf("socket:[%d]", inode), fmt.Sprintf("%s/fd/%d", dir, i+3))
	}
}

func (p *portsProc) wantHolders(port, first int, want ...holder) {
	p.t.Helper()
	who := need(p.holders(context.Background(), port))(p.t)
	got := who(first)
	slices.SortFunc(got, func(a, b holder) int { return a.pid - b.pid })
	same(p.t, fmt.Sprintf("port %d", port), got, want)
}

func TestHoldersAreThoseThatAnswerTheLoopbackAddress(t *testing.T) {
	p := parallelProc(t)
	for i, addr := range []string{"127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"} {
		p.listens(addr, 7000+i, 1000, 100+i)
		p.process(500+i, 1, "answers\x00"+addr+"\x00", 100+i)
	}
	for i, addr := range []string{"127.0.0.2", "192.0.2.5", "::1", "fe80::1", "::ffff:192.0.2.5", "1.0.0.127"} {
		p.listens(addr, 7000, 1000, 200+i)
		p.process(600+i, 1, "elsewhere", 200+i)
	}
	for i, addr := range []string{"127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"} {
		p.wantHolders(7000+i, 0, holder{pid: 500 + i, uid: -1, wildcard6: addr == "::"}.runs([]string{"answers", addr}, ""))
	}
	p.wantHolders(7005, 0)
	p.listens("192.0.2.5", 7006, 1000, 300)
	p.process(700, 1, "x", 300)
	p.put("700/status", "Name:\tUid:\nUid:\t1\t1000\t1\t1\nGid:\t5\n")
	p.wantHolders(7006, 0, heldBy(700, "x", func(h *holder) { h.uid, h.elsewhere = 1000, true }))
}

func TestHoldersAreFoundWithoutIPv6AndNotWithoutATable(t *testing.T) {
	p := parallelProc(t)
	p.listens("127.0.0.1", 7000, 1000, 1)
	p.process(5, 1, "x", 1)
	p.wantHolders(7000, 0, heldBy(5, "x"))
	must(t, os.Remove(filepath.Join(p.root, "net/tcp")))
	if _, err := p.holders(context.Background(), 7000); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestTheProcessInQuestionIsTriedFirstAndAlone(t *testing.T) {
	p := parallelProc(t)
	p.listens("127.0.0.1", 7000, 1000, 1)
	p.process(5, 1, "ours", 1)
	p.process(9, 1, "shares it", 1)
	p.wantHolders(7000, 5, heldBy(5, "ours"))
	p.wantHolders(7000, 9, holder{pid: 9, uid: -1}.runs([]string{"shares it"}, ""))
	// a second socket on the port, which it has not
	p.listens("127.0.0.1", 7000, 1000, 2)
	p.process(7, 1, "other", 2)
	p.wantHolders(7000, 5, heldBy(5, "ours"), heldBy(7, "other"))
}

func TestWhoListensOnTheVeryAddressIsTheOneThatAnswers(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"127.0.0.1", "0.0.0.0", "::"}, {"0.0.0.0", "127.0.0.1", "::"}, {"0.0.0.0", "::", "::ffff:127.0.0.1"}} {
		p := newPortsProc(t)
		for i, addr := range order {
			p.listens(addr, 7000, 1000, i+1)
			p.process(10+i, 1, addr, i+1)
		}
		for i, addr := range order {
			if netip.MustParseAddr(addr).Unmap().IsLoopback() {
				p.wantHolders(7000, 0, heldBy(10+i, addr))
			}
		}
	}
}

func TestAHolderThatMayNotBeLookedIntoIsKnownByItsUser(t *testing.T) {
	p := parallelProc(t)
	p.listens("0.0.0.0", 7000, 33, 1)
	p.process(5, 1, "not it", 2)
	p.put("6/cmdline", "without an fd folder")
	p.wantHolders(7000, 0, holder{pid: 0, uid: 33})
	p.wantHolders(7000, 6, holder{pid: 0, uid: 33})
	p.wantHolders(7000, 5, holder{pid: 0, uid: 33})
}

func TestOneHolderOfTwoSocketsIsOneHolder(t *testing.T) {
	p := parallelProc(t)
	p.listens("0.0.0.0", 7000, 1000, 1)
	p.listens("::", 7000, 1000, 2)
	p.process(5, 1, "both", 1, 2)
	p.wantHolders(7000, 0, heldBy(5, "both", func(h *holder) { h.wildcard6 = true }))
	p.wantHolders(7000, 5, heldBy(5, "both", func(h *holder) { h.wildcard6 = true }))
}

func TestHoldersAreFoundAmongManyProcesses(t *testing.T) {
	p := parallelProc(t)
	for port := 7000; port < 7005; port++ {
		p.listens("127.0.0.1", port, 1000, port)
	}
	for pid := 2; pid < 40; pid++ {
		p.process(pid, 1, "idle", pid)
	}
	for i, pid := range []int{2, 3, 17, 38, 39} { // the first, the last, and some between them, whoever of the workers gets them
		p.link(fmt.Sprintf("socket:[%d]", 7000+i), fmt.Sprintf("%d/fd/9", pid))
		p.wantHolders(7000+i, 0, heldBy(pid, "idle"))
	}
}

func TestSocketsAreFoundAmongTheStandardFilesToo(t *testing.T) {
	p := parallelProc(t)
	for i := range 5 {
		p.link(fmt.Sprintf("socket:[%d]", i), fmt.Sprintf("5/fd/%d", i))
	}
	p.link("pipe:[9]", "5/fd/5")
	for standard, want := range map[bool][]string{true: {"socket:[0]", "socket:[1]", "socket:[2]"}, false: {"socket:[3]", "socket:[4]"}} {
		got := p.sockets(5, standard, !standard)
		slices.Sort(got)
		same(t, fmt.Sprintf("standard %t", standard), got, want)
	}
	for fd := range 3 {
		pid := 10 + fd
		p.listens("127.0.0.1", 7000+fd, 1000, 100+fd)
		p.link("/dev/null", fmt.Sprintf("%d/fd/7", pid))
		p.link(fmt.Sprintf("socket:[%d]", 100+fd), fmt.Sprintf("%d/fd/%d", pid, fd))
		for _, first := range []int{0, pid} {
			p.wantHolders(7000+fd, first, holder{pid: pid, uid: -1})
		}
	}
}

func TestTheUnitThatAProcessIsPartOf(t *testing.T) {
	p := parallelProc(t)
	for text, want := range map[string]string{
		"0::/system.slice/nginx.service\n":                                                             "nginx.service of the system",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/rs.service\n":                      "rs.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/rs.service/payload\n":              "rs.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/_cpu.service\n":                    "cpu.service",
		"12:pids:/elsewhere\n1:name=systemd:/system.slice/nginx.service\n0::/system.slice/x.service\n": "nginx.service of the system",
		"0::/user.slice/user-1000.slice/user@1000.service\n":                                           "",
		"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n":                                "",
		"0::/user.slice/user-1000.slice/session-2.scope\n":                                             "",
		"0::/\n": "",
		"":       "",
	} {
		p.put("5/cgroup", text)
		got, system := p.unit(5)
		if system {
			got += " of the system"
		}
		same(t, text, got, want)
	}
	if got, _ := p.unit(6); got != "" {
		t.Errorf("of a process that is gone: %q", got)
	}
	p.listens("0.0.0.0", 7000, 1000, 1)
	p.process(7, 1, "nginx", 1)
	p.put("7/cgroup", "0::/system.slice/nginx.service\n")
	p.wantHolders(7000, 0, heldBy(7, "nginx", func(h *holder) { h.unit, h.system = "nginx.service", true }))
}

func TestTheUnitOfAHolderIsTheAdviceOnlyWhereItIsItsMainProcess(t *testing.T) {
	p := parallelProc(t)
	const ask, askSockets = "systemctl --user show -p MainPID,UnitFileState,TriggeredBy ", "systemctl --user show -p Id,Listen,ActiveState,UnitFileState *.socket"
	for _, c := range []struct{ unit, command, answer, stop string }{
		{"rs.service", "collector-server", "MainPID=7\nUnitFileState=disabled\nTriggeredBy=\n", "systemctl --user stop rs.service"},
		{"rs.service", "collector-server", "MainPID=7\nUnitFileState=enabled\nTriggeredBy=\n", "systemctl --user disable --now rs.service"},
		{"rs.service", "collector-server", "MainPID=7\nUnitFileState=static\nTriggeredBy=rs.socket\n", "systemctl --user disable --now rs.socket rs.service"},
		{`a\x20b.service`, "collector-server", "MainPID=7\nUnitFileState=transient\n", `systemctl --user stop 'a\x20b.service'`},
		{"emacs.service", "collector-server", "MainPID=6\nUnitFileState=enabled\n", ""},
		{"homebrew.runtimescope.service", "collector-server", "MainPID=7\nUnitFileState=enabled\n", "brew services stop runtimescope"},
		{"homebrew.mxcl.rs@2.service", "collector-server", "MainPID=7\nUnitFileState=linked\n", "brew services stop rs@2"},
		{"homebrew.emacs.service", "collector-server", "MainPID=6\n", ""},
		{"rs.service", "collector-server", "", ""},
		{"code.service", "runtimescope\x00mcp", "MainPID=7\n", ""},
		{"init.scope", "/lib/systemd/systemd\x00--user", "Id=a.socket\nListen=[::]:7000 (Stream)\nActiveState=inactive\n\nListen=/run/x (Stream)\nListen=[::]:7000 (Stream)\nId=b.socket\nActiveState=active\nUnitFileState=enabled\n", "systemctl --user disable --now b.socket"},
		{"init.scope", "/lib/systemd/systemd\x00--user", "Id=a.socket\nListen=[::]:70000 (Stream)\nActiveState=active\n", ""},
	} {
		p.process(7, 1, c.command)
		p.put("7/cgroup", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/"+c.unit+"\n")
		run := planRunner{calls: new([]string), outputs: map[string]string{ask + c.unit: c.answer, askSockets: c.answer}}
		same(t, fmt.Sprintf("%s of %s", c.command, c.unit), p.describe(context.Background(), run, 7000, p.holder(7)).stop, c.stop)
	}
	run := planRunner{calls: new([]string), outputs: map[string]string{
		"systemctl show -p Id,Listen,ActiveState,UnitFileState *.socket": "Id=web.socket\nListen=127.0.0.1:7000 (Stream)\nActiveState=active\nUnitFileState=enabled\n"}}
	if h := p.describe(context.Background(), run, 7000, holder{}); h.unit != "web.socket" || h.stop != "sudo systemctl disable --now web.socket" {
		t.Errorf("a socket of the system: %+v", h)
	}
}

func TestTheEnvironmentThatAProcessWasStartedWith(t *testing.T) {
	p := parallelProc(t)
	for text, want := range map[string][]string{"A=1\x00B=two words\x00": {"A=1", "B=two words"}, "A=1": {"A=1"}, "": nil} {
		p.put("5/environ", text)
		same(t, text, p.environ(5), want)
	}
	if got := p.environ(6); got != nil {
		t.Errorf("of a process that is gone: %q", got)
	}
	if got := (lsofTable{}).environ(5); got != nil {
		t.Errorf("on macOS: %q", got)
	}
}

func TestAProcessBelongsToTheServiceByItsPIDItsCgroupOrItsAncestors(t *testing.T) {
	p := parallelProc(t)
	for pid, parent := range map[int]int{10: 1, 11: 10, 12: 11, 20: 1, 30: 31, 31: 30, 40: 1, 41: 1, 42: 1, 43: 1} {
		p.process(pid, parent, "x")
	}
	const ours = "/user.slice/app.slice/runtimescope.service"
	p.put("40/cgroup", "0::"+ours+"\n")
	p.put("41/cgroup", "12:pids:/elsewhere\n1:name=systemd:"+ours+"/sub\n0::/elsewhere\n")
	p.put("42/cgroup", "0::"+ours+"2\n0::/x"+ours+"\n"+ours+"\n")
	p.put("43/cgroup", "0::/with:colons"+ours+"\n")
	p.put("50/stat", "50 (x) S 10 1\n") // torn
	p.put("51/stat", "51 (x) S ten 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 986700 1000000 1525 0 0 0\n")
	p.put("60/stat", "60 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 986699 1000000 1525 0 0 0\n")
	p.put("60/cgroup", "0::"+ours+"\n")
	p.put("61/cgroup", "0::"+ours+"\n") // gone since
	p.put("1/stat", "1 (init) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 1000000 1525 0 0 0\n")
	for _, c := range []struct {
		pid  int
		s    state
		want bool
	}{
		{10, state{pid: 10}, true},
		{11, state{pid: 10}, true},
		{12, state{pid: 10}, true},
		{10, state{pid: 11}, false},
		{20, state{pid: 10}, false},
		{30, state{pid: 10}, false}, // a loop
		{30, state{pid: 31}, true},
		{99, state{pid: 10}, false},
		{50, state{pid: 10}, false},
		{51, state{pid: 10}, false},
		{10, state{}, false},
		{0, state{}, false},
		{0, state{pid: 10}, false},
		{1, state{pid: 10}, false},
		{20, state{pid: 1}, true},
		{40, state{cgroup: ours, pid: 2}, true},
		{41, state{cgroup: ours, pid: 2}, true},
		{42, state{cgroup: ours, pid: 2}, false},
		{43, state{cgroup: "/with:colons" + ours, pid: 2}, true},
		{40, state{cgroup: ours}, false}, // nothing of it is to run
		{40, state{cgroup: ours, phase: running}, true},
		{40, state{cgroup: ours, phase: starting}, true},
		{40, state{cgroup: ours, phase: stopped, ending: true}, true},
		{40, state{cgroup: ours, phase: crashLooping}, false},
		{42, state{cgroup: ours, phase: running}, false},
		{20, state{phase: running}, false},
		{60, state{cgroup: ours, pid: 10}, false}, // left behind by an earlier start
		{60, state{cgroup: ours, pid: 60}, true},
		{61, state{cgroup: ours, pid: 10}, true},
		{10, state{cgroup: ours, pid: 60}, false},
		{40, state{pid: 10}, false},
		{40, state{cgroup: ours, pid: 10}, true},
		{12, state{cgroup: ours, pid: 10}, true},
		{20, state{cgroup: ours}, false},
		{0, state{cgroup: ours}, false},
	} {
		same(t, fmt.Sprintf("%d to %d %q", c.pid, c.s.pid, c.s.cgroup), p.belongs(context.Background(), c.pid, c.s), c.want)
	}
}

func TestADistantDescendantBelongsAndAnEndlessChainEnds(t *testing.T) {
	p := parallelProc(t)
	for pid := 3; pid <= 70; pid++ {
		p.put(fmt.Sprintf("%d/stat", pid), fmt.Sprintf("%d (x) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 986700 1000000 1525 0 0 0", pid, pid-1))
	}
	if !p.belongs(context.Background(), 66, state{pid: 2}) || p.belongs(context.Background(), 67, state{pid: 2}) {
		t.Error("the chain is not followed for 64 steps")
	}
}

func TestFactsOfAProcess(t *testing.T) {
	p := parallelProc(t)
	p.process(5, 1, "x")
	age, memory, err := p.facts(context.Background(), 5)
	if age != 133500*time.Millisecond || memory != 1525*int64(os.Getpagesize()) || err != nil {
		t.Errorf("got %s, %d, %v", age, memory, err)
	}
	p.put("8/stat", "8 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 986700 1000000 1525")
	if _, memory, err := p.facts(context.Background(), 8); memory != 1525*int64(os.Getpagesize()) || err != nil {
		t.Errorf("as many fields as are needed: %d, %v", memory, err)
	}
	p.put("9/stat", "9 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4300000000 1000000 1525") // 497 days after the boot
	if !p.startedBefore(5, 9) || p.startedBefore(9, 5) {
		t.Error("a start that 32 bits do not hold")
	}
	if age, _, err := p.facts(context.Background(), 9); errText(err) != "cannot tell how long process 9 has been running" {
		t.Errorf("started later than now: got %s, %v", age, err)
	}
	p.boot = func() time.Duration { return 43_000_001 * time.Second }
	if age, _, err := p.facts(context.Background(), 9); age != time.Second || err != nil {
		t.Errorf("got %s, %v", age, err)
	}
	if _, _, err := p.facts(context.Background(), 6); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{"", "7", "7 (x) S 1 2 3", "7 x S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1"} {
		p.put("7/stat", text)
		if _, _, err := p.facts(context.Background(), 7); errText(err) != "cannot read the stat of process 7" {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestAReplacedProgramIsSeen(t *testing.T) {
	p := parallelProc(t)
	dir := t.TempDir()
	write := func(name string) string {
		path := filepath.Join(dir, name)
		put(t, path, name, 0o755)
		return path
	}
	now, sh := write("1.1/collector-server"), write("bin/sh")
	p.process(5, 1, "x") // 133 seconds old, and all these files are younger
	young, old := 133500*time.Millisecond, 0*time.Second
	aged := func(age time.Duration) { p.boot = func() time.Duration { return 9867*time.Second + age } }
	for _, c := range []struct {
		what, exe, path string
		age             time.Duration
		want            bool
	}{
		{"the same file", now, now, young, false},
		{"another of the same place, as Linux names it", write("1.1/collector-server (deleted)"), now, old, true},
		{"a program that a wrapper of its name has become", write("1.0/collector-server"), now, old, false},
		{"such a program, its wrapper changed", write("1.0/collector-server"), now, young, true},
		{"such a program, replaced", write("1.0/collector-server (deleted)"), now, old, true},
		{"a script, changed", sh, now, young, true},
		{"a script, not changed", sh, now, old, false},
		{"a program that is gone", now, filepath.Join(dir, "none"), young, false},
		{"a program that was removed", write("1.0/collector-server (deleted)"), filepath.Join(dir, "none"), young, false},
		{"an unknown program", filepath.Join(dir, "none"), now, young, false},
	} {
		aged(c.age)
		os.Remove(filepath.Join(p.root, "5/exe"))
		p.link(c.exe, "5/exe")
		same(t, c.what, p.isReplaced(5, c.path), c.want)
	}
	// through the link of a package manager, which goes from one version to the next
	link := filepath.Join(dir, "collector")
	must(t, os.Symlink(now, link))
	for exe, want := range map[string]bool{now: false, filepath.Join(dir, "1.0/collector-server"): true, sh: true} {
		os.Remove(filepath.Join(p.root, "5/exe"))
		p.link(exe, "5/exe")
		for age, want := range map[time.Duration]bool{young: want, old: false} {
			aged(age)
			same(t, fmt.Sprintf("%s through a link", exe), p.isReplaced(5, link), want)
		}
	}
	if p.isReplaced(6, now) {
		t.Error("a process that is gone runs a replaced program")
	}
}

// ownByteOrder skips where /proc/net/tcp is in the byte order of another processor, as under an emulator.
func ownByteOrder(t *testing.T) {
	t.Helper()
	listener := need(net.Listen("tcp4", "127.0.0.1:0"))(t)
	defer listener.Close()
	little := fmt.Sprintf("0100007F:%04X", listener.Addr().(*net.TCPAddr).Port)
	if table, _ := os.ReadFile("/proc/net/tcp"); binary.NativeEndian.Uint16([]byte{0, 1}) == 1 && strings.Contains(string(table), little) {
		t.Skip("this /proc/net/tcp is in the byte order of another processor, as under an emulator")
	}
}

// wholeTimes skips where an emulator cuts off the times of files.
func wholeTimes(t *testing.T) {
	t.Helper()
	path := logsFile(t, "")
	info := need(os.Stat(path))(t)
	if birth(path, info).Nanosecond() != 0 && changeTime(info).Nanosecond() == 0 {
		t.Skip("the times of files are cut off here, as an emulator does")
	}
}

func TestWhatCountsAsAChangeOfAFile(t *testing.T) {
	t.Parallel()
	wholeTimes(t)
	p, dir := newPortsProc(t), t.TempDir()
	p.process(5, 1, "x")
	file := filepath.Join(dir, "file")
	hour := time.Hour
	write := func(path string, times time.Time) {
		put(t, path, "x", 0o755)
		must(t, os.Chtimes(path, times, times))
	}
	pass := func() { // longer than ages are known to
		for began := time.Now(); time.Since(began) < 50*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		}
	}
	for _, c := range []struct {
		what string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"the time of a server whose clock is ahead", func() { must(t, os.Chtimes(file, time.Now().Add(hour), time.Now().Add(hour))) }, false},
		{"the mode", func() { must(t, os.Chmod(file, 0o700)) }, false},
		{"the owner", func() { must(t, os.Chown(file, os.Getuid(), os.Getgid())) }, false},
		{"another name", func() { must(t, os.Link(file, file+"3")); must(t, os.Remove(file+"3")) }, false},
		{"made anew with an old time, as tar does it", func() { must(t, os.Remove(file)); write(file, time.Now().Add(-hour)) }, true},
		{"renamed over it with an old time, as dpkg does it", func() { write(file+"2", time.Now().Add(-hour)); must(t, os.Rename(file+"2", file)) }, true},
		{"written in place", func() { put(t, file, "y", 0o755) }, true},
	} {
		write(file, time.Now().Add(-hour))
		info := need(os.Stat(file))(t)
		if !c.want && birth(file, info).IsZero() {
			continue // a file system that does not keep it: then every change counts
		}
		pass()
		began := time.Now()
		p.boot = func() time.Duration { return 9867*time.Second + time.Since(began) }
		pass()
		c.do()
		same(t, c.what, changed(file, p.since(5)), c.want)
	}
}

func TestALinkOnTheWayToAProgramCountsAsItsChange(t *testing.T) {
	t.Parallel()
	needsLinks(t)
	wholeTimes(t)
	var dir string
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	file := func(name string) func() error {
		return func() error { return os.WriteFile(at(name), []byte(name), 0o755) }
	}
	relative := func(target, name string) func() error {
		return func() error { return os.Symlink(target, at(name)) }
	}
	absolute := func(target, name string) func() error {
		return func() error { return os.Symlink(at(target), at(name)) }
	}
	steps := map[string]func() error{
		"1.0/collector-server": file("1.0/collector-server"),
		"1.0/unused":           file("1.0/unused"),
		"current":              relative("1.0", "current"),
		"hop/alternative":      relative("../current/collector-server", "hop/alternative"),
		"bin":                  absolute("hop", "bin"),
		"link":                 absolute("bin/alternative", "link"),
		"lin":                  relative("1.0/unused", "lin"), // is not on the way
	}
	unused := []string{"1.0/unused", "lin"}
	for last := range steps {
		dir = t.TempDir()
		for _, folder := range []string{"1.0", "hop"} {
			must(t, os.Mkdir(at(folder), 0o755))
		}
		for name, make := range steps {
			if name == last {
				continue
			}
			must(t, make())
		}
		changed := func(name string) time.Time {
			info := need(os.Lstat(at(name)))(t)
			return changeTime(info)
		}
		var others time.Time
		for name := range steps {
			if name != last && !slices.Contains(unused, name) && changed(name).After(others) {
				others = changed(name)
			}
		}
		for { // the clock of a file system has ticks
			must(t, steps[last]())
			if changed(last).After(others) {
				break
			}
			os.Remove(at(last))
			time.Sleep(time.Millisecond)
		}
		want := changed(last)
		if slices.Contains(unused, last) {
			want = others
		}
		if got := slices.MaxFunc(changes(at("link")), time.Time.Compare); !got.Equal(want) {
			t.Errorf("%s: got %s, want %s", last, got, want)
		}
	}
}

func TestLinksThatLeadRoundAndRoundAreFollowedForAWhile(t *testing.T) {
	t.Parallel()
	dir := need(filepath.EvalSymlinks(t.TempDir()))(t) // on macOS it lies behind a link
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for from, to := range map[string]string{a: b, b: a, filepath.Join(dir, "c"): "c/c"} {
		symlink(t, to, from)
	}
	for _, path := range []string{a, filepath.Join(dir, "c")} {
		if len(changes(path)) == 0 {
			t.Errorf("%s: the links are not seen", path)
		}
	}
	for _, path := range []string{"", filepath.Join(dir, "none")} {
		same(t, path, changes(path), nil)
	}
}

func TestHoldersThroughLsofAndPs(t *testing.T) {
	t.Parallel()
	const lsof = "lsof -nP -iTCP:7001 -sTCP:LISTEN -Fpun"
	forked := []holder{holder{pid: 7793}.runs([]string{"/x/parent", "--flag"}, ""), {pid: 7896}}
	for _, c := range []struct {
		what, out string
		err       error
		want      []holder
		wantErr   bool
	}{
		{"two processes", fakebinText(t, "lsof-listen-forked.txt"), nil, forked, false},
		{"nobody", "", planFailed(1, "", "lsof"), nil, false},
		{"nobody, in a blank line", "\n", planFailed(1, "", "lsof"), nil, false},
		{"a part of the answer", fakebinText(t, "lsof-listen-forked.txt"), planFailed(1, "lsof: WARNING: can't stat()", "lsof"), forked, false},
		{"a failure", "", planFailed(2, "", "lsof"), nil, true},
		{"no lsof", "", planFailed(-1, "", "lsof"), nil, true},
	} {
		var calls []string
		run := planRunner{calls: &calls, answers: map[string]error{lsof: c.err, "ps -o command= -p 7896": planFailed(1, "", "ps")},
			outputs: map[string]string{lsof: c.out, "ps -o command= -p 7793": "/x/parent --flag\n"}}
		who, err := lsofTable{run: run}.holders(context.Background(), 7001)
		if (err != nil) != c.wantErr {
			t.Errorf("%s: %v", c.what, err)
		}
		if err == nil && !slices.Equal(who(5), c.want) {
			t.Errorf("%s: got %v", c.what, who(5))
		}
		want := []string{lsof}
		for _, h := range c.want {
			want = append(want, fmt.Sprintf("ps -o command= -p %d", h.pid))
		}
		same(t, fmt.Sprintf("%s: ran", c.what), calls, want)
	}
}

func TestAPortThatAnswersThoughLsofSeesNobodyIsHeld(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		seen    []string // what lsof says, look by look
		answers bool
		want    []holder
	}{
		"nobody":                         {[]string{""}, false, nil},
		"another user's":                 {[]string{"", ""}, true, []holder{{uid: -1}}},
		"ours, since the first look":     {[]string{"", "p5\nu501\nn*:7001\n"}, true, []holder{{pid: 5, uid: 501}}},
		"elsewhere":                      {[]string{"p5\nu501\nn192.0.2.5:7001\n"}, false, []holder{{pid: 5, uid: 501, elsewhere: true}}},
		"elsewhere, and another user's":  {[]string{"p5\nu501\nn192.0.2.5:7001\n", "p5\nu501\nn192.0.2.5:7001\n"}, true, []holder{{uid: -1}}},
		"elsewhere, and here":            {[]string{"p5\nu501\nn192.0.2.5:7001\np6\nu501\nn*:7001\n"}, true, []holder{{pid: 6, uid: 501}}},
		"ours, and it need not be asked": {[]string{"p5\nu501\nn*:7001\n"}, true, []holder{{pid: 5, uid: 501}}},
	} {
		looks := 0
		run := answering(func(argv []string) string {
			if argv[0] != "lsof" {
				return ""
			}
			looks++
			return c.seen[looks-1]
		})
		who, err := lsofTable{run: run, answers: func(int) bool { return c.answers }}.holders(context.Background(), 7001)
		if err != nil || !slices.Equal(who(0), c.want) || looks != len(c.seen) {
			t.Errorf("%s: got %v, %v after %d looks", what, who(0), err, looks)
		}
	}
}

// An answering runner says what a function says, and never fails.
type answering func(argv []string) string

func (r answering) Run(_ context.Context, argv ...string) (string, error) { return r(argv), nil }
func (r answering) Start(bond, io.Writer, io.Writer, []string, ...string) (process, error) {
	return nil, errors.New("nothing is started here")
}

func TestWhatLsofSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		out  string
		want []holder
	}{
		{fakebinText(t, "lsof-listen-loopback.txt"), []holder{{pid: 7793, uid: 0}}},
		{fakebinText(t, "lsof-listen-wildcard.txt"), []holder{{pid: 7793, uid: 0}}},
		{fakebinText(t, "lsof-listen-v6-loopback.txt"), []holder{{pid: 7793, elsewhere: true}}},
		{fakebinText(t, "lsof-listen-forked.txt"), []holder{{pid: 7793, uid: 0}, {pid: 7896, uid: 0}}},
		{"p5\nu501\nf7\nn192.0.2.5:6768\np6\nn[::]:6768\n", []holder{{pid: 5, uid: 501, elsewhere: true}, {pid: 6, uid: -1}}},
		{"p5\nu501\nn192.0.2.5:6768\nn*:6768\nn[fe80::1%en0]:6768\n", []holder{{pid: 5, uid: 501}}},
		{"p5\nu501\nn[::ffff:127.0.0.1]:6768\nn127.0.0.1:6768\n", []holder{{pid: 5, uid: 501}}},
		{"p5\nux\nn*:6768\n", []holder{{pid: 5, uid: -1}}},
		{"n*:6768\npx\nn*:6768\np0\nn*:6768\np-5\nn*:6768\n", nil},
		{"p5\nn\nn:\nn*\nnhost:6768\nn127.0.0.1\n", nil},
		{"", nil},
	} {
		same(t, c.out, parseLsof(c.out), c.want)
	}
}

func FuzzWhatLsofSays(f *testing.F) {
	for _, name := range []string{"loopback", "wildcard", "v6-loopback", "forked"} {
		f.Add(fakebinText(f, "lsof-listen-"+name+".txt"))
	}
	f.Add("p5\nn:\nn")
	f.Fuzz(func(t *testing.T, out string) {
		seen := map[int]bool{}
		for _, h := range parseLsof(out) {
			if h.pid <= 0 || seen[h.pid] || h.command != "" {
				t.Errorf("%q: %+v", out, h)
			}
			seen[h.pid] = true
		}
	})
}

func FuzzWhatPsSays(f *testing.F) {
	for _, text := range []string{"00:05", "3-04:05:06", "10-00:00:00", "4294967295-00:00:00", "    1     0 /sbin/launchd\n   10     1 a b\n", "5 5 5\n\n 6\n", "99999999999999999999 1 x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseElapsed(text); d < 0 || err != nil && d != 0 {
			t.Errorf("%q: elapsed are %s, %v", text, d, err)
		}
		up := lsofTable{run: planRunner{outputs: map[string]string{"ps -axo pid=,ppid=,command=": text}}}.parents(t.Context())
		for pid := range 20 {
			if h := up(pid); strings.ContainsAny(h.command, "\n\x1b") {
				t.Errorf("%q: %+v", text, h)
			}
		}
		if at, err := parseKinfoProc([]byte(text), 5); err == nil && len(text) != kinfoProcSize {
			t.Errorf("%q: started at %s", text, at)
		}
	})
}

func FuzzWhatProcSaysOfAProcess(f *testing.F) {
	f.Add("5 (a) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 986700 1000000 1525 0 0 0", "0::/user.slice/user@1000.service/app.slice/x.service\n", "node\x00/a/b.js\x00run\x00")
	f.Add("5 (a) b) S", "12:pids:/_x.service\n::\n0::\n", "\x00\x00")
	f.Add(") S -1 - - - - - - - - - - - - - - - - - -986700 x 99999999999999999999", "0::/.service/../user@.service", "sh\x00-c\x00x\x1b[2J\n")
	p := newPortsProc(f)
	f.Fuzz(func(t *testing.T, stat, cgroup, cmdline string) {
		for name, text := range map[string]string{"5/stat": stat, "5/cgroup": cgroup, "5/cmdline": cmdline} {
			put(t, filepath.Join(p.root, name), text, 0o600)
		}
		if h := p.holder(5); strings.ContainsAny(h.command, "\n\x1b") || h.unit != "" && (!strings.HasSuffix(h.unit, ".service") || strings.Contains(h.unit, "/")) {
			t.Errorf("%q %q: %+v", cgroup, cmdline, h)
		}
		if age, _, err := p.facts(t.Context(), 5); age < 0 || err != nil && age != 0 {
			t.Errorf("%q: %s, %v", stat, age, err)
		}
		p.parent(5)
	})
}

func TestAProcessOfMacOSBelongsByItsAncestors(t *testing.T) {
	t.Parallel()
	const ps = "ps -axo pid=,ppid=,command="
	run := planRunner{outputs: map[string]string{ps: "    1     0\n   10     1\n   11    10\n   12 11\nodd line here\n   20     1\n   30    31\n   31    30\n"}}
	for _, c := range []struct {
		pid  int
		s    state
		want bool
	}{
		{10, state{pid: 10}, true}, {11, state{pid: 10}, true}, {12, state{pid: 10}, true}, {10, state{pid: 11}, false}, {20, state{pid: 10}, false},
		{30, state{pid: 10}, false}, {99, state{pid: 10}, false}, {10, state{}, false}, {0, state{}, false}, {0, state{pid: 10}, false},
	} {
		same(t, fmt.Sprintf("%d to %d", c.pid, c.s.pid), (lsofTable{run: run}).belongs(context.Background(), c.pid, c.s), c.want)
	}
	run.answers = map[string]error{ps: planFailed(1, "", "ps")}
	if (lsofTable{run: run}).belongs(context.Background(), 11, state{pid: 10}) {
		t.Error("it belongs though ps failed")
	}
	if !(lsofTable{run: run}).belongs(context.Background(), 10, state{pid: 10}) {
		t.Error("the service itself does not belong to it")
	}
	chain := ""
	for pid := 3; pid <= 70; pid++ {
		chain += fmt.Sprintf("%d %d\n", pid, pid-1)
	}
	run = planRunner{outputs: map[string]string{ps: chain}}
	if !(lsofTable{run: run}).belongs(context.Background(), 66, state{pid: 2}) || (lsofTable{run: run}).belongs(context.Background(), 67, state{pid: 2}) {
		t.Error("the chain is not followed for 64 steps")
	}
}

func TestFactsOfAProcessThroughPs(t *testing.T) {
	t.Parallel()
	const etime, rss = "ps -o etime= -p 5", "ps -o rss= -p 5"
	for _, c := range []struct {
		age, memory string
		wantAge     time.Duration
		wantMemory  int64
		says        string
	}{
		{"   02:13\n", "  62464\n", 132 * time.Second, 63963136, ""},
		{"1-00:00:01\n", "1", 24 * time.Hour, 1024, ""},
		{"00:00\n", "1", 0, 1024, ""},
		{"02:13", "", 132 * time.Second, 0, ""}, // "ps: rss: requires entitlement"
		{"", "62464", 0, 63963136, "ps: exit status 1"},
		{"x\n", "5", 0, 5120, `ps: no elapsed time: "x"`},
		{"\n", "5", 0, 5120, `ps: no elapsed time: ""`},
	} {
		run := planRunner{answers: map[string]error{}, outputs: map[string]string{etime: c.age, rss: c.memory}}
		for call, text := range run.outputs {
			if text == "" {
				run.answers[call] = planFailed(1, "", "ps")
			}
		}
		age, memory, err := lsofTable{run: run}.facts(context.Background(), 5)
		if age != c.wantAge || memory != c.wantMemory || errText(err) != c.says {
			t.Errorf("%q %q: got %s, %d, %v", c.age, c.memory, age, memory, err)
		}
		kernel := func(int) (time.Time, error) { return time.Now().Add(-time.Hour), nil }
		if age, memory, err := (lsofTable{run: run, started: kernel}).facts(context.Background(), 5); age.Round(time.Minute) != time.Hour || memory != c.wantMemory || err != nil {
			t.Errorf("with a kernel that tells: got %s, %d, %v", age, memory, err)
		}
		refuses := func(int) (time.Time, error) { return time.Time{}, os.ErrPermission }
		if age, _, err := (lsofTable{run: run, started: refuses}).facts(context.Background(), 5); age != c.wantAge || errText(err) != c.says {
			t.Errorf("with a kernel that refuses: got %s, %v", age, err)
		}
	}
}

func TestWhatTheKernelOfMacOSSaysOfAProcess(t *testing.T) {
	t.Parallel()
	same(t, "it asks", kernProcPID(4242), []int32{1, 14, 1, 4242})
	raw := make([]byte, kinfoProcSize)
	copy(raw, "\x80\x43\x6d\x69\x00\x00\x00\x00\x40\xe2\x01\x00\xff\xff\xff\xff") // 123456 microseconds; then padding
	copy(raw[40:], "\x92\x10\x00\x00")
	if at, err := parseKinfoProc(raw, 4242); !at.Equal(time.Unix(0x696d4380, 123456000)) || err != nil {
		t.Errorf("got %s, %v", at, err)
	}
	for _, bad := range [][]byte{nil, raw[:647], make([]byte, kinfoProcSize)} {
		if _, err := parseKinfoProc(bad, 4242); errText(err) != "the kernel has no entry for process 4242" {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

func TestElapsedTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"00:05": 5 * time.Second, "02:13": 133 * time.Second, "59:59": 3599 * time.Second, "01:02:03": 3723 * time.Second,
		"3-04:05:06": 3*24*time.Hour + 4*time.Hour + 5*time.Minute + 6*time.Second, "10-00:00:00": 240 * time.Hour, "07": 7 * time.Second,
	} {
		same(t, text, need(parseElapsed(text))(t), want)
	}
	for _, text := range []string{"", "x", "1:x", "x:1", "x-1:2:3", "-5:00", "1-", "1-2:3:x", ":", "1::2", "::::", "1 2"} {
		if got, err := parseElapsed(text); got != 0 || errText(err) != fmt.Sprintf("ps: no elapsed time: %q", text) {
			t.Errorf("%q: got %s, %v", text, got, err)
		}
	}
}

func TestAReplacedProgramIsSeenThroughLsof(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "collector-server"), filepath.Join(dir, "link")
	put(t, path, "", 0o755)
	symlink(t, path, link)
	info := need(os.Stat(path))(t)
	if inode(info) == "" {
		t.Skip("files have no inode number on", runtime.GOOS)
	}
	const lsof, ps = "lsof -a -p 5 -d txt -Fin", "ps -o etime= -p 5"
	for _, c := range []struct {
		what, out, age, path string
		err                  error
		want                 bool
	}{
		{"the same", "p5\nftxt\ni" + inode(info) + "\nn" + path + "\ni7\nn/usr/lib/dyld\n", "01:00:00", path, nil, false},
		{"the same through a link", "p5\ni" + inode(info) + "\nn" + path + "\n", "01:00:00", link, nil, false},
		{"another inode", "p5\nftxt\ni1\nn" + path + "\ni" + inode(info) + "\nn/usr/lib/dyld\n", "00:00", path, nil, true},
		{"no inode", "p5\nn" + path + "\n", "01:00:00", path, nil, false},
		{"a script, changed", "p5\ni1\nn/bin/sh\n", "01:00:00", path, nil, true},
		{"a script, not changed", "p5\ni1\nn/bin/sh\n", "00:00", path, nil, false},
		{"a script, not changed, and ps is one second too far", "p5\ni1\nn/bin/sh\n", "00:01", path, nil, false},
		{"lsof failed, changed", "", "01:00:00", path, planFailed(1, "", "lsof"), true},
		{"lsof failed, not changed", "", "00:00", path, planFailed(1, "", "lsof"), false},
		{"neither lsof nor ps", "", "", path, planFailed(1, "", "lsof"), false},
		{"the program is gone", "p5\ni1\nn" + path + "\n", "01:00:00", filepath.Join(dir, "none"), nil, false},
	} {
		table := lsofTable{run: planRunner{answers: map[string]error{lsof: c.err}, outputs: map[string]string{lsof: c.out, ps: c.age}}}
		age, _, err := table.facts(context.Background(), 5)
		same(t, c.what, table.replaced(context.Background(), 5, c.path, startedAfter(age, err)), c.want)
	}
}

// BenchmarkOwnerOfAPort finds who holds a port among so many processes, each with a few sockets open. Their /proc is a
// folder on a disk here, which is slower than the real one: it says how the time grows, not what it is.
func BenchmarkOwnerOfAPort(b *testing.B) {
	for _, count := range []int{100, 5000} {
		b.Run(fmt.Sprintf("%d_processes", count), func(b *testing.B) {
			p := newPortsProc(b)
			for port := range 50 {
				p.listens("127.0.0.1", 7000+port, 1000, 900000+port)
			}
			for pid := 2; pid < 2+count; pid++ {
				p.process(pid, 1, "x", 10*pid, 10*pid+1, 10*pid+2, 10*pid+3)
			}
			p.link("socket:[900049]", "2/fd/9") // of the process that is looked into last
			for b.Loop() {
				who := need(p.holders(b.Context(), 7049))(b)
				if found := who(0); len(found) != 1 || found[0].pid != 2 {
					b.Fatalf("found %v", found)
				}
			}
		})
	}
}

// BenchmarkLastLines reads the last 50 lines of a log of 5 KB and of one of 5 GB.
func BenchmarkLastLines(b *testing.B) {
	tail := strings.Repeat(strings.Repeat("x", 79)+"\n", 64)
	for _, size := range []int64{int64(len(tail)), 5 << 30} {
		b.Run(fmt.Sprintf("%d_bytes", size), func(b *testing.B) {
			if runtime.GOOS == "windows" && size > 1<<20 {
				b.Skip("a file with a hole takes its whole size here")
			}
			path := logsFile(b, tail)
			file := need(os.OpenFile(path, os.O_WRONLY, 0))(b)
			defer file.Close()
			if _, err := file.WriteAt([]byte(tail), size-int64(len(tail))); err != nil {
				b.Skip("no file with a hole here:", err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if lines, err := lastLines(path, 0, 50); err != nil || len(lines) != 50 {
					b.Fatalf("%d lines, %v", len(lines), err)
				}
			}
		})
	}
}

// BenchmarkProbe asks /readyz of a server beside it.
func BenchmarkProbe(b *testing.B) {
	w := patient()
	port := readyzServer(b, func(answer http.ResponseWriter, _ *http.Request) { answer.Write([]byte(`{"status":"ready"}`)) })
	for b.Loop() {
		must(b, w.probe(b.Context(), port))
	}
}

// BenchmarkStateOfAUnit reads what systemctl says of a running service.
func BenchmarkStateOfAUnit(b *testing.B) {
	text := readDoc(b, "testdata/fakebin/systemctl-show-running.txt")
	for b.Loop() {
		if s, err := parseUnitState(text); err != nil || s.phase != running {
			b.Fatalf("%v, %v", s.phase, err)
		}
	}
}

func TestAFolderThatOnlyThisShellSeesIsTold(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "its paths are no mount points of Linux")
	root := t.TempDir()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	const base = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 8:2 /vol /home rw - ext4 /dev/sda2 rw\n"
	escaped := strings.ReplaceAll(folder, " ", `\040`)
	put(t, filepath.Join(root, "7/stat"), "7 (collector) S 5"+strings.Repeat(" 0", 20), 0o644)
	put(t, filepath.Join(root, "5/mountinfo"), base, 0o644)
	for _, c := range []struct {
		what, own string
		want      bool
	}{
		{"the same", base, false},
		{"the same by another way", base + "30 21 8:1 " + escaped + " " + escaped + " rw - ext4 /dev/sda1 rw\n", false},
		{"a file system of its own", base + "30 21 0:50 / " + escaped + " rw - tmpfs none rw\n", true},
		{"another folder there", base + "30 21 8:1 /other " + escaped + " rw - ext4 /dev/sda1 rw\n", true},
		{"beside it", base + "30 21 0:50 / " + escaped + "2 rw - tmpfs none rw\n", false},
		{"cannot be told", "", false},
	} {
		put(t, filepath.Join(root, "self/mountinfo"), c.own, 0o644)
		same(t, c.what, procfs{root: root}.otherMounts(7, filepath.Join(folder, "not/there/yet")), c.want)
	}
	put(t, filepath.Join(root, "self/mountinfo"), base+"30 21 0:50 / "+escaped+" rw - tmpfs none rw\n", 0o644)
	must(t, errors.Join(os.Mkdir(filepath.Join(root, "self/ns"), 0o755), os.Mkdir(filepath.Join(root, "5/ns"), 0o755)))
	must(t, os.Symlink("mnt:[1]", filepath.Join(root, "self/ns/mnt")))
	for its, want := range map[string]bool{"mnt:[1]": false, "mnt:[2]": true} {
		os.Remove(filepath.Join(root, "5/ns/mnt"))
		must(t, os.Symlink(its, filepath.Join(root, "5/ns/mnt")))
		same(t, "the manager in "+its, procfs{root: root}.otherMounts(7, folder), want)
	}
}
