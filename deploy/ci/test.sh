#!/usr/bin/env bash
# Everything that has to hold before a change lands. Needs Go; installs what else is missing, by apt-get
# or brew. Runs every step even when one fails, and fails if any did.
#
#   deploy/ci/test.sh           all of it
#   deploy/ci/test.sh --quick   for a developer: no race detector, no fuzzing, no long tests
#
# FUZZTIME (default 3s) is how long each fuzz target runs.
# The last line counts Go tests, fuzz targets and steps together: "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

quick=
case "${1:-}" in
--quick) quick=1 ;;
'') ;;
*)
	echo "usage: deploy/ci/test.sh [--quick]" >&2
	exit 2
	;;
esac

readonly bin=$PWD/deploy/tools/bin
readonly skip=77 # the exit code of a step that says why it cannot run
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/counts"
: >"$work/summary"

# What ships is built without cgo; the race detector alone needs it, on Linux.
export CGO_ENABLED=0
# A clone that git does not trust would otherwise not build. build.sh stamps releases.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

# ---- steps ------------------------------------------------------------------------------------------

# count PASSED FAILED SKIPPED adds to the last line.
count() {
	echo "$1 $2 $3" >>"$work/counts"
}

# step NAME COMMAND… runs a command or function in a shell of its own, timed.
step() {
	local name=$1 began=$SECONDS status=0 word
	shift
	printf '\n== %s\n' "$name"
	set +e
	(
		set -euo pipefail
		"$@"
	) </dev/null
	status=$?
	set -e
	case $status in
	0) word=ok && count 1 0 0 ;;
	"$skip") word=skipped && count 0 0 1 ;;
	*) word=FAILED && count 0 1 0 ;;
	esac
	printf -- '-- %s: %s, %d s\n' "$name" "$word" $((SECONDS - began))
	printf '%-8s %5d s  %s\n' "$word" $((SECONDS - began)) "$name" >>"$work/summary"
}

# because REASON ends a step as skipped.
because() {
	echo "skipped: $*"
	exit "$skip"
}

# modules prints the folder of each Go module, the product's first.
modules() {
	find . -name go.mod -not -path '*/node_modules/*' -not -path '*/testdata/*' | LC_ALL=C sort |
		while read -r file; do dirname "$file"; done
}

# in_modules COMMAND… runs a command in each module that has packages.
in_modules() {
	local dir
	for dir in $(modules); do
		if [ -n "$(cd "$dir" && go list ./... 2>/dev/null)" ]; then
			echo "$dir: $*"
			(cd "$dir" && "$@")
		fi
	done
}

faults() {
	[ "$(uname -s)" = Linux ] || because "system calls are traced on Linux only"
	bash deploy/ci/faults.sh --short
}

# ---- what has to be on the machine --------------------------------------------------------------------

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		echo "not root, and no sudo without a password: please run: $*" >&2
		return 1
	fi
}

# installed COMMAND… runs a package manager quietly, and shows what it said when it fails.
installed() {
	echo "$*"
	if ! "$@" >"$work/installer" 2>&1; then
		cat "$work/installer"
		echo "that failed"
		return 1
	fi
}

prerequisites() {
	go version
	local debian=() brewed=()
	command -v git >/dev/null || { debian+=(git) && brewed+=(git); }
	command -v cc >/dev/null || debian+=(gcc libc6-dev)
	command -v node >/dev/null || { debian+=(nodejs) && brewed+=(node); }
	command -v npm >/dev/null || debian+=(npm)
	command -v shellcheck >/dev/null || { debian+=(shellcheck) && brewed+=(shellcheck); }
	[ "$(uname -s)" != Linux ] || command -v strace >/dev/null || debian+=(strace)
	if [ "$(uname -s)" = Darwin ]; then
		[ ${#brewed[@]} = 0 ] || installed brew install --quiet "${brewed[@]}" || true
	elif [ ${#debian[@]} -gt 0 ]; then
		if installed as_root apt-get update -qq; then
			installed as_root env DEBIAN_FRONTEND=noninteractive \
				apt-get install -y -qq --no-install-recommends "${debian[@]}" || true
		fi
	fi
	# What is missing all the same, the steps that need it say.
	bash deploy/tools/install.sh
}

# ---- source -------------------------------------------------------------------------------------------

formatted() {
	local unformatted
	unformatted=$(find . -name '*.go' -not -path '*/node_modules/*' -not -path '*/testdata/*' -print0 | xargs -0 gofmt -l)
	if [ -n "$unformatted" ]; then
		printf 'not formatted:\n%s\n' "$unformatted"
		return 1
	fi
}

staticchecked() {
	# Beside the defaults: a package comment, one name for a receiver. Generated packages have neither.
	local ours
	ours=$(go list ./... | grep -v /proto/)
	# shellcheck disable=SC2086 # one argument a package
	"$bin/staticcheck" -checks inherit,ST1000,ST1016 $ours
	"$bin/staticcheck" ./proto/...
}

tidy() {
	local dir
	for dir in $(modules); do
		(cd "$dir" && go mod tidy -diff)
	done
}

shell_scripts() {
	command -v shellcheck >/dev/null || because "shellcheck is not installed"
	find .ci deploy -type f \( -name '*.sh' -o -path .ci/run \) -not -path '*/node_modules/*' -print0 |
		xargs -0 shellcheck
}

compatible() {
	[ -e proto/baseline.binpb ] || because "no API is released yet; deploy/ci/baseline.sh writes what to hold later ones against"
	"$bin/buf" breaking --against proto/baseline.binpb
}

# ---- tests --------------------------------------------------------------------------------------------

# go_tests ARGUMENTS… runs the tests of every module that has packages.
go_tests() {
	local dir status=0
	for dir in $(modules); do
		[ -n "$(cd "$dir" && go list ./... 2>/dev/null)" ] || continue
		echo "$dir"
		(
			cd "$dir"
			COUNTS=$work/tests "$bin/gotestsum" --format pkgname --format-hide-empty-pkg --format-icons text --no-color \
				--post-run-command "bash -c 'echo \$TESTS_TOTAL \$TESTS_FAILED \$TESTS_SKIPPED >\"\$COUNTS\"'" \
				-- -shuffle=on -timeout=10m "$@" ./...
		) || status=1
		local total=0 failed=1 skipped=0
		[ ! -e "$work/tests" ] || read -r total failed skipped <"$work/tests"
		rm -f "$work/tests"
		local passed=$((total > failed + skipped ? total - failed - skipped : 0))
		count "$passed" "$failed" "$skipped"
		echo "$dir: $total tests, $passed passed, $failed failed, $skipped skipped"
	done
	echo "without tests:"
	go list -f '{{if not (or .TestGoFiles .XTestGoFiles)}}  {{.ImportPath}}{{end}}' ./...
	return $status
}

race() {
	if [ "$(uname -s)" = Linux ]; then
		command -v cc >/dev/null || { echo "the race detector needs a C compiler" && return 1; }
		export CGO_ENABLED=1
	fi
	go_tests -race
}

# allocations runs the tests that count allocations, which the race detector falsifies: they have Alloc
# in their name and lie in files that it does not build.
allocations() {
	go_tests -run=Alloc | sed '/^without tests:/,$d'
}

benchmarks() {
	if ! go test -short -run='^$' -bench=. -benchtime=1x -timeout=10m ./... >"$work/benchmarks" 2>&1; then
		cat "$work/benchmarks"
		return 1
	fi
	echo "$(grep -c '^Benchmark.* ns/op' "$work/benchmarks" || true) benchmarks"
}

# fuzz_one FOLDER TARGET fuzzes for FUZZTIME and shows the input that failed.
fuzz_one() {
	local out=$work/fuzz
	if go test -run='^$' -fuzz="^$2\$" -fuzztime="${FUZZTIME:-3s}" -fuzzminimizetime=3s -parallel=2 "$1" >"$out" 2>&1; then
		return 0
	fi
	# Now and then the fuzzing engine reports its own deadline as a failure (golang/go#48591); it then
	# has no input to show. Such a target runs once more, by count.
	if grep -q 'context deadline exceeded' "$out" && ! grep -q 'Failing input written' "$out"; then
		go test -run='^$' -fuzz="^$2\$" -fuzztime=2000x -parallel=2 "$1" >"$out" 2>&1 && return 0
	fi
	return 1
}

fuzz() {
	local file folder target failures=0 targets=0
	while read -r file target; do
		folder=$(dirname "$file")
		targets=$((targets + 1))
		if fuzz_one "$folder" "$target"; then
			count 1 0 0
			echo "ok      $folder $target: $(grep -o 'execs: [0-9]*' "$work/fuzz" | tail -1)"
		else
			count 0 1 0
			failures=$((failures + 1))
			echo "FAILED  $folder $target"
			cat "$work/fuzz"
			sed -n 's/.*Failing input written to //p' "$work/fuzz" | while read -r input; do cat "$folder/$input"; done
		fi
	done < <(fuzz_targets)
	echo "$targets targets, $failures failed"
	[ "$failures" = 0 ]
}

# fuzz_targets prints the file and name of each fuzz target of the product's module.
fuzz_targets() {
	find ./verifier ./store ./server ./cmd -name '*_test.go' -not -path '*/testdata/*' 2>/dev/null | LC_ALL=C sort |
		while read -r file; do
			sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do echo "$file $target"; done
		done
}

# ---- the run ------------------------------------------------------------------------------------------

command -v go >/dev/null || {
	echo "Go is not installed: https://go.dev/doc/install" >&2
	exit 1
}

step "prerequisites" prerequisites
step "gofmt" formatted
step "go vet" in_modules go vet ./...
step "staticcheck" staticchecked
step "go mod tidy" tidy
step "shellcheck" shell_scripts
step "buf format" "$bin/buf" format --diff --exit-code --path proto/heyan
step "buf lint" "$bin/buf" lint
step "buf breaking" compatible
step "generated code is up to date" bash deploy/ci/generate.sh --check
step "build" go build ./...
step "build for darwin/arm64" env GOOS=darwin GOARCH=arm64 go build ./...
step "build for windows/amd64" env GOOS=windows GOARCH=amd64 go build ./...
step "architecture" go test -count=1 ./deploy/ci/architecture
if [ -n "$quick" ]; then
	step "tests" go_tests
else
	step "tests with the race detector" race
	step "allocation counts" allocations
	step "benchmarks, once each" benchmarks
	step "fuzzing, ${FUZZTIME:-3s} a target" fuzz
fi
if [ -e deploy/ci/readme.sh ]; then
	step "commands of the README" bash deploy/ci/readme.sh
fi
if [ -z "$quick" ]; then
	step "faults in system calls, and a full disk" faults
fi
if [ -e deploy/ci/long.sh ] && [ -z "$quick" ]; then
	step "long tests in their short form" bash deploy/ci/long.sh --short
fi

printf '\n== summary\n'
cat "$work/summary"
printf 'total %d min %d s\n' $((SECONDS / 60)) $((SECONDS % 60))
passed=0 failed=0 skipped=0
while read -r p f s; do
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done <"$work/counts"
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
