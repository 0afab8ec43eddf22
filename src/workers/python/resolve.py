"""Resolves `import:` names: `package.module.attribute`, `package.module:attribute`, `module:factory()`; and those of files
that cannot be imported by name: `file:/srv/app.wsgi:attribute`.

Plain Python 3.8 and later, standard library only. Used by templates, and by programs that are Python functions.
"""

import importlib
import importlib.machinery
import importlib.util
import posix  # what `os` has in C
import sys
import traceback

FILE = "file:"  # the beginning of the names of files
loaded = {}  # the files of modules that were loaded by `file:`, by the names of these modules
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
    if path.startswith(FILE):
        file, _, attributes = path[len(FILE) :].rpartition(":")
        found, seen = load(file)
    elif ":" in path:
        seen, _, attributes = path.partition(":")
        found = importlib.import_module(seen)
    else:
        found, seen, attributes = import_longest(path)
        check_module(found, seen, *attributes.split("."))
    for attribute in filter(None, attributes.split(".")):
        if not hasattr(found, attribute):
            message = "`%s` has no attribute `%s`" % (seen, attribute)
            raise BadName(message, hint(found), found, seen)
        found = getattr(found, attribute)
        seen += "." + attribute
    return found, seen


class Uncached(importlib.machinery.SourceFileLoader):
    """Loads code that is not kept compiled: `__pycache__` has that of `app.py` under the name that `app.wsgi` would have."""

    def path_stats(self, path):
        raise OSError


def load(file):
    """The module that a file is, and its name. As for a program of Python, the folder of the file is the first of `sys.path`.
    Other modules can import the file itself if it has the name of a module; otherwise it hides none."""
    folder, _, own = file.rpartition("/")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    stem = own[:-3] if own.endswith(".py") else ""
    is_module = stem.isidentifier() and (stem not in sys.modules or loaded.get(stem) == file)
    name = stem if is_module else "".join(letter if letter.isalnum() else "_" for letter in "_" + own)
    if loaded.get(name) == file and name in sys.modules:
        return sys.modules[name], name
    loader = (importlib.machinery.SourceFileLoader if is_module else Uncached)(name, file)
    found = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, file, loader=loader))
    sys.modules[name], loaded[name] = found, file
    try:
        loader.exec_module(found)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return sys.modules.get(name, found), name


def check_module(found, seen, attribute, *further):
    """If a package lacks a name, it may be a module that lacks: surely if a further name follows."""
    folders = getattr(found, "__path__", None)
    if sys.modules.get(seen) is not found or not folders or not attribute or hasattr(found, attribute):
        return
    folder = unreadable(folders)
    if folder:
        raise BadName("`%s` cannot be read: permission denied" % folder)
    if further:
        near = near_name(attribute, list(vars(found)) + modules_in(folders))
        meant = "did you mean `%s.%s`?" % (seen, near) if near else None
        raise BadName("there is no module or attribute `%s.%s`" % (seen, attribute), meant)


def unreadable(folders):
    """The first folder in which modules cannot be looked for, for lack of permission: Python passes over it."""
    for folder in folders:
        try:
            posix.listdir(folder)
            posix.stat(folder + "/.")
        except PermissionError:
            return folder
        except OSError:
            pass  # Python passes over it, too, and rightly so
    return None


def modules_in(folders):
    """The names of the modules and folders in some folders."""
    names = []
    for folder in folders:
        try:
            entries = posix.listdir(folder)
        except OSError:
            continue
        names += sorted(entry.partition(".")[0] for entry in entries if entry.endswith(".py") or "." not in entry)
    return names


def near_name(word, names):
    """The first name that differs in one letter more, less or other, or in two letters that changed places."""
    return next((name for name in names if is_near(word, name)), None) if len(word) > 2 else None


def is_near(word, name):
    while word and name and word[0] == name[0]:
        word, name = word[1:], name[1:]
    while word and name and word[-1] == name[-1]:
        word, name = word[:-1], name[:-1]
    is_one = len(word) < 2 and len(name) < 2 and word != name
    return is_one or len(word) == 2 and word == name[::-1]


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


def url(name):
    """A name as it is written in configuration files."""
    return name if name.startswith(FILE) else "import:" + name


def explained(name, error):
    """What to say of an error on the way to an object: the reason, a traceback and a hint; the last two may be empty."""
    if isinstance(error, BadName):
        return "cannot use `%s`: %s" % (url(name), error), "", error.hint or ""
    reason = "%s: %s" % (type(error).__name__, error) if str(error) else type(error).__name__
    trace = traceback_of(error).rstrip()
    # Without frames of the application, the traceback says no more than the reason.
    if "\n" in trace:
        return "cannot import `%s`: %s" % (name, reason), trace, ""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    return "cannot import `%s`: %s" % (name, reason), "", hint_for_missing(missing or "") or ""


def hint_for_missing(module):
    """Why a module may be missing, or what was meant: a module beside it in its package, or in the first folder."""
    package, _, own = module.rpartition(".")
    folders = list(getattr(sys.modules.get(package), "__path__", [])) if package else sys.path[:1]
    folder = unreadable(folders) if own else None
    if folder:
        return "`%s` cannot be read: permission denied" % folder
    near = near_name(own, modules_in(folders))
    return "did you mean `%s`?" % (package + "." + near if package else near) if near else None


def traceback_of(error):
    """The traceback from the application's first frame on."""
    return "".join(traceback.format_exception(type(error), error, frames_of(error)))


def frames_of(error):
    """The frames of a traceback from the application's first one on."""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not (file.startswith(OURS) or "importlib" in file):
            break
        trace = trace.tb_next
    return trace
