#!/usr/bin/env bash
# What the device proxy does on a real GPU, as a table: conformance of the backend, programs built by nvcc natively and through
# the proxy, and PyTorch if it is installed. Run it from anywhere on a machine with NVIDIA's driver and nvcc; it builds what it
# needs in a temporary folder and leaves nothing behind.
#
#     executor/tests/gpu.sh [DEVICE]        # cuda:0
set -uo pipefail
cd "$(dirname "$0")/../.."
device=${1:-cuda:0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

row() { printf '%-44s %-8s %s\n' "$1" "$2" "$3"; }
seconds() { date +%s.%N; }
# NAME COMMAND...: runs it, and prints a line with the outcome and how long it took.
try() {
    local name=$1 began
    shift
    began=$(seconds)
    if timeout 600 "$@" >"$work/log" 2>&1; then
        row "$name" ok "$(echo "$(seconds) - $began" | bc) s"
    else
        row "$name" FAILED "$(tail -n 1 "$work/log")"
    fi
}

cargo build --release --no-default-features --quiet || exit 2
orrery=${CARGO_TARGET_DIR:-target}/release/orrery
"$orrery" devices 2>/dev/null | grep -q "^$device " || { echo "no device $device; see: orrery devices"; exit 2; }
printf '%-44s %-8s %s\n' WHAT OUTCOME DETAIL

try "the backend's conformance tests" cargo test --release --quiet -p orrery-proxy --test cuda

if command -v nvcc >/dev/null; then
    for program in vectors driver products train; do
        if nvcc -arch=native -std=c++17 -cudart shared -o "$work/$program" "executor/tests/cuda/$program.cu" >"$work/log" 2>&1; then
            args=()
            [ "$program" = train ] && args=("$work/native" 500)
            try "$program, natively" "$work/$program" "${args[@]}"
            [ "$program" = train ] && args=("$work/proxied" 500)
            try "$program, through the proxy" "$orrery" exec --device "$device" -- "$work/$program" "${args[@]}"
        else
            row "$program" FAILED "$(tail -n 1 "$work/log")"
        fi
    done
    try "train: the same bits" cmp "$work/native" "$work/proxied"
else
    row "programs" SKIPPED "nvcc not found"
fi

if python3 -c 'import torch' 2>/dev/null; then
    cat >"$work/tensors.py" <<'PY'
import torch
x = torch.arange(1 << 20, dtype=torch.float32)
y = x.cuda()
assert torch.equal(y.clone().cpu(), x)
print("tensors come back as they went")
PY
    try "PyTorch tensors, natively" python3 "$work/tensors.py"
    try "PyTorch tensors, through the proxy" "$orrery" exec --device "$device" -- python3 "$work/tensors.py"
else
    row "PyTorch" SKIPPED "not installed"
fi
