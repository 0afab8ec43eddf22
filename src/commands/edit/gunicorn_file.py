"""Executes a configuration file of gunicorn's, as gunicorn does, and writes its settings as JSON.

A setting that is assigned in one plain line, of environment variables or of the number of processors, comes with its
expression, so that it can stay one. Modules that are not installed are stood in for and named in the answer, for what
the file sets does not often depend on them; but where the file handles that one is missing, it is.

    gunicorn_file.py FILE NAME...
"""

import ast
import builtins
import copy
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import types

PATIENCE = 20
"""Seconds."""

FUNCTIONS = {"int", "str", "float", "bool", "max", "min", "len", "round", "abs"}


ABSENT = {}
"""The modules that were stood in for, with the line of the file that wanted them."""


class StandIn(types.ModuleType):
    """A module that is not there: everything in it can be called and gives nothing."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)

    def __call__(self, *args, **kwargs):
        return self


def nodes_at(frame):
    """What of a frame's file stands at its line; nothing if there is no such file."""
    try:
        with open(frame.f_code.co_filename, "rb") as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):
        return []
    here = frame.f_lineno
    nodes = [node for node in ast.walk(tree) if hasattr(node, "lineno")]
    return [node for node in nodes if node.lineno <= here <= node.end_lineno]


def handles(node, line):
    """Whether a statement handles what a line in it raises."""
    if isinstance(node, ast.With):
        return "suppress" in ast.unparse(node.items[0])
    if not isinstance(node, ast.Try) or not node.handlers:
        return False
    return node.body[0].lineno <= line <= node.body[-1].end_lineno


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last one that is asked."""

    def __init__(self, file):
        self.file = file

    def find_spec(self, name, path=None, target=None):
        frame, line, is_first = sys._getframe(1), 1, True
        while frame is not None:
            if not frame.f_code.co_filename.startswith("<"):
                nodes = nodes_at(frame)
                # A function that asks whether there is a module is told that there is none.
                if is_first and not any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in nodes):
                    return None
                if any(handles(node, frame.f_lineno) for node in nodes):
                    return None
                is_first = False
                if frame.f_code.co_filename == self.file:
                    line = frame.f_lineno
            frame = frame.f_back
        ABSENT.setdefault(name.split(".")[0], line)
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        pass


class NoExpression(Exception):
    """It cannot be written as an expression."""


class Translation(ast.NodeTransformer):
    """Python's expressions as ours."""

    def __init__(self, assigned):
        self.assigned = assigned
        self.reads = False
        self.depth = 0

    def generic_visit(self, node):
        allowed = (
            ast.Constant, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.operator, ast.unaryop,
            ast.boolop, ast.cmpop, ast.expr_context, ast.keyword,
        )
        if not isinstance(node, allowed):
            raise NoExpression
        return super().generic_visit(node)

    def visit_Name(self, node):
        values = self.assigned.get(node.id, [])
        if len(values) != 1 or self.depth > 20:
            raise NoExpression
        self.depth += 1
        inlined = self.visit(copy.deepcopy(values[0]))
        self.depth -= 1
        return inlined

    def visit_JoinedStr(self, node):
        parts = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(part)
            elif part.conversion == -1 and part.format_spec is None:
                parts.append(as_text(self.visit(part.value)))
            else:
                raise NoExpression
        if not parts:
            return ast.Constant("")
        whole = parts[0]
        for part in parts[1:]:
            whole = ast.BinOp(whole, ast.Add(), part)
        return whole

    def visit_Subscript(self, node):
        if ast.unparse(node.value) not in ("os.environ", "environ"):
            raise NoExpression
        self.reads = True
        return ast.Subscript(path("os.environ"), self.visit(node.slice), ast.Load())

    def visit_Call(self, node):
        name = ast.unparse(node.func)
        arguments = [self.visit(argument) for argument in node.args]
        if node.keywords:
            raise NoExpression
        if name in ("os.environ.get", "os.getenv", "environ.get", "getenv"):
            self.reads = True
            return ast.Call(path("os.environ.get"), arguments, [])
        if name in ("multiprocessing.cpu_count", "cpu_count", "os.cpu_count", "mp.cpu_count"):
            self.reads = True
            return ast.Call(path("os.cpu_count"), [], [])
        if name in FUNCTIONS:
            return ast.Call(ast.Name(name, ast.Load()), arguments, [])
        raise NoExpression


def as_text(tree):
    """The same as text, whatever it gives."""
    is_text = isinstance(tree, ast.Subscript) or isinstance(tree, ast.Constant) and isinstance(tree.value, str)
    if isinstance(tree, ast.Call) and ast.unparse(tree.func) in ("os.environ.get", "str"):
        is_text = all(isinstance(it, ast.Constant) and isinstance(it.value, str) for it in tree.args)
    return tree if is_text else ast.Call(ast.Name("str", ast.Load()), [tree], [])


def path(dotted):
    return ast.parse(dotted, mode="eval").body


def executed(code, namespace, names):
    """Executes the file's code. Returns the line by which each name got its value."""
    lines, values, last = {}, {}, [1]

    def look():
        for name in names:
            if name in namespace and values.get(name, values) is not namespace[name]:
                values[name] = namespace[name]
                lines[name] = last[0]

    def trace(frame, event, argument):
        if frame.f_globals is not namespace or frame.f_code is not code:
            return None
        look()
        last[0] = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        exec(code, namespace)
    finally:
        sys.settrace(None)
    look()
    return lines


def assignments(tree):
    """What each name is assigned to in plain lines."""
    values = {}
    for node in ast.walk(tree):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if not isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                value = None if isinstance(node, ast.AugAssign) else node.value
                values.setdefault(target.id, []).append(value)
    plain = {}
    body = [node for node in tree.body if isinstance(node, ast.Assign)]
    for name, found in values.items():
        here = [node.value for node in body if any(getattr(t, "id", None) == name for t in node.targets)]
        # Assigned elsewhere, too: what counts is known only after its execution.
        plain[name] = here if len(here) == len(found) else []
    return plain


def unknown(tree, names):
    """Names that are assigned, that nothing in the file reads, and that are no settings: gunicorn ignores them."""
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    found = {}
    for node in tree.body:
        for target in node.targets if isinstance(node, ast.Assign) else []:
            name = getattr(target, "id", "_")
            # What is no setting by its looks is for somebody who imports the file.
            if name.islower() and not name.startswith("_") and name not in read and name not in names:
                found[name] = node.lineno
    return found.items()


def expression(name, plain):
    values = plain.get(name, [])
    if len(values) != 1:
        return None
    translation = Translation(plain)
    try:
        tree = translation.visit(copy.deepcopy(values[0]))
        return ast.unparse(ast.fix_missing_locations(tree)) if translation.reads else None
    except (NoExpression, AttributeError, RecursionError):
        return None


def pairs(values, plain, text):
    """The texts `NAME=VALUE` of a list: as they are, as a name and an expression, or nothing if the value is
    perhaps a secret of the environment that the file is executed in."""
    found = plain.get("raw_env", [])
    elements = getattr(found[0], "elts", []) if len(found) == 1 else []
    if len(elements) != len(values):
        elements = [None] * len(values)
    reads = any(word in text for word in (b"environ", b"getenv", b"open(", b"import "))
    return [pair(value, element, plain, reads) for value, element in zip(values, elements)]


def pair(value, element, plain, reads):
    if isinstance(element, ast.Constant) or not reads:
        return [value, None]
    name = value.split("=")[0]
    translation = Translation(plain)
    try:
        if element is None:
            raise NoExpression
        tree = translation.visit(copy.deepcopy(element))
        if not translation.reads:
            return [value, None]
        parts = []
        while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
            parts.insert(0, tree.right)
            tree = tree.left
        first = tree.value if isinstance(tree, ast.Constant) else None
        if not isinstance(first, str) or not first.startswith(name + "="):
            raise NoExpression
        rest = first[len(name) + 1:]
        parts = [ast.Constant(rest)] + parts if rest else parts
        tree = parts[0]
        for part in parts[1:]:
            tree = ast.BinOp(tree, ast.Add(), part)
        return [name + "=", ast.unparse(ast.fix_missing_locations(tree))]
    except (NoExpression, AttributeError, RecursionError, IndexError):
        return None


def said(value):
    """The kind of a value, and its text."""
    if isinstance(value, StandIn) or isinstance(value, (list, tuple)) and any(isinstance(it, StandIn) for it in value):
        return "lost", "its value comes from a module that is not here"
    if value is None:
        return "nothing", None
    if isinstance(value, bool):
        return "flag", value
    if isinstance(value, (int, float, str)):
        return "text", str(value)
    if isinstance(value, (list, tuple)) and all(isinstance(one, (int, str)) for one in value):
        return "list", [str(one) for one in value]
    return "code", None


def main(file, names):
    signal.alarm(PATIENCE)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What the file prints is for the person who reads.
    os.dup2(2, 1)
    with open(file, "rb") as source:
        text = source.read()
    try:
        tree = ast.parse(text, file)
        code = compile(text, file, "exec")
    except (SyntaxError, ValueError) as error:
        answer = {"line": getattr(error, "lineno", 1), "error": getattr(error, "msg", str(error))}
        json.dump(answer, out)
        return
    sys.path.insert(0, os.getcwd())
    sys.meta_path.append(Finder(file))
    namespace = {
        "__builtins__": builtins,
        "__name__": "__config__",
        "__file__": file,
        "__doc__": None,
        "__package__": None,
    }
    try:
        lines = executed(code, namespace, names)
    except BaseException as error:
        frame, line = error.__traceback__, 1
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == file:
                line = frame.tb_lineno
            frame = frame.tb_next
        for name, wanted in ABSENT.items():
            # What stands in for it is perhaps why.
            line, error = wanted, ModuleNotFoundError("No module named %r" % name)
        json.dump({"line": line, "error": "%s: %s" % (type(error).__name__, error)}, out)
        return
    plain = assignments(tree)
    settings = []
    for name in names:
        if name in namespace:
            kind, value = said(namespace[name])
            found = {"name": name, "line": lines.get(name, 1), "kind": kind, "value": value}
            if kind == "text":
                found["expression"] = expression(name, plain)
                found["is_text"] = isinstance(namespace[name], str)
            if name == "raw_env" and kind == "list":
                found["pairs"] = [it for it in pairs(value, plain, text) if it is not None]
                kept = {it[0].split("=")[0] for it in found["pairs"]}
                for hidden in {it.split("=")[0]: 0 for it in value if it.split("=")[0] not in kept}:
                    why = "the value of `%s` is perhaps a secret: write an expression into `runner.environment`" % hidden
                    settings.append({"name": "raw_env", "line": found["line"], "kind": "lost", "value": why})
            settings.append(found)
    for name, line in ABSENT.items():
        why = "there is no module `%s` here: what the file takes from it is not known" % name
        settings.append({"name": "import " + name, "line": line, "kind": "lost", "value": why})
    for name, line in unknown(tree, names):
        settings.append({"name": name, "line": line, "kind": "unknown", "value": None})
    json.dump({"settings": settings}, out)
    out.flush()


main(sys.argv[1], sys.argv[2:])
