#!/bin/sh
# Whole-command measurements: ours and the plain-Python baseline by turns, raw data into a folder.
#
# usage: benches/run.sh OUT [TURNS]       e.g. benches/run.sh reports/published/2026-11-23-2core-x86_64 5
# ORRERY_TRACES names the folder of traces; default ../shared/traces. Without them a generated trace takes their place.
set -eu
cd "$(dirname "$0")/.."
out=${1:?usage: benches/run.sh OUT [TURNS]}
turns=${2:-5}
bin=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$out"
cargo build --release -p orrery-benches
jobs=$(mktemp)
trap 'rm -f "$jobs"' EXIT
"$bin/speed" --csv "$jobs"

{ echo "turn,loadavg,program,jobs,best_cpu_s,jobs_per_cpu_s,mean_jct_s,makespan_s"
  turn=1
  while [ "$turn" -le "$turns" ]; do
    load=$(cut -d' ' -f1 /proc/loadavg)
    echo "$turn,$load,python-$(python3 benches/baseline/fifo_heap.py "$jobs" 1024 3)"
    echo "$turn,$load,python-$(python3 benches/baseline/fifo_heap.py --shortcut "$jobs" 1024 3)"
    "$bin/speed" --repeats 3 fifo-pool-itp | tail -n 1 |
      awk -F, -v OFS=, -v head="$turn,$load" '{ print head, "orrery", $2, $7, $9, $11, $12 }'
    turn=$((turn + 1))
  done
} | tee "$out/fifo-pool-itp.csv"
# Not here: las-philly, which takes minutes.
for case in fifo-pool-itp fifo-best-fit-itp fifo-skip-philly sjf-philly sjf-best-fit-philly srtf-philly srsf-philly tiresias-philly \
    srtf-best-fit-philly; do
  "$bin/speed" --repeats "$turns" "$case"
done | awk 'NR == 1 || !/^case,/' | tee "$out/speed.csv"
"$bin/planet" | tee "$out/planet.json"
"$bin/decide" | tee "$out/decide.csv"
# Some minutes.
"$bin/growth" --svg "$out/growth.svg" --most 1000000 | tee "$out/growth.csv"
{ nproc; grep -m 1 "model name" /proc/cpuinfo; uname -srm; rustc --version; python3 --version; cat /proc/loadavg; } > "$out/machine.txt"
