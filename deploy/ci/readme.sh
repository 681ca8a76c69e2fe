#!/usr/bin/env bash
# Runs the commands of README.md as a reader would paste them, in order, on loopback, in a temporary folder.
# A fenced block says by its first line what it is:
#
#   ```sh run         runs in the temporary folder
#   ```sh run clone   runs in the repository
#   ```sh server      stays up in the background until the next server or the end, and then has to end with 0.
#                     What `heyan serve --dev` prints to be pasted is run too.
#
# Blocks share what they export. `heyan` is built from this tree. Where the README's ports are taken, others are used.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
work=$(mktemp -d)
server=
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

finish() {
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

# limited COMMAND… ends a command that hangs.
limited() {
	if command -v timeout >/dev/null; then
		timeout 60 "$@"
	else
		perl -e 'alarm 60; exec @ARGV' "$@"
	fi
}

# free PORT… prints the first port that nobody listens on.
free() {
	local port
	for port in "$@"; do
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
	echo "no port is free" >&2
	return 1
}

# ---- what the commands find ---------------------------------------------------------------------------

command -v npm >/dev/null || {
	echo "npm is not installed: the Node example cannot run" >&2
	exit 1
}
bash deploy/tools/install.sh
mkdir "$work/bin" "$work/home"
go build -o "$work/heyan" ./cmd/heyan
go build -o /dev/null ./deploy/docs/examples/go
ln -s "$root/deploy/tools/bin/grpcurl" "$work/bin/grpcurl"
grpc=$(free 9443 19443 29443 39443)
status=$(free 9090 19090 29090 39090)
cat >"$work/bin/heyan" <<EOF
#!/bin/sh
case "\$1 \${2-}" in
"serve --dev") set -- "\$@" --dev-listen 127.0.0.1:$grpc --dev-status-listen 127.0.0.1:$status ;;
"init "*) set -- "\$@" --status-listen 127.0.0.1:$status ;;
esac
exec "$work/heyan" "\$@"
EOF
chmod +x "$work/bin/heyan"
export PATH="$work/bin:$PATH"
export XDG_CONFIG_HOME="$work/config" # no profile of whoever runs this
for name in $(compgen -e | grep '^HEYAN_' || true); do unset "$name"; done
export -p >"$work/env"

# ---- blocks ---------------------------------------------------------------------------------------------

# Each block becomes a file "NN kind", its first line dropped.
(
	cd "$work"
	awk '/^```sh (run|run clone|server)$/ { n++; kind = substr($0, 7); gsub(" ", "-", kind); file = sprintf("%02d-%s", n, kind); next }
		/^```/ { file = "" }
		file { print > file }' "$root/README.md"
)
blocks=("$work"/[0-9][0-9]-*)
[ ${#blocks[@]} -ge 12 ] || {
	echo "found ${#blocks[@]} blocks only: are they still marked?" >&2
	exit 1
}

# run FOLDER FILE runs a block with what earlier ones exported.
run() {
	sed -e "s/127\.0\.0\.1:9443/127.0.0.1:$grpc/g" -e "s/127\.0\.0\.1:9090/127.0.0.1:$status/g" "$2" >"$work/block"
	(
		cd "$1"
		# shellcheck disable=SC2016 # expanded by the inner shell
		limited bash -c 'set -euo pipefail; . "$1"; . "$2"; export -p >"$1"' block "$work/env" "$work/block"
	) >"$work/out" 2>&1 </dev/null || {
		echo "FAILED with exit code $?:"
		cat "$2"
		echo "it said:"
		cat "$work/out"
		if [ -n "$server" ]; then
			echo "the server said:"
			tail -n 20 "$work/server.log"
		fi
		exit 1
	}
}

# stop ends the server as a service manager would.
stop() {
	[ -n "$server" ] || return 0
	kill -TERM "$server"
	local code=0
	wait "$server" || code=$?
	server=
	if [ "$code" != 0 ]; then
		echo "FAILED: the server ended with $code:"
		cat "$work/server.log"
		exit 1
	fi
}

# serve FILE starts a server and waits until it says that it serves.
serve() {
	stop
	(
		cd "$work/home"
		# shellcheck disable=SC1091 # written above
		. "$work/env"
		exec bash -c "exec $(cat "$1")"
	) >"$work/server.log" 2>&1 &
	server=$!
	for _ in $(seq 300); do
		if grep -qE 'Paste in another terminal|"msg":"serving"' "$work/server.log"; then
			return
		fi
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	echo "FAILED: the server does not serve:"
	cat "$work/server.log"
	exit 1
}

# printed runs what a development server printed to be pasted.
printed() {
	local count=0 line
	while read -r line; do
		count=$((count + 1))
		echo "$line" >"$work/printed"
		run "$work/home" "$work/printed"
		echo "ok      printed: ${line:0:70}"
	done < <(sed -nE 's/^  ((heyan|grpcurl) .*)/\1/p' "$work/server.log")
	[ "$count" -ge 3 ] || {
		echo "FAILED: the development server printed $count commands"
		exit 1
	}
}

for block in "${blocks[@]}"; do
	began=$SECONDS
	case $block in
	*-server)
		serve "$block"
		grep -q -- '--dev' "$block" && printed
		;;
	*-run-clone) run "$root" "$block" ;;
	*) run "$work/home" "$block" ;;
	esac
	first=$(head -n 1 "$block")
	echo "ok $((SECONDS - began)) s  ${first:0:80}"
done
stop
echo "${#blocks[@]} blocks of README.md ran in $SECONDS s"
