"""Modules: names, modes, state; checkpoints."""

import numpy as np
import plait
import pytest
from plait import nn


class Block(nn.Module):
    def __init__(self, width):
        self.ln = nn.LayerNorm(width)
        self.attn = nn.SelfAttention(width, 2)

    def forward(self, x):
        return x + self.attn(self.ln(x))


class Model(nn.Module):
    def __init__(self):
        self.scale = nn.Parameter([1.0])
        self.h = nn.ModuleList(Block(8) for _ in range(2))
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 4), lambda x: x * 2, nn.GELU())
        self.extra = [nn.Linear(4, 4)]

    def forward(self, x):
        for block in self.h:
            x = block(x)
        return self.extra[0](self.head(x * self.scale))


def test_paths():
    model = Model()
    names = [name for name, _ in model.named_parameters()]
    assert names[:3] == ["scale", "h.0.ln.weight", "h.0.ln.bias"]
    assert names[-4:] == ["head.1.weight", "head.1.bias", "extra.0.weight", "extra.0.bias"]
    assert [name for name, _ in model.named_children()] == ["h", "head", "extra.0"]
    assert model.h[1].attn.qkv.weight._slot_name == "h.1.attn.qkv.weight"
    assert list(plait.optim.SGD(model.parameters(), momentum=0.9).state_dict())[:3] == [
        "optim.step", "optim.momentum.scale", "optim.momentum.h.0.ln.weight"
    ]  # fmt: skip


def test_kernels_are_named_by_the_path():
    model = Model().eval()
    kernels = plait.compile(model).program(plait.ones(1, 3, 8)).kernels
    assert any(kernel.name.startswith("h.0.attn.qkv") for kernel in kernels)
    assert any(kernel.name.startswith("h.1.attn.qkv") for kernel in kernels)


def test_shared_parameters_count_once():
    class Tied(nn.Module):
        def __init__(self):
            self.a = nn.Linear(3, 3, bias=False)
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

    assert [name for name, _ in Tied().named_parameters()] == ["a.weight"]


def test_modes_reach_all_children():
    model, x = Model(), plait.ones(1, 3, 8)
    assert (model(x).numpy() != model(x).numpy()).any()
    model.eval()
    assert not model.head[0].training
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())


def test_zero_grad_and_requires_grad():
    model = Model().eval()
    model.requires_grad_(False)
    model.scale.requires_grad = True
    model(plait.ones(1, 3, 8)).sum().backward()
    assert model.scale.grad is not None and model.h[0].ln.weight.grad is None
    model.zero_grad()
    assert model.scale.grad is None


def test_state_dict_is_set_whole_or_not():
    plait.manual_seed(1)
    model, other = Model(), Model()
    before = other.scale.numpy()
    state = {name: t.numpy() for name, t in model.state_dict().items()}
    for change, text in [
        (
            {"scale": np.ones(2, np.float32)},
            r"'scale' has another type; got f32\[2\], needs f32\[1\]",
        ),
        ({"more": np.ones(2)}, "there is no 'more'"),
    ]:
        with pytest.raises(plait.UserError, match=text):
            other.load_state_dict({**state, **change})
    with pytest.raises(plait.UserError, match="'scale' is missing"):
        other.load_state_dict({k: v for k, v in state.items() if k != "scale"})
    np.testing.assert_array_equal(other.scale.numpy(), before)
    other.load_state_dict(state)
    for a, b in zip(model.parameters(), other.parameters()):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert other.scale.requires_grad
    other.load_state_dict({"scale": [5.0]}, strict=False)
    assert other.scale.item() == 5


@pytest.mark.parametrize("compiled", [False, True])
def test_batch_norm_moves_its_buffers(compiled):
    norm = nn.BatchNorm2d(3)
    x = np.random.default_rng(0).standard_normal((4, 3, 5, 5), np.float32)
    function = plait.compile(norm) if compiled else norm
    with plait.no_grad():
        function(plait.tensor(x))
    np.testing.assert_allclose(norm.running_mean.numpy(), 0.1 * x.mean((0, 2, 3)), rtol=1e-4,
                               atol=1e-6)  # fmt: skip
    variance = x.transpose(1, 0, 2, 3).reshape(3, -1).var(1, ddof=1)
    np.testing.assert_allclose(norm.running_var.numpy(), 0.9 + 0.1 * variance, rtol=1e-4)
    assert "running_mean" in norm.state_dict() and len(norm.parameters()) == 2
    norm.eval()
    np.testing.assert_allclose(
        norm(plait.tensor(x)).numpy().mean(), ((x - norm.running_mean.numpy()[:, None, None]) /
        np.sqrt(norm.running_var.numpy() + 1e-5)[:, None, None]).mean(), rtol=1e-3
    )  # fmt: skip


def test_layers_run():
    x = plait.randn(2, 4, 8, 8)
    layers = nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.GroupNorm(2, 6), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 5), nn.RMSNorm(5),
        nn.Softmax(-1),
    )  # fmt: skip
    y = layers(x)
    assert y.shape == (2, 5)
    loss = nn.CrossEntropyLoss()(y, plait.tensor([1, 4]))
    loss.backward()
    assert all(p.grad is not None for p in layers.parameters())
    assert np.isfinite(loss.item())


def training(path, steps, resume=False):
    plait.manual_seed(5)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 1))
    optimizer = plait.optim.AdamW(model.parameters(), 0.05)
    everything = [model, optimizer, {"random": plait.random_state()}]
    start = int(plait.load(path, into=everything)["at"]) if resume else 0
    step = plait.compile(lambda x: model(x).square().mean(), optimizer=optimizer)
    losses = []
    for i in range(start, steps):
        losses.append(step(np.full((2, 3), 0.1 * i, np.float32)).item())
    plait.save(everything, path, {"at": str(steps)})
    return losses


def test_resumed_training_has_the_bits_of_the_whole_run(tmp_path):
    whole = training(tmp_path / "a.safetensors", 8)
    part = training(tmp_path / "b.safetensors", 5)
    assert part + training(tmp_path / "b.safetensors", 8, resume=True) == whole
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_damaged_files_change_nothing(tmp_path):
    path = tmp_path / "t.safetensors"
    x, y = plait.tensor([1.0, 2.0]), plait.tensor([3])
    plait.save({"x": x, "y": y}, path)
    loaded = plait.load(path)
    assert loaded["x"].tolist() == [1, 2] and loaded["y"].dtype == plait.i64
    x.fill_(0)
    with pytest.raises(plait.UserError, match="x"):
        plait.load(path, into={"y": y})
    assert plait.load(path, into={"y": y}, ignore_unexpected=True) == {}
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(plait.UserError, match="damaged"):
        plait.load(path, into={"x": x, "y": y})
    with pytest.raises(plait.UserError, match="damaged"):
        plait.load(path)
    assert x.tolist() == [0, 0] and y.tolist() == [3]
    with pytest.raises(plait.UserError, match="got int"):
        plait.save(3, path)


def test_hooks_change_arguments_and_results():
    layer, x = nn.Linear(2, 2), plait.ones(1, 2)
    plain, seen = layer(x).detach().numpy(), []
    first = layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    second = layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].tolist()))
    with layer.register_forward_hook(lambda module, args, output: output + 1):
        doubled = layer(x).detach().numpy()
    bias = layer.bias.detach().numpy()
    np.testing.assert_allclose(doubled, 2 * (plain - bias) + bias + 1, rtol=1e-5)
    assert seen == [[[2.0, 2.0]]]
    second.remove()
    before = layer.register_forward_pre_hook(lambda module, args: args[0] * 3, prepend=True)
    compiled = plait.compile(layer)
    np.testing.assert_allclose(compiled(x).detach().numpy(), 6 * (plain - bias) + bias, rtol=1e-5)
    for handle in (first, before, before):
        handle.remove()
    np.testing.assert_array_equal(layer(x).detach().numpy(), plain)


def test_hooks_with_keywords():
    class Scaled(nn.Module):
        def forward(self, x, scale=1):
            return x * scale

    scaled = Scaled()
    scaled.register_forward_pre_hook(lambda module, args, kwargs: (args, {"scale": 5}),
                                     with_kwargs=True)  # fmt: skip
    scaled.register_forward_hook(
        lambda module, args, kwargs, output: output + kwargs["scale"], with_kwargs=True
    )
    assert scaled(plait.tensor(2.0), scale=3).item() == 15


def test_buffers_that_are_not_saved():
    class Masked(nn.Module):
        def __init__(self):
            self.register_buffer("mask", plait.ones(2), persistent=False)
            self.register_buffer("steps", plait.zeros(1))
            self.register_buffer("none", None)

        def forward(self, x):
            return x * self.mask

    model = Masked()
    assert list(model.state_dict()) == ["steps"] and model.none is None
    assert [name for name, _ in model.named_buffers()] == ["mask", "steps"]
    model.load_state_dict({"steps": [3.0]})
    assert model.steps.item() == 3
    model.register_buffer("mask", plait.zeros(2))
    assert list(model.state_dict()) == ["mask", "steps"]


def test_walks():
    model, order = Model(), []
    assert model.apply(lambda module: order.append(type(module).__name__)) is model
    assert order[:3] == ["LayerNorm", "Linear", "Linear"] and order[-1] == "Model"
    assert len(order) == len(model.modules())
    assert [name for name, _ in model.named_parameters(recurse=False)] == ["scale"]
    assert model.buffers(recurse=False) == [] and len(model.parameters(recurse=False)) == 1
    assert [name for name, _ in model.named_modules("gpt")][:3] == ["gpt", "gpt.h", "gpt.h.0"]
    assert model.get_submodule("h.1.attn") is model.h[1].attn and model.get_submodule("") is model
    with pytest.raises(plait.UserError, match=r"\[get_submodule\] Model has no module 'h.7'"):
        model.get_submodule("h.7")
    model.scale.square().sum().backward()
    model.zero_grad(set_to_none=False)
    assert model.scale.grad.tolist() == [0.0] and model.h[0].ln.weight.grad is None
