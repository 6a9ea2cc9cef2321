#!/usr/bin/env bash
# fuzz.sh SECONDS: runs every fuzzer of the module for so long each, one after
# the other. A finding is kept under testdata/fuzz of its package and fails.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: deploy/fuzz.sh SECONDS}
count=0
failed=()
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
    # Minimising is bounded: left alone it may take longer than the search.
    if ! log=$(go test -run '^$' -fuzz "^$name\$" -fuzztime "${seconds}s" -fuzzminimizetime 1s "$dir" 2>&1); then
      failed+=("$dir $name")
      printf '%s\n' "$log"
    else
      printf '%s\n' "$log" | grep '^fuzz:.*execs' | tail -n 1 || true
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
