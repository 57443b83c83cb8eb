# Builds, tests and installs runtimescope; for any POSIX make. It sets no Go flag and no Go variable: those are the caller's,
# by way of GOFLAGS and the environment. "install" builds nothing, so that it can run as another user.
.POSIX:

PREFIX = /usr/local
BINDIR = $(PREFIX)/bin
DATADIR = $(PREFIX)/share
MANDIR = $(DATADIR)/man
DOCDIR = $(DATADIR)/doc/runtimescope
BASHDIR = $(DATADIR)/bash-completion/completions
ZSHDIR = $(DATADIR)/zsh/site-functions
FISHDIR = $(DATADIR)/fish/vendor_completions.d
GO = go
INSTALL = install

all:
	$(GO) build -o runtimescope .

test:
	$(GO) test ./...

check: test
	$(GO) vet ./...

install: install-bin install-data

install-bin:
	@test -f runtimescope || { echo 'runtimescope is not built yet. Run: make' >&2; exit 1; }
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)"
	$(INSTALL) -m 0755 runtimescope "$(DESTDIR)$(BINDIR)/runtimescope"

install-data:
	$(INSTALL) -d "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(DOCDIR)"
	$(INSTALL) -d "$(DESTDIR)$(BASHDIR)" "$(DESTDIR)$(ZSHDIR)" "$(DESTDIR)$(FISHDIR)"
	$(INSTALL) -m 0644 docs/runtimescope.1 "$(DESTDIR)$(MANDIR)/man1/runtimescope.1"
	$(INSTALL) -m 0644 README.md CHANGELOG.md LICENSE "$(DESTDIR)$(DOCDIR)"
	$(INSTALL) -m 0644 completions/runtimescope.bash "$(DESTDIR)$(BASHDIR)/runtimescope"
	$(INSTALL) -m 0644 completions/_runtimescope "$(DESTDIR)$(ZSHDIR)/_runtimescope"
	$(INSTALL) -m 0644 completions/runtimescope.fish "$(DESTDIR)$(FISHDIR)/runtimescope.fish"

uninstall:
	rm -f "$(DESTDIR)$(BINDIR)/runtimescope" "$(DESTDIR)$(MANDIR)/man1/runtimescope.1"
	rm -f "$(DESTDIR)$(BASHDIR)/runtimescope" "$(DESTDIR)$(ZSHDIR)/_runtimescope" "$(DESTDIR)$(FISHDIR)/runtimescope.fish"
	rm -f "$(DESTDIR)$(DOCDIR)/README.md" "$(DESTDIR)$(DOCDIR)/CHANGELOG.md" "$(DESTDIR)$(DOCDIR)/LICENSE"
	-rmdir "$(DESTDIR)$(DOCDIR)"

clean:
	rm -f runtimescope

.PHONY: all test check install install-bin install-data uninstall clean
