#!/usr/bin/env bash
# Puts the pinned build tools into deploy/tools/bin: staticcheck, gotestsum, grpcurl, benchstat and buf.
# A second run with unchanged pins does nothing.
#
# The Go tools are the tool lines of go.mod beside this file. buf is a prebuilt binary from npm on Linux
# (seconds); elsewhere, or without npm, it is built from its Go module (a minute or two) at the same version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

bin=$PWD/bin
stamp="$(cat go.mod go.sum package.json package-lock.json install.sh | cksum) $(go env GOVERSION GOHOSTOS GOHOSTARCH | tr '\n' ' ')"
if [ "$(cat "$bin/.stamp" 2>/dev/null || true)" = "$stamp" ]; then
	exit 0
fi

mkdir -p "$bin"
rm -f "$bin/.stamp"
unset GOOS GOARCH
GOBIN=$bin go install tool

buf_from_npm() {
	[ "$(uname -s)" = Linux ] && command -v npm >/dev/null || return 1
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 || return 1
	local binary
	for binary in node_modules/@bufbuild/buf-linux-*/bin/buf; do
		if [ -x "$binary" ] && "$binary" --version >/dev/null; then
			cp "$binary" "$bin/buf"
			return 0
		fi
	done
	return 1
}

if ! buf_from_npm; then
	version=$(sed -n 's/.*"@bufbuild\/buf-linux-x64": *"\([^"]*\)".*/\1/p' package.json)
	echo "building buf v$version from source" >&2
	GOBIN=$bin GOFLAGS='' go install "github.com/bufbuild/buf/cmd/buf@v$version"
fi

printf '%s\n' "$stamp" >"$bin/.stamp"
