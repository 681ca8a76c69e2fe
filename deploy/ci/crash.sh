#!/usr/bin/env bash
# Kills the server under load, again and again, and compares after each restart what was acknowledged with
# ledger, network log, usage, quota and consents.
#
#   deploy/ci/crash.sh           50 kills
#   deploy/ci/crash.sh KILLS     that many
#
# Ends with an error after 20 minutes. HEYAN_CRASH_SEED repeats the choices of the run that printed it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export CGO_ENABLED=0 HEYAN_CRASH_ROUNDS=${1:-50}
go test -count=1 -timeout=20m -v -run='^TestKilledUnderLoad$' ./cmd/heyan
