"""Modules: named parameters, buffers and child modules, in the order they were assigned."""

from collections import OrderedDict

from plait import _core
from plait._core import Tensor, functions


class Parameter(Tensor):
    """A tensor that training changes: its memory outlives graphs, and programs read it there."""

    def __init__(self, data, requires_grad=True):
        super().__init__(_core.parameter(data, "parameter", bool(requires_grad)))

    def __deepcopy__(self, memo):
        return Parameter(self.detach(), self.requires_grad)


class RemovableHandle:
    """What registering a hook gives: `remove()` takes the hook away, as leaving a `with` does."""

    def __init__(self, hooks, key):
        self._hooks, self._key = hooks, key

    def remove(self):
        self._hooks.pop(self._key, None)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


def _register(module, kind, hook, prepend, with_kwargs):
    hooks = vars(module).setdefault(kind, OrderedDict())
    key = object()
    hooks[key] = (hook, with_kwargs)
    if prepend:
        hooks.move_to_end(key, last=False)
    return RemovableHandle(hooks, key)


class Module:
    """Attributes that are parameters, modules or lists of modules belong to it.

    Calling a module opens a scope of its name, so kernels are named by the path through the model:
    `h.0/attn/softmax`.
    """

    _name = ""  # in its parent
    training = True

    def forward(self, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args, **kwargs):
        hooked = vars(self).get("_forward_pre_hooks") or vars(self).get("_forward_hooks")
        function = self._forward_with_hooks if hooked else self.forward
        return _core.in_scope(self._name, function, *args, **kwargs)

    def _forward_with_hooks(self, *args, **kwargs):
        for hook, with_kwargs in list(vars(self).get("_forward_pre_hooks", {}).values()):
            if with_kwargs:
                changed = hook(self, args, kwargs)
                args, kwargs = (args, kwargs) if changed is None else changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        result = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(vars(self).get("_forward_hooks", {}).values()):
            given = (args, kwargs) if with_kwargs else (args,)
            changed = hook(self, *given, result)
            result = result if changed is None else changed
        return result

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """hook(module, args) runs before forward; what it returns, if anything, are the arguments.
        With `with_kwargs`: hook(module, args, kwargs), which returns both. In a function that
        plait.compile captures, hooks run as it is captured."""
        return _register(self, "_forward_pre_hooks", hook, prepend, with_kwargs)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False):
        """hook(module, args, output), or hook(module, args, kwargs, output) with `with_kwargs`,
        runs after forward; what it returns, if anything, is the output. In a function that
        plait.compile captures, hooks run as it is captured."""
        return _register(self, "_forward_hooks", hook, prepend, with_kwargs)

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        if isinstance(value, Module):
            value._set_name(name)
        elif _is_list(value):
            for i, item in enumerate(value):
                item._set_name(f"{name}.{i}")
        elif not isinstance(value, Tensor):
            return
        self._name_slots()

    def _set_name(self, name):
        object.__setattr__(self, "_name", name)

    def _name_slots(self):
        for name, tensor in [*self.named_parameters(), *self.named_buffers()]:
            tensor._slot_name = name

    def register_buffer(self, name, tensor, persistent=True):
        """A tensor that is state but not trained; in-place ops change it. `state_dict` leaves out
        what is not `persistent`. None is a buffer that is not there."""
        vars(self).setdefault("_buffers", set()).add(name)
        transient = vars(self).setdefault("_transient_buffers", set())
        if persistent:
            transient.discard(name)
        else:
            transient.add(name)
        value = None if tensor is None else Tensor(_core.parameter(tensor, name, False))
        setattr(self, name, value)

    def register_parameter(self, name, parameter):
        setattr(self, name, parameter)

    def add_module(self, name, module):
        setattr(self, name, module)

    def named_children(self):
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif _is_list(value):
                yield from ((f"{name}.{i}", item) for i, item in enumerate(value))

    def children(self):
        return [child for _, child in self.named_children()]

    def named_modules(self, prefix=""):
        """(path, module), each once: this one, then those below it."""
        seen, pending = set(), [(prefix, self)]
        while pending:
            path, module = pending.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            dot = path + "." if path else ""
            pending += [(dot + name, child) for name, child in module.named_children()][::-1]

    def modules(self):
        return [module for _, module in self.named_modules()]

    def get_submodule(self, target):
        """The module at a path: `h.0.attn`; this one for an empty path."""
        found = dict(self.named_modules()).get(target)
        if found is None:
            raise _core.UserError(
                f"[get_submodule] {type(self).__name__} has no module '{target}'"
            )
        return found

    def _named_tensors(self, prefix, wanted, recurse=True):
        """(path, tensor), each once: a module's own before those of its children."""
        seen = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in vars(module).items():
                if isinstance(value, Tensor) and wanted(module, name, value):
                    if value._cell_id not in seen:
                        seen.add(value._cell_id)
                        yield (path + "." if path else "") + name, value

    def named_parameters(self, prefix="", recurse=True):
        return self._named_tensors(
            prefix, lambda module, name, t: isinstance(t, Parameter), recurse
        )

    def named_buffers(self, prefix="", recurse=True):
        return self._named_tensors(
            prefix, lambda module, name, t: name in vars(module).get("_buffers", ()), recurse
        )

    def parameters(self, recurse=True):
        return [parameter for _, parameter in self.named_parameters("", recurse)]

    def buffers(self, recurse=True):
        return [buffer for _, buffer in self.named_buffers("", recurse)]

    def state_dict(self):
        """Parameters and persistent buffers by path; they share this module's memory."""
        return self._state()

    def _state(self):
        def is_state(module, name, tensor):
            kept = name in vars(module).get("_buffers", ())
            kept = kept and name not in vars(module).get("_transient_buffers", ())
            return kept or isinstance(tensor, Parameter)

        return dict(self._named_tensors("", is_state))

    def load_state_dict(self, state_dict, strict=True):
        """Sets all parameters and buffers, or none if names (`strict`), dtypes or shapes differ."""
        own = self._state()
        given = dict(state_dict)
        if not strict:
            own = {name: tensor for name, tensor in own.items() if name in given}
            given = {name: given[name] for name in own}
        _core.write_all("load_state_dict", list(own.items()), given)

    def train(self, mode=True):
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self):
        return self.train(False)

    def zero_grad(self, set_to_none=True):
        """Forgets all gradients, or makes those that are there 0."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = functions.zeros_like(parameter)

    def requires_grad_(self, requires_grad=True):
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def apply(self, fn):
        """fn of each module below this one, children in order, then of this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def __repr__(self):
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in
                 self.named_children()]  # fmt: skip
        if not lines:
            return f"{type(self).__name__}()"
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"


def _is_list(value):
    is_list = isinstance(value, (list, tuple)) and len(value) > 0
    return is_list and all(isinstance(item, Module) for item in value)


class _Indexed(Module):
    """Modules in a row, named by their numbers."""

    def __init__(self, modules):
        object.__setattr__(self, "_items", [])
        for module in modules:
            self.append(module)

    def append(self, module):
        self._items.append(module)
        self._name_items()
        return self

    def _name_items(self):
        for i, module in enumerate(self._items):
            module._set_name(str(i))
        self._name_slots()

    def named_children(self):
        return ((str(i), module) for i, module in enumerate(self._items))

    def __len__(self):
        return len(self._items)

    def __iter__(self):
        return iter(self._items)

    def __getitem__(self, i):
        return type(self)(*self._items[i]) if isinstance(i, slice) else self._items[i]


class ModuleList(_Indexed):
    """Modules in a row, called one by one: their scopes are `NAME.0`, `NAME.1`, …."""

    def __init__(self, modules=()):
        super().__init__(modules)

    def _set_name(self, name):
        super()._set_name(name)
        self._name_items()

    def _name_items(self):
        for i, module in enumerate(self._items):
            module._set_name(f"{self._name}.{i}" if self._name else str(i))
        self._name_slots()

    def __getitem__(self, i):
        return self._items[i]


class Sequential(_Indexed):
    """Modules and functions, one after the other."""

    def __init__(self, *modules):
        super().__init__(m if isinstance(m, Module) else _Function(m) for m in modules)

    def forward(self, input):
        for module in self._items:
            input = module(input)
        return input


class _Function(Module):
    """A function in a Sequential."""

    def __init__(self, function):
        self.function = function

    def forward(self, input):
        return self.function(input)
