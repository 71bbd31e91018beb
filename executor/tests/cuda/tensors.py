"""PyTorch's tensor traffic, and products of cuBLAS and cuBLASLt: what the simulated CUDA device can serve of it. Every result is compared on the host.

    tensors.py LOG ROUNDS [PAUSE_S]
"""

import hashlib
import sys
import time

import torch


def main():
    log, rounds, pause = open(sys.argv[1], "w"), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 0
    torch.manual_seed(1)
    kept, stream = [], torch.cuda.Stream()
    for i in range(rounds):
        x = torch.randint(0, 1 << 30, (1000 + 37 * (i % 50), 7))
        on_device = x.cuda()
        with torch.cuda.stream(stream):
            stream.wait_stream(torch.cuda.default_stream())
            pinned = torch.empty_like(x).pin_memory()
            pinned.copy_(on_device.clone(), non_blocking=True)
        stream.synchronize()
        assert torch.equal(pinned, x)
        # Small whole numbers: every order of adding gives the same.
        a, b = (x[:40] % 7).float(), (x[40:47] % 5).float()
        assert torch.equal((a.cuda() @ b.cuda()).cpu(), a @ b)
        # With a bias: cuBLASLt's.
        weights, bias = (x[50:58] % 3).float(), (x[60:68, 0] % 9).float()
        y = torch.nn.functional.linear(a.cuda(), weights.cuda(), bias.cuda())
        assert torch.equal(y.cpu(), torch.nn.functional.linear(a, weights, bias))
        on_device[3:5].copy_(x[:2])
        x[3:5] = x[:2].clone()
        kept.append((on_device, x))
        if len(kept) > 20:
            kept.pop(i % 20)
        device, host = kept[i % len(kept)]
        back = device.cpu()
        assert torch.equal(back, host)
        print(i, hashlib.blake2s(back.numpy().tobytes()).hexdigest()[:16], file=log, flush=True)
        time.sleep(pause)
    torch.cuda.synchronize()


main()
