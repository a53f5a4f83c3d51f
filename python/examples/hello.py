"""A few lines: a lazy expression, a compiled function, its kernel."""
import numpy as np

import plait

x = plait.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
print(plait.softmax(x * 2, -1))

f = plait.compile(lambda x: plait.softmax(x * 2, -1))
print(f(x).numpy())
print(f.program(x).kernels[0].source("kernel_ir"))
