#!/bin/bash
# .github/macos-lifecycle.sh: the life of the service under the real launchd of a Mac, with the stand-in collector:
# exit statuses, PIDs, and what launchctl itself says. It refuses to start where the service is already installed.
# It has never run on a Mac: no machine of this project is one.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname)" = Darwin ] || { echo "this is not macOS" >&2; exit 1; }

label=com.runtimescope.collector
plist=$HOME/Library/LaunchAgents/$label.plist
if [ -e "$plist" ] || launchctl list "$label" >/dev/null 2>&1; then
  echo "the service is already installed here: this test would remove it" >&2
  exit 1
fi
# A folder that lasts as long as the test, but not one of those that macOS empties.
bin=$HOME/.runtimescope-lifecycle
tool=$bin/runtimescope
end() {
  status=$?
  if [ $status != 0 ]; then # what launchd has to say of it
    launchctl print "gui/$(id -u)/$label" || true
    tail -n 20 "$HOME"/.runtimescope/logs/collector.*.log || true
  fi
  "$tool" service uninstall >/dev/null 2>&1 || true
  rm -rf "$bin"
  exit $status
}
trap end EXIT
mkdir -p "$bin"
CGO_ENABLED=0 go build -o "$bin/" . ./testdata/fakebin/collector-server

# expect STATUS ARG …: the tool with these arguments ends with that exit status.
expect() {
  local want=$1 got=0
  shift
  printf '\n$ runtimescope %s\n' "$*"
  "$tool" "$@" || got=$?
  [ "$got" = "$want" ] || { echo "exit status $got, not $want" >&2; exit 1; }
}
# key NAME: that value of status --json
key() { "$tool" service status --json | sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"; }
# is NAME VALUE: so says status --json
is() {
  local got
  got=$(key "$1")
  [ "$got" = "$2" ] || { echo "$1 is \"$got\", not \"$2\"" >&2; exit 1; }
}
# up: status, launchctl and curl all say so; sets pid
up() {
  is state running
  is healthy true
  is verified true
  pid=$(key pid)
  [ "$(launchctl list "$label" | sed -n 's/.*"PID" = \([0-9]*\);.*/\1/p')" = "$pid" ]
  curl --silent --fail --max-time 2 http://127.0.0.1:6768/readyz >/dev/null
}
# fails COMMAND …: it must
fails() {
  if "$@" >/dev/null 2>&1; then
    echo "it did not fail: $*" >&2
    exit 1
  fi
}

expect 4 service status --exit-code
expect 1 service restart
expect 0 service install --dry-run
[ ! -e "$plist" ]

expect 0 service install
plutil -lint "$plist"
expect 0 service status --exit-code
is manager launchd
is definition "$plist"
is collector "$bin/collector-server"
up
first=$pid

expect 0 service restart
up
second=$pid
[ "$second" != "$first" ]

expect 0 service install
up
third=$pid
[ "$third" != "$second" ]
expect 0 service update
up
[ "$pid" = "$third" ]

# launchd starts it again after a crash, at the earliest ten seconds after the last start
kill -9 "$third"
for _ in $(seq 60); do
  if [ "$(key healthy)" = true ] && [ "$(key pid)" != "$third" ]; then break; fi
  sleep 0.5
done
up
fourth=$pid
[ "$fourth" != "$third" ]

expect 0 service doctor
expect 0 service logs -n 5
expect 0 service stop
is state stopped
is pid null
[ -e "$plist" ]
fails curl --silent --max-time 2 http://127.0.0.1:6768/readyz
expect 3 service status --exit-code
expect 0 service stop

expect 0 service start
up
fifth=$pid
[ "$fifth" != "$fourth" ]

expect 0 service uninstall
[ ! -e "$plist" ]
fails launchctl list "$label"
fails kill -0 "$fifth"
expect 4 service status --exit-code
expect 0 service uninstall
printf '\nAll as expected: PIDs %s, %s, %s, %s, %s.\n' "$first" "$second" "$third" "$fourth" "$fifth"
