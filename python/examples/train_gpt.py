"""Trains the GPT of tools/examples/train_gpt.cpp from Python.

The same seed gives the same losses, to the last bit.
usage: train_gpt.py TEXT [--steps N] [--seed N] [--batch N] [--eager]
"""

import argparse

import plait


def parse_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--eager", action="store_true", help="backward() and step(), not compiled")
    return parser.parse_args()


def main():
    options = parse_options()
    plait.set_option("threads", options.threads)
    model = plait.models.GPT(
        options.layers, options.width, options.heads, options.context, 256, options.seed
    )
    total = max(options.warmup, options.steps)
    optimizer = plait.optim.AdamW(
        model.parameters(),
        lr=3e-3,
        betas=(0.9, 0.95),
        weight_decay=0.1,
        decay_min_rank=2,
        clip_norm=1.0,
        schedule=plait.optim.warmup_cosine(options.warmup, total, 0.1),
    )

    def loss_of(tokens, targets):
        logits = model(tokens)
        return plait.cross_entropy(logits.reshape(-1, 256), targets.reshape(-1))

    def eager_step(tokens, targets):
        loss = loss_of(plait.tensor(tokens), plait.tensor(targets))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step = eager_step if options.eager else plait.compile(loss_of, optimizer=optimizer)
    text = plait.models.TextData.load(options.text)
    for i in range(options.steps):
        loss = step(*text.training_batch(options.seed, i, options.batch, options.context)).item()
        print(i, loss.hex(), f"{loss:.9g}", flush=True)


if __name__ == "__main__":
    main()
