"""Finds the applications of a folder in the syntax trees of its Python files. It imports and runs none of them.

Argument: the folder. Prints a JSON object: the applications, the likeliest first, each with its URL and the word that says
how it is called; the framework of the first one; and a virtual environment, if none has a usual name.
"""

import sys

if sys.version_info < (3, 8):
    sys.exit("Python 3.8 or later is needed")

import ast
import json
import os
import re
import signal
from itertools import islice

LONGEST_SEARCH = 30  # seconds
LARGEST_FILE = 1 << 20  # bytes
MOST_ENTRIES = 2000
MOST_APPLICATIONS = 100
USUAL_ENVIRONMENTS = {".venv", "venv"}
# The likelier names come first.
MODULES = ["wsgi", "asgi", "app", "application", "main"]
NAMES = ["application", "app"]
FACTORIES = ["create_app", "make_app"]
WSGI, ASGI = "WSGI", "ASGI"
# What `app = ...` calls when the result is no application at all.
OTHERS = {"Celery", "QApplication", "Typer"}
# Packages whose classes and functions make ASGI applications, and the names of some.
ASGI_PACKAGES = {"blacksheep", "channels", "fastapi", "litestar", "quart", "sanic", "starlette"}
MAKE_ASGI = set(
    "ASGIApp FastAPI Litestar ProtocolTypeRouter Quart Sanic Starlette WSGIMiddleware WsgiToAsgi get_asgi_application".split()
)
MAKE_WSGI = {"ASGIMiddleware", "AsgiToWsgi"}  # of an ASGI application
DEEPEST = 5  # modules that import an application from one another


def read(path):
    # Opening a FIFO would block.
    if not os.path.isfile(path) or os.path.getsize(path) > LARGEST_FILE:
        return b""
    with open(path, "rb") as file:
        return file.read(LARGEST_FILE)


def statements(path, any_name):
    """The top level of a module; empty if it cannot be read, is no Python, or names no application unless it may be any name."""
    try:
        text = read(path)
        named = any_name or any(name.encode() in text for name in NAMES + FACTORIES)
        return ast.parse(text).body if named else []
    except (MemoryError, OSError, RecursionError, SyntaxError, ValueError):
        return []


class Module:
    """The top level of a module."""

    def __init__(self, path, folder, depth=0):
        self.path = path
        self.folder = folder  # in which the modules of the application are
        self.depth = depth
        self.body = statements(path, depth > 0)
        self.imported = {}  # what names come from: a package
        self.kinds = {}  # of the names that may be applications; None for what is none
        for statement in self.body:
            self.follow(statement)

    def follow(self, statement):
        if isinstance(statement, ast.Import):
            for part in statement.names:
                self.imported[part.asname or part.name.split(".")[0]] = part.name.split(".")[0]
        elif isinstance(statement, ast.ImportFrom):
            for part in statement.names:
                self.imported[part.asname or part.name] = "" if statement.level else statement.module.split(".")[0]
                if (part.asname or part.name) in NAMES:
                    self.kinds[part.asname or part.name] = self.kind_in_module(statement, part.name)
        elif isinstance(statement, ast.ClassDef):
            # A class whose instances are the response body is itself an application (PEP 3333, `AppClass`).
            is_one = any(getattr(part, "name", None) == "__iter__" for part in statement.body)
            self.kinds[statement.name] = WSGI if is_one else None
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            is_asgi = [argument.arg for argument in statement.args.args] == ["scope", "receive", "send"]
            is_plain = isinstance(statement, ast.FunctionDef)
            self.kinds[statement.name] = ASGI if is_asgi else WSGI if is_plain else None
        elif isinstance(statement, ast.Assign):
            self.bind(statement.targets, statement.value, None)
        elif isinstance(statement, ast.AnnAssign) and statement.value:
            self.bind([statement.target], statement.value, statement.annotation)

    def bind(self, targets, value, annotation):
        kind = self.kind_of(value)
        if annotation is not None and self.makes(annotation) is ASGI:
            kind = ASGI
        for node in [node for target in targets for node in ast.walk(target)]:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.kinds[node.id] = kind

    def kind_of(self, value):
        """The kind of application that an expression may be."""
        if isinstance(value, ast.Name):
            return self.kinds.get(value.id, WSGI)
        if not isinstance(value, ast.Call):
            return WSGI
        if getattr(value.func, "attr", getattr(value.func, "id", None)) in OTHERS:
            return None
        made = self.makes(value.func)
        if made is None:
            # What wraps an ASGI application is one, too.
            given = value.args + [keyword.value for keyword in value.keywords]
            made = ASGI if any(self.is_asgi(one) for one in given) else WSGI
        return made

    def is_asgi(self, argument):
        return isinstance(argument, (ast.Call, ast.Name)) and self.kind_of(argument) is ASGI

    def makes(self, maker):
        """What a function or class makes, as far as its name and its package show."""
        name = getattr(maker, "attr", getattr(maker, "id", None))
        if name in MAKE_WSGI:
            return WSGI
        while isinstance(maker, ast.Attribute):
            maker = maker.value
        package = self.imported.get(getattr(maker, "id", None))
        return ASGI if name in MAKE_ASGI or package in ASGI_PACKAGES else None

    def made_by(self, factory):
        """The kind of application that a function returns."""
        calls = [node.func for node in ast.walk(factory) if isinstance(node, ast.Call)]
        kinds = [self.makes(called) for called in calls + list(filter(None, [factory.returns]))]
        return ASGI if ASGI in kinds and WSGI not in kinds else WSGI

    def kind_in_module(self, statement, name):
        """The kind of what is imported, if that module is in the folder."""
        parts = statement.module.split(".") if statement.module else []
        start = self.path if statement.level else self.folder
        for _ in range(statement.level):
            start = os.path.dirname(start)
        path = os.path.join(start, *parts)
        for path in (path + ".py", os.path.join(path, "__init__.py")):
            if self.depth < DEEPEST and os.path.isfile(path):
                return Module(path, self.folder, self.depth + 1).kinds.get(name, WSGI)
        return ASGI if (statement.module or "").split(".")[0] in ASGI_PACKAGES else WSGI

    def framework(self):
        packages = set(self.imported.values())
        return next((name for name in ("django", "flask") if name in packages), None)

    def application(self):
        """The likeliest application: its name and kind."""
        for name in NAMES:
            if self.kinds.get(name):
                return name, self.kinds[name]
        for name in FACTORIES:
            for statement in self.body:
                if is_factory(statement, name):
                    return name + "()", self.made_by(statement)
        return None, None


def is_factory(statement, name):
    """Whether a statement defines a function of this name that needs no arguments."""
    if not isinstance(statement, ast.FunctionDef) or statement.name != name:
        return False
    needs = statement.args
    positional = len(needs.posonlyargs) + len(needs.args)
    return positional == len(needs.defaults) and None not in needs.kw_defaults


def text_of(path):
    try:
        return read(path).decode(errors="replace")
    except OSError:
        return ""


def django_modules(folder):
    """The `wsgi.py` nearest to the settings that a Django project's `manage.py` names; before it `asgi.py`, if it is used."""
    text = text_of(os.path.join(folder, "manage.py"))
    named = re.search(r"""DJANGO_SETTINGS_MODULE['"]\]?\s*[,=]\s*['"]([\w.]+)['"]""", text)
    settings = package = named.group(1) if named else ""
    while "." in package:
        package = package.rpartition(".")[0]
        paths = {name: os.path.join(folder, *package.split("."), name + ".py") for name in ("asgi", "wsgi")}
        there = [name for name, path in paths.items() if os.path.isfile(path)]
        if "asgi" in there and "wsgi" in there and not uses_asgi(folder, settings):
            there.reverse()
        for name in there:
            yield package + "." + name, paths[name]
        if there:
            return


def uses_asgi(folder, settings):
    """Whether the settings of a Django project say so."""
    path = os.path.join(folder, *settings.split("."))
    paths = [path + ".py", os.path.join(path, "__init__.py")]
    # Settings for several places have a common part beside them.
    package = os.path.dirname(path)
    if os.path.basename(package) == "settings":
        paths += [os.path.join(package, name) for name in sorted(os.listdir(package)) if name.endswith(".py")]
    sign = r"""^\s*ASGI_APPLICATION\s*=|^[^#\n]*['"](channels|daphne)['"]"""
    return any(re.search(sign, text_of(path), re.MULTILINE) for path in paths)


def modules(folder, names):
    """The names and paths of the modules that may hold an application, the likelier first."""
    yield from django_modules(folder)
    files = [name[:-3] for name in names if name.endswith(".py") and name[:-3].isidentifier()]
    for name in sorted(files, key=lambda name: (MODULES.index(name) if name in MODULES else len(MODULES), name)):
        yield name, os.path.join(folder, name + ".py")
    for package in filter(str.isidentifier, names):
        path = os.path.join(folder, package, "__init__.py")
        if os.path.isfile(path):
            yield package, path
            for name in MODULES:
                yield package + "." + name, os.path.join(folder, package, name + ".py")


def scripts(folder, names):
    """The names of the files that can hold an application and cannot be imported by name."""
    for name in names:
        stem, ending = os.path.splitext(name)
        is_script = ending == ".wsgi" or ending == ".py" and not stem.isidentifier()
        if is_script and not name.startswith(".") and name.isprintable() and not set("'\\").intersection(name):
            yield name


def search(folder):
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in islice(entries, MOST_ENTRIES))
    found = {}
    for module, path in modules(folder, names):
        source = Module(path, folder)
        name, kind = source.application()
        if name and len(found) < MOST_APPLICATIONS:
            # `package.name` would be a submodule, so a name in the package itself stands behind a colon.
            separator = ":" if name.endswith(")") or path.endswith("__init__.py") else "."
            found.setdefault("import:" + module + separator + name, (kind, source))
    for script in scripts(folder, names) if not found else ():
        source = Module(os.path.join(folder, script), folder)
        name, kind = source.application()
        if name and len(found) < MOST_APPLICATIONS:
            found["file:" + script + (":" + name if name != "application" else "")] = (kind, source)
    environments = [name for name in names if os.path.isfile(os.path.join(folder, name, "pyvenv.cfg"))]
    usual = USUAL_ENVIRONMENTS.intersection(environments)
    unusual = [name for name in environments if name.isprintable() and not usual]
    return {
        "applications": [{"url": url, "interface": kind} for url, (kind, _) in found.items()],
        "framework": next((source.framework() for _, source in found.values()), None),
        "environment": next(iter(unusual), None),
    }


# The signal ends this process.
signal.alarm(LONGEST_SEARCH)
json.dump(search(sys.argv[1]), sys.stdout)
