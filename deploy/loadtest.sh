#!/usr/bin/env bash
# loadtest.sh NAME SCENARIO [FLAGS...]: starts bin/diemcau as a demonstration on
# free ports, runs a loadtest scenario against it, and stops it. Its figures are
# kept in bin/test/loadtest-NAME.json, the server's log beside them. LOADTEST_SERVER and
# LOADTEST_TESTER are commands to run the one and the other by, such as `taskset -c 0`.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?usage: deploy/loadtest.sh NAME SCENARIO [FLAGS...]}
shift
out=bin/test
data=$(mktemp -d)
mkdir -p $out

# Three free ports on all addresses, held together so that they differ.
read -r http tcp udp < <(node -e '
  const tcp = () => new Promise((done) => { const s = require("node:net").createServer().listen(0, () => done(s)); });
  const udp = () => new Promise((done) => { const s = require("node:dgram").createSocket("udp6").bind(0, () => done(s)); });
  Promise.all([tcp(), tcp(), udp()]).then((all) => {
    console.log(all.map((s) => s.address().port).join(" "));
    all.forEach((s) => s.close());
  });')

# shellcheck disable=SC2086 # a command and its arguments
DIEMCAU_RTC__UDP_PORT=$udp DIEMCAU_RTC__TCP_PORT=$tcp \
  ${LOADTEST_SERVER:-} bin/diemcau serve --demo --listen "127.0.0.1:$http" --data "$data" >"$out/loadtest-$name.log" 2>&1 &
server=$!
cleanup() {
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  rm -rf "$data"
}
trap cleanup EXIT

url=http://127.0.0.1:$http
deadline=$((SECONDS + 20))
until curl -fs -o /dev/null "$url/readyz"; do
  if ! kill -0 "$server" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
    echo "loadtest: the server did not start" >&2
    cat "$out/loadtest-$name.log" >&2
    exit 1
  fi
  sleep 0.1
done
secret=$(sed -n 's/^ *API secret *//p' "$out/loadtest-$name.log")
# shellcheck disable=SC2086 # likewise
DIEMCAU_SECRET=$secret ${LOADTEST_TESTER:-} bin/diemcau loadtest "$@" --url "$url" --key devkey --pid "$server" --json "$out/loadtest-$name.json"

kill "$server"
if ! wait "$server"; then
  echo "loadtest: the server did not stop cleanly" >&2
  tail -n 40 "$out/loadtest-$name.log" >&2
  exit 1
fi
