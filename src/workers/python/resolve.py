"""Resolves `import:` names: `package.module.attribute`, `package.module:attribute`, `module:factory()`.

Plain Python 3.8 and later, standard library only. Used by templates, and by programs that are Python functions.
"""

import importlib
import traceback

OURS = ("runner/", "<string>", "<frozen")  # beginnings of the file names of runner's frames


class BadName(Exception):
    """The name leads to nothing that can be called; the text says why."""


def resolve(name):
    """The callable that a name means."""
    path = name[:-2] if name.endswith("()") else name
    if ":" in path:
        seen, _, attributes = path.partition(":")
        found = importlib.import_module(seen)
    else:
        found, seen, attributes = import_longest(path)
    for attribute in filter(None, attributes.split(".")):
        if not hasattr(found, attribute):
            raise BadName("`%s` has no attribute `%s`%s" % (seen, attribute, hint(found)))
        found = getattr(found, attribute)
        seen += "." + attribute
    check_callable(found, seen)
    if path != name:
        found = found()
        check_callable(found, seen + "()")
    return found


def check_callable(found, seen):
    if not callable(found):
        raise BadName("`%s` is not callable, it is %s%s" % (seen, described(found), hint(found)))


def import_longest(name):
    """Imports the longest beginning of a dotted name that is a module; the rest are attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            return importlib.import_module(module), module, ".".join(parts[length:])
        except ModuleNotFoundError as error:
            missing = error.name or ""
            # Only if this very module, or its package, is missing.
            if length == 1 or not (module == missing or module.startswith(missing + ".")):
                raise


def described(thing):
    """The type of an object, with an article."""
    name = type(thing).__name__
    return "%s %s" % ("an" if name[0] in "aeiou" else "a", name)


def hint(thing):
    """Names in a module that might have been meant."""
    usual = ("application", "app", "wsgi_app", "create_app", "make_app", "main")
    likely = [name for name in usual if callable(getattr(thing, name, None))]
    return "; it has `%s`" % "`, `".join(likely) if likely else ""


def explained(name, error):
    """The message for an error that `resolve` has raised."""
    if isinstance(error, BadName):
        return "cannot use `import:%s`: %s" % (name, error)
    reason = "%s: %s" % (type(error).__name__, error) if str(error) else type(error).__name__
    text = "cannot import `%s`: %s" % (name, reason)
    trace = traceback_of(error).rstrip()
    # Without frames of the application, the traceback says no more than the reason.
    return text + "\n" + trace if "\n" in trace else text


def traceback_of(error):
    """The traceback from the application's first frame on."""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not (file.startswith(OURS) or "importlib" in file):
            break
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
