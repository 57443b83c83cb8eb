// The one printer of the tool: two spaces, a mark, a sentence. Colour and the counting line are for terminals only.
package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A printer says lines on stdout, and what failed on stderr.
type printer struct {
	stdout, stderr    io.Writer
	warnings          io.Writer  // for what needs attention; nil: stdout
	colour, errColour bool       // colour on stdout, on stderr
	tty               bool       // stdout is a terminal whose line may be rewritten
	ascii             bool       // marks that every locale has
	columns           func() int // the width of that terminal; 0, or nil: not known
}

// newPrinter speaks as far as the variables allow (no-color.org, bixense.com/clicolors) on two streams, of which these are terminals.
func newPrinter(stdout, stderr io.Writer, outTTY, errTTY bool, getenv func(string) string) printer {
	dumb, forced := getenv("TERM") == "dumb", getenv("CLICOLOR_FORCE") != "" && getenv("CLICOLOR_FORCE") != "0"
	plain := dumb || getenv("NO_COLOR") != ""
	locale := cmp.Or(getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG"))
	return printer{stdout: stdout, stderr: stderr, colour: outTTY && !plain || forced, errColour: errTTY && !plain || forced,
		tty: outTTY && !dumb, ascii: locale == "C" || locale == "POSIX"}
}

func (v printer) done(format string, a ...any) { v.say(v.stdout, v.colour, "32", "✓", format, a...) }
func (v printer) warn(format string, a ...any) {
	if v.warnings != nil {
		v.say(v.warnings, v.errColour, "33", "⚠", format, a...)
		return
	}
	v.say(v.stdout, v.colour, "33", "⚠", format, a...)
}
func (v printer) fail(format string, a ...any) {
	v.say(v.stderr, v.errColour, "31", "✗", format, a...)
}
func (v printer) info(format string, a ...any) { v.say(v.stdout, v.colour, "2", "", format, a...) }

// found reports a failed check, which was asked for.
func (v printer) found(format string, a ...any) { v.say(v.stdout, v.colour, "31", "✗", format, a...) }

// note adds a plain line to a failure.
func (v printer) note(format string, a ...any) { v.say(v.stderr, v.errColour, "2", "", format, a...) }

func (v printer) say(w io.Writer, colour bool, code, mark, format string, a ...any) {
	for i := range a { // what comes from outside makes no lines
		if text, ok := a[i].(string); ok {
			a[i] = oneLine(text)
		}
	}
	text := printable(fmt.Sprintf(format, a...))
	if v.ascii {
		mark = map[string]string{"✓": "+", "⚠": "!", "✗": "x", "": ""}[mark]
	}
	switch {
	case mark == "" && colour:
		text = "\x1b[" + code + "m" + text + "\x1b[0m"
	case colour:
		text = "\x1b[" + code + "m" + mark + "\x1b[0m " + text
	case mark != "":
		text = mark + " " + text
	}
	fmt.Fprintf(w, "  %s\n", text)
}

// printable shows control characters and those that turn a line's direction, which paths and log lines may hold, instead of
// sending them to the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// oneLine shows line breaks, too.
func oneLine(s string) string { return strings.ReplaceAll(printable(s), "\n", "\uFFFD") }

// waiting says the line once; on a terminal it then counts the seconds in place until stop is called.
func (v printer) waiting(format string, a ...any) (stop func()) {
	text := fmt.Sprintf(format, a...)
	if !v.tty {
		v.info("%s", text)
		return func() {}
	}
	start := time.Now()
	show := func() {
		line := text
		if s := int(time.Since(start).Seconds()); s > 0 {
			line = fmt.Sprintf("%s %ds", text, s)
		}
		line = v.fit(text, line)
		if v.colour {
			line = "\x1b[2m" + line + "\x1b[0m"
		}
		fmt.Fprintf(v.stdout, "\r  %s", line)
	}
	show()
	quit, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				show()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
		fmt.Fprintln(v.stdout)
	}
}

// fit cuts a line that begins with text within that text, so that the terminal does not wrap it.
func (v printer) fit(text, line string) string {
	width := 0
	if v.columns != nil {
		width = v.columns()
	}
	over := utf8.RuneCountInString(line) + 3 - width // two columns of margin, and the last one, after which some terminals wrap
	if width == 0 || over <= 0 {
		return line
	}
	kept := []rune(text)
	return string(kept[:max(0, len(kept)-1-over)]) + "…" + strings.TrimPrefix(line, text)
}

// indent puts four spaces before every line of a text, without its last line end.
func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ")
}

// duration writes a time span in its two largest units: "42 s", "3 min 5 s", "2 h 13 min", "4 d 1 h".
func duration(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh %dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd %dh", s/86400, s/3600%24)
}

// count writes a number of things: "1 restart", "2 restarts".
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

// size writes a number of bytes in the unit that leaves one to three digits before the point.
func size(bytes int64) string {
	n, units := float64(bytes), []string{"B", "kB", "MB", "GB", "TB"}
	for n >= 1000 && len(units) > 1 {
		n, units = n/1000, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", n, units[0])
}
