#!/usr/bin/env bash
# Puts faults into the system calls of a process that writes a network log, one at a time: EIO, ENOSPC, a kill. After each
# the log is opened and verified; nothing that was acknowledged may be missing. And fills a real file system of a few MiB
# under a log. Linux only; needs strace, and for the file system root or user namespaces.
#
#   deploy/ci/faults.sh           up to the 60th call of a kind (some minutes)
#   deploy/ci/faults.sh --short   up to the 5th: what CI runs
#
# Ends with an error after 20 minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

nth=60
case "${1:-}" in
--short) nth=5 ;;
'') ;;
*)
	echo "usage: deploy/ci/faults.sh [--short]" >&2
	exit 2
	;;
esac
command -v strace >/dev/null || {
	echo "strace is not installed" >&2
	exit 1
}

export CGO_ENABLED=0
go test -count=1 -timeout=20m -v -tags=strace -run='^TestSyscallFaults$' ./store/netlog -nth="$nth" | grep -v '^=== RUN'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go test -c -tags=fulldisk -o "$work/netlog.test" ./store/netlog
mkdir "$work/disk"
# shellcheck disable=SC2016 # the inner shell's own
full='set -e
mount -t tmpfs -o size=8m tmpfs "$1/disk"
HEYAN_FULL_DISK="$1/disk" "$1/netlog.test" -test.count=1 -test.timeout=5m -test.v -test.run="^TestRealFullDisk$"'
unshare --mount --map-root-user bash -c "$full" - "$work" || unshare --mount bash -c "$full" - "$work"
