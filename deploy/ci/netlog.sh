#!/usr/bin/env bash
# The long forms of the network log's own tests: what `go test ./store/netlog/...` does in part, whole.
#
#   deploy/ci/netlog.sh
#
# At least ten thousand states in which a crash can leave the disk, each recovered, verified and gone on with; five hundred
# kill -9 of a process that appends and seals; every byte of a log, a segment, its manifest and the tiles flipped, one at
# a time. Each test prints what it tried, and the last line sums it up. Ends with an error after an hour; how long it takes
# is a matter of cores. Crash images are kept in memory where there is /dev/shm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export CGO_ENABLED=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# long PACKAGE TESTS runs their long form, and keeps what they print.
long() {
	go test -count=1 -timeout=40m -v -long -run="$2" "$1" | tee -a "$work/out" | grep -vE '^(=== |PASS$)'
}

# The kills are of real files on a real disk: what TMPDIR says.
long ./store/netlog '^TestKill$'
if [ -d /dev/shm ]; then
	export TMPDIR=/dev/shm
fi
long ./store/netlog '^(TestCrashImages|TestCrashDuringCreate|TestSealingCrash|TestPurgeCrash)$'
long ./store/netlog '^(TestEveryByteFlipped|TestEveryByteOfASegmentFlipped)$'
long ./store/netlog/segment '^TestEveryByte$'

awk '
	/ crash images/ { for (i = 2; i <= NF; i++) if ($(i) == "crash") images += $(i - 1) }
	/ kills, / { for (i = 2; i <= NF; i++) if ($(i) == "kills,") kills += $(i - 1) }
	END {
		printf "%d crash images recovered, %d kills survived\n", images, kills
		exit images < 10000 || kills < 500
	}' "$work/out"
