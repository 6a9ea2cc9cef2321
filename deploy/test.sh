#!/usr/bin/env bash
# test.sh check|test|verify: the stages of the make target of that name, one
# after the other. Every stage runs even if one before it failed; a table of what
# ran closes it, and the exit status is 1 if anything failed. Logs: bin/test/.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:?usage: deploy/test.sh check|test|verify}
case $mode in check | test | verify) ;; *) echo "test.sh: no such mode: $mode" >&2 && exit 2 ;; esac
out=bin/test
mkdir -p $out
export NO_COLOR=1

started=$SECONDS
rows=()
failed=()
reasons=()
note= # what a stage says of itself, for the table
why=  # a file: what a stage that failed says of its failure, again below the table

# stage NAME COMMAND... runs one stage and keeps its result. In COMMAND, being a
# condition, `set -e` is off: each step that matters is followed by || return.
stage() {
  local name=$1 begin=$SECONDS result=ok
  shift
  echo
  echo "== $name"
  note=
  why=$out/$mode-why
  : >"$why"
  if ! "$@"; then
    result=FAILED
    failed+=("$name")
    reasons+=("$(sed "s|^|$name: |" "$why" | cut -c1-300 | head -n 40)")
  fi
  rows+=("$(printf '%-22s %-7s %4d s  %s' "$name" $result $((SECONDS - begin)) "$note")")
}

# log_of NAME is the file for the output of a stage.
log_of() { echo "$out/$mode-$1.log"; }

# go_tests NAME ARGUMENTS...: go test; its results are printed, all the rest is logged.
go_tests() {
  local log status=0
  log=$(log_of "$1")
  shift
  go test -v -count=1 "$@" >"$log" 2>&1 || status=$?
  grep -E '^(ok|FAIL|panic:)' "$log" || true
  local passed skipped
  passed=$(grep -cE '^ *--- PASS' "$log" || true)
  skipped=$(grep -cE '^ *--- SKIP' "$log" || true)
  note="$passed Go tests"
  if [ "$skipped" -gt 0 ]; then
    echo "skipped tests, which counts as failed:" && grep -E '^ *--- SKIP' "$log"
    status=1
  fi
  if [ "$passed" -eq 0 ]; then
    echo "no test ran" && status=1
  fi
  if [ $status -ne 0 ]; then
    echo "--- from $log"
    grep -nE '^ *--- FAIL|DATA RACE|panic:|Error:|Error Trace:|_test\.go:[0-9]+' "$log" | tail -n 60 || true
    grep -m 8 -E '^ *--- FAIL|DATA RACE|panic:' "$log" >"$why" || true
    grep -B 14 -m 2 -E '^ *--- FAIL' "$log" >>"$why" || true
    grep -A 8 -m 1 -E '^panic:' "$log" >>"$why" || true
    echo "--- its end" && tail -n 40 "$log"
  fi
  return $status
}

# npm_tests NAME DIRECTORY PATTERN WHAT: npm test; PATTERN takes the number of
# passed tests out of its closing lines.
npm_tests() {
  local log status=0 passed
  log=$(log_of "$1")
  npm test --prefix "$2" 2>&1 | tee "$log" || status=$?
  passed=$(sed -nE "s/$3/\\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }')
  note="$passed $4"
  if [ "$passed" -eq 0 ]; then
    echo "no test ran" && status=1
  fi
  if [ $status -ne 0 ]; then
    grep -E 'failing tests:|not within|[A-Za-z]*Error( |:)|^ *at .*tests/|FAIL ' "$log" | tail -n 30 >"$why" || true
  fi
  return $status
}

go_packages() { go list ./... | grep -v /node_modules/; }
unit_packages() { go_packages | grep -v '^diemcau/loadtest'; }

vet() {
  local packages
  packages=$(go_packages) || return
  # shellcheck disable=SC2086 # a list of words
  go vet $packages
}
formatted() {
  local bad
  bad=$(git ls-files --cached --others --exclude-standard '*.go' | xargs -r gofmt -l) || return
  if [ -n "$bad" ]; then
    printf 'not formatted as gofmt does:\n%s\n' "$bad" && return 1
  fi
}
# The linter's cache is this tree's own: another's would bring its paths along.
lint() { GOLANGCI_LINT_CACHE="$PWD/bin/lint-cache" bin/tools/golangci-lint run; }
# The race detector watches our code and what it calls, but for the C of SQLite as Go:
# translated by a machine, it takes most of the time when watched, and is not where our
# races are. The long forms of the tests watch it, too.
sqlite_unwatched=(-gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc/...=-race=false -gcflags=modernc.org/memory=-race=false)
# Many of our tests wait, for media or for a disk: so more of them at once than there are cores.
unit() {
  local packages
  packages=$(unit_packages) || return
  # shellcheck disable=SC2086 # a list of words
  go_tests unit -race -parallel 4 -timeout 10m "$@" $packages
}
integration() { DIEMCAU_BIN="$PWD/bin/diemcau" go_tests integration -timeout 15m ./loadtest/...; }
raced() {
  go build -race -o bin/diemcau-race . && DIEMCAU_BIN="$PWD/bin/diemcau-race" go_tests raced -timeout 20m ./loadtest/... &&
    note="$note against a server built with -race"
}
web_unit() { npm_tests web-unit client/web '^ *Tests .*[^0-9]([0-9]+) passed.*' "web unit tests"; }
browser() { npm_tests browser client/e2e '^[^a-z]*pass ([0-9]+)$' "browser tests"; }
fuzz() {
  local log status=0
  log=$(log_of fuzz)
  deploy/fuzz.sh "$1" 2>&1 | tee "$log" || status=$?
  [ $status -eq 0 ] || tail -n 30 "$log" >"$why"
  note=$(sed -n 's/^fuzz: \([0-9]* fuzzers.*\)$/\1/p' "$log")
  return $status
}

stage gofmt formatted
stage vet vet
stage lint lint
stage "web lint" npm run --silent lint --prefix client/web
stage "web unit tests" web_unit
case $mode in
check)
  # Walks that try everything try a part (testing.Short), and no process waits a second
  # at its end for races in what still runs then.
  export GORACE=atexit_sleep_ms=20
  stage "unit tests (-race)" unit -short "${sqlite_unwatched[@]}"
  ;;
test) stage "unit tests (-race)" unit "${sqlite_unwatched[@]}" ;;
verify)
  export KILLS=50 DIEMCAU_TEST_KILLS=50 LOUDEST_POINTS=100 # the long forms of tests
  stage "unit tests (-race, x3)" unit -count=3 -timeout 40m
  ;;
esac
case $mode in
test)
  stage "integration tests" integration
  stage "browser tests" browser
  stage fuzzers fuzz 5
  ;;
verify)
  stage "integration tests" integration
  stage "integration, raced" raced
  stage "browser tests" browser
  stage fuzzers fuzz 60
  stage "50 subscribers, 60 s" deploy/loadtest.sh plenary plenary --strict --subscribers 50 --duration 60s
  stage "soak, 10 min" deploy/loadtest.sh soak plenary --strict --subscribers 20 --duration 10m
  ;;
esac

took=$((SECONDS - started))
echo
echo "== what ran"
printf '%s\n' "${rows[@]}"
echo
if [ ${#failed[@]} -gt 0 ]; then
  printf '%s\n' "${reasons[@]}" "" # below the table: a CI that keeps the end only keeps these
  echo "make $mode: FAILED (${#failed[@]} of ${#rows[@]} stages) after $((took / 60)) min $((took % 60)) s"
  exit 1
fi
echo "make $mode: passed, ${#rows[@]} stages in $((took / 60)) min $((took % 60)) s"
