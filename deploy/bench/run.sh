#!/usr/bin/env bash
# What Heyan costs, beside a bare echo, a tuned echo and a floor, on this machine: README.md says how to read it.
#
#   deploy/bench/run.sh                    about eight minutes, 1,000,000 people
#   deploy/bench/run.sh --quick            a minute and a half, 100,000 people: to see that it works
#   deploy/bench/run.sh --people 5000000 --rounds 3 --out result.json
#
# Everything round by round goes to dist/bench.json, or --out.
#
# Everything runs on loopback and writes below one temporary directory (TMPDIR), which is removed at the end. What is
# flushed there should be on the kind of disk that a server would use: a TMPDIR in memory measures nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tools" "$work/data"

export CGO_ENABLED=0
go build -buildvcs=false -o "$work/tools/" ./cmd/heyan ./deploy/bench/baseline ./deploy/bench/compare ./deploy/bench/load ./deploy/bench/parts
go test -c -o "$work/tools/verifier.test" ./verifier

mkdir -p dist
"$work/tools/compare" --tools "$work/tools" --work "$work/data" --out dist/bench.json "$@"
