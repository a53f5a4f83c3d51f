"""The peers of `plait bench`: other frameworks doing the same work, call by call.

    python peers.py FRAMEWORK WORK DATA THREADS

FRAMEWORK is torch (eager), compile (torch.compile) or jax. DATA is a safetensors file with tensors
`input.NAME` and `slot.NAME`. Commands come on stdin, one a line, answers go to stdout:
    first            the first call                    seconds T
    time N CALLS     N samples of CALLS calls each     seconds T1 … TN   (a call)
    results FILE     outputs of the latest call        written
    memory           peak resident bytes               bytes B
A failure is answered by `error TEXT`.
"""

import contextlib
import json
import os
import re
import resource
import sys
import time

import numpy as np

DTYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "BF16": np.uint16}
NAMES = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64", np.dtype(np.uint16): "BF16"}


def load(path):
    """Tensors by name; bf16 as bits in uint16."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start = file.tell()
    data = np.memmap(path, np.uint8, "r", start)
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            array = np.array(data[begin:end]).view(DTYPES[entry["dtype"]])
            tensors[name] = array.reshape(entry["shape"])
    return tensors


def save(path, arrays):
    header, offset = {}, 0
    for i, array in enumerate(arrays):
        offsets = [offset, offset + array.nbytes]
        shape = list(array.shape)
        header[str(i)] = {"dtype": NAMES[array.dtype], "shape": shape, "data_offsets": offsets}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays:
            file.write(np.ascontiguousarray(array).tobytes())


def limit_threads(threads):
    """Before the framework is imported: it counts the CPUs it may use."""
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    os.sched_setaffinity(0, cpus)
    os.environ["OMP_NUM_THREADS"] = str(len(cpus))


def make(framework, work, tensors):
    """(call, results): one call of the work, and its latest outputs as arrays."""
    if framework == "jax":
        import peers_jax as module
    else:
        import peers_torch as module
    inputs = {n.removeprefix("input."): t for n, t in tensors.items() if n.startswith("input.")}
    slots = {n.removeprefix("slot."): t for n, t in tensors.items() if n.startswith("slot.")}
    for pattern, build in module.WORKS:
        match = re.fullmatch(pattern, work)
        if match:
            return module.prepare(build, match.groups(), inputs, slots, framework == "compile")
    raise ValueError(f"{framework} has no work {work}")


def timed(call, calls):
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def answer(words, call, results):
    if words[0] == "first":
        return f"seconds {timed(call, 1)!r}"
    if words[0] == "time":
        samples = [timed(call, int(words[2])) for _ in range(int(words[1]))]
        return "seconds " + " ".join(map(repr, samples))
    if words[0] == "results":
        save(words[1], results())
        return "written"
    if words[0] == "memory":
        return f"bytes {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10}"
    raise ValueError(f"unknown command {words[0]}")


def main():
    framework, work, data, threads = sys.argv[1:]
    # What a framework prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    call = results = None
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            try:
                if call is None:
                    limit_threads(int(threads))
                    call, results = make(framework, work, load(data))
                text = answer(line.split(), call, results)
            except Exception as error:  # noqa: BLE001: whatever it is, Plait reports it
                text = "error " + " ".join(f"{type(error).__name__}: {error}".split())[:500]
            print(text, file=answers, flush=True)


if __name__ == "__main__":
    main()
