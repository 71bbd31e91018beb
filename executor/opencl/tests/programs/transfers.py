"""Transfers, and what programs take for granted of them: an ordinary program that knows of no proxy.

Usage: transfers.py speed [MIB] | order [ROUNDS] | shared [ROUNDS]

speed: GB/s of reads and maps of MIB (100) with contents checked, medians of ten, after one that is not counted.
order: a blocking write on one queue is done when it returns: a kernel on another that waits for nothing reads what was written.
shared: a long read or write is one command, also where several threads share a queue: a buffer that is always written as a whole is
always read as one.
"""

import sys
import threading
import time

import numpy as np
import pyopencl as cl

SOURCE = r"""
__kernel void work(__global uint *state, uint rounds) {
    uint x = state[0] + 1;
    for (uint i = 0; i < rounds; i++) x = x * 1664525u + 1013904223u;
    state[0] = x;
}
__kernel void copy(__global const uint *in, __global uint *out) { out[get_global_id(0)] = in[get_global_id(0)]; }
"""


def speed(context, mib):
    queue = cl.CommandQueue(context)
    there = np.random.default_rng(1).integers(0, 1 << 32, mib << 18, dtype=np.uint32)
    here = np.zeros_like(there)
    buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE, there.nbytes)

    def mapped(flags, blocking):
        array, event = cl.enqueue_map_buffer(queue, buffer, flags, 0, there.shape, np.uint32, is_blocking=blocking)
        if not blocking:
            event.wait()
        return array

    def unmap():
        array = mapped(cl.map_flags.WRITE_INVALIDATE_REGION, True)
        array[:] = there
        began = time.perf_counter()
        array.base.release(queue)
        queue.finish()
        return began

    ways = {
        "write": lambda: cl.enqueue_copy(queue, buffer, there, is_blocking=True) and queue.finish(),
        "read": lambda: cl.enqueue_copy(queue, here, buffer, is_blocking=True) and None,
        "read, not blocking": lambda: cl.enqueue_copy(queue, here, buffer, is_blocking=False).wait(),
        "map": lambda: mapped(cl.map_flags.READ, True),
        "map, not blocking": lambda: mapped(cl.map_flags.READ, False),
        "unmap": unmap,
    }
    for name, way in ways.items():
        times = []
        for _ in range(11):
            here[:] = 0
            began = time.perf_counter()
            result = way()
            began = result if isinstance(result, float) else began
            times.append(time.perf_counter() - began)
            if isinstance(result, np.ndarray):
                assert (result == there).all(), name
                result.base.release(queue)
            elif name.startswith("read"):
                assert (here == there).all(), name
        print(f"{name}: {there.nbytes / sorted(times[1:])[5] / 1e9:.2f} GB/s", flush=True)


def order(context, rounds):
    program = cl.Program(context, SOURCE).build()
    work, copy = program.work, program.copy
    one, count = cl.CommandQueue(context), 1 << 10
    state = cl.Buffer(context, cl.mem_flags.READ_WRITE, 4)
    cl.enqueue_copy(one, state, np.zeros(1, np.uint32), is_blocking=True)
    work(one, (1,), (1,), state, np.uint32(1))
    source, target = (cl.Buffer(context, cl.mem_flags.READ_WRITE, 4 * count) for _ in range(2))
    # Events are kept: pyopencl waits for one that is given up.
    got, other, kept = np.zeros(count, np.uint32), None, []
    for i in range(1, rounds + 1):
        data = np.full(count, i, np.uint32)
        # The write comes to its turn when the device has worked for a while.
        work(one, (1,), (1,), state, np.uint32(50_000_000))
        kept.append(cl.enqueue_copy(one, source, data, is_blocking=True))
        # At first there is no other queue; then it is one and the same.
        other = other or cl.CommandQueue(context)
        copy(other, (count,), None, source, target)
        cl.enqueue_copy(other, got, target, is_blocking=True)
        assert (got == data).all(), f"round {i}: {got[0]}"
        one.finish()
    print("in order")


def shared(context, rounds):
    queue, count = cl.CommandQueue(context), 8 << 20
    buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE, 4 * count)
    got, over, torn = np.zeros(count, np.uint32), threading.Event(), []
    arrays = [np.full(count, 1000 + i, np.uint32) for i in range(2)]
    fill = lambda i: cl.enqueue_fill_buffer(queue, buffer, np.uint32(i), 0, 4 * count)
    write = lambda i: cl.enqueue_copy(queue, buffer, arrays[i % 2], is_blocking=True)

    def again(way):
        i = 0
        while not over.is_set():
            way(i).wait()
            i += 1

    fill(0)
    threads = [threading.Thread(target=again, args=(way,)) for way in (fill, write)]
    [thread.start() for thread in threads]
    for _ in range(rounds):
        cl.enqueue_copy(queue, got, buffer, is_blocking=True)
        torn += [(got.min(), got.max())] if got.min() != got.max() else []
    over.set()
    [thread.join() for thread in threads]
    assert not torn, f"{len(torn)} of {rounds} reads mix two contents: {torn[0]}"
    print("whole")


device = cl.get_platforms()[0].get_devices()[0]
what, number = sys.argv[1], [int(argument) for argument in sys.argv[2:]]
way, usual = {"speed": (speed, 100), "order": (order, 5), "shared": (shared, 40)}[what]
way(cl.Context([device]), *(number or [usual]))
