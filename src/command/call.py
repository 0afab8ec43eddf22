"""Calls a Python object without arguments; what it returns is the exit status.

Arguments: the object's name, how many folders to search before Python's own, those folders, and what
the object sees as sys.argv. Python 3.8 or later; older ones are told so, which is why nothing here is newer.
"""
import sys


class CannotImport(Exception):
    """The name leads to nothing that can be called; the text says why."""


def main():
    if sys.version_info < (3, 8):
        version = "%d.%d" % tuple(sys.version_info[:2])
        fail("`%s` is Python %s, but 3.8 or later is needed" % (sys.executable, version),
             "set `runner.python` to another one")
    name, count = sys.argv[1], int(sys.argv[2])
    folders, sys.argv[:] = sys.argv[3:3 + count], sys.argv[3 + count:]
    sys.path[:] = folders + [entry for entry in sys.path if entry not in folders + [""]]
    try:
        target = resolve(name)
    except CannotImport as error:
        fail("cannot use `import:%s`: %s" % (name, error))
    except Exception as error:
        import traceback
        trace = error.__traceback__
        # The author wants to see the application's frames, not those that led here.
        while trace is not None and (trace.tb_frame.f_code.co_filename == "<string>"
                                     or "importlib" in trace.tb_frame.f_code.co_filename):
            trace = trace.tb_next
        lines = "".join(traceback.format_exception(type(error), error, trace)).rstrip()
        fail("cannot import `%s`: %s: %s\n%s" % (name, type(error).__name__, error, lines))
    sys.exit(target())


def fail(message, hint=None):
    sys.stderr.write("error: %s\n" % message)
    if hint:
        sys.stderr.write(" = hint: %s\n" % hint)
    sys.exit(1)


def resolve(name):
    """The object that `package.module.attribute`, `package.module:attribute` or `module:factory()` names."""
    path = name[:-2] if name.endswith("()") else name
    if ":" in path:
        seen, _, attributes = path.partition(":")
        found = import_module(seen)
    else:
        found, seen, attributes = import_longest(path)
    for attribute in filter(None, attributes.split(".")):
        if not hasattr(found, attribute):
            raise CannotImport("`%s` has no attribute `%s`" % (seen, attribute))
        found = getattr(found, attribute)
        seen += "." + attribute
    if path != name:
        found = called(found, seen)
        seen += "()"
    if not callable(found):
        raise CannotImport("`%s` is not callable, it is of the type `%s`" % (seen, type(found).__name__))
    return found


def called(found, seen):
    if not callable(found):
        raise CannotImport("`%s` is not callable, it is of the type `%s`" % (seen, type(found).__name__))
    return found()


def import_module(name):
    import importlib
    return importlib.import_module(name)


def import_longest(name):
    """Imports as much of a dotted name as is a module; the rest are attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            return import_module(module), module, ".".join(parts[length:])
        except ModuleNotFoundError as error:
            missing = error.name or ""
            # Only if this very module, or the package that it would be in, is what is missing.
            if length == 1 or not (module == missing or module.startswith(missing + ".")):
                raise


main()
