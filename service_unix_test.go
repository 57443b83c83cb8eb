//go:build linux || darwin

// What Linux and macOS share: the lock, and small questions about files and processes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

func TestALockIsWaitedForAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	lock := folderLock(private(t, t.TempDir()))
	never := func() { t.Error("it waits for nobody") }
	for range 2 { // what was let go can be had again
		unlock := need(lock(t.Context(), never))(t)
		unlock()
	}
	unlock := need(lock(t.Context(), never))(t)
	waits, ended := make(chan bool, 2), make(chan error)
	go func() {
		unlock, err := lock(context.Background(), func() { waits <- true })
		ended <- err
		unlock()
	}()
	<-waits
	select {
	case err := <-ended:
		t.Errorf("two have the lock: %v", err)
	case <-time.After(50 * time.Millisecond): // it has looked again meanwhile
	}
	unlock()
	if err := <-ended; err != nil || len(waits) != 0 {
		t.Errorf("got %v, and said so %d times more", err, len(waits))
	}
}

func TestWaitingForALockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	lock := folderLock(private(t, t.TempDir()))
	unlock := need(lock(t.Context(), func() {}))(t)
	defer unlock()
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := lock(ctx, cancel); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
}

func TestWhatOthersMayOpenIsNotLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	dirs := []string{filepath.Join(dir, "none"), os.DevNull, dir}
	for range 2 { // at the same time
		need(folderLock(dirs...)(t.Context(), func() { t.Error("it waits") }))(t)
	}
	if other := private(t, t.TempDir()); os.Getuid() == 0 && os.Chown(other, 65534, -1) == nil {
		dirs = append(dirs, other)
	}
	own := private(t, t.TempDir())
	unlock := need(folderLock(append(dirs, own)...)(t.Context(), func() {}))(t)
	defer unlock()
	waits := false
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := folderLock(own)(ctx, func() { waits = true; cancel() }); err == nil || !waits {
		t.Errorf("the one that is ours alone is not locked: %v", err)
	}
}

func TestWhetherAProcessExists(t *testing.T) {
	t.Parallel()
	if !alive(os.Getpid()) || !alive(1) { // which this user may have no right to signal
		t.Error("a process is not there")
	}
	if alive(1 << 30) {
		t.Error("a process is there that cannot be")
	}
}

func TestOwnerInodeAndChangeOfAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x")
	put(t, path, "", 0o600)
	before := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(path, before, before))
	info := need(os.Stat(path))(t)
	if uid, ok := fileOwner(info); uid != os.Getuid() || !ok {
		t.Errorf("owner: got %d, %t", uid, ok)
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil || inode(info) != fmt.Sprint(stat.Ino) {
		t.Errorf("inode: got %s, want %d, %v", inode(info), stat.Ino, err)
	}
	if got := changeTime(info); time.Since(got) > time.Minute {
		t.Errorf("a change of the times is one, too: got %s", got)
	}
	info = need(fstest.MapFS{"x": {ModTime: before}}.Stat("x"))(t) // of no file system of this machine
	if uid, ok := fileOwner(info); uid != 0 || ok || inode(info) != "" || !changeTime(info).Equal(before) {
		t.Errorf("got %d, %t, %q, %s", uid, ok, inode(info), changeTime(info))
	}
}
