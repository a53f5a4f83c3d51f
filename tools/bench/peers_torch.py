"""The works in PyTorch, eager or compiled. Each builder returns a function of no arguments that
does one call and returns its outputs."""

import numpy as np
import torch
import torch.nn.functional as F


def tensor(array):
    if array.dtype == np.uint16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def array(value):
    value = value.detach().contiguous()
    if value.dtype == torch.bfloat16:
        return value.view(torch.int16).numpy().view(np.uint16)
    return value.numpy()


def prepare(build, groups, inputs, slots, compiled):
    torch.manual_seed(1)
    compile_ = torch.compile if compiled else lambda f: f
    data = {name: tensor(value) for name, value in inputs.items()}
    state = {name: tensor(value) for name, value in slots.items()}
    step = build(groups, data, state, compile_)
    latest = []

    def call():
        latest[:] = step()

    return call, lambda: [array(value) for value in latest]


def forward_only(function, *names):
    """A work that is one function of its inputs; the function gets the groups, too."""

    def build(groups, data, state, compile_):
        f = compile_(lambda *arguments: function(groups, *arguments))
        arguments = [data[name] for name in names]

        def step():
            with torch.no_grad():
                return [f(*arguments)]

        return step

    return build


def with_gradients(function, names, others=(), keep=lambda outputs: outputs):
    """Outputs kept, then the gradients of sum(last output * dy) by `names`."""

    def build(groups, data, state, compile_):
        leaves = [data[name].requires_grad_() for name in names]
        arguments = leaves + [data[name] for name in others]
        f = compile_(function)
        dy = data.get("dy")

        def step():
            outputs = f(*arguments)
            gradients = torch.autograd.grad(outputs[-1], leaves, dy)
            return [*keep(outputs), *gradients]

        return step

    return build


def gemm(groups, a, b):
    return (a.mT if groups[3] == "_ta" else a) @ (b.mT if groups[3] == "_tb" else b)


def layer_norm(x, weight, bias):
    return (F.layer_norm(x, x.shape[-1:], weight, bias),)


def dropout_norm(x, r, bias, weight, shift):
    total = r + F.dropout(x + bias, 0.1)
    return total, F.layer_norm(total, total.shape[-1:], weight, shift)


def dropout_norm_forward(groups, data, state, compile_):
    f = compile_(dropout_norm)

    def step():
        with torch.no_grad():
            return f(*[data[name] for name in ("x", "r", "bias", "weight", "shift")])

    return step


def attention(q, k, v):
    return (F.scaled_dot_product_attention(q, k, v, is_causal=True),)


def dispatch(groups, data, state, compile_):
    def step():
        x = data["x"]
        for _ in range(int(groups[0])):
            x = torch.sin(x)
        return [x]

    return step


def adamw(groups, data, state, compile_):
    parameters = [torch.nn.Parameter(state[f"p{i}"]) for i in range(len(state))]
    for i, parameter in enumerate(parameters):
        parameter.grad = data[f"g{i}"]
    compiled = compile_ is torch.compile
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-2, fused=not compiled)
    update = compile_(optimizer.step) if compiled else optimizer.step

    def step():
        update()
        return parameters[:1]

    return step


def training(state, loss, compile_, clip=None, decay=1e-2, betas=(0.9, 0.999), least_rank=0):
    """A step of AdamW on the parameters; `loss` is a function of them."""
    parameters = {name: torch.nn.Parameter(value) for name, value in state.items()}
    groups = [
        {"params": [p for p in parameters.values() if p.ndim >= least_rank]},
        {"params": [p for p in parameters.values() if p.ndim < least_rank], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=1e-3, betas=betas, weight_decay=decay, fused=True
    )
    f = compile_(loss)

    def step():
        optimizer.zero_grad(set_to_none=True)
        value = f(parameters)
        value.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters.values(), clip)
        optimizer.step()
        return [value]

    return step


def mlp(groups, data, state, compile_):
    def loss(p):
        x = F.gelu(F.linear(data["x"], p["fc1.weight"], p["fc1.bias"]))
        x = F.gelu(F.linear(x, p["fc2.weight"], p["fc2.bias"]))
        return F.cross_entropy(F.linear(x, p["fc3.weight"], p["fc3.bias"]), data["targets"])

    return training(state, loss, compile_)


def gpt_loss(p, tokens, targets, layers, heads):
    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"])

    def linear(x, name):
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    batch, length = tokens.shape
    x = F.embedding(tokens, p["tok"]) + p["pos"][:length]
    width = x.shape[-1]
    for i in range(layers):
        h = f"h.{i}"
        qkv = linear(norm(x, f"{h}.ln1"), f"{h}.attn.qkv").view(batch, length, 3, heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(y.transpose(1, 2).reshape(batch, length, width), f"{h}.attn.proj")
        y = F.gelu(linear(norm(x, f"{h}.ln2"), f"{h}.mlp.fc"), approximate="tanh")
        x = x + linear(y, f"{h}.mlp.proj")
    logits = F.linear(norm(x, "ln_f"), p["tok"])
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def gpt(data, state, compile_, layers, heads, **options):
    def loss(p):
        return gpt_loss(p, data["tokens"], data["targets"], layers, heads)

    return training(state, loss, compile_, **options)


def gpt_demo(groups, data, state, compile_):
    return gpt(data, state, compile_, 4, 4, clip=1.0, decay=0.1, betas=(0.9, 0.95), least_rank=2)


def gpt_step(groups, data, state, compile_):
    return gpt(data, state, compile_, int(groups[0]), int(groups[1]) // 64)


def gpt2_step(groups, data, state, compile_):
    if groups[0]:
        with_autocast = torch.autocast("cpu", torch.bfloat16)
        return gpt(data, state, lambda f: compile_(with_autocast(f)), 12, 12)
    return gpt(data, state, compile_, 12, 12)


def resnet_loss(p, images, targets):
    def conv_norm(x, conv, norm, stride):
        weight = p[f"{conv}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        running = p[f"{norm}.running_mean"], p[f"{norm}.running_var"]
        return F.batch_norm(x, *running, p[f"{norm}.weight"], p[f"{norm}.bias"], training=True)

    x = F.max_pool2d(F.relu(conv_norm(images, "conv1", "bn1", 2)), 3, 2, 1)
    for i in range(8):
        block, stride = f"blocks.{i}", 2 if i in (2, 4, 6) else 1
        y = F.relu(conv_norm(x, f"{block}.conv1", f"{block}.bn1", stride))
        y = conv_norm(y, f"{block}.conv2", f"{block}.bn2", 1)
        if stride == 2:
            x = conv_norm(x, f"{block}.downsample.0", f"{block}.downsample.1", 2)
        x = F.relu(y + x)
    return F.cross_entropy(F.linear(x.mean((2, 3)), p["fc.weight"], p["fc.bias"]), targets)


def resnet_step(groups, data, state, compile_):
    buffers = {name: value for name, value in state.items() if "running" in name}
    parameters = {
        name: torch.nn.Parameter(value) for name, value in state.items() if name not in buffers
    }
    optimizer = torch.optim.SGD(
        parameters.values(), lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True
    )
    f = compile_(lambda: resnet_loss({**parameters, **buffers}, data["x"], data["targets"]))

    def step():
        optimizer.zero_grad(set_to_none=True)
        value = f()
        value.backward()
        optimizer.step()
        return [value]

    return step


WORKS = [
    (r"gemm_(\d+)x(\d+)x(\d+)(_ta|_tb)?(_bf16)?", forward_only(gemm, "a", "b")),
    (r"gemm_bias_gelu_.*",
     forward_only(lambda g, a, b, bias: F.gelu(torch.addmm(bias, a, b)), "a", "b", "bias")),
    (r"softmax_.*", forward_only(lambda g, x: F.softmax(x, -1), "x")),
    (r"layernorm_fwdbwd_.*", with_gradients(layer_norm, ["x", "weight", "bias"])),
    (r"layernorm_.*",
     forward_only(lambda g, *arguments: layer_norm(*arguments)[0], "x", "weight", "bias")),
    (r"bias_dropout_residual_ln_fwdbwd_.*",
     with_gradients(dropout_norm, ["x", "r", "bias", "weight", "shift"])),
    (r"bias_dropout_residual_ln_.*", dropout_norm_forward),
    (r"cross_entropy_fwdbwd_.*",
     with_gradients(lambda x, t: (F.cross_entropy(x, t),), ["logits"], ["targets"])),
    (r"linear_cross_entropy_fwdbwd_.*",
     with_gradients(lambda x, w, t: (F.cross_entropy(F.linear(x, w), t),),
                    ["x", "weight"], ["targets"])),
    (r"gelu_fwdbwd_.*", with_gradients(lambda x: (F.gelu(x),), ["x"], keep=lambda outputs: ())),
    (r"attention_fwd_L.*", forward_only(lambda g, *qkv: attention(*qkv)[0], "q", "k", "v")),
    (r"attention_fwdbwd_L.*", with_gradients(attention, ["q", "k", "v"])),
    (r"conv3x3_fwdbwd_.*",
     with_gradients(lambda x, w: (F.conv2d(x, w, padding=1),), ["x", "weight"])),
    (r"conv3x3_.*", forward_only(lambda g, x, w: F.conv2d(x, w, padding=1), "x", "weight")),
    (r"dispatch_(\d+)", dispatch),
    (r"adamw_.*", adamw),
    (r"mlp_mnist_step_.*", mlp),
    (r"gpt_demo_step", gpt_demo),
    (r"gpt_(\d+)L(\d+)_step_.*", gpt_step),
    (r"gpt2_124M_step_\d+x\d+(_bf16)?", gpt2_step),
    (r"resnet18_step_.*", resnet_step),
]  # fmt: skip
