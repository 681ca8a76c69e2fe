#!/usr/bin/env bash
# What the network log costs, each figure beside its baseline in the same run: README.md says how to read it.
#
#   deploy/bench/log.sh                       some six minutes, 2,000,000 records
#   deploy/bench/log.sh --quick               two minutes at most, 200,000 records: to see that it works
#   deploy/bench/log.sh --records 500000 --rounds 3 --out result.json
#
# Everything round by round goes to dist/bench-log.json, or --out. It needs Go, zstd and grep; the Go module of Tessera is
# fetched when it is built for the first time.
#
# What is flushed is below TMPDIR, as in run.sh: one in memory measures nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for tool in zstd zstdcat grep; do
	command -v "$tool" >/dev/null || {
		echo "$tool is missing: install zstd and grep by apt-get or brew" >&2
		exit 1
	}
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tools" "$work/data"

export CGO_ENABLED=0
go build -buildvcs=false -o "$work/tools/" ./deploy/bench/logs ./deploy/bench/parts
(cd deploy/oracle && go build -buildvcs=false -o "$work/tools/tessera" ./tessera)

mkdir -p dist
"$work/tools/logs" --tools "$work/tools" --work "$work/data" --out dist/bench-log.json "$@"
