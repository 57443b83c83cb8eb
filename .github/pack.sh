#!/usr/bin/env bash
# .github/pack.sh VERSION FOLDER: builds a static program for GOOS and GOARCH and packs it into FOLDER, with what
# belongs to it, so that the same source, version and Go give the same bytes.
set -euo pipefail
version=$1 dist=$2
cd "$(dirname "$0")/.."
name=runtimescope-$version-$(go env GOOS)-$(go env GOARCH)
date=@$(git log -1 --format=%ct)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
umask 022
mkdir -p "$dist" "$stage/$name"

program=runtimescope$(go env GOEXE)
go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$stage/$name/$program" .
cp README.md CHANGELOG.md LICENSE "$stage/$name"
if [ "$(go env GOOS)" = windows ]; then
  find "$stage" -exec touch -d "$date" {} +
  out=$(cd "$dist" && pwd)/$name.zip
  (cd "$stage" && find "$name" | LC_ALL=C sort | TZ=UTC zip -Xq "$out" -@)
else
  cp -R docs/runtimescope.1 completions "$stage/$name"
  rm "$stage/$name/completions/try"
  tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="$date" -c "$name" | gzip -9n >"$dist/$name.tar.gz"
fi
