#!/usr/bin/env bash
# Builds the binary for every platform into dist/, with a list of SHA-256 sums.
#
#   deploy/ci/build.sh                        all platforms
#   deploy/ci/build.sh linux/amd64 …          only those
#
# The binaries are static (no cgo) and reproducible: the same commit and Go release give the same bytes.
# main.version is set by the linker to VERSION, or else to what git describe says; commit and commit time
# are in the build information that "heyan version" and "go version -m" read.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo unknown)}
if [ $# = 0 ]; then
	set -- linux/amd64 linux/arm64 darwin/arm64 darwin/amd64 windows/amd64
fi

mkdir -p dist
rm -f dist/heyan_* dist/SHA256SUMS
for platform in "$@"; do
	os=${platform%/*} arch=${platform#*/} suffix=
	[ "$os" != windows ] || suffix=.exe
	out=dist/heyan_${version}_${os}_${arch}$suffix
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=auto \
		-ldflags "-s -w -X main.version=$version" -o "$out" ./cmd/heyan
	echo "$out"
done

cd dist
if command -v sha256sum >/dev/null; then
	sha256sum heyan_* >SHA256SUMS
else
	shasum -a 256 heyan_* >SHA256SUMS
fi
cat SHA256SUMS
