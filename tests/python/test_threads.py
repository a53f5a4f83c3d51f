"""Several threads, and Ctrl-C."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import plait
from plait import nn


def train(seed):
    """Losses of a small model whose shapes depend on the seed."""
    width = 3 + seed % 4
    generator = np.random.default_rng(seed)
    weight = nn.Parameter(generator.standard_normal((width, width), np.float32))
    optimizer = plait.optim.SGD([weight], 0.01)
    step = plait.compile(lambda x: plait.tanh(x @ weight).square().mean(), optimizer=optimizer)
    losses = []
    for i in range(40):
        x = generator.standard_normal((1 + i % 5, width), np.float32)
        losses.append(step(x).item())
        loss = plait.softmax(plait.tensor(x) @ weight, -1).square().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_threads_give_the_results_of_one():  # G06
    serial = [train(seed) for seed in range(8)]
    results = [None] * 8

    def run(seed):
        results[seed] = train(seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == serial


def test_other_threads_run_during_a_kernel():  # G06
    a = plait.ones(1500, 1500)
    product = plait.compile(lambda a: (a @ a @ a).sum())
    product(a).item()
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    while counted[0] == 0:
        time.sleep(0.001)
    before = counted[0]
    product(a)  # one call of Python
    during = counted[0] - before
    done.set()
    thread.join()
    assert during >= 3


COMPILE = """
import plait
x = plait.ones(8)
def f(x):
    for i in range(60000):
        x = plait.sin(x) * plait.sum(x) + float(i)
    return x
plait.set_option("fuse", True)
state = plait.tensor([1.0])
long = lambda: plait.compile(f)(x)
"""
RUN = """
import plait
a = plait.ones(64, 64)
state = plait.nn.Parameter(plait.zeros(64, 64))
def f(a):
    with plait.no_grad():
        for _ in range(40):
            a = plait.matmul(plait.randn(3000, 3000), plait.randn(3000, 3000))[:64, :64] + a
        state.copy_(a)
    return a
step = plait.compile(f)
step.program(a)
long = lambda: step(a).numpy()
"""
REST = """
import signal, sys, time
before = state.numpy()
print("begins", flush=True)
try:
    long()
    print("ended by itself", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert (state.numpy() == before).all()
print(plait.softmax(plait.ones(2, 3) * 2, -1).sum().item(), flush=True)
"""


def interrupt(code):
    """What the process printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", code + REST], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "begins\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        answer = process.stdout.readline()
        rest = process.stdout.read()
    return answer, rest


def test_ctrl_c_ends_a_compile():  # G07
    answer, rest = interrupt(COMPILE)
    assert answer == "interrupted\n" and float(rest) == 2


def test_ctrl_c_ends_a_run():  # G07
    answer, rest = interrupt(RUN)
    assert answer == "interrupted\n" and float(rest) == 2
