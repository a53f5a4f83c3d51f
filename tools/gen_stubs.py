#!/usr/bin/env python3
"""Writes python/plait/*.pyi from the op records and the built package: tools/gen_stubs.py [--check]

Run it with the Python that finds the package (build/venv/bin/python). Functions and methods of op
records get the types of their signatures; the rest, what the module and the package themselves say.
--check writes nothing: it names each stub that is not what would be written, with status 1.
"""

import argparse
import ast
import inspect
import pathlib
import re
import sys
import textwrap
import types

from gen_ops_header import split_arguments

ROOT = pathlib.Path(__file__).resolve().parents[1]
MAX_COLUMNS = 100

# Types of signatures; a Tensor result is exact, a Tensor argument may be made from data.
TYPES = {
    "Tensor": "_TensorLike",
    "Tensor[]": "Sequence[_TensorLike]",
    "Operand": "_TensorLike",
    "int": "_int",
    "int[]": "_int | Sequence[_int]",
    "Size": "_Size",
    "Shape": "_Size | Sequence[_Size]",
    "float": "_float",
    "bool": "_bool",
    "str": "_str",
    "DType": "_DTypeLike",
}
RESULTS = {
    "Tensor": "Tensor",
    "Tensor[]": "list[Tensor]",
    "(Tensor, Tensor)": "tuple[Tensor, Tensor]",
}
# Tensor may have methods `float` and `int`: types need other names.
PLAIN = {name: f"_{name}" for name in ("bool", "float", "int", "str")}


def wrapped(head, parameters, tail, indent):
    """`head(parameters)tail`, broken between parameters where it is too long."""
    line = f"{indent}{head}({', '.join(parameters)}){tail}"
    if len(line) <= MAX_COLUMNS:
        return line
    inside = textwrap.wrap(
        ", ".join(p.replace(" ", "\0") for p in parameters) + ",",
        MAX_COLUMNS,
        initial_indent=indent + "    ",
        subsequent_indent=indent + "    ",
    )
    text = "\n".join(inside).replace("\0", " ")
    return f"{indent}{head}(\n{text}\n{indent}){tail}"


def default_of(kind, text):
    return text if kind.rstrip("?") not in ("DType",) or text == "None" else "..."


class Record:
    def __init__(self, signature):
        self.signature = signature
        self.name, arguments, result = re.fullmatch(r"(\w+)\((.*)\) -> (.+)", signature).groups()
        self.result = RESULTS[result]
        self.parameters = []
        keyword_only = arguments.split(", *, ")
        for i, part in enumerate(keyword_only):
            if i == 1:
                self.parameters.append(("*", None, None))
            for argument in split_arguments(part):
                match = re.fullmatch(r"([\w\[\]?]+) (\w+)(?:=(.+))?", argument)
                self.parameters.append(match.groups())

    def stub(self, indent="", method=False, name=None):
        texts = []
        for i, (kind, argument, initial) in enumerate(self.parameters):
            if method and i == 0:
                texts.append("self")
                continue
            if kind == "*":
                texts.append("*")
                continue
            hint = TYPES[kind.rstrip("?")] + (" | None" if kind.endswith("?") else "")
            text = f"{argument}: {hint}"
            texts.append(text if initial is None else f"{text} = {default_of(kind, initial)}")
        note = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
        return wrapped(f"def {name or self.name}", texts, f" -> {self.result}: ...{note}", indent)


class Hints(ast.NodeTransformer):
    """The types that pybind11 writes, as a reader would."""

    def visit_BinOp(self, node):
        text = ast.unparse(node)
        if text == "typing.SupportsInt | typing.SupportsIndex":
            return ast.Name("_int")
        if text == "typing.SupportsFloat | typing.SupportsIndex":
            return ast.Name("_float")
        return self.generic_visit(node)

    def visit_Subscript(self, node):
        if ast.unparse(node.value) == "numpy.ndarray":
            return ast.parse("npt.NDArray[Any]", mode="eval").body
        if isinstance(node.value, ast.Name):  # bare names have their own visit
            node.value = ast.Name(PLAIN.get(node.value.id, node.value.id))
            node.slice = self.visit(node.slice)
            return node
        return self.generic_visit(node)

    def visit_Attribute(self, node):
        text = ast.unparse(node)
        if text == "numpy.ndarray":
            return ast.parse("npt.NDArray[Any]", mode="eval").body
        if text.startswith(("plait._core.", "typing.", "collections.abc.")):
            return ast.Name(node.attr)
        return self.generic_visit(node)

    def visit_Name(self, node):
        if node.id in ("object", "Any", "handle"):
            return ast.Name("Any")
        if node.id in ("tuple", "list", "dict"):
            arguments = {"tuple": "Any, ...", "list": "Any", "dict": "Any, Any"}[node.id]
            return ast.parse(f"{node.id}[{arguments}]", mode="eval").body
        return ast.Name(PLAIN.get(node.id, node.id))


def hint(node):
    return "Any" if node is None else ast.unparse(Hints().visit(node))


def from_text(name, text, indent, method, shown=None):
    """From `name(a: int = 1) -> int`, the first line of pybind11's docs; None if it is not that."""
    text = re.sub(r"<[^<>]*>", "...", text)
    try:
        (function,) = ast.parse(f"def {text}: ...").body
    except (SyntaxError, ValueError):
        return None
    if function.name != name:
        return None
    return from_function(function, indent, method, shown or name)


def from_function(function, indent, method, name):
    """A stub from a syntax tree: annotations kept, defaults not shown."""
    given = function.args
    positional = given.posonlyargs + given.args
    missing = len(positional) - len(given.defaults)
    texts = []
    for i, argument in enumerate(positional):
        if method and i == 0:
            texts.append("self")
        else:
            generic = re.fullmatch(r"arg\d+", argument.arg) is not None
            label = f"{'__' if generic else ''}{argument.arg}"
            texts.append(f"{label}: {hint(argument.annotation)}" + (" = ..." * (i >= missing)))
    if given.vararg:
        texts.append(f"*{given.vararg.arg}: Any")
    elif given.kwonlyargs:
        texts.append("*")
    for argument, initial in zip(given.kwonlyargs, given.kw_defaults):
        texts.append(f"{argument.arg}: {hint(argument.annotation)}" + (" = ..." * bool(initial)))
    if given.kwarg:
        texts.append(f"**{given.kwarg.arg}: Any")
    tail = f" -> {hint(function.returns)}: ..."
    return wrapped(f"def {name}", texts, tail, indent)


def from_signature(name, value, indent, method):
    """Of a Python function, whose arguments have no types."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return wrapped(f"def {name}", ["self"] * method + ["*args: Any", "**kwargs: Any"],
                       " -> Any: ...", indent)  # fmt: skip
    plain = [p.replace(annotation=inspect.Parameter.empty,
                       default=p.empty if p.default is p.empty else None)
             for p in signature.parameters.values()]  # fmt: skip
    text = f"{name}{inspect.Signature(plain)}"
    return from_text(name, text, indent, method)


# What Python itself asks of these.
RESULT_OF = {"__len__": "_int", "__bool__": "_bool", "__int__": "_int", "__float__": "_float",
             "__index__": "_int", "__repr__": "_str", "__str__": "_str", "__hash__": "_int",
             "__contains__": "_bool"}  # fmt: skip
OPERATORS = re.compile(
    "__[ri]?(add|sub|mul|truediv|floordiv|mod|pow|matmul|and|or|xor|lshift|rshift)__"
    "|__(neg|pos|abs|invert|eq|ne|lt|le|gt|ge|getitem)__")


def function_stub(name, value, records, indent="", method=False, of_tensor=False):
    doc = inspect.getdoc(value) or ""
    own_name = getattr(value, "__name__", name)
    record = records.get(own_name)
    if record and record.signature in doc:
        return record.stub(indent, method, name)
    if doc.startswith(f"{own_name}(*args, **kwargs)\nOverloaded function."):
        parts = re.findall(r"^\d+\. (.*)$", doc, re.MULTILINE)
    else:
        parts = [doc.partition("\n")[0]]
    stubs = [from_text(own_name, part, indent, method, name) for part in parts]
    if None in stubs or not stubs:
        stubs = [from_signature(name, value, indent, method)]
    result = RESULT_OF.get(name) or (OPERATORS.fullmatch(name) and of_tensor and "Tensor")
    if result:
        note = "  # type: ignore[override]" if name in ("__eq__", "__ne__") and of_tensor else ""
        stubs = [s.replace("-> Any: ...", f"-> {result}: ...{note}") for s in stubs]
    stubs = list(dict.fromkeys(stubs))
    if len(stubs) > 1:
        stubs = [f"{indent}@overload\n{s}" for s in stubs]
    return "\n".join(stubs)


def property_stub(name, value, indent):
    text = (value.fget.__doc__ or "").partition("\n")[0]
    result = text.partition("-> ")[2] or "Any"
    shown = hint(ast.parse(result, mode="eval").body)
    lines = [f"{indent}@property", f"{indent}def {name}(self) -> {shown}: ..."]
    if value.fset is not None:
        lines += [f"{indent}@{name}.setter", f"{indent}def {name}(self, value: Any) -> None: ..."]
    return "\n".join(lines)


SKIPPED = {"__doc__", "__module__", "__weakref__", "__dict__", "__entries", "__members__",
           "__getstate__", "__setstate__", "__init_subclass__", "__annotations__", "__slots__",
           "__static_attributes__", "__firstlineno__", "__qualname__"}  # fmt: skip


def is_private(name):
    return name in SKIPPED or name.startswith("_") and not name.startswith("__")


def class_stub(cls, records):
    if issubclass(cls, BaseException):
        return f"class {cls.__name__}({cls.__bases__[0].__name__}): ..."
    members = []
    for name, value in vars(cls).items():
        if is_private(name) or name == "__hash__" and value is None:
            continue
        if name == "__init__" and isinstance(value, types.WrapperDescriptorType):
            continue
        if isinstance(value, cls):
            members.append(f"    {name}: {cls.__name__}")
        elif isinstance(value, property):
            members.append(property_stub(name, value, "    "))
        elif isinstance(value, staticmethod):
            text = function_stub(name, value.__func__, records, "    ")
            members.append("    @staticmethod\n" + text)
        elif callable(value):
            of_tensor = cls.__name__ == "Tensor"
            members.append(function_stub(name, value, records, "    ", True, of_tensor))
    return "\n".join([f"class {cls.__name__}:", *(members or ["    ..."])])


HEADER = '''\
# Written by tools/gen_stubs.py from the op records and the built package.
import builtins
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, overload

import numpy.typing as npt
'''


def aliases(core):
    size = "_int | Dim" if hasattr(core, "Dim") else "_int"
    return "\n".join(
        [f"{alias}: TypeAlias = builtins.{name}" for name, alias in PLAIN.items()]
        + ["_TensorLike: TypeAlias = Tensor | npt.ArrayLike",
           "_DTypeLike: TypeAlias = DType | npt.DTypeLike",
           f"_Size: TypeAlias = {size}"]
    )  # fmt: skip


def module_members(module, records, own):
    """The stubs of what a module itself defines: `own(name, value)`."""
    values, functions, classes = [], [], []
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") and name != "__version__" or isinstance(value, types.ModuleType):
            continue
        if not own(name, value):
            continue
        if inspect.isclass(value):
            classes.append(class_stub(value, records))
        elif callable(value):
            functions.append(function_stub(name, value, records))
        else:
            values.append(f"{name}: {PLAIN.get(type(value).__name__, type(value).__name__)}")
    return values, functions, classes


def core_stub(core, records):
    values, functions, classes = module_members(core, records, lambda name, value: True)
    return "\n\n".join([HEADER + "\n" + aliases(core), *classes,
                        "\n".join(values + functions)]) + "\n"  # fmt: skip


def package_stub(plait, records):
    core = plait._core

    def own(name, value):
        return name in records or getattr(core, name, None) is not value

    values, functions, classes = module_members(plait, records, own)
    taken = [n for n, v in sorted(vars(plait).items())
             if not own(n, v) and (not n.startswith("_") or n == "__version__")
             and not isinstance(v, types.ModuleType)]  # fmt: skip
    modules = [n for n, v in sorted(vars(plait).items())
               if isinstance(v, types.ModuleType) and v.__name__.startswith("plait.")]  # fmt: skip
    hidden = ["DType", *PLAIN.values(), "_TensorLike", "_DTypeLike", "_Size"]
    shared = sorted({f"{n} as {n}" for n in taken} | set(hidden) - set(taken))
    imports = "from plait._core import (\n" + "".join(f"    {n},\n" for n in shared) + ")\n"
    imports += "".join(f"from plait import {n} as {n}\n" for n in modules)
    header = HEADER.replace("import builtins\nimport os\n", "").replace("Callable, ", "")
    head = header + "\n" + imports
    return "\n".join([head, *values, *functions, *classes]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    import plait

    records = {}
    for entry in plait._core.op_records():
        records[entry["name"]] = Record(entry["signature"])
    stubs = {"_core.pyi": core_stub(plait._core, records),
             "__init__.pyi": package_stub(plait, records)}  # fmt: skip
    stale = []
    for name, text in stubs.items():
        page = ROOT / "python" / "plait" / name
        if page.exists() and page.read_text("utf-8") == text:
            continue
        stale.append(name)
        if not arguments.check:
            page.write_text(text, "utf-8")
    verdict = "is stale: run tools/gen_stubs.py" if arguments.check else "written"
    for name in stale:
        print(f"python/plait/{name} {verdict}")
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
