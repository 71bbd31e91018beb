"""Two kernels that run at the same time and hand numbers over on a channel (cl_intel_channels), as FPGA designs do.

Usage: channels.py LOG [ROUNDS] [--binary FILE] [--save-binary FILE] [--pause S]

Writes a line a round: the round, and a digest of what came out at the other end.
"""

import argparse
import hashlib
import time

import numpy as np
import pyopencl as cl

SOURCE = r"""
#pragma OPENCL EXTENSION cl_intel_channels : enable
channel int numbers __attribute__((depth(16)));

__kernel void produce(__global const int *in, int count, int factor) {
    for (int i = 0; i < count; i++) write_channel_intel(numbers, in[i] * factor);
}

__kernel void consume(__global int *out, int count) {
    int before = 0;
    for (int i = 0; i < count; i++) {
        before = before * 31 + read_channel_intel(numbers);
        out[i] = before;
    }
}
"""

COUNT = 1000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("rounds", type=int, nargs="?", default=20)
    parser.add_argument("--binary")
    parser.add_argument("--save-binary")
    parser.add_argument("--pause", type=float, default=0)
    args = parser.parse_args()
    device = cl.get_platforms()[0].get_devices()[0]
    assert "cl_intel_channels" in device.extensions, "the device has no channels"
    context = cl.Context([device])
    if args.binary:
        with open(args.binary, "rb") as file:
            program = cl.Program(context, [device], [file.read()]).build()
    else:
        program = cl.Program(context, SOURCE).build()
    if args.save_binary:
        with open(args.save_binary, "wb") as file:
            file.write(program.get_info(cl.program_info.BINARIES)[0])
    produce, consume = cl.Kernel(program, "produce"), cl.Kernel(program, "consume")
    sender, receiver = cl.CommandQueue(context), cl.CommandQueue(context)
    numbers = np.arange(COUNT, dtype=np.int32)
    flags = cl.mem_flags
    source = cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=numbers)
    target = cl.Buffer(context, flags.WRITE_ONLY, numbers.nbytes)
    result = np.empty_like(numbers)
    with open(args.log, "w") as log:
        for number in range(args.rounds):
            # The reader first: it waits on the device until the writer has something for it.
            consume(receiver, (1,), (1,), target, np.int32(COUNT))
            receiver.flush()
            produce(sender, (1,), (1,), source, np.int32(COUNT), np.int32(number + 1))
            sender.flush()
            cl.enqueue_copy(receiver, result, target)
            sender.finish()
            log.write(f"{number} {hashlib.sha256(result).hexdigest()}\n")
            log.flush()
            time.sleep(args.pause)
    print(f"{args.rounds} rounds")


if __name__ == "__main__":
    main()
