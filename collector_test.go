// Tests of where the collector is found, of paths that will not last, and of why a file could not be run.
package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// collectorPlaces makes a folder with programs; a name that ends in "/" is a folder, one that ends in "-" a file that may not be run.
func collectorPlaces(t testing.TB, names ...string) string {
	t.Helper()
	dir := need(filepath.EvalSymlinks(t.TempDir()))(t)
	for _, name := range names {
		path, mode := filepath.Join(dir, filepath.FromSlash(strings.TrimSuffix(name, "-"))), os.FileMode(0o755)
		if strings.HasSuffix(name, "-") {
			mode = 0o644
		}
		folder := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			folder = path
		}
		must(t, os.MkdirAll(folder, 0o755))
		if folder == path {
			continue
		}
		if runtime.GOOS == "windows" {
			path += ".exe"
		}
		put(t, path, "#!/bin/sh\n", mode)
	}
	return dir
}

func collectorWorld(dir string, executables, path []string) *app {
	in := func(names []string) []string {
		var all []string
		for _, name := range names {
			if strings.HasPrefix(name, "/") {
				name = filepath.Join(dir, name)
			}
			all = append(all, name)
		}
		return all
	}
	return &app{executables: func() []string { return in(executables) }, path: in(path)}
}

func TestTheCollectorIsFoundInThisOrder(t *testing.T) {
	t.Parallel()
	dir := collectorPlaces(t, "asked", "beside/collector-server", "target/collector-server", "one/collector-server", "two/collector-server", "empty/", "folder/collector-server/")
	for _, c := range []struct {
		asked             string
		executables, path []string
		want              string
	}{
		{"/asked", []string{"/beside/rs"}, []string{"/one"}, "/asked"},
		{"", []string{"/beside/rs", "/target/rs"}, []string{"/one", "/two"}, "/beside/collector-server"},
		{"", []string{"/empty/rs", "/target/rs"}, []string{"/one", "/two"}, "/target/collector-server"},
		{"", []string{"/empty/rs"}, []string{"/empty", "/one", "/two"}, "/one/collector-server"},
		{"", nil, []string{"one", "", ".", "/folder", "/two"}, "/two/collector-server"},
	} {
		asked := c.asked
		if asked != "" {
			asked = filepath.Join(dir, programFile(asked))
		}
		got, err := collectorWorld(dir, c.executables, c.path).findCollector(asked)
		if want := filepath.Join(dir, programFile(c.want)); got != want || err != nil {
			t.Errorf("%+v: got %s, %v", c, got, err)
		}
	}
}

func TestACollectorThatIsAskedForIsMadeAbsoluteAndChecked(t *testing.T) {
	dir := collectorPlaces(t, "here", "folder/", "text-", "beside/collector-server")
	t.Chdir(dir)
	w := collectorWorld(dir, []string{"/beside/rs"}, nil)
	for _, asked := range []string{"here", "./here", "folder/../here"} {
		same(t, asked, need(w.findCollector(programFile(asked)))(t), filepath.Join(dir, programFile("here")))
	}
	wrong := map[string]string{"none": "missing", "folder": "a directory"}
	if runtime.GOOS != "windows" {
		wrong["text"] = "not executable"
	}
	for asked, why := range wrong {
		got, err := w.findCollector(asked)
		if want := fmt.Sprintf("cannot use the collector %s: %s", asked, why); got != "" || errText(err) != want {
			t.Errorf("got %q, %v; want %s", got, err, want)
		}
	}
}

func TestThePathOfACollectorIsTheOneThatTheKernelMeans(t *testing.T) {
	needsLinks(t)
	dir := collectorPlaces(t, "a/collector-server", "real/deep/x", "real/collector-server", "collector-server")
	for name, target := range map[string]string{"a/link": "../real/deep", "loop": "loop", "fd": "/dev/fd", "proc": "/proc/self", "exe": "/proc/self/exe", "a/abs": dir + "/a/link"} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	w := &app{executables: func() []string { return nil }, path: []string{dir + "/a/link/.."}}
	open := need(os.Open(filepath.Join(dir, "a", collectorName)))(t)
	defer open.Close()
	fd, thisProcess := fmt.Sprint(open.Fd()), "that path is a different file in each process"
	for _, c := range []struct{ at, asked, want, why string }{
		{"", "a/link/../collector-server", "real/collector-server", ""},
		{"", dir + "/a/abs/../collector-server", "real/collector-server", ""},
		{"", "a/link/../../collector-server", "collector-server", ""},
		{"", "real/deep/../collector-server", "real/collector-server", ""},
		{"", "a/link/../deep/../../a/collector-server", "a/collector-server", ""},
		{"", "a/link/x", "a/link/x", ""}, // a name that is stable stays
		{"a/link", "../collector-server", "real/collector-server", ""},
		{"a/link", "./x", "a/link/x", ""},
		{"a/link", "../../collector-server", "collector-server", ""},
		{"", "collector-server/", "", "not a directory"},
		{"", "collector-server/.", "", "not a directory"},
		{"", "none/../collector-server", "", "missing"},
		{"", "collector-server/../collector-server", "", "not a directory"},
		{"", "loop/../collector-server", "", "too many levels of symbolic links"},
		{"", "/dev/fd/" + fd, "", thisProcess},
		{"", "fd/" + fd, "", thisProcess},
		{"", "/proc/self/exe", "", thisProcess},
		{"", "exe", "", thisProcess},
		{"", "proc/cwd/collector-server", "", thisProcess},
		{"", fmt.Sprintf("/proc/%d/fd/%s", os.Getpid(), fd), "", thisProcess},
		{"", "", "real/collector-server", ""}, // by PATH
	} {
		if _, err := os.Stat("/proc/self/exe"); err != nil && c.why == thisProcess && !strings.Contains(c.asked, "fd") {
			continue // no Linux
		}
		t.Chdir(filepath.Join(dir, c.at)) // as a shell does it, PWD has the link
		got, err := w.findCollector(c.asked)
		if want := filepath.Join(dir, c.want); c.why == "" && (got != want || err != nil) {
			t.Errorf("%+v: got %s, %v", c, got, err)
		} else if c.why != "" && errText(err) != fmt.Sprintf("cannot use the collector %s: %s", c.asked, c.why) {
			t.Errorf("%+v: got %q, %v", c, got, err)
		}
	}
}

func TestALinkToTheCollectorIsNotResolved(t *testing.T) {
	t.Parallel()
	dir := collectorPlaces(t, "1.0/collector-server", "bin/")
	link := filepath.Join(dir, "bin", programFile(collectorName))
	symlink(t, filepath.Join(dir, "1.0", programFile(collectorName)), link)
	for _, w := range []*app{collectorWorld(dir, []string{"/bin/rs"}, nil), collectorWorld(dir, nil, []string{"/bin"})} {
		same(t, "", need(w.findCollector(""))(t), link)
	}
	same(t, "", need(collectorWorld(dir, nil, nil).findCollector(link))(t), link)
}

func TestTheErrorListsEveryPlaceAndWhatIsWrongThere(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "files here have no permission to execute, and programs another name")
	dir := collectorPlaces(t, "text/collector-server-", "empty/", "folder/collector-server/")
	_, err := collectorWorld(dir, []string{"/text/rs", "/empty/rs"}, []string{"/folder", "bin", "", "/none", "/text"}).findCollector("")
	var list *failure
	if !errors.As(err, &list) {
		t.Fatalf("got %v", err)
	}
	if want := "Could not locate the `collector-server` binary — looked next to `runtimescope` and on PATH. " +
		"Install RuntimeScope (cargo install runtimescope, or a release) so that both binaries are in the same directory, or use --collector PATH"; err.Error() != want {
		t.Errorf("got %s", err)
	}
	want := []string{
		dir + "/text/collector-server: not executable", dir + "/empty/collector-server: missing", dir + "/folder/collector-server: a directory",
		`"bin" on PATH: skipped (not an absolute path)`, `"" on PATH: skipped (not an absolute path)`,
		dir + "/none/collector-server: missing",
	}
	if !slices.Equal(list.notes, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(list.notes, "\n"), strings.Join(want, "\n"))
	}
}

func TestThisProgramIsKnownByTheNameItWasStartedByAndByItsOwn(t *testing.T) {
	t.Parallel()
	self := need(os.Executable())(t)
	real := need(filepath.EvalSymlinks(self))(t)
	dir := collectorPlaces(t, "other/rs")
	link := filepath.Join(dir, programFile("rs"))
	symlink(t, self, link)
	for _, c := range []struct {
		arg0 string
		path []string
		want []string
	}{
		{link, nil, []string{link, real}},
		{real, nil, []string{real}},
		{"rs", []string{"relative", filepath.Join(dir, "none"), dir}, []string{link, real}},
		{"rs", []string{filepath.Join(dir, "other"), dir}, []string{real}}, // another program of that name comes first
		{"rs", nil, []string{real}},
		{"", []string{dir}, []string{real}},
		{filepath.Join(dir, "other", programFile("rs")), nil, []string{real}},
		{filepath.Join(dir, "none"), nil, []string{real}},
		{"-sh", []string{dir}, []string{real}},
	} {
		same(t, c.arg0, executables(c.arg0, c.path), c.want)
	}
}

func TestSameFile(t *testing.T) {
	t.Parallel()
	dir := collectorPlaces(t, "a", "b")
	a, b := filepath.Join(dir, programFile("a")), filepath.Join(dir, programFile("b"))
	if !sameFile(a, a) || sameFile(a, b) || sameFile(a, filepath.Join(dir, "none")) || sameFile(filepath.Join(dir, "none"), a) {
		t.Error("two names of one file are not told from two files")
	}
}

func TestPathsThatWillNotLast(t *testing.T) {
	t.Setenv("TMPDIR", "/somewhere/of/mine/")
	temporary, version := "temporary directories are cleaned up", "it belongs to one version, and the next upgrade or cleanup removes it"
	for want, paths := range map[string][]string{
		temporary: {
			"/tmp/x/collector-server", "/private/tmp/collector-server", "/var/tmp/collector-server", "/dev/shm/collector-server",
			"/var/folders/ab/T/collector-server", "/private/var/folders/x/T/AppTranslocation/C/x",
			"/run/user/1000/x/collector-server",
		},
		"macOS runs quarantined apps from a temporary location": {"/x/AppTranslocation/C/x"},
		"an AppImage is mounted at a new path each time":        {"/x/.mount_rsAbC/usr/bin/x"},
		version: {
			"/nix/store/abc-rs-1.0/bin/collector-server", "/gnu/store/abc-rs-1.0/bin/collector-server",
			"/opt/homebrew/Cellar/rs/1.0/bin/collector-server", "/home/linuxbrew/.linuxbrew/Cellar/rs/1.0/bin/x",
			"/snap/runtimescope/42/bin/collector-server", "/snap/runtimescope/x1/bin/collector-server",
			"/var/lib/snapd/snap/runtimescope/42/bin/x", "/nix/var/nix/profiles/per-user/ada/p-42-link/bin/x",
			"/home/ada/snap/bin/42/x",
		},
		"npx clears its directory": {"/home/ada/.npm/_npx/12ab/node_modules/.bin/x"},
		"rs-1.0 contains a version number, which changes with each upgrade":                  {"/opt/rs-1.0/bin/collector-server"},
		"v22.3.0 contains a version number, which changes with each upgrade":                 {"/home/ada/.nvm/versions/node/v22.3.0/bin/x"},
		"collector-server-0.11.2 contains a version number, which changes with each upgrade": {"/usr/bin/collector-server-0.11.2"},
		"caches get cleared": {
			"/home/ada/.cache/pnpm/dlx/ab12/node_modules/.bin/x", "/home/ada/.cache/uv/archive-v0/x1y/bin/x",
			"/Users/ada/Library/Caches/pnpm/dlx/ab12/x",
		},
		protectedFolder: {
			"/Users/ada/Documents/dev/x", "/Users/ada/Desktop/x", "/Users/ada/Library/Mobile Documents/com~apple/x",
			"/Volumes/disk/x",
		},
		"": {
			"/Users/ada/dev/Documents/x", "/snap/runtimescope/current/bin/collector-server",
			"/snap/bin/runtimescope.collector-server", "/run/current-system/sw/bin/collector-server",
			"/run/wrappers/bin/collector-server", "/etc/profiles/per-user/ada/bin/collector-server",
			"/home/ada/.cachex/collector-server", "/home/ada/dlx/collector-server", "/opt/python3.11/bin/collector-server",
			"/home/ada/.cargo/bin/collector-server", "/usr/bin/collector-server", "/opt/homebrew/bin/collector-server",
			"/home/ada/.nix-profile/bin/collector-server", "/home/ada/Cellars/collector-server",
			"/home/ada/.mount/collector-server", "/var/foldersx/collector-server", "/nix/stores/collector-server",
			"/dev/shmx/collector-server", "/home/ada/_npx2/collector-server", "/home/ada/tmpfiles/collector-server",
			"/nix/var/nix/profiles/default/bin/collector-server", "/somewhere/of/mine2/collector-server", "",
		},
		"pnpm dlx clears its directory": {"/home/ada/.local/share/pnpm/store/v3/tmp/dlx-12/x"},
		"fnm creates it for each shell": {
			"/home/ada/.local/state/fnm_multishells/12_34/bin/x", "/run/user/1000/fnm_multishells/12_34/bin/x",
		},
		"the disk may not be mounted at login": {"/run/media/ada/DISK/collector-server", "/media/ada/DISK/collector-server"},
		"the trash gets emptied":               {"/home/ada/.local/share/Trash/files/collector-server"},
	} {
		for _, path := range paths {
			same(t, path, whyPathWontLast(path), want)
		}
	}
	if runtime.GOOS != "windows" { // whose temporary folder is named by another variable
		same(t, "below TMPDIR", whyPathWontLast("/somewhere/of/mine/x"), temporary)
	}
}

func TestNamesWithAVersionInThem(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"1.0": true, "v22.3.0": true, "collector-server-0.11.2": true, "rs@1.2": true, "rs_9.10": true, "10.25-rc": true, "-0.0": true, "1.2x": true, "2024-01.5": true,
		"": false, "1": false, "12": false, "v1": false, "1.": false, "1.x": false, ".5": false, "v.5": false, "rs-1-2": false, "1x.2": false, "9..9": false,
		"python3.11": false, "go1.24": false, "x86_64": false, "x86_64.bin": false, "é1.0": false, "1./": false, "1.:": false, "v/.1": false, "v:.1": false, "1,2": false,
	} {
		same(t, name, versioned().MatchString(name), want)
	}
}

func TestWhyAProgramCouldNotBeRun(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "no service manager starts a program here")
	dir := collectorPlaces(t, "loader", "text-")
	if strings.Contains(dir, " ") {
		t.Skip("no script can name an interpreter in a folder with a space")
	}
	loader := filepath.Join(dir, "loader")
	file := func(text string) string {
		path := filepath.Join(dir, "prog")
		put(t, path, text, 0o755)
		return path
	}
	path := file("")
	const cutOff = "the file is truncated: its headers describe a longer one"
	program := collectorELF(t, loader)
	foreign := []byte(program)
	binary.LittleEndian.PutUint16(foreign[18:], uint16(elf.EM_VAX))
	sections := []byte(program)
	binary.LittleEndian.PutUint64(sections[40:], uint64(len(program)))
	binary.LittleEndian.PutUint16(sections[60:], 1)
	section := make([]byte, 64)
	section[4], section[32] = 1, 100
	binary.LittleEndian.PutUint64(section[24:], uint64(len(program)+64))
	nobits := slices.Clone(section)
	nobits[4] = 8
	segment := []byte(program)
	binary.LittleEndian.PutUint64(segment[64+32:], uint64(len(program)+1))
	whole := strings.Repeat("\x00", 64)
	neither := path + " is neither an executable for this system nor a script with a #! line"
	for _, c := range []struct{ what, text, want string }{
		{"a script", "#!" + loader + " -x\necho", ""},
		{"a script with a space", "#! \t" + loader + "\n", ""},
		{"a script without its interpreter", "#!/nowhere/node --flag\n", "its interpreter /nowhere/node is missing"},
		{"a script whose interpreter may not be run", "#!" + filepath.Join(dir, "text") + "\n", "its interpreter " + filepath.Join(dir, "text") + " is not executable"},
		{"a script whose interpreter is a folder", "#!" + dir + "\n", "its interpreter " + dir + " is a directory"},
		{"a script that names nothing", "#!\n", path + " has no interpreter in its #! line"},
		{"a script that names nothing but spaces", "#!  \necho\n", path + " has no interpreter in its #! line"},
		{"a script with Windows line ends", "#!" + loader + "\r\necho\r\n", path + " has Windows line endings, so the interpreter name in its first line is wrong"},
		{"a script of one line without an end", "#!" + loader, ""},
		{"such a script without its interpreter", "#!/nowhere/node", "its interpreter /nowhere/node is missing"},
		{"text", "echo hello, this is a script without a first line\n", neither},
		{"garbage", "\x00\x01\x02\x03garbage garbage garbage", neither},
		{"a short file", "hi\n", neither},
		{"an empty file", "", "the file is empty"},
		{"a program", program, ""},
		{"a program with its sections", string(sections) + whole, ""},
		{"one with the bytes of its section", string(sections) + string(section) + strings.Repeat("x", 100), ""},
		{"one without a byte of its section", string(sections) + string(section) + strings.Repeat("x", 99), cutOff},
		{"one whose section needs no bytes", string(sections) + string(nobits), ""},
		{"one without them", string(sections), cutOff},
		{"one whose last section lacks a byte", string(sections) + whole[1:], cutOff},
		{"one whose segment lacks a byte", string(segment), cutOff},
		{"one whose segment ends with the file", string(segment) + "x", ""},
		{"the first bytes of one", program[:20], cutOff},
		{"a script of Windows with an argument", "#!" + loader + " -e\r\n", path + " has Windows line endings, so the interpreter name in its first line is wrong"},
		{"a script whose interpreter is named without its folder", "#!nowhere\n", "its interpreter nowhere is missing"},
		{"a program for another processor", string(foreign), map[bool]string{true: "it was built for a different CPU architecture"}[elfMachine != 0]},
		{"a program without its loader", collectorELF(t, "/nowhere/ld-musl-x86_64.so.1"), "it needs the dynamic loader /nowhere/ld-musl-x86_64.so.1, which is missing"},
		{"a static program", collectorELF(t, ""), ""},
		{"half a program", program[:70], cutOff},
	} {
		sure := c.want != "" && !(c.want == neither && otherFormats("")) && !(strings.Contains(c.what, "another processor") && otherFormats("7f454c46")) &&
			!strings.Contains(c.what, "argument") && !strings.Contains(c.what, "without its folder")
		if got, certain := whyNotRun(file(c.text), "linux"); got != c.want || certain != sure {
			t.Errorf("%s: got %q, %t, want %q", c.what, got, certain, c.want)
		}
	}
	for path, want := range map[string]string{"": "", filepath.Join(dir, "none"): filepath.Join(dir, "none") + " is missing", dir: dir + " is a directory",
		filepath.Join(dir, "text"): filepath.Join(dir, "text") + " is not executable"} {
		if got, certain := whyNotRun(path, "linux"); got != want || certain != (want != "") {
			t.Errorf("%s: got %q, %t, want %q", path, got, certain, want)
		}
	}
}

func TestWhyAProgramOfMacOSCouldNotBeRun(t *testing.T) {
	t.Parallel()
	notOnWindows(t, "no service manager starts a program here")
	path := filepath.Join(t.TempDir(), "prog it")
	noexec := "macOS may have quarantined it (xattr -d com.apple.quarantine '" + path + "')"
	neither := path + " is neither an executable for this system nor a script with a #! line"
	for text, want := range map[string]string{
		"\xcf\xfa\xed\xfe": noexec, "\xfe\xed\xfa\xcf": noexec, "\xce\xfa\xed\xfe": noexec, "\xfe\xed\xfa\xce": noexec,
		"\xca\xfe\xba\xbe": noexec, "\xca\xfe\xba\xbf": noexec,
		"": "the file is empty", "\xcf\xfa": neither, "text that is no script": neither, collectorELF(t, "/nowhere/ld.so"): neither,
		"#!/nowhere/sh\n": "its interpreter /nowhere/sh is missing",
	} {
		put(t, path, text, 0o755)
		if got, certain := whyNotRun(path, "darwin"); got != want || certain != (want != noexec) {
			t.Errorf("%.8q: got %q, %t, want %q", text, got, certain, want)
		}
	}
}

func TestForWhichMacAProgramWasBuilt(t *testing.T) {
	t.Parallel()
	const intel, arm = "\x07\x00\x00\x01", "\x0c\x00\x00\x01"
	both := "\xca\xfe\xba\xbe\x00\x00\x00\x02\x01\x00\x00\x07" + strings.Repeat("\x00", 16) + "\x01\x00\x00\x0c"
	const noRosetta, foreign = "it was built for x86_64, and this Mac has no Rosetta (softwareupdate --install-rosetta)", "it was built for arm64, and this Mac is x86_64"
	for _, c := range []struct {
		text, arch string
		rosetta    bool
		want       string
	}{
		{"\xcf\xfa\xed\xfe" + intel, "arm64", false, noRosetta}, {"\xcf\xfa\xed\xfe" + intel, "arm64", true, ""}, {"\xcf\xfa\xed\xfe" + intel, "amd64", false, ""},
		{"\xcf\xfa\xed\xfe" + arm, "arm64", false, ""}, {"\xcf\xfa\xed\xfe" + arm, "amd64", false, foreign}, {"\xcf\xfa\xed\xfe" + arm, "amd64", true, ""},
		{both, "arm64", false, ""}, {both, "amd64", false, ""}, {both[:12], "arm64", false, ""},
		{"\xca\xfe\xba\xbe\x00\x00\x00\x01\x01\x00\x00\x07", "arm64", false, noRosetta}, {"\xca\xfe\xba\xbf\x00\x00\x00\x01\x01\x00\x00\x0c", "amd64", false, foreign},
		{"\xce\xfa\xed\xfe\x07\x00\x00\x00", "amd64", true, "it was built for i386, and this Mac is x86_64"},
		{"\xca\xfe\xba\xbe\x00\x00\x00\x02\x00\x00\x00\x12" + strings.Repeat("\x00", 16) + "\x00\x00\x00\x07", "arm64", true, "it was built for powerpc and i386, and this Mac is arm64"},
		{"\xcf\xfa\xed\xfe\x01", "arm64", false, ""}, {"\xca\xfe\xba\xbe\x00\x00\x00\x00", "arm64", false, ""},
	} {
		if why, ok := wrongProcessor(strings.NewReader(c.text), c.arch, c.rosetta); why != c.want || !ok {
			t.Errorf("%.16q on %s, Rosetta %t: %q, %t", c.text, c.arch, c.rosetta, why, ok)
		}
	}
	if _, ok := wrongProcessor(strings.NewReader("\xca\xfe\xba\xbe\x00\x00\x00\x41"), "arm64", false); ok {
		t.Error("a class of Java is a program of macOS")
	}
}

func TestTheLoaderOfProgramsOfEveryKind(t *testing.T) {
	t.Parallel()
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, class := range []elf.Class{elf.ELFCLASS32, elf.ELFCLASS64} {
			for _, want := range []string{"", "/lib/ld.so", "/" + strings.Repeat("x", 4000)} {
				if got, ok := elfOf(collectorELFOf(t, class, order, want)); got.loader != want || got.cutOff || got.machine != elfMachine || !ok {
					t.Errorf("%v, %v: got %.20q, %t; want %.20q", order, class, got.loader, ok, want)
				}
			}
			if got, ok := elfOf(strings.TrimSuffix(collectorELFOf(t, class, order, ""), "\x00")); !ok || got.cutOff {
				t.Errorf("%v, %v: a table that ends with the file is not read", order, class)
			}
			whole := collectorELFOf(t, class, order, "/lib/ld.so")
			for n := range len(whole) {
				if got, ok := elfOf(whole[:n]); !strings.HasPrefix("/lib/ld.so", got.loader) || ok != (n >= 4) || ok && !got.cutOff {
					t.Errorf("%v, %v, the first %d bytes: %+v", order, class, n, got)
				}
			}
		}
	}
	if _, ok := elfOf(strings.Repeat("\x00", 100)); ok {
		t.Error("zeroes are taken for a program")
	}
}

func elfOf(program string) (elfFile, bool) {
	return readELF(strings.NewReader(program), uint64(len(program)))
}

func FuzzTheLoader(f *testing.F) {
	f.Add([]byte(collectorELF(f, "/lib/ld.so")))
	f.Add([]byte(collectorELFOf(f, elf.ELFCLASS32, binary.BigEndian, "/lib/ld.so")))
	f.Fuzz(func(t *testing.T, program []byte) {
		got, ok := elfOf(string(program))
		if len(got.loader) > 4096 || got.loader != "" && (!ok || !bytes.Contains(program, []byte(got.loader))) {
			t.Errorf("got %+v, %t", got, ok)
		}
	})
}

// elfMachine is this processor, as ELF names it; another one where this tool does not know its name.
var elfMachine = map[string]uint16{"amd64": uint16(elf.EM_X86_64), "386": uint16(elf.EM_386), "arm64": uint16(elf.EM_AARCH64), "arm": uint16(elf.EM_ARM),
	"s390x": uint16(elf.EM_S390), "riscv64": uint16(elf.EM_RISCV), "ppc64le": uint16(elf.EM_PPC64)}[runtime.GOARCH]

// collectorELF is the beginning of a program of this tool's own kind of machine that names its loader, or none.
func collectorELF(t testing.TB, loader string) string {
	return collectorELFOf(t, elf.ELFCLASS64, binary.LittleEndian, loader)
}

// collectorELFOf is the beginning of a program, written with the types of debug/elf: enough to be read.
func collectorELFOf(t testing.TB, class elf.Class, order binary.ByteOrder, loader string) string {
	t.Helper()
	data := elf.ELFDATA2LSB
	if order == binary.BigEndian {
		data = elf.ELFDATA2MSB
	}
	ident := [16]byte{0x7f, 'E', 'L', 'F', byte(class), byte(data), byte(elf.EV_CURRENT)}
	var parts []any
	if class == elf.ELFCLASS64 {
		head := elf.Header64{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: elfMachine, Phoff: 64, Phentsize: 56, Phnum: 2, Ehsize: 64, Shentsize: 64}
		table := []elf.Prog64{{Type: uint32(elf.PT_LOAD)}, {Type: uint32(elf.PT_NOTE)}}
		if loader != "" {
			table[1] = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 64 + 2*56, Filesz: uint64(len(loader) + 1)}
		}
		parts = []any{head, table}
	} else {
		head := elf.Header32{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: elfMachine, Phoff: 52, Phentsize: 32, Phnum: 2, Ehsize: 52, Shentsize: 40}
		table := []elf.Prog32{{Type: uint32(elf.PT_LOAD)}, {Type: uint32(elf.PT_NOTE)}}
		if loader != "" {
			table[1] = elf.Prog32{Type: uint32(elf.PT_INTERP), Off: 52 + 2*32, Filesz: uint32(len(loader) + 1)}
		}
		parts = []any{head, table}
	}
	var b bytes.Buffer
	for _, part := range append(parts, []byte(loader+"\x00")) {
		must(t, binary.Write(&b, order, part))
	}
	return b.String()
}
