#!/usr/bin/env bash
# Makes the API as it is now the one that later changes are held against: writes proto/baseline.binpb.
# Part of a release, run by hand and committed with it; tests only read the file.
#
#   deploy/ci/baseline.sh           refuses if the API breaks the present baseline
#   deploy/ci/baseline.sh --break   accepts that; for a new package version (heyan.v2), announced as such
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bash deploy/tools/install.sh
buf=deploy/tools/bin/buf
baseline=proto/baseline.binpb

case "${1:-}" in
'')
	if [ -e "$baseline" ]; then
		"$buf" breaking --against "$baseline"
	fi
	;;
--break) ;;
*)
	echo "usage: deploy/ci/baseline.sh [--break]" >&2
	exit 2
	;;
esac

"$buf" build --exclude-source-info --output "$baseline"
echo "wrote $baseline"
