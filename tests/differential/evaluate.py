"""Reads expressions, one per line, and writes the value of each in Python: `= repr` or `! the kind of error`."""

import ast
import os.path
import sys
import warnings

warnings.simplefilter("ignore")
sys.setrecursionlimit(5000)


def shown(value):
    """The value's repr, with the elements of sets in order, and the elements of iterators instead of an address."""
    if isinstance(value, (set, frozenset)):
        return "{%s}" % ", ".join(sorted(map(shown, value))) if value else "set()"
    if isinstance(value, tuple):
        return "(%s%s)" % (", ".join(map(shown, value)), "," * (len(value) == 1))
    if isinstance(value, dict):
        return "{%s}" % ", ".join(f"{shown(k)}: {shown(v)}" for k, v in value.items())
    kind = type(value).__name__
    if isinstance(value, list):
        return "[%s]" % ", ".join(map(shown, value))
    if kind in VIEWS:
        return "%s([%s])" % (kind, ", ".join(map(shown, value)))
    if hasattr(value, "__next__"):
        kind = kind if kind in ITERATORS else "reversed"
        return "<%s of [%s]>" % (kind, ", ".join(map(shown, value)))
    return repr(value)


VIEWS = {"dict_keys", "dict_values", "dict_items"}
ITERATORS = {"enumerate", "generator", "zip"}
NAMES = (
    "abs all any bool bytes dict enumerate float int len list max min range repr reversed round set sorted str sum tuple zip"
).split()


def answer(line):
    builtins = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
    names = {name: builtins[name] for name in NAMES}
    names["os"] = os
    names["__builtins__"] = {}
    try:
        tree = ast.parse(line.strip(), mode="eval")
        return "= " + shown(eval(compile(tree, "expression", "eval"), names))
    except Exception as error:
        return "! " + type(error).__name__


sys.stdin.reconfigure(encoding="utf-8", newline="\n")
sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
print("%d.%d" % sys.version_info[:2])
for line in sys.stdin:
    print(answer(line.rstrip("\n")))
