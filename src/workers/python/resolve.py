"""Resolves `import:` names: `package.module.attribute`, `package.module:attribute`, `module:factory()`.

Plain Python 3.8 and later, standard library only. Used by templates, and by programs that are Python functions.
"""

import importlib
import traceback

OURS = ("runner/", "<string>", "<frozen")  # beginnings of the file names of runner's frames


class BadName(Exception):
    """The name leads to nothing that can be called. The message says why; `within` is what was searched last, if it lacks an
    attribute, and `seen` its name."""

    def __init__(self, message, hint=None, within=None, seen=None):
        super().__init__(message)
        self.message, self.hint, self.within, self.seen = message, hint, within, seen


def resolve(name):
    """The callable that a name means."""
    path, is_made = parts(name)
    found, seen = locate(path)
    check_callable(found, seen)
    if is_made:
        found, seen = found(), seen + "()"
        check_callable(found, seen)
    return found


def parts(name):
    """A name without `()`, and whether it has them: the object is called to make what is meant."""
    return (name[:-2], True) if name.endswith("()") else (name, False)


def locate(path):
    """The object that a name without `()` leads to, and the name with dots alone."""
    if ":" in path:
        seen, _, attributes = path.partition(":")
        found = importlib.import_module(seen)
    else:
        found, seen, attributes = import_longest(path)
    for attribute in filter(None, attributes.split(".")):
        if not hasattr(found, attribute):
            message = "`%s` has no attribute `%s`" % (seen, attribute)
            raise BadName(message, hint(found), found, seen)
        found = getattr(found, attribute)
        seen += "." + attribute
    return found, seen


def check_callable(found, seen):
    if not callable(found):
        raise BadName("`%s` is not callable, it is %s" % (seen, described(found)), hint(found))


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
    return "%s %s" % ("an" if name[0] in "aeiouAEIO" else "a", name)


def hint(thing):
    """Names in a module that might have been meant."""
    usual = ("main", "run", "cli", "application", "app")
    likely = [name for name in usual if callable(getattr(thing, name, None))]
    return "it has `%s`" % "`, `".join(likely) if likely else None


def explained(name, error):
    """What to say of an error on the way to an object: the reason, a traceback and a hint; the last two may be empty."""
    if isinstance(error, BadName):
        return "cannot use `import:%s`: %s" % (name, error), "", error.hint or ""
    reason = "%s: %s" % (type(error).__name__, error) if str(error) else type(error).__name__
    trace = traceback_of(error).rstrip()
    # Without frames of the application, the traceback says no more than the reason.
    return "cannot import `%s`: %s" % (name, reason), trace if "\n" in trace else "", ""


def traceback_of(error):
    """The traceback from the application's first frame on."""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not (file.startswith(OURS) or "importlib" in file):
            break
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
