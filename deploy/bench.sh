#!/usr/bin/env bash
# bench.sh [RUNS]: what forwarding costs on this machine, beside what bounds it, all in
# one run: Go benchmarks of the packet path and of the machine's limit (sealing and
# sending in trains, nothing else), and a plenary of 215 with each egress, the server on
# one core and the tester on another. Needs two cores. Reports: bin/test/bench-*.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-1}
out=bin/test
mkdir -p $out

go test -run '^$' -bench . -benchmem \
  ./sfu/bwe ./sfu/codec ./sfu/downtrack ./sfu/egress ./sfu/fanout ./sfu/rtpcache ./sfu/seal ./sfu/seqmap ./sfu/udp |
  grep -E '^(pkg|Benchmark|ok|FAIL|---)' | tee $out/bench-go.txt

for egress in auto pion; do
  for run in $(seq "$runs"); do
    echo "== plenary of 215, sfu.egress $egress, run $run of $runs"
    DIEMCAU_SFU__EGRESS=$egress LOADTEST_SERVER='taskset -c 0' LOADTEST_TESTER='taskset -c 1' \
      deploy/loadtest.sh "bench-$egress-$run" plenary --subscribers 215 --duration 30s --html "$out/bench-$egress-$run.html" |
      grep -vE "^ *[0-9]+ s( of [^:]*)?: |^everybody left|^waiting for|^[0-9]+ of [0-9]+ " || exit 1
  done
done

# The medians, in packets that a core forwards in a second.
node -e '
  const fs = require("node:fs");
  const [out, runs] = [process.argv[1], Number(process.argv[2])];
  const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
  const rate = (egress) => median(Array.from({ length: runs }, (_, i) => {
    const r = JSON.parse(fs.readFileSync(`${out}/loadtest-bench-${egress}-${i + 1}.json`));
    return r.packets_per_second / r.server.cpu;
  }));
  const limit = Number(/Benchmark(?:Limit)\/8_segments.*?([\d.]+) packets\/core-s/.exec(fs.readFileSync(`${out}/bench-go.txt`, "utf8"))[1]);
  const [own, pion] = [rate("auto"), rate("pion")];
  console.log(`\n== packets per core-second: ${Math.round(own)}; through Pion ${Math.round(pion)} (${(own / pion).toFixed(2)} times)` +
    `; the limit in trains of 8 is ${Math.round(limit)} (${(100 * own / limit).toFixed(0)} %)`);
' "$out" "$runs"
