"""The models of ops/models, written with plait.nn: equal seeds give the bits of the C++ models."""

import math

from plait import _core
from plait import nn
from plait._core import functions

TextData = _core.TextData


class MLP(nn.Module):
    def __init__(self, width):
        self.fc = nn.Linear(width, 4 * width)
        self.proj = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.proj(functions.gelu(self.fc(x), "tanh"))


class Block(nn.Module):
    def __init__(self, width, heads):
        self.ln1 = nn.LayerNorm(width)
        self.attn = nn.SelfAttention(width, heads, causal=True)
        self.ln2 = nn.LayerNorm(width)
        self.mlp = MLP(width)

    def forward(self, x):
        middle = x + self.attn(self.ln1(x))
        return middle + self.mlp(self.ln2(middle))


class GPT(nn.Module):
    """The GPT of ops/models/gpt.h: integer tokens [batch, length] -> logits."""

    def __init__(self, layers=4, width=128, heads=4, context=128, vocab=256, seed=0):
        self.context = context
        self.tok = nn.Parameter(functions.zeros([vocab, width]))
        self.pos = nn.Parameter(functions.zeros([context, width]))
        self.h = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self._initialize(layers, seed)

    def _initialize(self, layers, seed):
        _core.manual_seed(seed)
        residual = 0.02 / math.sqrt(2 * layers)
        for name, parameter in self.named_parameters():
            if len(parameter.shape) == 2:
                std = residual if name.endswith("proj.weight") else 0.02
                nn.init.normal_(parameter, 0.0, std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens):
        length = tokens.shape[1]
        if isinstance(length, int) and length > self.context:
            raise _core.UserError(
                f"[GPT] sequences are at most as long as the context; got {length}, context "
                f"{self.context}"
            )
        x = functions.embedding(tokens, self.tok) + functions.narrow(self.pos, 0, 0, length)
        for block in self.h:
            x = block(x)
        return functions.linear(self.ln_f(x), self.tok)
