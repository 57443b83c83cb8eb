// The unit file of systemd: how it is written, and read back. One encoder, for the path of the program.
package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// render writes the unit. With default ports and an ordinary path its bytes are those of the first version of this tool.
func (m systemd) render(d definition) (string, error) {
	program, err := unitProgram(d.collector)
	if err != nil {
		return "", err
	}
	environment := ""
	for _, v := range d.ports.environment() {
		environment += "Environment=" + v + "\n"
	}
	for _, v := range d.variables() {
		environment += "Environment=" + unitAssignment(v) + "\n"
	}
	return `[Unit]
Description=RuntimeScope Collector
Documentation=https://github.com/edwinlov3tt/runtimescope
After=network.target

[Service]
Type=simple
ExecStart=` + program + `
` + environment + `Restart=on-failure
RestartSec=5
TimeoutStopSec=10

# Resource ceiling
MemoryMax=256M
CPUQuota=50%

# Logs to journal — tail with: journalctl --user -u runtimescope -f
StandardOutput=journal
StandardError=journal
SyslogIdentifier=runtimescope

[Install]
WantedBy=default.target
`, nil
}

// unitAssignment encodes a variable for Environment=: quoted, % doubled, $ left alone, since nothing expands it there.
func unitAssignment(word string) string {
	var b strings.Builder
	for _, r := range word {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || r == 0x7f: // only a text edited by hand has others than the tab
			fmt.Fprintf(&b, `\x%02x`, r)
		case r == '%':
			b.WriteString("%%")
		default:
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}

// unitProgram encodes a path as the first word of ExecStart=: quoted, % doubled, $ left alone, since systemd expands
// the one and not the other there. It refuses what systemd accepts in no form as the name of a program:
// quotes, backslash, control characters, bytes that are not UTF-8 (systemd.service(5); tried on 252).
func unitProgram(path string) (string, error) {
	if !utf8.ValidString(path) {
		return "", fmt.Errorf("systemd cannot run %q: its name is not UTF-8", path)
	}
	for _, r := range path {
		if strings.ContainsRune("\"'\\", r) || r < ' ' || r == 0x7f {
			return "", fmt.Errorf("systemd cannot run %q: the character %q is not allowed in the path of a program", path, r)
		}
	}
	return `"` + strings.ReplaceAll(path, "%", "%%") + `"`, nil
}

// parse reads back what a unit says of the collector and its ports, also in a unit edited by hand.
func (m systemd) parse(text string) definition {
	var d definition
	section := ""
	for _, line := range unitLines(text) {
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, _ := strings.Cut(line, "=")
		if section != "[Service]" {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "ExecStart":
			words := append(unitWords(strings.TrimLeft(value, "-@:+!")), "")
			d.collector, d.arguments = words[0], shownCommand(words[1:max(1, len(words)-1)])
		case "Environment":
			if value == "" { // an empty assignment resets the list
				d.ports, d.env = ports{}, ""
			}
			d.read(unitWords(m.specifiers().Replace(value))...)
		}
	}
	return d
}

// outputs are the files that a unit sends its output to (systemd.exec(5)); "a file" where its name is not found.
func (m systemd) outputs(p unitProps, s state) (files []string) {
	if p["StandardOutput"] == "null" && (p["StandardError"] == "null" || p["StandardError"] == "inherit") {
		return []string{os.DevNull}
	}
	for _, key := range []string{"StandardOutput", "StandardError"} {
		kind, file := p[key], ""
		if !slices.Contains([]string{"append", "file", "truncate"}, kind) {
			continue
		}
		for _, path := range append([]string{s.loaded}, s.dropIns...) {
			text, _ := os.ReadFile(path)
			for _, line := range unitLines(string(text)) {
				if name, value, _ := strings.Cut(line, "="); strings.TrimSpace(name) == key {
					_, file, _ = strings.Cut(value, ":")
				}
			}
		}
		file = cmp.Or(strings.NewReplacer("%%", "%", "%h", m.home, "%t", m.runtimeDir).Replace(strings.TrimSpace(file)), "a file")
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

// specifiers resolves those of a unit that a variable may have been written with (systemd.unit(5)).
func (m systemd) specifiers() *strings.Replacer {
	user := ""
	if m.user != nil {
		user = m.user()
	}
	return strings.NewReplacer("%%", "%%", "%h", m.home, "%u", user, "%U", strconv.Itoa(m.uid), "%t", m.runtimeDir, "%n", unitName)
}

// unitLines splits a unit file into its logical lines: continued ones joined, comments and empty ones left out.
func unitLines(text string) []string {
	var lines []string
	joined, open := "", false
	for _, line := range strings.Split(strings.TrimPrefix(text, "\uFEFF"), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") || line == "" && !open {
			continue
		}
		joined += strings.TrimSuffix(line, `\`)
		if open = strings.HasSuffix(line, `\`); open {
			joined += " "
			continue
		}
		lines = append(lines, joined)
		joined = ""
	}
	if joined != "" {
		lines = append(lines, joined)
	}
	return lines
}

// unitWords splits a value as systemd does: white space, both quotes, C escapes, and %% for %.
func unitWords(value string) []string {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	runes := []rune(strings.ReplaceAll(value, "%%", "%"))
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case r == '\\' && i+1 < len(runes):
			text, used := unescape(runes[i+1:])
			word.WriteString(text)
			i += used
			inWord = true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, inWord = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// shownWords splits the Environment that "systemctl show" prints: unlike in a unit, % stands for itself, and a
// backslash stands before what a shell would expand.
func shownWords(value string) []string {
	return unitWords(strings.NewReplacer(`\\`, `\\`, `\$`, "$", "\\`", "`", "%", "%%").Replace(value))
}

// unescape decodes what follows a backslash and says how many runes it used. An unknown escape is kept as it stands.
func unescape(rest []rune) (string, int) {
	if simple, ok := map[rune]string{'\\': `\`, '"': `"`, '\'': `'`, 's': " ", 't': "\t", 'n': "\n", 'r': "\r",
		'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v"}[rest[0]]; ok {
		return simple, 1
	}
	digits, base, from := 0, 16, 1
	switch rest[0] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		digits, base, from = 3, 8, 0
	}
	if len(rest) >= from+digits {
		if n, _ := strconv.ParseUint(string(rest[from:from+digits]), base, 32); n > 0 { // 0 also for what is no number
			if rest[0] == 'u' || rest[0] == 'U' {
				return string(rune(n)), from + digits
			}
			if n < 256 {
				return string([]byte{byte(n)}), from + digits
			}
		}
	}
	return `\`, 0
}
