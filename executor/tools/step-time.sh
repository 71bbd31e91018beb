#!/usr/bin/env bash
# Step time of the training program through the proxy against native, alternating, as a ratio of medians.
# Usage: step-time.sh DEVICE [ROUNDS] [train.py's options]; ORRERY_TEST_VENV names the Python environment, ORRERY the executable.
set -euo pipefail
device=${1:?usage: step-time.sh DEVICE [ROUNDS] [OPTIONS]}
rounds=${2:-5}
shift; [ $# -gt 0 ] && shift
python=${ORRERY_TEST_VENV:?name the Python environment}/bin/python
orrery=${ORRERY:-target/release/orrery}
train=$(dirname "$0")/../opencl/tests/programs/train.py
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for _ in $(seq "$rounds"); do
    "$python" "$train" "$folder/losses.native" 400 --times "$folder/times" "$@" >/dev/null
    tail -n +101 "$folder/times" >>"$folder/native"
    "$orrery" exec --device "$device" -- "$python" "$train" "$folder/losses.proxied" 400 --times "$folder/times" "$@" >/dev/null
    tail -n +101 "$folder/times" >>"$folder/proxied"
    cmp "$folder/losses.native" "$folder/losses.proxied"
done
median() { sort -g "$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
awk -v n="$(median "$folder/native")" -v p="$(median "$folder/proxied")" \
    'BEGIN { printf "step: native %.3f ms, proxied %.3f ms, ratio %.3f\n", n * 1e3, p * 1e3, p / n }'
