#!/usr/bin/env bash
# Tests that run the program as it ships, in processes of its own, for longer than a developer waits.
#
#   deploy/ci/long.sh           50 kills under load (some minutes)
#   deploy/ci/long.sh --short   4 kills: what CI runs
#
# Both send canaries through everything that takes bytes, look for them in everything that is written, and crash the
# server to see that it leaves no core. Each part ends with an error when it takes too long.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

kills=50
case "${1:-}" in
--short) kills=4 ;;
'') ;;
*)
	echo "usage: deploy/ci/long.sh [--short]" >&2
	exit 2
	;;
esac

export CGO_ENABLED=0
go test -count=1 -timeout=5m -v -run='^(TestCanary|TestCanarySearchFinds|TestCrashLeavesNoCore|TestHardened)$' ./cmd/heyan
bash deploy/ci/crash.sh "$kills"
