"""Recurrent layers, with PyTorch's parameters, gates and layouts; the steps are unrolled."""

from plait import _core
from plait._core import functions
from plait.nn._layers import _uniform
from plait.nn._module import Module


def _rnn_step(nonlinearity):
    activation = {"tanh": functions.tanh, "relu": functions.relu}[nonlinearity]

    def step(x, state, weight, bias):
        return [activation(x + functions.linear(state[0], weight, bias))]

    return step


def _lstm_step(x, state, weight, bias):
    h, c = state
    i, f, g, o = functions.chunk(x + functions.linear(h, weight, bias), 4, -1)
    c = functions.sigmoid(f) * c + functions.sigmoid(i) * functions.tanh(g)
    return [functions.sigmoid(o) * functions.tanh(c), c]


def _gru_step(x, state, weight, bias):
    rx, zx, nx = functions.chunk(x, 3, -1)
    rh, zh, nh = functions.chunk(functions.linear(state[0], weight, bias), 3, -1)
    r, z = functions.sigmoid(rx + rh), functions.sigmoid(zx + zh)
    n = functions.tanh(nx + r * nh)
    return [(1 - z) * n + z * state[0]]


class _Cell(Module):
    _gates, _states = 1, 1
    _step = None

    def __init__(self, input_size, hidden_size, bias=True):
        self.input_size, self.hidden_size = input_size, hidden_size
        width = self._gates * hidden_size
        self.weight_ih = _uniform([width, input_size], hidden_size)
        self.weight_hh = _uniform([width, hidden_size], hidden_size)
        self.bias_ih = _uniform([width], hidden_size) if bias else None
        self.bias_hh = _uniform([width], hidden_size) if bias else None

    def forward(self, input, hx=None):
        if hx is None:
            zeros = functions.zeros([*input.shape[:-1], self.hidden_size], dtype=input.dtype)
            state = [zeros] * self._states
        else:
            state = list(hx) if self._states > 1 else [hx]
        x = functions.linear(input, self.weight_ih, self.bias_ih)
        state = self._step(x, state, self.weight_hh, self.bias_hh)
        return tuple(state) if self._states > 1 else state[0]


class RNNCell(_Cell):
    """h' = tanh(W x + b + U h + c)."""

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh"):
        super().__init__(input_size, hidden_size, bias)
        self._step = _rnn_step(nonlinearity)


class LSTMCell(_Cell):
    """One step of an LSTM: (h, c) from an input and (h, c)."""

    _gates, _states = 4, 2
    _step = staticmethod(_lstm_step)


class GRUCell(_Cell):
    """One step of a GRU."""

    _gates = 3
    _step = staticmethod(_gru_step)


class _Recurrent(Module):
    _gates, _states = 1, 1
    _step = None

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False,
                 dropout=0.0, bidirectional=False):  # fmt: skip
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bias = batch_first, dropout, bias
        self.bidirectional = bidirectional
        width = self._gates * hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else hidden_size * len(self._directions())
            for suffix in self._directions():
                end = f"l{layer}{suffix}"
                setattr(self, f"weight_ih_{end}", _uniform([width, inputs], hidden_size))
                setattr(self, f"weight_hh_{end}", _uniform([width, hidden_size], hidden_size))
                if bias:
                    setattr(self, f"bias_ih_{end}", _uniform([width], hidden_size))
                    setattr(self, f"bias_hh_{end}", _uniform([width], hidden_size))

    def _directions(self):
        return ("", "_reverse") if self.bidirectional else ("",)

    def _run(self, x, state, end):
        """All steps of one direction of a layer: outputs in the order of time, the last state."""
        weight = getattr(self, f"weight_hh_{end}")
        bias = getattr(self, f"bias_hh_{end}", None)
        # The inputs' part of all steps is one product.
        x = functions.linear(x, getattr(self, f"weight_ih_{end}"),
                             getattr(self, f"bias_ih_{end}", None))  # fmt: skip
        outputs = []
        steps = functions.unbind(x, 0)
        for step in steps[::-1] if end.endswith("_reverse") else steps:
            state = self._step(step, state, weight, bias)
            outputs.append(state[0])
        return outputs[::-1] if end.endswith("_reverse") else outputs, state

    def forward(self, input, hx=None):
        if len(input.shape) not in (2, 3) or input.shape[-1] != self.input_size:
            raise _core.UserError(
                f"[{type(self).__name__}] input is [length, batch, {self.input_size}], "
                f"[batch, length, {self.input_size}] with batch_first, or [length, "
                f"{self.input_size}]; got {list(input.shape)}"
            )
        batched, x = len(input.shape) == 3, input
        if not isinstance(x.shape[1 if batched and self.batch_first else 0], int):
            raise _core.UserError(
                f"[{type(self).__name__}] the length must be a number: steps are unrolled; got "
                f"{list(input.shape)}. hint: plait.compile(…, dynamic=False)"
            )
        if batched and self.batch_first:
            x = functions.transpose(x, 0, 1)
        layers = self.num_layers * len(self._directions())
        if hx is None:
            shape = [layers, *x.shape[1:-1], self.hidden_size]
            given = [functions.zeros(shape, dtype=x.dtype)] * self._states
        else:
            given = list(hx) if self._states > 1 else [hx]
        last = []
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0:
                x = functions.dropout(x, self.dropout, self.training)
            directions = []
            for suffix in self._directions():
                state = [part[len(last)] for part in given]
                outputs, state = self._run(x, state, f"l{layer}{suffix}")
                directions.append(functions.stack(outputs, 0))
                last.append(state)
            x = directions[0] if len(directions) == 1 else functions.cat(directions, -1)
        states = tuple(functions.stack(list(parts), 0) for parts in zip(*last))
        if batched and self.batch_first:
            x = functions.transpose(x, 0, 1)
        return x, states if self._states > 1 else states[0]


class RNN(_Recurrent):
    """Layers of h' = tanh(W x + b + U h + c); returns all outputs and the last h of each layer."""

    def __init__(self, *args, nonlinearity="tanh", **kwargs):
        super().__init__(*args, **kwargs)
        self._step = _rnn_step(nonlinearity)


class LSTM(_Recurrent):
    """Long short-term memory; returns all outputs and the last (h, c) of each layer."""

    _gates, _states = 4, 2
    _step = staticmethod(_lstm_step)


class GRU(_Recurrent):
    """Gated recurrent units; returns all outputs and the last h of each layer."""

    _gates = 3
    _step = staticmethod(_gru_step)
