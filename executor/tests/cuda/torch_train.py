"""Trains a small model with PyTorch, an ordinary program that knows of no proxy, and writes the bits of each step's loss.

Usage: torch_train.py MODEL LOSSES [STEPS] [--device cuda]      MODEL: mlp, resnet or gpt

Everything that PyTorch can make deterministic is, so that the same device gives the same bits. Data is drawn or is this file.
"""

import argparse
import os
import struct

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
from torch import nn
from torch.nn import functional as F

CLASSES, BATCH, CONTEXT = 10, 32, 64


class Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])
        self.short = nn.Conv2d(before, after, 1, stride, bias=False) if (before, stride) != (after, 1) else nn.Identity()

    def forward(self, x):
        y = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(y)) + self.short(x))


class Layer(nn.Module):
    """A transformer's layer: causal attention written out, then two linear maps."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.register_buffer("mask", torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1))

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(self.norms[0](x)).chunk(3, dim=-1)
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + self.mask[:length, :length]
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width))
        return x + self.wide(self.norms[1](x))


class Gpt(nn.Module):
    """A language model over bytes."""

    def __init__(self, width=128, heads=4, layers=3):
        super().__init__()
        self.token, self.place = nn.Embedding(256, width), nn.Embedding(CONTEXT, width)
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 256)

    def forward(self, tokens):
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.head(self.norm(self.layers(self.token(tokens) + self.place(places))))


def mlp():
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.1), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, CLASSES))


def resnet():
    blocks = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)]
    first = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*first, *blocks, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, CLASSES))


def batches(model, random):
    """Inputs and labels without end: classes with means of their own, or pieces of this file."""
    if model == "gpt":
        with open(__file__, "rb") as file:
            text = torch.tensor(list(file.read()))
        while True:
            starts = torch.randint(0, len(text) - CONTEXT - 1, (BATCH,), generator=random)
            pieces = torch.stack([text[start : start + CONTEXT + 1] for start in starts.tolist()])
            yield pieces[:, :-1].contiguous(), pieces[:, 1:].contiguous()
    shape = (64,) if model == "mlp" else (3, 32, 32)
    means = torch.randn(CLASSES, *shape, generator=random)
    while True:
        labels = torch.randint(0, CLASSES, (BATCH,), generator=random)
        yield means[labels] + torch.randn(BATCH, *shape, generator=random), labels


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=["mlp", "resnet", "gpt"])
    parser.add_argument("losses")
    parser.add_argument("steps", type=int, nargs="?", default=200)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(1)
    model = {"mlp": mlp, "resnet": resnet, "gpt": Gpt}[args.model]().to(args.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    data = batches(args.model, torch.Generator().manual_seed(2))
    with open(args.losses, "w") as log:
        for step in range(args.steps):
            inputs, labels = (tensor.to(args.device) for tensor in next(data))
            outputs = model(inputs)
            loss = F.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), labels.reshape(-1))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            value = loss.item()
            log.write(f"{step} {struct.pack('>f', value).hex()} {value:.6f}\n")
            log.flush()
    print(f"{args.model}: trained {args.steps} steps, last loss {value:.4f}")


if __name__ == "__main__":
    main()
