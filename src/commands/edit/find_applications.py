"""Finds the WSGI applications of a folder in the syntax trees of its Python files. It imports and runs none of them.

Argument: the folder. Prints a JSON object: the names of the applications without `import:`, the likeliest first; the
framework of the first one; and a virtual environment, if none has a usual name.
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
MODULES = ["wsgi", "app", "application", "main"]
NAMES = ["application", "app"]
FACTORIES = ["create_app", "make_app"]
# What `app = ...` calls when the result is no WSGI application.
NOT_WSGI = set(
    "Celery FastAPI Litestar QApplication Quart Sanic Starlette Typer get_asgi_application".split()
)


def read(path):
    # Opening a FIFO would block.
    if not os.path.isfile(path) or os.path.getsize(path) > LARGEST_FILE:
        return b""
    with open(path, "rb") as file:
        return file.read(LARGEST_FILE)


def statements(path):
    """The top level of a module; empty if it cannot be read, is no Python, or names no application."""
    try:
        text = read(path)
        named = any(name.encode() in text for name in NAMES + FACTORIES)
        return ast.parse(text).body if named else []
    except (MemoryError, OSError, RecursionError, SyntaxError, ValueError):
        return []


def binds(statement, name):
    """Whether a statement gives a name to a possible WSGI application; None if it does not bind the name."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        if statement.name != name:
            return None
        if isinstance(statement, ast.ClassDef):
            # A class whose instances are the response body is itself an application (PEP 3333, `AppClass`).
            return any(getattr(part, "name", None) == "__iter__" for part in statement.body)
        return isinstance(statement, ast.FunctionDef)
    if isinstance(statement, ast.ImportFrom):
        return True if any((part.asname or part.name) == name for part in statement.names) else None
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value:
        targets = [statement.target]
    else:
        return None
    names = [node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    if not any(node.id == name and isinstance(node.ctx, ast.Store) for node in names):
        return None
    called = getattr(statement.value, "func", None)
    return getattr(called, "attr", getattr(called, "id", None)) not in NOT_WSGI


def is_factory(statement, name):
    """Whether a statement defines a function of this name that needs no arguments."""
    if not isinstance(statement, ast.FunctionDef) or statement.name != name:
        return False
    needs = statement.args
    positional = len(needs.posonlyargs) + len(needs.args)
    return positional == len(needs.defaults) and None not in needs.kw_defaults


def application(body):
    for name in NAMES:
        bound = [bound for bound in (binds(statement, name) for statement in body) if bound is not None]
        if bound and bound[-1]:
            return name
    for name in FACTORIES:
        if any(is_factory(statement, name) for statement in body):
            return name + "()"
    return None


def framework(body):
    imported = set()
    for statement in body:
        if isinstance(statement, ast.ImportFrom):
            imported.add((statement.module or "").split(".")[0])
        elif isinstance(statement, ast.Import):
            imported.update(part.name.split(".")[0] for part in statement.names)
    return next((name for name in ("django", "flask") if name in imported), None)


def django_modules(folder):
    """The `wsgi.py` nearest to the settings that a Django project's `manage.py` names."""
    try:
        text = read(os.path.join(folder, "manage.py")).decode(errors="replace")
    except OSError:
        return
    settings = re.search(r"""DJANGO_SETTINGS_MODULE['"]\]?\s*[,=]\s*['"]([\w.]+)['"]""", text)
    package = settings.group(1) if settings else ""
    while "." in package:
        package = package.rpartition(".")[0]
        path = os.path.join(folder, *package.split("."), "wsgi.py")
        if os.path.isfile(path):
            yield package + ".wsgi", path
            return


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


def search(folder):
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in islice(entries, MOST_ENTRIES))
    found = {}
    for module, path in modules(folder, names):
        body = statements(path)
        name = application(body)
        if name and len(found) < MOST_APPLICATIONS:
            # `package.name` would be a submodule, so a name in the package itself stands behind a colon.
            separator = ":" if name.endswith(")") or path.endswith("__init__.py") else "."
            found.setdefault(module + separator + name, framework(body))
    environments = [name for name in names if os.path.isfile(os.path.join(folder, name, "pyvenv.cfg"))]
    usual = USUAL_ENVIRONMENTS.intersection(environments)
    unusual = [name for name in environments if name.isprintable() and not usual]
    return {
        "applications": list(found),
        "framework": next(iter(found.values()), None),
        "environment": next(iter(unusual), None),
    }


# The signal ends this process.
signal.alarm(LONGEST_SEARCH)
json.dump(search(sys.argv[1]), sys.stdout)
