// The property list of launchd: how it is written, and read back. One encoder, for the content of an XML element.
package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// plistPath is the PATH of a collector, unless the plist that is there has another.
const plistPath = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"

// render writes the plist. With default ports and an ordinary path its bytes are those of the first version of this tool.
func (m launchd) render(d definition) (string, error) {
	for _, path := range []string{d.collector, m.home} {
		if err := xmlCarries(path); err != nil {
			return "", err
		}
	}
	environment, path := "", plistPath
	for _, v := range append(d.ports.environment(), d.variables()...) {
		key, value, _ := strings.Cut(v, "=")
		if key == "PATH" {
			path = value
			continue
		}
		environment += "    <key>" + key + "</key>\n    <string>" + xmlText(value) + "</string>\n"
	}
	logs := m.logFiles()
	return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>` + label + `</string>

  <key>ProgramArguments</key>
  <array>
    <string>` + xmlText(d.collector) + `</string>
  </array>

  <key>RunAtLoad</key>
  <true/>

  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
    <key>Crashed</key>
    <true/>
  </dict>

  <key>StandardOutPath</key>
  <string>` + xmlText(logs[1]) + `</string>

  <key>StandardErrorPath</key>
  <string>` + xmlText(logs[0]) + `</string>

  <key>EnvironmentVariables</key>
  <dict>
    <key>PATH</key>
    <string>` + xmlText(path) + `</string>
    <key>HOME</key>
    <string>` + xmlText(m.home) + `</string>
` + environment + `  </dict>

  <key>ProcessType</key>
  <string>Background</string>

  <key>ThrottleInterval</key>
  <integer>10</integer>

  <key>HardResourceLimits</key>
  <dict>
    <key>ResidentSetSize</key>
    <integer>268435456</integer>
  </dict>
</dict>
</plist>
`, nil
}

// xmlCarries refuses what XML 1.0 can carry in no form (its section 2.2).
func xmlCarries(path string) error {
	if !utf8.ValidString(path) {
		return fmt.Errorf("a plist cannot carry %q: it is not UTF-8", path)
	}
	for _, r := range path {
		if !xmlAllows(r) {
			return fmt.Errorf("a plist cannot carry %q: XML does not allow the character %q", path, r)
		}
	}
	return nil
}

func xmlAllows(r rune) bool {
	return r >= ' ' && r != 0xFFFE && r != 0xFFFF || r == '\t' || r == '\n' || r == '\r'
}

// xmlText encodes a path as the content of an XML element.
func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;").Replace(s)
}

// parse reads back what a plist says of the collector and its ports, also in a plist edited by hand.
func (m launchd) parse(text string) (d definition) {
	top, _ := readPlist(text)
	arguments, _ := top["ProgramArguments"].([]any)
	var words []string
	for _, word := range arguments {
		text, _ := word.(string)
		words = append(words, text)
	}
	if len(words) > 0 {
		d.collector, d.arguments = words[0], shownCommand(words[1:])
	}
	if program, ok := top["Program"].(string); ok {
		d.collector = program
	}
	environment, _ := top["EnvironmentVariables"].(map[string]any)
	for key, value := range environment {
		if value, ok := value.(string); ok && key != "HOME" && (key != "PATH" || value != plistPath) {
			d.read(key + "=" + value)
		}
	}
	return d
}

// readPlist reads the dictionary of a property list, and says where the text stops being one.
func readPlist(text string) (map[string]any, error) {
	if !strings.Contains(text, "<plist") {
		return nil, errors.New("there is no <plist> in it")
	}
	values, err := plistValue(xml.NewDecoder(strings.NewReader(text)), "array", 0)
	if err != io.EOF {
		return nil, err
	}
	for plist, _ := values.([]any); len(plist) == 1; plist, _ = plist[0].([]any) {
		if top, ok := plist[0].(map[string]any); ok {
			return top, nil
		}
	}
	return nil, nil
}

// plistValue reads one value of a property list, whose start tag has been read: a dict as map[string]any, an array and the like
// as []any, true and false, everything else as its text. The whole text, which has no tag, ends with io.EOF.
func plistValue(decoder *xml.Decoder, kind string, depth int) (any, error) {
	text, key, dict, array := "", "", map[string]any{}, []any{}
	for depth < 50 {
		token, err := decoder.Token()
		if err != nil {
			return array, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			value, err := plistValue(decoder, token.Name.Local, depth+1)
			if err != nil {
				return nil, err
			}
			if token.Name.Local == "key" {
				key, _ = value.(string)
				continue
			}
			dict[key] = value
			array = append(array, value)
		case xml.CharData:
			text += string(token)
		case xml.EndElement:
			switch kind {
			case "dict":
				return dict, nil
			case "array", "plist":
				return array, nil
			case "true", "false":
				return kind == "true", nil
			}
			return text, nil
		}
	}
	return nil, errors.New("its values are nested too deeply")
}
