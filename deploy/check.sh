#!/bin/sh
# Does what the Dockerfile does, without a container: installs Keyturn into a directory that is
# thrown away, serves from it as a user who can write nothing but temporary files, asks as
# HEALTHCHECK does, calls the API with a token, and stops it. Needs the package index, and half a
# minute. As root it serves as nobody; as anyone else it serves as you.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill -9 "$server" 2>/dev/null || :; chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
fail() {
	echo "deploy-check: $1" >&2
	cat "$work/log" >&2
	exit 1
}

"$here/install.sh" "$work/keyturn"
cp "$here/healthy.py" "$work/keyturn/healthy.py"
chmod -R a-w "$work/keyturn"
mkdir -m 1777 "$work/tmp"
mkdir "$work/etc"
: >"$work/log"
chmod 755 "$work"

python=$work/keyturn/bin/python
as=
if test "$(id -u)" = 0; then
	as="setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs"
	# By way of env: what setpriv itself starts may still read what root may.
	$as env "$python" -c '' 2>/dev/null || {
		echo "deploy-check: nobody cannot run $(readlink -f "$python"); it serves as root" >&2
		as=
	}
fi

# Three ports that are free, and an environment with nothing else in it.
ports=$("$python" -c 'import socket
all = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in all))')
# shellcheck disable=SC2086 # three words are meant
set -- $ports
api=$1 admin=$2 issuer=$3
cat >"$work/etc/config.yaml" <<END
audience: https://quickstarts/api
listen: { port: $api, workers: 2 }
admin: { port: $admin }
issuers: [{ issuer: "http://localhost:$issuer/", profile: at+jwt }]
dev_issuer:
  enabled: true
  port: $issuer
  clients: [{ client_id: check, client_secret: check, scopes: [read:messages] }]
END
# Becomes the user, there, with that environment; the parentheses around each call bring us back.
become() {
	cd "$work/etc"
	exec $as env -i PATH="$work/keyturn/bin:$PATH" HOME="$work/tmp" TMPDIR="$work/tmp" \
		KEYTURN__ADMIN__PORT="$admin" "$@"
}

(become keyturn serve) >"$work/log" 2>&1 &
server=$!
tries=0
until (become "$python" "$work/keyturn/healthy.py") >"$work/said"; do
	tries=$((tries + 1))
	test "$tries" -lt 60 || fail "not ready: $(cat "$work/said")"
	sleep 0.25
done
cat "$work/said"

token=$(become keyturn token) || fail "no token"
(become "$python" -c 'import http.client, sys
asked = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
asked.request("GET", "/api/private-scoped", headers={"Authorization": "Bearer " + sys.argv[2]})
sys.exit(asked.getresponse().status != 200)' "$api" "$token") || fail "the API does not answer 200"

kill "$server"
wait "$server" || fail "it ended with status $?"
server=
grep -q '"event":"server.stopped"' "$work/log" || fail "it did not stop in order"
(become "$python" "$work/keyturn/healthy.py") >/dev/null && fail "healthy after its end"
left=$(ls -A "$work/tmp")
test "${left#.cache}" = "" || fail "it left behind: $left"
echo "deploy-check: installed, served${as:+ as nobody}, healthy, answered, stopped."
