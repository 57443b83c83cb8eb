// Where collector-server is, whether its path will last, and why it could not be run.
package main

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const collectorName = "collector-server"

// findCollector returns the absolute path of the collector: the one asked for, else the one beside this program, as it was
// started or as a link leads to it, else the first on PATH. No link is resolved: a package manager moves it on.
func (a *app) findCollector(asked string) (string, error) {
	if asked != "" {
		path, err := absolutePath(asked)
		if err = cmp.Or(executable(asked), err); err != nil { // as it was given: "file/" is none
			return "", fmt.Errorf("cannot use the collector %s: %w", asked, err)
		}
		return path, nil
	}
	return a.findProgram(collectorName, "both binaries are in the same directory, or use --collector PATH")
}

// findProgram looks for a program of RuntimeScope; what says how it is to be installed.
func (a *app) findProgram(name, what string) (string, error) {
	var looked []string
	look := func(path string) bool {
		err := executable(path)
		if line := fmt.Sprintf("%s: %v", path, err); err != nil && !slices.Contains(looked, line) {
			looked = append(looked, line)
		}
		return err == nil
	}
	for _, exe := range a.executables() {
		if path := filepath.Join(filepath.Dir(exe), programFile(name)); look(path) {
			return path, nil
		}
	}
	if path := lookPath(a.path, name); path != "" {
		return absolutePath(path)
	}
	for _, dir := range a.path {
		if filepath.IsAbs(dir) {
			look(filepath.Join(dir, programFile(name)))
		} else {
			looked = append(looked, fmt.Sprintf("%q on PATH: skipped (not an absolute path)", dir))
		}
	}
	return "", &failure{"Could not locate the `" + name + "` binary — looked next to `runtimescope` and on PATH. " +
		"Install RuntimeScope (cargo install runtimescope, or a release) so that " + what, looked}
}

// executables lists the names of this program: the one it was started by, as far as that is true, and where links lead.
func executables(arg0 string, path []string) []string {
	var names []string
	running, err := os.Executable()
	if !strings.ContainsRune(arg0, filepath.Separator) {
		arg0 = lookPath(path, arg0)
	}
	if started, _ := absolutePath(arg0); sameFile(started, running) {
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

// absolutePath is the absolute name of a file as the kernel finds it: a ".." after a link goes up from its target (path_resolution(7)).
func absolutePath(path string) (string, error) {
	if runtime.GOOS == "windows" { // which goes up in the name, before it looks for a link
		return filepath.Abs(path)
	}
	if !filepath.IsAbs(path) {
		folder, err := os.Getwd()
		if err != nil {
			return "", err
		}
		path = folder + "/" + path
	}
	at := "/"
	for _, name := range strings.Split(path, "/") {
		if _, err := os.Readlink(at); err == nil && name == ".." {
			if at, err = filepath.EvalSymlinks(at); err != nil {
				return "", err
			}
		}
		at = filepath.Join(at, name)
	}
	if slices.ContainsFunc(wayTo(at), func(name string) bool {
		return strings.HasPrefix(name, "/proc/") || strings.HasPrefix(name, "/dev/fd/")
	}) {
		return "", errors.New("that path is a different file in each process")
	}
	return at, nil
}

// wayTo lists what lies on the way to the file at path: path itself and, of each link in it, the link and the path with it
// resolved. A path may lead through several: /usr/bin/x to /etc/alternatives/x, or the folder "current" to that of a version.
func wayTo(path string) []string {
	way := []string{path}
	for n, end := 0, 1; n < 40 && end <= len(path); end++ { // Linux gives up after 40 links, too
		if end < len(path) && path[end] != filepath.Separator {
			continue
		}
		target, err := os.Readlink(path[:end])
		if err != nil {
			continue
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path[:end]), target)
		}
		way = append(way, path[:end], target+path[end:])
		path, end, n = target+path[end:], 0, n+1
	}
	return way
}

// protectedFolder says why a path is of no use to a service of macOS (launchd.plist(5), CAVEATS).
const protectedFolder = "macOS keeps background programs out of that folder"

// inProtectedFolder tells whether a path leads into such a folder: of iCloud, of another disk, or of the user's documents.
func inProtectedFolder(path string) bool {
	return slices.ContainsFunc(wayTo(path), func(at string) bool {
		names := strings.Split(at, "/")
		return strings.HasPrefix(at, "/Volumes/") || strings.Contains(at, "/Library/Mobile Documents/") ||
			strings.Contains(at, "/Library/CloudStorage/") ||
			len(names) > 4 && names[1] == "Users" && slices.Contains([]string{"Desktop", "Documents", "Downloads"}, names[3])
	})
}

// whyPathWontLast says why a path will not last; "" when it seems to.
func whyPathWontLast(path string) string {
	const temporary = "temporary directories are cleaned up"
	const version = "it belongs to one version, and the next upgrade or cleanup removes it"
	for _, place := range []struct{ part, reason string }{
		{"^/run/current-system/", ""}, // NixOS and Guix: the link to the system in use
		{"^/run/wrappers/", ""},
		{"^/run/media/", "the disk may not be mounted at login"},
		{"^/media/", "the disk may not be mounted at login"},
		{"/.local/share/Trash/", "the trash gets emptied"},
		{"^/var/cache/", "caches get cleared"},
		{"/.bun/install/cache/", "caches get cleared"},
		{"/fnm_multishells/", "fnm creates it for each shell"},
		{"^" + filepath.Clean(os.TempDir()) + "/", temporary},
		{"^/tmp/", temporary},
		{"^/var/tmp/", temporary},
		{"^/dev/shm/", temporary},
		{"^/run/", temporary},
		{"^/var/folders/", temporary},
		{"/AppTranslocation/", "macOS runs quarantined apps from a temporary location"},
		{"/.mount_", "an AppImage is mounted at a new path each time"},
		{"/nix/store/", version},
		{"/gnu/store/", version},
		{"/Cellar/", version},
		{"/_npx/", "npx clears its directory"},
		{"/dlx-", "pnpm dlx clears its directory"},
		{"/.cache/", "caches get cleared"},
		{"/Library/Caches/", "caches get cleared"},
	} {
		start, anchored := strings.CutPrefix(place.part, "^")
		if anchored && strings.HasPrefix(strings.TrimPrefix(path, "/private"), start) || strings.Contains(path, place.part) {
			return place.reason
		}
	}
	if inProtectedFolder(path) {
		return protectedFolder
	}
	names := strings.Split(path, "/")
	for i, name := range names {
		if strings.ContainsAny(name, "0123456789") && versioned().MatchString(name) {
			return name + " contains a version number, which changes with each upgrade"
		}
		revision, err := strconv.Atoi(strings.TrimPrefix(name, "x")) // of a snap, "x1" for one of a file
		generation := strings.HasSuffix(name, "-link") && strings.ContainsAny(name, "0123456789") && slices.Contains(names[:i], "profiles")
		if generation || err == nil && revision > 0 && i > 1 && names[i-2] == "snap" {
			return version
		}
	}
	return ""
}

// versioned matches a name that has a version in it: a number with a dot after it, at its beginning or after one of
// "-_@v", such as 1.0, v22.3.0, collector-server-0.11.2.
var versioned = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(^|[-_@v])[0-9]+\.[0-9]`) })

// whyNotRun says why a program cannot be run; "" when no cause is found. certain means that it cannot be run, whoever tries.
func whyNotRun(path, platform string) (why string, certain bool) {
	if path == "" {
		return "", false
	}
	if err := executable(path); err != nil {
		return fmt.Sprintf("%s is %v", path, err), true
	}
	file, err := os.Open(path)
	if err != nil {
		return "", false // what may be run may still not be read
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err.Error(), false
	}
	if info.Size() == 0 {
		return "the file is empty", true
	}
	if line, _ := bufio.NewReader(io.LimitReader(file, 4096)).ReadString('\n'); strings.HasPrefix(line, "#!") {
		return whyNoScript(path, line[2:])
	}
	neither := path + " is neither an executable for this system nor a script with a #! line"
	if platform == "darwin" {
		_, missing := os.Stat("/Library/Apple/usr/libexec/oah/libRosettaRuntime")
		if why, ok := wrongProcessor(file, runtime.GOARCH, missing == nil); why != "" {
			return why, true
		} else if ok {
			return "macOS may have quarantined it (xattr -d com.apple.quarantine " + quoteArgv([]string{path}) + ")", false
		}
		return neither, true
	}
	program, ok := readELF(file, uint64(info.Size()))
	native := map[string][]uint16{"amd64": {62, 3}, "386": {62, 3}, "arm64": {183, 40}, "arm": {183, 40},
		"s390x": {22}, "riscv64": {243}, "ppc64le": {21}}[runtime.GOARCH] // e_machine, <elf.h>
	switch {
	case !ok:
		return neither, !otherFormats("")
	case program.cutOff:
		return "the file is truncated: its headers describe a longer one", true
	case native != nil && !slices.Contains(native, program.machine):
		return "it was built for a different CPU architecture", !otherFormats("7f454c46")
	case program.loader != "" && executable(program.loader) != nil:
		return fmt.Sprintf("it needs the dynamic loader %s, which is missing", program.loader), true
	}
	return "", false
}

// wrongProcessor says why a program of macOS cannot be run on a Mac of this kind; "" when it can, as far as is known. ok means that it
// is one: <mach-o/loader.h>, and <mach-o/fat.h>, of one program for each kind. Where Rosetta is, a Mac runs both.
func wrongProcessor(r io.ReaderAt, arch string, rosetta bool) (why string, ok bool) {
	kinds := map[uint32]string{7: "i386", 18: "powerpc", 0x01000007: "x86_64", 0x0100000c: "arm64"} // <mach/machine.h>
	head, built, big := make([]byte, 8+32*4), []string(nil), binary.BigEndian.Uint32
	r.ReadAt(head, 0)
	switch magic, count := big(head), big(head[4:]); {
	case magic == 0xcffaedfe || magic == 0xcefaedfe:
		built = []string{kinds[binary.LittleEndian.Uint32(head[4:])]}
	case magic == 0xfeedfacf || magic == 0xfeedface:
		built = []string{kinds[count]}
	case magic&^1 == 0xcafebabe && count < 45: // a class of Java begins so, too, with its version, which is 45 or more
		for i := range min(count, 4) {
			built = append(built, kinds[big(head[8+i*(20+magic&1*12):])])
		}
	default:
		return "", false
	}
	here := cmp.Or(map[string]string{"amd64": "x86_64"}[arch], arch)
	switch both := slices.Contains(built, "x86_64") || slices.Contains(built, "arm64"); {
	case len(built) == 0 || slices.Contains(built, here) || slices.Contains(built, "") || both && rosetta:
		return "", true
	case both && here == "arm64":
		return "it was built for x86_64, and this Mac has no Rosetta (softwareupdate --install-rosetta)", true
	}
	return fmt.Sprintf("it was built for %s, and this Mac is %s", strings.Join(built, " and "), here), true
}

// whyNoScript says why a script cannot be run whose first line goes on like this after "#!".
func whyNoScript(path, line string) (why string, certain bool) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return path + " has no interpreter in its #! line", true
	}
	if strings.HasSuffix(line, "\r\n") {
		return path + " has Windows line endings, so the interpreter name in its first line is wrong", len(words) == 1
	}
	if err := executable(words[0]); err != nil {
		return fmt.Sprintf("its interpreter %s is %v", words[0], err), filepath.IsAbs(words[0])
	}
	return "", false
}

// otherFormats tells whether this Linux has been taught to run files of other formats whose beginning has these digits
// (Documentation/admin-guide/binfmt-misc.rst): those of other processors, by QEMU or Rosetta.
func otherFormats(magic string) bool {
	names, _ := filepath.Glob("/proc/sys/fs/binfmt_misc/*")
	return slices.ContainsFunc(names, func(name string) bool {
		text, _ := os.ReadFile(name) // those that are no formats, register and status, do not say this
		return strings.HasPrefix(string(text), "enabled\n") && len(text) > 10 && strings.Contains(string(text), magic)
	})
}

// An elfFile is what the headers of an ELF program say (elf(5)).
type elfFile struct {
	machine uint16
	loader  string // that it asks for (PT_INTERP), "" for none
	cutOff  bool   // the file ends before what they say is in it
}

// readELF reads the headers of a file of this size; ok means that it is ELF.
// debug/elf would do, but brings the decompressors of debug information along, which cost every start half a millisecond.
func readELF(r io.ReaderAt, size uint64) (e elfFile, ok bool) {
	head := make([]byte, 64)
	if r.ReadAt(head, 0); string(head[:4]) != "\x7fELF" {
		return e, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	f := elfReader{r: r, size: size, order: order, long: head[4] == 2}
	if f.has(0, 52); f.long {
		f.has(0, 64)
	}
	f.machine = order.Uint16(head[18:])
	for _, segment := range f.table(head, f.number(head, 28, 32), 42) {
		at, length := f.number(segment, 4, 8), f.number(segment, 16, 32)
		switch kind := order.Uint32(segment); {
		case kind == 3: // PT_INTERP
			f.loader = strings.TrimRight(string(f.read(at, min(length, 4096))), "\x00")
		case kind == 1: // PT_LOAD
			f.has(at, length)
		}
	}
	for _, section := range f.table(head, f.number(head, 32, 40), 46) {
		if kind := order.Uint32(section[4:]); kind != 0 && kind != 8 { // SHT_NULL, SHT_NOBITS
			f.has(f.number(section, 16, 24), f.number(section, 20, 32))
		}
	}
	return f.elfFile, true
}

// An elfReader reads an ELF file, and finds out whether it is cut off.
type elfReader struct {
	elfFile
	r     io.ReaderAt
	size  uint64
	order binary.ByteOrder
	long  bool // 64 bits
}

// number is a number of a header: where it is in one of 32 bits, and of 64.
func (f *elfReader) number(b []byte, short, long int) uint64 {
	if f.long {
		return f.order.Uint64(b[long:])
	}
	return uint64(f.order.Uint32(b[short:]))
}

// has tells whether the file has these bytes.
func (f *elfReader) has(at, length uint64) bool {
	f.cutOff = f.cutOff || at > f.size || length > f.size-at
	return !f.cutOff
}

func (f *elfReader) read(at, length uint64) []byte {
	if !f.has(at, length) {
		return nil
	}
	text := make([]byte, length)
	f.r.ReadAt(text, int64(at))
	return text
}

// table reads the table at a place; sizes is where the head has the size of an entry, and then their number.
func (f *elfReader) table(head []byte, at uint64, sizes int) (entries [][]byte) {
	if f.long {
		sizes += 12
	}
	entry, count := int(f.order.Uint16(head[sizes:])), uint64(f.order.Uint16(head[sizes+2:]))
	if at == 0 || entry < 32 || entry > 64 {
		return nil
	}
	for all := f.read(at, uint64(entry)*count); len(all) > 0; all = all[entry:] {
		entries = append(entries, append(all[:entry:entry], make([]byte, 64)...))
	}
	return entries
}
