"""Models written in C++, as modules."""
from plait import _core


class GPT:
    """The GPT of ops/models/gpt.h: integer tokens [batch, length] -> logits."""

    def __init__(self, layers=4, width=128, heads=4, context=128, vocab=256, seed=0):
        self._model = _core.GPT(layers, width, heads, context, vocab, seed)

    def __call__(self, tokens):
        return self._model(tokens)

    def named_parameters(self):
        return self._model.named_parameters()

    def parameters(self):
        return [parameter for _, parameter in self.named_parameters()]


TextData = _core.TextData
