#!/bin/bash
# .github/macos-lifecycle.sh: the life of the service under the real launchd of a Mac, with the stand-in collector. Each step says
# why it failed. What launchctl, ps and lsof print goes into the folder $SAMPLES, in the form of testdata/fakebin/launchd. It runs
# with the bash 3.2 of macOS, and refuses to start where the service is installed. It has never run: no machine here is a Mac.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname)" = Darwin ] || { echo "this is not macOS" >&2; exit 1; }

label=com.runtimescope.collector
domain=gui/$(id -u)
plist=$HOME/Library/LaunchAgents/$label.plist
samples=${SAMPLES:-/tmp/runtimescope-samples}
if [ -e "$plist" ] || launchctl list "$label" >/dev/null 2>&1; then
  echo "the service is already installed here: this test would remove it" >&2
  exit 1
fi
bin=$HOME/.runtimescope-lifecycle # a folder that lasts as long as the test, but none that macOS empties
tool=$bin/runtimescope
mkdir -p "$samples" "$bin"

# section NAME COMMAND …: what the command prints, under the heading of a sample; nothing where it fails
section() {
  local name=$1 text
  shift
  text=$("$@" 2>>"$samples/stderr.raw") || return 0
  printf '## %s\n%s\n' "$name" "$text"
}
# sample NAME [KEY=VALUE …]: a sample of this moment, and what must be read in it
sample() {
  local name=$1
  shift
  {
    printf '# macOS %s; %s\n# expect %s\n' "$(sw_vers -productVersion)" "$(uname -m)" "$*"
    section print launchctl print "$domain/$label"
    section list launchctl list "$label"
    section print-disabled launchctl print-disabled "$domain"
  } >"$samples/$name.txt"
  {
    echo "== $name"
    ps -axo pid=,ppid=,etime=,rss=,command= | awk -v bin="$bin" 'index($0, bin) && !index($0, "awk")' || true
    lsof -nP -iTCP:6768 -iTCP:6767 -sTCP:LISTEN -Fpun || true
  } >>"$samples/processes.raw" 2>&1
}
why() { # what there is to know of a failure
  sample failure
  cat "$samples/failure.txt" || true
  "$tool" service doctor || true
  tail -n 20 "$HOME"/.runtimescope/logs/collector.*.log || true
  log show --last 3m --style compact --predicate "process == \"launchd\" AND eventMessage CONTAINS \"$label\"" 2>/dev/null | tail -n 40 || true
}
end() {
  local status=$?
  trap - EXIT
  [ $status = 0 ] || why
  "$tool" service uninstall >/dev/null 2>&1 || true
  rm -rf "$bin"
  exit $status
}
trap end EXIT
CGO_ENABLED=0 go build -o "$bin/" . ./testdata/fakebin/collector-server

fail() { echo "✗ $*" >&2; exit 1; }
# expect STATUS ARG …: the tool with these arguments ends with that exit status
expect() {
  local want=$1 got=0
  shift
  printf '\n$ runtimescope %s\n' "$*"
  "$tool" "$@" || got=$?
  [ "$got" = "$want" ] || fail "exit status $got, not $want"
}
key() { "$tool" service status --json | sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"; }
is() { # is NAME VALUE: so says status --json
  local got
  got=$(key "$1")
  [ "$got" = "$2" ] || fail "$1 is \"$got\", not \"$2\""
}
up() { # status, launchctl and curl all say so; sets pid
  is state running
  is healthy true
  is verified true
  is restart_needed false
  pid=$(key pid)
  local listed
  listed=$(launchctl list "$label" | sed -n 's/.*"PID" = \([0-9]*\);.*/\1/p')
  [ "$listed" = "$pid" ] || fail "launchctl list says PID $listed, status says $pid"
  curl --silent --fail --max-time 2 http://127.0.0.1:6768/readyz >/dev/null || fail "curl gets no answer of /readyz"
}
differs() { [ "$1" != "$2" ] || fail "$3: the PID is $1 as before"; }
fails() {
  if "$@" >/dev/null 2>&1; then fail "it did not fail: $*"; fi
}

expect 4 service status --exit-code
expect 1 service restart
expect 0 service install --dry-run
[ ! -e "$plist" ] || fail "a dry run wrote $plist"

expect 0 service install
plutil -lint "$plist"
expect 0 service status --exit-code
is manager launchd
is definition "$plist"
is collector "$bin/collector-server"
up
sample running "phase=running pid=$pid disabled=no"
echo "A job with HardResourceLimits/ResidentSetSize $(plutil -extract HardResourceLimits.ResidentSetSize raw "$plist") starts here."
first=$pid

expect 0 service restart
up
second=$pid
differs "$second" "$first" restart

expect 0 service install
up
third=$pid
differs "$third" "$second" install
for _ in 1 2 3 4 5; do # whatever the fraction of the second is
  expect 0 service update
  up
  [ "$pid" = "$third" ] || fail "update restarted what was up to date: PID $pid, before $third"
  sleep 0.3
done

# launchd starts it again after a crash, ten seconds after the last start at the earliest, or puts that off
kill -9 "$third"
sample killed signal=9
for _ in $(seq 80); do
  if [ "$(key healthy)" = true ] && [ "$(key pid)" != "$third" ]; then break; fi
  sleep 0.5
done
if [ "$(key healthy)" != true ]; then
  sample not-back
  launchctl print "$domain/$label" | grep pended || fail "it did not come back in 40 seconds, and no start is put off"
  echo "macOS has deferred the start"
  expect 0 service start
fi
up
fourth=$pid
differs "$fourth" "$third" "after kill -9"

# another file in its place, by rename, as package managers do; Go's linker signs it
CGO_ENABLED=0 go build -ldflags=-buildid=another -o "$bin/new" ./testdata/fakebin/collector-server
mv "$bin/new" "$bin/collector-server"
is restart_needed true
expect 0 service update
up
differs "$pid" "$fourth" update
sample updated "phase=running pid=$pid"

expect 0 service doctor
expect 0 service logs -n 5
echo STANDIN_EXIT=3 >"$bin/standin"
expect 1 service restart
sample crashing "phase=crash-looping exit=3"
rm "$bin/standin"
expect 0 service restart
up
fifth=$pid

expect 0 service stop
is state stopped
is pid null
[ -e "$plist" ] || fail "stop removed the plist"
fails curl --silent --max-time 2 http://127.0.0.1:6768/readyz
expect 3 service status --exit-code
sample stopped disabled=no
expect 0 service stop

expect 0 service start
up
differs "$pid" "$fifth" start
sixth=$pid

expect 0 service uninstall
[ ! -e "$plist" ] || fail "uninstall left the plist"
fails launchctl list "$label"
fails kill -0 "$sixth"
expect 4 service status --exit-code
expect 0 service uninstall
printf '\nAll as expected: PIDs %s, %s, %s, %s, %s, %s.\n' "$first" "$second" "$third" "$fourth" "$fifth" "$sixth"
