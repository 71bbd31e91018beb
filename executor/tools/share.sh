#!/usr/bin/env bash
# Two replicas of the training program by turns on one device that holds one of them, against both one after the other natively:
# overhead, and what switching cost, for several quanta.
# Usage: share.sh DEVICE [STEPS] [QUANTUM_MS...]; ORRERY_TEST_VENV names the Python environment, ORRERY the executable.
set -euo pipefail
device=${1:?usage: share.sh DEVICE [STEPS] [QUANTUM_MS...]}
steps=${2:-400}
shift; [ $# -gt 0 ] && shift
quanta=${*:-20 50 100 500}
python=${ORRERY_TEST_VENV:?name the Python environment}/bin/python
orrery=${ORRERY:-target/release/orrery}
train=$(dirname "$0")/../opencl/tests/programs/train.py
folder=$(mktemp -d -p /dev/shm)
export ORRERY_RUNTIME_FOLDER=$folder/runtime
trap 'rm -rf "$folder"' EXIT
now() { date +%s.%N; }
# NAME SEED: the program's arguments.
args() { echo "$train $folder/$1 $steps --batch 256 --hidden 256 --dataset 8 --shuffle $2"; }

# shellcheck disable=SC2046,SC2086
for seeds in "1 1" "1 2"; do
    set -- $seeds
    began=$(now)
    "$python" $(args native.1 "$1") >/dev/null
    "$python" $(args native.2 "$2") >/dev/null
    alone=$(echo "$(now) - $began" | bc)
    for quantum in $quanta; do
        began=$(now)
        for n in 1 2; do
            "$orrery" exec --device "$device" --quantum-ms "$quantum" --memory-mib 6 -- "$python" $(args "shared.$n" "${!n}") >/dev/null &
        done
        wait
        shared=$(echo "$(now) - $began" | bc)
        cmp "$folder/native.1" "$folder/shared.1"
        cmp "$folder/native.2" "$folder/shared.2"
        printf 'data of seeds %s, quantum %s ms: one after the other %.2f s, by turns %.2f s;' "$seeds" "$quantum" "$alone" "$shared"
        "$orrery" devices 2>/dev/null | grep 'in turns of' | cut -d: -f2
        "$orrery" proxy --device "$device" --stop
    done
done
