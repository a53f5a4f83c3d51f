"""Trains the multilayer perceptron of tools/examples/train_mnist.cpp on Fashion-MNIST.

The same seed gives the same losses, to the last bit.
usage: train_mnist.py [--data FOLDER] [--epochs N] [--batch N] [--width N] [--seed N] [--eager]
"""

import argparse
import pathlib

import numpy as np

import plait
from plait import nn
from plait.utils.data import load_idx, shuffled


class Perceptron(nn.Module):
    def __init__(self, width):
        self.fc1 = nn.Linear(28 * 28, width)
        self.fc2 = nn.Linear(width, width)
        self.fc3 = nn.Linear(width, 10)

    def forward(self, images):
        x = plait.relu(self.fc1(images * (1 / 255)))
        return self.fc3(plait.relu(self.fc2(x)))


def parse_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=pathlib.Path, default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--losses", help="a file for the loss of each step, in hexadecimal")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--eager", action="store_true", help="backward() and step(), not compiled")
    return parser.parse_args()


def load(folder, part):
    images = load_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = load_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    return images.reshape(len(labels), -1), labels.astype(np.int64)


def accuracy(predict, images, labels, batch=1000):
    starts = range(0, len(labels) - batch + 1, batch)
    right = sum(
        (predict(images[i : i + batch]).numpy() == labels[i : i + batch]).sum() for i in starts
    )
    return right / (len(starts) * batch)


def main():
    options = parse_options()
    images, labels = load(options.data, "train")
    test = load(options.data, "t10k")
    plait.manual_seed(options.seed)
    model = Perceptron(options.width)
    steps = len(labels) // options.batch
    optimizer = plait.optim.AdamW(
        model.parameters(),
        lr=options.lr,
        weight_decay=0.01,
        decay_min_rank=2,
        schedule=plait.optim.warmup_cosine(0, options.epochs * steps, 0),
    )

    def loss_of(images, labels):
        return plait.cross_entropy(model(images), labels)

    def eager_step(images, labels):
        loss = loss_of(plait.tensor(images), plait.tensor(labels))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step = eager_step if options.eager else plait.compile(loss_of, optimizer=optimizer)
    predict = plait.compile(lambda images: model(images).argmax(-1))
    losses = []
    for epoch in range(options.epochs):
        order = shuffled(len(labels), options.seed, epoch)
        for i in range(steps):
            rows = order[i * options.batch : (i + 1) * options.batch]
            losses.append(step(images[rows], labels[rows]).item())
        mean = sum(losses[-steps:]) / steps
        with plait.no_grad():
            right = accuracy(predict, *test)
        print(f"epoch {epoch + 1}: loss {mean:.4f}, test accuracy {100 * right:.2f} %", flush=True)
    if options.losses:
        pathlib.Path(options.losses).write_text("".join(loss.hex() + "\n" for loss in losses))


if __name__ == "__main__":
    main()
