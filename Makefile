# Builds, checks and installs runtimescope. It sets no Go flag and no Go variable: those are the caller's, by way of
# GOFLAGS and the environment.

PREFIX = /usr/local
BINDIR = $(PREFIX)/bin
DATADIR = $(PREFIX)/share
MANDIR = $(DATADIR)/man
DOCDIR = $(DATADIR)/doc/runtimescope
BASHDIR = $(DATADIR)/bash-completion/completions
ZSHDIR = $(DATADIR)/zsh/site-functions
FISHDIR = $(DATADIR)/fish/vendor_completions.d

build:
	go build -o runtimescope .

check:
	go vet ./...
	go test ./...

# only when it is missing: what was built by other means, or by another user, is installed as it is
runtimescope:
	$(MAKE) build

install: runtimescope
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(DOCDIR)"
	install -d "$(DESTDIR)$(BASHDIR)" "$(DESTDIR)$(ZSHDIR)" "$(DESTDIR)$(FISHDIR)"
	install -m 0755 runtimescope "$(DESTDIR)$(BINDIR)/runtimescope"
	install -m 0644 docs/runtimescope.1 "$(DESTDIR)$(MANDIR)/man1/runtimescope.1"
	install -m 0644 README.md CHANGELOG.md LICENSE "$(DESTDIR)$(DOCDIR)"
	install -m 0644 completions/runtimescope.bash "$(DESTDIR)$(BASHDIR)/runtimescope"
	install -m 0644 completions/_runtimescope "$(DESTDIR)$(ZSHDIR)/_runtimescope"
	install -m 0644 completions/runtimescope.fish "$(DESTDIR)$(FISHDIR)/runtimescope.fish"

.PHONY: build check install
