"""The works in JAX, each one jitted function. A builder returns (function, arguments, carried): the
function's first `carried` outputs replace its first arguments at the next call."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def array_of(value):
    if value.dtype == np.uint16:
        return jax.lax.bitcast_convert_type(jnp.asarray(value), jnp.bfloat16)
    if value.dtype == np.int64:
        value = value.astype(np.int32)  # jax's integers
    return jnp.asarray(value)


def numpy_of(value):
    if value.dtype == jnp.bfloat16:
        value = jax.lax.bitcast_convert_type(value, jnp.uint16)
    return np.asarray(value)


def prepare(build, groups, inputs, slots, compiled):
    del compiled
    data = {name: array_of(value) for name, value in inputs.items()}
    state = {name: array_of(value) for name, value in slots.items()}
    function, arguments, carried = build(groups, data, state)
    jitted = jax.jit(function, donate_argnums=tuple(range(carried)))
    arguments, latest = list(arguments), []

    def call():
        outputs = jax.block_until_ready(jitted(*arguments))
        arguments[:carried] = outputs[:carried]
        latest[:] = outputs[carried:]

    return call, lambda: [numpy_of(value) for value in latest]


def forward_only(function, *names):
    def build(groups, data, state):
        return lambda *a: (function(groups, *a),), [data[n] for n in names], 0

    return build


def with_gradients(function, names, others=(), keep=lambda outputs: outputs):
    """Outputs kept, then the gradients of sum(last output * dy) by `names`."""

    def build(groups, data, state):
        def both(dy, *arguments):
            leaves, rest = arguments[: len(names)], arguments[len(names) :]
            outputs, pullback = jax.vjp(lambda *x: function(*x, *rest), *leaves)
            zeros = tuple(jnp.zeros_like(o) for o in outputs[:-1])
            return [*keep(outputs), *pullback((*zeros, dy.astype(outputs[-1].dtype)))]

        dy = data.get("dy", jnp.ones((), jnp.float32))
        return both, [dy, *(data[n] for n in (*names, *others))], 0

    return build


def gemm(groups, a, b):
    return (a.T if groups[3] == "_ta" else a) @ (b.T if groups[3] == "_tb" else b)


def norm(x, weight, bias):
    centered = x - x.mean(-1, keepdims=True)
    variance = jnp.square(centered).mean(-1, keepdims=True)
    return centered * jax.lax.rsqrt(variance + 1e-5) * weight + bias


def dropout_norm(x, r, bias, weight, shift, key):
    keep = jax.random.bernoulli(key, 0.9, x.shape)
    total = r + jnp.where(keep, (x + bias) / 0.9, 0.0)
    return total, norm(total, weight, shift)


def dropout_works(backward):
    """The key is carried, so that each call draws anew."""
    names = ("x", "r", "bias", "weight", "shift")

    def build(groups, data, state):
        def step(key, dy, *arguments):
            key, draw = jax.random.split(key)
            outputs, pullback = jax.vjp(lambda *a: dropout_norm(*a, draw), *arguments)
            gradients = pullback((jnp.zeros_like(outputs[0]), dy)) if backward else ()
            return [key, *outputs, *gradients]

        dy = data.get("dy", jnp.zeros(()))
        return step, [jax.random.key(1), dy, *(data[n] for n in names)], 1

    return build


def cross_entropy(logits, targets):
    rows = jnp.take_along_axis(logits, targets[:, None], 1)[:, 0]
    return (jax.nn.logsumexp(logits, -1) - rows).mean()


def attention(q, k, v):
    length = q.shape[2]
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / q.shape[-1] ** 0.5
    scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
    return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, -1), v)


def conv(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), ((1, 1), (1, 1)))


def adamw_update(parameters, moments, gradients, count, decay=1e-2, betas=(0.9, 0.999),
                 least_rank=0):
    """Dictionaries of arrays; moments by name: (first, second)."""
    new_parameters, new_moments = {}, {}
    for name, p in parameters.items():
        g, (m, v) = gradients[name], moments[name]
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        p = p * (1 - 1e-3 * (decay if p.ndim >= least_rank else 0.0))
        root = jnp.sqrt(v / (1 - betas[1] ** count)) + 1e-8
        new_parameters[name] = p - 1e-3 * (m / (1 - betas[0] ** count)) / root
        new_moments[name] = (m, v)
    return new_parameters, new_moments


def zero_moments(state):
    return {name: (jnp.zeros_like(p), jnp.zeros_like(p)) for name, p in state.items()}


def adamw(groups, data, state):
    def step(parameters, moments, count, gradients):
        parameters, moments = adamw_update(parameters, moments, gradients, count)
        return [parameters, moments, count + 1, parameters["p0"]]

    gradients = {name.replace("g", "p"): value for name, value in data.items()}
    return step, [state, zero_moments(state), jnp.float32(1), gradients], 3


def training(state, loss, arguments, clip=None, **options):
    def step(parameters, moments, count, *rest):
        value, gradients = jax.value_and_grad(loss)(parameters, *rest)
        if clip is not None:
            total = jnp.sqrt(sum(jnp.sum(g * g) for g in gradients.values()))
            factor = jnp.minimum(1.0, clip / (total + 1e-6))
            gradients = {name: g * factor for name, g in gradients.items()}
        parameters, moments = adamw_update(parameters, moments, gradients, count, **options)
        return [parameters, moments, count + 1, value]

    return step, [state, zero_moments(state), jnp.float32(1), *arguments], 3


def mlp(groups, data, state):
    def loss(p, x, targets):
        for name in ("fc1", "fc2"):
            x = jax.nn.gelu(x @ p[f"{name}.weight"].T + p[f"{name}.bias"], approximate=False)
        return cross_entropy(x @ p["fc3.weight"].T + p["fc3.bias"], targets)

    return training(state, loss, [data["x"], data["targets"]])


def gpt_loss(p, tokens, targets, layers, heads):
    def linear(x, name):
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def layer_norm(x, name):
        return norm(x, p[f"{name}.weight"], p[f"{name}.bias"])

    batch, length = tokens.shape
    x = p["tok"][tokens] + p["pos"][:length]
    width = x.shape[-1]
    for i in range(layers):
        h = f"h.{i}"
        qkv = linear(layer_norm(x, f"{h}.ln1"), f"{h}.attn.qkv")
        q, k, v = qkv.reshape(batch, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
        y = attention(q, k, v).transpose(0, 2, 1, 3).reshape(batch, length, width)
        x = x + linear(y, f"{h}.attn.proj")
        y = jax.nn.gelu(linear(layer_norm(x, f"{h}.ln2"), f"{h}.mlp.fc"), approximate=True)
        x = x + linear(y, f"{h}.mlp.proj")
    logits = layer_norm(x, "ln_f") @ p["tok"].T
    return cross_entropy(logits.reshape(batch * length, -1), targets.reshape(-1))


def gpt(data, state, layers, heads, **options):
    loss = functools.partial(gpt_loss, layers=layers, heads=heads)
    return training(state, loss, [data["tokens"], data["targets"]], **options)


def gpt_demo(groups, data, state):
    return gpt(data, state, 4, 4, clip=1.0, decay=0.1, betas=(0.9, 0.95), least_rank=2)


def gpt_step(groups, data, state):
    return gpt(data, state, int(groups[0]), int(groups[1]) // 64)


def gpt2_step(groups, data, state):
    if not groups[0]:
        return gpt(data, state, 12, 12)

    def loss(p, tokens, targets):
        p = {name: value.astype(jnp.bfloat16) for name, value in p.items()}
        return gpt_loss(p, tokens, targets, 12, 12).astype(jnp.float32)

    return training(state, loss, [data["tokens"], data["targets"]])


def resnet_loss(parameters, running, images, targets):
    """(loss, the new running statistics)."""
    p, moved = parameters, dict(running)

    def conv_norm(x, name, norm_name, stride):
        weight = p[f"{name}.weight"]
        pad = (weight.shape[-1] // 2,) * 2
        x = jax.lax.conv_general_dilated(x, weight, (stride, stride), (pad, pad))
        mean = x.mean((0, 2, 3), keepdims=True)
        variance = jnp.square(x - mean).mean((0, 2, 3), keepdims=True)
        count = x.size / x.shape[1]
        unbiased = variance * (count / (count - 1))
        for kind, now in (("running_mean", mean), ("running_var", unbiased)):
            old = running[f"{norm_name}.{kind}"]
            moved[f"{norm_name}.{kind}"] = 0.9 * old + 0.1 * jax.lax.stop_gradient(now.reshape(-1))
        scale, shift = (p[f"{norm_name}.{n}"][:, None, None] for n in ("weight", "bias"))
        return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + shift

    x = jax.nn.relu(conv_norm(images, "conv1", "bn1", 2))
    pads = ((0, 0), (0, 0), (1, 1), (1, 1))
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), pads)
    for i in range(8):
        block, stride = f"blocks.{i}", 2 if i in (2, 4, 6) else 1
        y = jax.nn.relu(conv_norm(x, f"{block}.conv1", f"{block}.bn1", stride))
        y = conv_norm(y, f"{block}.conv2", f"{block}.bn2", 1)
        if stride == 2:
            x = conv_norm(x, f"{block}.downsample.0", f"{block}.downsample.1", 2)
        x = jax.nn.relu(y + x)
    logits = x.mean((2, 3)) @ p["fc.weight"].T + p["fc.bias"]
    return cross_entropy(logits, targets), moved


def resnet_step(groups, data, state):
    running = {name: value for name, value in state.items() if "running" in name}
    parameters = {name: value for name, value in state.items() if name not in running}

    def step(parameters, momentum, running, images, targets):
        (value, running), gradients = jax.value_and_grad(resnet_loss, has_aux=True)(
            parameters, running, images, targets
        )
        momentum = {
            n: 0.9 * momentum[n] + gradients[n] + 1e-4 * p for n, p in parameters.items()
        }
        parameters = {n: p - 1e-3 * momentum[n] for n, p in parameters.items()}
        return [parameters, momentum, running, value]

    momentum = {name: jnp.zeros_like(value) for name, value in parameters.items()}
    return step, [parameters, momentum, running, data["x"], data["targets"]], 3


WORKS = [
    (r"gemm_(\d+)x(\d+)x(\d+)(_ta|_tb)?(_bf16)?", forward_only(gemm, "a", "b")),
    (r"gemm_bias_gelu_.*",
     forward_only(lambda g, a, b, bias: jax.nn.gelu(a @ b + bias, approximate=False),
                  "a", "b", "bias")),
    (r"softmax_.*", forward_only(lambda g, x: jax.nn.softmax(x, -1), "x")),
    (r"layernorm_fwdbwd_.*",
     with_gradients(lambda *a: (norm(*a),), ["x", "weight", "bias"])),
    (r"layernorm_.*", forward_only(lambda g, *a: norm(*a), "x", "weight", "bias")),
    (r"bias_dropout_residual_ln_fwdbwd_.*", dropout_works(backward=True)),
    (r"bias_dropout_residual_ln_.*", dropout_works(backward=False)),
    (r"cross_entropy_fwdbwd_.*",
     with_gradients(lambda x, t: (cross_entropy(x, t),), ["logits"], ["targets"])),
    (r"linear_cross_entropy_fwdbwd_.*",
     with_gradients(lambda x, w, t: (cross_entropy(x @ w.T, t),), ["x", "weight"], ["targets"])),
    (r"gelu_fwdbwd_.*",
     with_gradients(lambda x: (jax.nn.gelu(x, approximate=False),), ["x"],
                    keep=lambda outputs: ())),
    (r"attention_fwd_L.*", forward_only(lambda g, *qkv: attention(*qkv), "q", "k", "v")),
    (r"attention_fwdbwd_L.*", with_gradients(lambda *a: (attention(*a),), ["q", "k", "v"])),
    (r"conv3x3_fwdbwd_.*", with_gradients(lambda *a: (conv(*a),), ["x", "weight"])),
    (r"conv3x3_.*", forward_only(lambda g, x, w: conv(x, w), "x", "weight")),
    (r"adamw_.*", adamw),
    (r"mlp_mnist_step_.*", mlp),
    (r"gpt_demo_step", gpt_demo),
    (r"gpt_(\d+)L(\d+)_step_.*", gpt_step),
    (r"gpt2_124M_step_\d+x\d+(_bf16)?", gpt2_step),
    (r"resnet18_step_.*", resnet_step),
]  # fmt: skip
