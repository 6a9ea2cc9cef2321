#!/usr/bin/env bash
# fuzz.sh SECONDS: runs every fuzzer of the module for so long each, one after
# the other. A finding is kept under testdata/fuzz of its package and fails.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: deploy/fuzz.sh SECONDS}
count=0
failed=()
log= # of the last run

# fuzz DIR NAME runs a fuzzer. Minimising is bounded: left alone it may take longer
# than the search.
fuzz() {
  log=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "${seconds}s" -fuzzminimizetime 1s "$1" 2>&1)
}

# cut_off tells a run that failed by nothing but the end of its time: a race in the
# toolchain (https://go.dev/issue/75804, mended in Go 1.27). A finding names its input.
cut_off() {
  grep -q '^    context deadline exceeded$' <<<"$log" && ! grep -qE 'Failing input|panic:|DATA RACE|_test\.go:' <<<"$log"
}

while read -r dir; do
  # The toolchain names them; the search above only spares it the other packages.
  names=$(go test -list '^Fuzz' "$dir" | grep '^Fuzz' || true)
  if [ -z "$names" ]; then
    echo "fuzz: $dir has fuzzers that go test does not list" >&2
    exit 1
  fi
  for name in $names; do
    count=$((count + 1))
    echo "fuzz: $dir $name"
    # One more try if the toolchain's clock failed it; a second time it counts.
    if fuzz "$dir" "$name" || { cut_off && fuzz "$dir" "$name"; }; then
      printf '%s\n' "$log" | grep '^fuzz:.*execs' | tail -n 1 || true
    else
      failed+=("$dir $name")
      printf '%s\n' "$log"
    fi
  done
done < <(grep -rl --include='*_test.go' --exclude-dir=node_modules '^func Fuzz' . | xargs -r -n 1 dirname | sort -u)

if [ "$count" -eq 0 ]; then
  echo "fuzz: no fuzzer found" >&2
  exit 1
fi
if [ ${#failed[@]} -gt 0 ]; then
  printf 'fuzz: finding: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "fuzz: $count fuzzers, $seconds s each, no finding"
