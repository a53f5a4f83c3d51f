"""Trains the GPT of tools/examples/train_gpt.cpp from Python, written with plait's ops.

The same seed gives the same losses, to the last bit.
usage: train_gpt.py TEXT [--steps N] [--seed N] [--batch N] [--cpp-model]
"""
import argparse
import math

import numpy as np

import plait
from plait import nn


class Block(nn.Module):
    def __init__(self, width, heads, draw):
        self.heads, self.width = heads, width
        self.ln1 = nn.LayerNorm(width)
        self.qkv_weight, self.qkv_bias = draw(3 * width, width)
        self.proj_weight, self.proj_bias = draw(width, width, True)
        self.ln2 = nn.LayerNorm(width)
        self.fc_weight, self.fc_bias = draw(4 * width, width)
        self.out_weight, self.out_bias = draw(width, 4 * width, True)

    def forward(self, x):
        return plait.add(self.middle(x), self.mlp(self.middle(x)))

    def middle(self, x):
        return x + self.attention(self.ln1(x))

    def attention(self, x):
        batch, length, width = x.shape
        qkv = plait.linear(x, self.qkv_weight, self.qkv_bias)

        def heads(part):
            split = plait.reshape(part, [batch, length, self.heads, width // self.heads])
            return plait.transpose(split, 1, 2)

        q, k, v = (heads(part) for part in plait.split(qkv, width, -1))
        y = plait.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = plait.reshape(plait.transpose(y, 1, 2), [batch, length, width])
        return plait.linear(y, self.proj_weight, self.proj_bias)

    def mlp(self, x):
        hidden = plait.linear(self.ln2(x), self.fc_weight, self.fc_bias)
        return plait.linear(plait.gelu(hidden, "tanh"), self.out_weight, self.out_bias)


class GPT(nn.Module):
    """Initial values in the order and distribution of ops/models/gpt.h."""

    def __init__(self, layers, width, heads, context, vocab, seed):
        plait.manual_seed(seed)
        residual = 0.02 / math.sqrt(2 * layers)

        def normal(shape, deviation=0.02):
            return nn.Parameter(plait._core.init_normal(shape, 0.0, deviation))

        def draw(out, into, ends_in_residual=False):
            weight = normal([out, into], residual if ends_in_residual else 0.02)
            return weight, nn.Parameter(np.zeros(out, np.float32))

        self.tok = normal([vocab, width])
        self.pos = normal([context, width])
        self.h = [Block(width, heads, draw) for _ in range(layers)]
        self.ln_f = nn.LayerNorm(width)

    def forward(self, tokens):
        length = tokens.shape[1]
        x = plait.embedding(tokens, self.tok) + plait.narrow(self.pos, 0, 0, length)
        for block in self.h:
            x = block(x)
        return plait.linear(self.ln_f(x), self.tok)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--cpp-model", action="store_true", help="the C++ model as a module")
    options = parser.parse_args()

    config = (options.layers, options.width, options.heads, options.context, 256, options.seed)
    model = plait.models.GPT(*config) if options.cpp_model else GPT(*config)
    optimizer = plait.optim.AdamW(
        model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1, decay_min_rank=2,
        clip_norm=1.0,
        schedule=plait.optim.warmup_cosine(100, max(100, options.steps), 0.1))

    def loss_of(tokens, targets):
        logits = model(tokens)
        rows = logits.shape[0] * logits.shape[1]
        return plait.cross_entropy(plait.reshape(logits, [rows, 256]),
                                   plait.reshape(targets, [rows]))

    step = plait.compile(loss_of, optimizer=optimizer)
    text = plait.models.TextData.load(options.text)
    for i in range(options.steps):
        loss = step(*text.training_batch(options.seed, i, options.batch, options.context)).item()
        print(i, float(loss).hex(), f"{loss:.9g}", flush=True)


if __name__ == "__main__":
    main()
