#!/usr/bin/env bash
# Generates the Go code of proto/ beside its source.
#
#   deploy/ci/generate.sh           writes proto/heyan/**/*.pb.go, removes what has no source any more
#   deploy/ci/generate.sh --check   writes nothing; fails, with the difference, if the tree is not up to date
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bash deploy/tools/install.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# generated_in DIR prints the generated files below DIR/proto, relative to DIR.
generated_in() {
	(cd "$1" && find proto -name '*.pb.go' | LC_ALL=C sort)
}

mkdir -p "$tmp/want/proto" "$tmp/have/proto"
deploy/tools/bin/buf generate --template proto/buf.gen.yaml --output "$tmp/want"

case "${1:-}" in
--check)
	generated_in . | while read -r file; do
		mkdir -p "$tmp/have/$(dirname "$file")"
		cp "$file" "$tmp/have/$file"
	done
	if ! (cd "$tmp" && git --no-pager diff --no-index --exit-code --stat --patch have want >difference); then
		head -n 60 "$tmp/difference"
		echo "generated code is not up to date: run deploy/ci/generate.sh" >&2
		exit 1
	fi
	;;
'')
	generated_in . | while read -r file; do
		[ -e "$tmp/want/$file" ] || rm -f "$file"
	done
	generated_in "$tmp/want" | while read -r file; do
		# An unchanged file keeps its time, and the build cache its entry.
		cmp -s "$tmp/want/$file" "$file" || cp "$tmp/want/$file" "$file"
	done
	;;
*)
	echo "usage: deploy/ci/generate.sh [--check]" >&2
	exit 2
	;;
esac
