// Where collector-server is, whether its path will last, and why it could not be run.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const collectorName = "collector-server"

// findCollector returns the absolute path of the collector: the one asked for, else the one beside this program
// (beside the name it was started by, then beside the file that is a link to), else the first on PATH. A symbolic
// link is not resolved: a package manager moves it on to the next version.
func (a *app) findCollector(asked string) (string, error) {
	if asked != "" {
		path, err := filepath.Abs(asked)
		if err == nil {
			err = executable(path)
		}
		if err != nil {
			return "", fmt.Errorf("cannot use the collector %s: %w", asked, err)
		}
		return path, nil
	}
	var looked []string
	for _, exe := range a.executables() {
		path := filepath.Join(filepath.Dir(exe), programFile(collectorName))
		err := executable(path)
		if err == nil {
			return path, nil
		}
		looked = append(looked, fmt.Sprintf("%s: %v", path, err))
	}
	if path := lookPath(a.path, collectorName); path != "" {
		return filepath.Clean(path), nil
	}
	for _, dir := range a.path {
		if !filepath.IsAbs(dir) {
			looked = append(looked, fmt.Sprintf("%q on PATH: not an absolute folder, so passed over", dir))
			continue
		}
		path := filepath.Join(dir, programFile(collectorName))
		looked = append(looked, fmt.Sprintf("%s: %v", path, executable(path)))
	}
	return "", &failure{"Could not locate the `collector-server` binary — looked next to `runtimescope` and on PATH. " +
		"Install RuntimeScope so both binaries live in the same directory, or name it: --collector PATH", looked}
}

// executables lists the names of this program beside which the collector is looked for: the one it was started by,
// as far as that is true, since arg0 may say anything, and the one that links to.
func executables(arg0 string, path []string) []string {
	var names []string
	running, err := os.Executable()
	if !strings.ContainsRune(arg0, filepath.Separator) {
		arg0 = lookPath(path, arg0)
	}
	if started, _ := filepath.Abs(arg0); sameFile(started, running) {
		names = append(names, started)
	}
	if target, linkErr := filepath.EvalSymlinks(running); linkErr == nil {
		running = target
	}
	if err == nil && !slices.Contains(names, running) {
		names = append(names, running)
	}
	return names
}

func sameFile(a, b string) bool {
	x, _ := os.Stat(a)
	y, _ := os.Stat(b)
	return os.SameFile(x, y)
}

// whyPathWontLast says why a path will not last; "" when it seems to.
func whyPathWontLast(path string) string {
	for _, folder := range []string{os.TempDir(), "/tmp", "/var/tmp", "/dev/shm", "/run", "/var/folders"} {
		if strings.HasPrefix(strings.TrimPrefix(path, "/private"), filepath.Clean(folder)+"/") {
			return "temporary folders are emptied"
		}
	}
	for _, place := range []struct{ part, reason string }{
		{"/AppTranslocation/", "macOS runs a quarantined program from a passing place"},
		{"/.mount_", "an AppImage is mounted anew each time"},
		{"/nix/store/", "it holds one version, and the next upgrade or clean-up removes it"},
		{"/gnu/store/", "it holds one version, and the next upgrade or clean-up removes it"},
		{"/Cellar/", "it holds one version, and the next upgrade or clean-up removes it"},
		{"/_npx/", "npx empties its folder"},
	} {
		if strings.Contains(path, place.part) {
			return place.reason
		}
	}
	for _, name := range strings.Split(path, "/") {
		if versioned(name) {
			return "the version is in its name, " + name + ", and the next one will have another"
		}
	}
	return ""
}

// versioned tells whether a name has a version in it: a number with a dot after it, at its beginning or after one of
// "-_@v", such as 1.0, v22.3.0, collector-server-0.11.2.
func versioned(name string) bool {
	digit := func(i int) bool { return i < len(name) && name[i] >= '0' && name[i] <= '9' }
	for i := range len(name) {
		if !digit(i) || i > 0 && !strings.ContainsRune("-_@v", rune(name[i-1])) {
			continue
		}
		for digit(i) {
			i++
		}
		if i < len(name) && name[i] == '.' && digit(i+1) {
			return true
		}
	}
	return false
}

// whyNotRun says why a program could not be run, the most frequent cause first; "" when no cause is found. certain means
// that it cannot be run, whoever tries.
func whyNotRun(path, platform string) (why string, certain bool) {
	if path == "" {
		return "", false
	}
	if err := executable(path); err != nil {
		return fmt.Sprintf("%s is %v", path, err), true
	}
	file, err := os.Open(path)
	if err != nil {
		return err.Error(), false // what may be run may still not be read
	}
	defer file.Close()
	if line, _ := bufio.NewReader(io.LimitReader(file, 4096)).ReadString('\n'); strings.HasPrefix(line, "#!") {
		words := strings.Fields(line[2:])
		if len(words) == 0 {
			return path + " names no interpreter in its first line", true
		}
		if strings.HasSuffix(line, "\r\n") {
			return path + " has Windows line ends, so that its interpreter is looked for under a wrong name", true
		}
		if err := executable(words[0]); err != nil {
			return fmt.Sprintf("its interpreter %s is %v", words[0], err), true
		}
		return "", false
	}
	if platform == "darwin" {
		magic := make([]byte, 4)
		file.ReadAt(magic, 0)
		switch hex.EncodeToString(magic) { // <mach-o/loader.h>, <mach-o/fat.h>
		case "cffaedfe", "feedfacf", "cefaedfe", "feedface", "cafebabe", "cafebabf":
			return "macOS may have quarantined it (xattr -d com.apple.quarantine " + quoteArgv([]string{path}) + "), or it was built for another kind of processor", false
		}
		return path + " is neither a program of this system nor a script that names its interpreter", true
	}
	switch loader, ok := elfLoader(file); {
	case !ok: // binfmt_misc may know what to do with it
		return path + " is neither a program of this system nor a script that names its interpreter", false
	case loader != "" && executable(loader) != nil:
		return fmt.Sprintf("it needs the loader %s, which this system does not have", loader), true
	}
	return "it may have been built for another kind of processor, or lie on a file system mounted noexec", false
}

// elfLoader reads which loader an ELF program asks for (elf(5), PT_INTERP), "" for none; ok means that it is ELF.
// debug/elf would do, but brings the decompressors of debug information along, which cost every start half a millisecond.
func elfLoader(r io.ReaderAt) (loader string, ok bool) {
	head := make([]byte, 64)
	if _, err := r.ReadAt(head, 0); err != nil || string(head[:4]) != "\x7fELF" {
		return "", false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	// the program header table, and in each of its entries where the bytes of the segment are
	table, entry, count := int64(order.Uint32(head[28:])), order.Uint16(head[42:]), order.Uint16(head[44:])
	place := func(h []byte) (offset, size int64) { return int64(order.Uint32(h[4:])), int64(order.Uint32(h[16:])) }
	if head[4] == 2 { // 64 bits
		table, entry, count = int64(order.Uint64(head[32:])), order.Uint16(head[54:]), order.Uint16(head[56:])
		place = func(h []byte) (offset, size int64) { return int64(order.Uint64(h[8:])), int64(order.Uint64(h[32:])) }
	}
	for i := range int64(count) {
		h := make([]byte, 56)
		if n, _ := r.ReadAt(h, table+i*int64(entry)); n < 32 {
			return "", false
		}
		if order.Uint32(h) == 3 { // PT_INTERP
			offset, size := place(h)
			text := make([]byte, min(max(size, 0), 4096))
			n, _ := r.ReadAt(text, offset)
			return strings.TrimRight(string(text[:n]), "\x00"), true
		}
	}
	return "", true
}
