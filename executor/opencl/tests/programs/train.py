"""Trains a small network on handwritten digits with OpenCL: an ordinary program that knows of no proxy.

Usage: train.py LOSSES [STEPS] [--batch N] [--hidden N] [--binary FILE] [--save-binary FILE] [--pause S] [--times FILE]
                [--dataset COPIES [--shuffle SEED]]

With --dataset so many copies of all images lie on the device, in an order of SEED, and batches are gathered there. Writes a line per step to LOSSES: the step, the loss's bits, and at the end a digest of all parameters. Two queues, a thread
that loads batches, momentum, dropout from a counter-based generator on the device. Every sum has a fixed order, so that the
same device gives the same bits.
"""

import argparse
import hashlib
import queue
import struct
import sys
import threading
import time

import numpy as np
import pyopencl as cl
from sklearn.datasets import load_digits

SOURCE = r"""
uint mix(uint x) { x ^= x >> 16; x *= 0x7feb352dU; x ^= x >> 15; x *= 0x846ca68bU; return x ^ (x >> 16); }

// out[b,j] = relu(sum_i in[b,i] w[i,j] + bias[j]), some of them dropped; with relu = 0 as it is
__kernel void forward(__global const float *in, __global const float *w, __global const float *bias, __global float *out,
                      int inputs, int outputs, int relu, float keep, uint seed, uint step) {
    int j = get_global_id(0), b = get_global_id(1);
    float sum = bias[j];
    for (int i = 0; i < inputs; i++) sum += in[b * inputs + i] * w[i * outputs + j];
    if (relu) {
        sum = fmax(sum, 0.0f);
        float coin = mix(mix(seed ^ step) ^ (uint)(b * outputs + j)) * (1.0f / 4294967296.0f);
        sum = coin < keep ? sum / keep : 0.0f;
    }
    out[b * outputs + j] = sum;
}

// rows of the dataset
__kernel void gather(__global const float *data, __global const int *rows, __global float *x, int inputs) {
    int i = get_global_id(0), b = get_global_id(1);
    x[b * inputs + i] = data[rows[b] * inputs + i];
}

// softmax and cross entropy: gradient into delta, a loss a row
__kernel void loss(__global const float *out, __global const int *label, __global float *delta, __global float *losses,
                   int classes, int rows) {
    int b = get_global_id(0);
    float top = out[b * classes], sum = 0.0f;
    for (int c = 1; c < classes; c++) top = fmax(top, out[b * classes + c]);
    for (int c = 0; c < classes; c++) sum += exp(out[b * classes + c] - top);
    for (int c = 0; c < classes; c++) {
        float p = exp(out[b * classes + c] - top) / sum;
        delta[b * classes + c] = (p - (label[b] == c ? 1.0f : 0.0f)) / rows;
    }
    losses[b] = log(sum) + top - out[b * classes + label[b]];
}

// delta of the layer before, through weights and relu
__kernel void backward(__global const float *delta, __global const float *w, __global const float *out, __global float *before,
                       int inputs, int outputs) {
    int i = get_global_id(0), b = get_global_id(1);
    float sum = 0.0f;
    for (int j = 0; j < outputs; j++) sum += delta[b * outputs + j] * w[i * outputs + j];
    before[b * inputs + i] = out[b * inputs + i] > 0.0f ? sum : 0.0f;
}

// momentum
__kernel void update(__global const float *in, __global const float *delta, __global float *w, __global float *speed,
                     int inputs, int outputs, int rows, float rate, float momentum) {
    int j = get_global_id(0), i = get_global_id(1);
    float sum = 0.0f;
    for (int b = 0; b < rows; b++) sum += (i < inputs ? in[b * inputs + i] : 1.0f) * delta[b * outputs + j];
    int at = i * outputs + j;
    speed[at] = momentum * speed[at] - rate * sum;
    w[at] += speed[at];
}
"""

CLASSES, INPUTS = 10, 64
KEEP, RATE, MOMENTUM, SEED = 0.8, 0.1, 0.9, 12345


def images_and_labels(copies, seed):
    digits = load_digits()
    images, labels = (digits.data / 16.0).astype(np.float32), digits.target.astype(np.int32)
    if copies == 0:
        return images, labels
    order = np.random.Generator(np.random.PCG64(seed)).permutation(np.tile(np.arange(len(images)), copies))
    return np.ascontiguousarray(images[order]), np.ascontiguousarray(labels[order])


def batches(images, labels, on_device, steps, rows_wanted, out):
    """Loads batches in a thread of its own, as data loaders do: images, or where they are on the device."""
    order = np.random.Generator(np.random.PCG64(7))
    for _ in range(steps):
        rows = order.integers(0, len(images), rows_wanted)
        batch = rows.astype(np.int32) if on_device else np.ascontiguousarray(images[rows])
        out.put((batch, np.ascontiguousarray(labels[rows])))


def program(context, args):
    if args.binary:
        with open(args.binary, "rb") as file:
            return cl.Program(context, context.devices, [file.read()]).build()
    built = cl.Program(context, SOURCE).build()
    if args.save_binary:
        with open(args.save_binary, "wb") as file:
            file.write(built.get_info(cl.program_info.BINARIES)[0])
    return built


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("losses")
    parser.add_argument("steps", type=int, nargs="?", default=300)
    parser.add_argument("--binary")
    parser.add_argument("--save-binary")
    parser.add_argument("--pause", type=float, default=0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--dataset", type=int, default=0)
    parser.add_argument("--shuffle", type=int, default=0)
    parser.add_argument("--times", help="write seconds a step here")
    args = parser.parse_args()
    BATCH, HIDDEN = args.batch, args.hidden

    platform = cl.get_platforms()[0]
    context = cl.Context(platform.get_devices()[:1])
    work, feed = cl.CommandQueue(context), cl.CommandQueue(context)
    built = program(context, args)
    kernel = {name: cl.Kernel(built, name) for name in ["gather", "forward", "loss", "backward", "update"]}
    random = np.random.Generator(np.random.PCG64(3))
    mf = cl.mem_flags

    def parameters(inputs, outputs):
        w = np.zeros((inputs + 1, outputs), np.float32)
        w[:inputs] = random.normal(0, (2 / inputs) ** 0.5, (inputs, outputs))
        weights = cl.Buffer(context, mf.READ_WRITE | mf.COPY_HOST_PTR, hostbuf=w)
        return weights, cl.Buffer(context, mf.READ_WRITE | mf.COPY_HOST_PTR, hostbuf=np.zeros_like(w)), w.nbytes

    (w1, s1, n1), (w2, s2, n2) = parameters(INPUTS, HIDDEN), parameters(HIDDEN, CLASSES)
    b1 = w1.get_sub_region(INPUTS * HIDDEN * 4, HIDDEN * 4)
    b2 = w2.get_sub_region(HIDDEN * CLASSES * 4, CLASSES * 4)
    space = lambda count: cl.Buffer(context, mf.READ_WRITE, count * 4)
    x, y = space(BATCH * INPUTS), space(BATCH)
    hidden, out, d_out, d_hidden, losses = (
        space(n) for n in [BATCH * HIDDEN, BATCH * CLASSES, BATCH * CLASSES, BATCH * HIDDEN, BATCH]
    )
    host = np.empty(BATCH, np.float32)
    loaded = queue.Queue(4)
    all_images, all_labels = images_and_labels(args.dataset, args.shuffle)
    if args.dataset:
        dataset = cl.Buffer(context, mf.READ_ONLY | mf.COPY_HOST_PTR, hostbuf=all_images)
        rows = space(BATCH)
    arguments = (all_images, all_labels, args.dataset > 0, args.steps, BATCH, loaded)
    threading.Thread(target=batches, args=arguments, daemon=True).start()
    i32, u32, f32 = np.int32, np.uint32, np.float32
    times = []
    with open(args.losses, "w") as log:
        for step in range(args.steps):
            began = time.perf_counter()
            images, labels = loaded.get()
            fed = [
                cl.enqueue_copy(feed, rows if args.dataset else x, images, is_blocking=False),
                cl.enqueue_copy(feed, y, labels, is_blocking=False),
            ]
            feed.flush()
            if args.dataset:
                fed.append(kernel["gather"](work, (INPUTS, BATCH), None, dataset, rows, x, i32(INPUTS), wait_for=fed))
            kernel["forward"](work, (HIDDEN, BATCH), None, x, w1, b1, hidden, i32(INPUTS), i32(HIDDEN), i32(1), f32(KEEP),
                              u32(SEED), u32(step), wait_for=fed)
            kernel["forward"](work, (CLASSES, BATCH), None, hidden, w2, b2, out, i32(HIDDEN), i32(CLASSES), i32(0), f32(1),
                              u32(0), u32(0))
            kernel["loss"](work, (BATCH,), None, out, y, d_out, losses, i32(CLASSES), i32(BATCH))
            kernel["backward"](work, (HIDDEN, BATCH), None, d_out, w2, hidden, d_hidden, i32(HIDDEN), i32(CLASSES))
            kernel["update"](work, (CLASSES, HIDDEN + 1), None, hidden, d_out, w2, s2, i32(HIDDEN), i32(CLASSES), i32(BATCH),
                             f32(RATE), f32(MOMENTUM))
            kernel["update"](work, (HIDDEN, INPUTS + 1), None, x, d_hidden, w1, s1, i32(INPUTS), i32(HIDDEN), i32(BATCH),
                             f32(RATE), f32(MOMENTUM))
            cl.enqueue_copy(work, host, losses)
            mean = np.float32(0)
            for one in host:
                mean += one
            mean /= np.float32(BATCH)
            log.write(f"{step} {struct.pack('>f', mean).hex()} {mean:.6f}\n")
            log.flush()
            times.append(time.perf_counter() - began)
            if args.pause:
                time.sleep(args.pause)
        digest = hashlib.sha256()
        for buffer, size in [(w1, n1), (s1, n1), (w2, n2), (s2, n2)]:
            data = np.empty(size, np.uint8)
            cl.enqueue_copy(work, data, buffer)
            digest.update(data)
        log.write(f"parameters {digest.hexdigest()}\n")
    if args.times:
        with open(args.times, "w") as file:
            file.writelines(f"{t}\n" for t in times)
    print(f"trained {args.steps} steps, last loss {mean:.4f}")


if __name__ == "__main__":
    sys.exit(main())
