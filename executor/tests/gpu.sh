#!/usr/bin/env bash
# What the device proxy does on a real GPU, as a table: conformance of the backend, programs built by nvcc natively and through
# the proxy, and training with PyTorch if it is installed (an MLP, a small ResNet, a small GPT), whose losses must be the same bits
# natively and through the proxy. Run it from anywhere on a machine with NVIDIA's driver and nvcc; it builds what it needs in a
# temporary folder and leaves nothing behind. It exits with 1 when something failed. NOT YET RUN ON A GPU.
#
#     executor/tests/gpu.sh [DEVICE]        # cuda:0
#     PYTHON=/path/to/python executor/tests/gpu.sh
set -uo pipefail
cd "$(dirname "$0")/../.."
device=${1:-cuda:0}
python=${PYTHON:-python3}
failures=0
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
        failures=$((failures + 1))
    fi
}

# NVIDIA's libraries for the proxy and for native runs: those of the Python environment, if they are not the system's.
wheels=$("$python" -c 'import glob, os, sysconfig
print(":".join(glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "*", "lib"))))' 2>/dev/null)
export ORRERY_CUDA_LIBRARIES=${ORRERY_CUDA_LIBRARIES:-$wheels}
export LD_LIBRARY_PATH=$ORRERY_CUDA_LIBRARIES${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

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
    # cuBLASLt and cuDNN, each against the host.
    if nvcc -arch=native -std=c++17 -cudart shared -o "$work/layers" executor/tests/cuda/layers.cu >"$work/log" 2>&1; then
        for part in matmul convolution; do
            try "$part, natively" "$work/layers" "$part"
            try "$part, through the proxy" "$orrery" exec --device "$device" -- "$work/layers" "$part"
        done
    else
        row "layers" FAILED "$(tail -n 1 "$work/log")"
    fi
else
    row "programs" SKIPPED "nvcc not found"
fi

if cc -o "$work/descriptors" executor/tests/cuda/descriptors.c -ldl >"$work/log" 2>&1; then
    try "descriptors, natively" "$work/descriptors" "$work/native" 100
    try "descriptors, through the proxy" "$orrery" exec --device "$device" -- "$work/descriptors" "$work/proxied" 100
    try "descriptors: the same answers" cmp "$work/native" "$work/proxied"
fi

if "$python" -c 'import torch' 2>/dev/null; then
    cat >"$work/tensors.py" <<'PY'
import torch
x = torch.arange(1 << 20, dtype=torch.float32)
y = x.cuda()
assert torch.equal(y.clone().cpu(), x)
print("tensors come back as they went")
PY
    try "PyTorch tensors, natively" "$python" "$work/tensors.py"
    try "PyTorch tensors, through the proxy" "$orrery" exec --device "$device" -- "$python" "$work/tensors.py"
    for model in mlp resnet gpt; do
        train=("$python" executor/tests/cuda/torch_train.py "$model")
        try "$model, natively" "${train[@]}" "$work/$model.native"
        try "$model, natively again: the same bits" "${train[@]}" "$work/$model.again"
        cmp -s "$work/$model.native" "$work/$model.again" || row "$model" UNUSABLE "two native runs differ"
        try "$model, through the proxy" "$orrery" exec --device "$device" -- "${train[@]}" "$work/$model.proxied"
        try "$model: the same losses, bit for bit" cmp "$work/$model.native" "$work/$model.proxied"
    done
else
    row "PyTorch" SKIPPED "not installed for $python"
fi
[ "$failures" = 0 ]
