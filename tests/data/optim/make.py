"""Writes optim.json: parameters after each of some steps of torch.optim, in float64.

usage: make.py > optim.json   (needs torch)
"""
import json
import math

import torch

STEPS = 6
CASES = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}, None),
    "sgd_decay": (torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.05}, None),
    "sgd_momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}, None),
    "sgd_nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}, None),
    "adam": (torch.optim.Adam, {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.1}, None),
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.1}, None),
    "adamw_clip": (torch.optim.AdamW, {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6}, 0.5),
}


def values(shape, phase):
    count = math.prod(shape)
    flat = [round(math.sin(1.7 * i + phase) * (1 + i % 3), 4) for i in range(count)]
    return torch.tensor(flat, dtype=torch.float64).reshape(shape)


def run(optimizer_class, arguments, clip):
    parameters = [values(s, p).requires_grad_() for s, p in (((3, 5), 0.3), ((5,), 1.1))]
    optimizer = optimizer_class(parameters, **arguments)
    steps, norms = [], []
    for step in range(STEPS):
        for k, parameter in enumerate(parameters):
            # The first gradient element is always 0, so its second moment is too.
            parameter.grad = values(parameter.shape, 0.9 * step + k) * 0.3
            parameter.grad.view(-1)[0] = 0
        if clip is not None:
            norms.append(torch.nn.utils.clip_grad_norm_(parameters, clip).item())
        optimizer.step()
        steps.append([p.detach().reshape(-1).tolist() for p in parameters])
    return {"arguments": arguments, "clip": clip, "parameters": steps, "norms": norms}


def main():
    initial = [values(s, p).reshape(-1).tolist() for s, p in (((3, 5), 0.3), ((5,), 1.1))]
    gradients = []
    for step in range(STEPS):
        row = [values(s, 0.9 * step + k) * 0.3 for k, s in enumerate([(3, 5), (5,)])]
        for g in row:
            g.view(-1)[0] = 0
        gradients.append([g.reshape(-1).tolist() for g in row])
    cases = {name: run(*case) for name, case in CASES.items()}
    print(json.dumps({"initial": initial, "gradients": gradients, "cases": cases}, indent=0))


main()
