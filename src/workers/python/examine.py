"""Examines what an `import:` name leads to, before anything is served: is it a WSGI application?

Plain Python 3.8 and later, standard library only. Refused is only what cannot be one: a call of it with the two arguments
of PEP 3333 would fail, whoever makes the call, or could not return an iterable. That is decided by the code that such a
call would run, never by signatures that decorators and proxies claim to have. What cannot be seen, such as functions
written in C, passes. One exception is a function whose name says that it makes an application.
"""

import sys
from functools import partial
from types import CodeType, FunctionType, MethodType

from runner_resolve import BadName, check_callable, described, locate, parts

# As in `inspect`, which would have to be imported.
HAS_REST, IS_COROUTINE, IS_ASYNC_GENERATOR = 0x04, 0x80, 0x200
WANTED = "a WSGI application takes two (environ, start_response)"
APPLICATIONS = ("application", "app", "wsgi_app", "wsgi", "server")
FACTORIES = ("create_app", "make_app", "get_app", "build_app", "create_application", "make_application")
FACTORIES += ("get_application", "build_application", "app_factory", "application_factory", "get_wsgi_application")
MOST_NAMES = 4  # in a message


def application_of(name):
    """The WSGI application that a name means."""
    path, is_made = parts(name)
    try:
        found, seen = locate(path)
    except BadName as error:
        if error.within is None:
            raise
        hint = hint_near(error.within, error.seen)
        if hint is None and path == "%s.py" % error.seen:
            hint = "write `import:%s.NAME`, with the application's name" % error.seen
        raise BadName(error.message, hint) from None
    if is_made:
        found, seen = made(found, seen), seen + "()"
    examine(found, seen)
    return found


def made(factory, seen):
    """What a factory returns."""
    check_callable(factory, seen)
    run = Call.of(factory)
    if run is not None:
        if run.is_async:
            raise BadName(*asynchronous(factory, seen))
        if run.missing(0):
            message = "`%s` takes %s, but `()` gives it none" % (seen, run.arguments())
            raise BadName(message, in_module(seen, factory))
    return factory()


def examine(found, seen):
    """Refuses what cannot be a WSGI application."""
    if callable(found):
        fault = fault_of(found, seen)
    else:
        fault = "`%s` is not callable, it is %s" % (seen, described(found)), hint_near(found, seen)
    if fault is not None:
        message, hint = fault
        module, _, own = seen.rpartition(".")
        raise BadName(message, hint or hint_near(sys.modules.get(module), module, own))


def fault_of(found, seen):
    """Why a callable cannot be a WSGI application, and what to write, if that is known; else `None`."""
    if is_class(found):
        return fault_of_class(found, seen)
    run = Call.of(found)
    if run is not None:
        if run.is_asgi():
            return asgi(found, seen)
        if run.is_async:
            return asynchronous(found, seen)
        if run.refuses(2):
            return unwanted(found, seen, run)
    if is_factory(found):
        message = "`%s` makes an application, as its name says, and is none itself" % seen
        return message, in_module(seen, found)
    return None


def fault_of_class(found, seen):
    """The same of a class. PEP 3333 lets a class be the application: its instances are the bodies of responses."""
    of_instances = Call.of_instances(found)
    if of_instances is not None and of_instances.is_asgi():
        return asgi(found, seen)
    run = Call.of(found)
    why = None
    if run is not None and run.refuses(2):
        why = "whose constructor takes %s, but %s" % (run.arguments(), WANTED)
    elif makes_instances(found) and not is_iterable(found):
        why = "whose instances cannot be iterated, as the body of a response must be"
    if why is None:
        return None
    hint = None
    if of_instances is not None and not of_instances.refuses(2):
        hint = in_module(seen, found)
    return "`%s` is a class %s" % (seen, why), hint


def asgi(found, seen):
    what = "" if is_class(found) or type(found) is FunctionType else ", %s," % described(found)
    if what and (type(found).__module__ or "").startswith("django."):
        hint = "Django has a WSGI application, too"
        if ".asgi." in seen:
            hint += ": write `import:%s`" % seen.replace(".asgi.", ".wsgi.")
    else:
        own = seen.rpartition(".")[2] + ("()" if is_class(found) else "")
        hint = "`a2wsgi.ASGIMiddleware(%s)` makes a WSGI application of it" % own
    return "`%s`%s is an ASGI application, but only WSGI applications can be run" % (seen, what), hint


def asynchronous(found, seen):
    if type(found) in (FunctionType, MethodType):
        what = "`%s` is a coroutine function (`async def`)" % seen
    else:
        what = "`%s`, %s, has `async def __call__`" % (seen, described(found))
    return what + ", but WSGI calls plain functions", "write `def` instead of `async def`"


def unwanted(found, seen, run):
    """A fault: the wrong arguments."""
    what = "" if type(found) in (FunctionType, MethodType) else ", %s," % described(found)
    twice = run.twice(2)
    if twice:
        return "`%s`%s has `%s` set by name, but WSGI passes arguments by position" % (seen, what, twice[0]), None
    message = "`%s`%s takes %s, but %s" % (seen, what, run.arguments(), WANTED)
    if what or any("environ" in name for name in run.names):
        return message, None
    return message, in_module(seen, found, "if it makes the application, ")


def in_module(seen, factory, when=""):
    """What to write instead of the name of something that makes an application."""
    if seen.endswith("()"):
        return "%scall it in `%s`" % (when, seen[:-2])
    run = Call.of(innermost(factory))
    if run is None or not run.missing(0):
        return "%swrite `import:%s()`" % (when, seen)
    module, _, own = seen.rpartition(".")
    name = "app" if own != "app" else "application"
    return "%swrite `%s = %s(…)` in `%s`, and `import:%s.%s` here" % (when, name, own, module, module, name)


def hint_near(thing, seen, but=None):
    """What to write instead: applications, or what makes them, by names that a module or another object has."""
    try:
        names = dict(vars(thing))
    except TypeError:
        return None
    usual = [name for name in APPLICATIONS if name in names and callable(names[name])]
    near = [name for name in usual if name != but and fault_of(names[name], name) is None]
    near += [name for name in names if name != but and name not in near and looks_like_one(names[name], seen)]
    near += [name + "()" for name in FACTORIES if name in names and name != but and is_factory(names[name], 0)]
    if near:
        # In a package, a name behind a dot can also be that of a module.
        separator = ":" if "__path__" in names else "."
        return "write " + " or ".join(["`import:%s%s%s`" % (seen, separator, name) for name in near[:3]])
    for name in usual:
        run = Call.of(names[name])
        if run is not None and run.is_asgi():
            return "`%s.%s` is an ASGI application; only WSGI applications can be run" % (seen, name)
    return None


def looks_like_one(thing, seen):
    """Whether it has the signature of PEP 3333, and is no function of another module."""
    is_foreign = type(thing) is FunctionType and thing.__module__ != seen
    run = None if is_foreign or is_class(thing) else Call.of(thing)
    if run is None or run.is_async or run.refuses(2):
        return False
    names = run.free()
    return len(names) > 1 and "env" in names[0].lower() and run.missing(1)


class Call:
    """A Python function, and how a call of some object runs it: the arguments that it gets before those of the caller."""

    def __init__(self, function, before=0, keywords=()):
        self.before = before
        self.keywords = frozenset(keywords)
        code = function.__code__
        self.names = code.co_varnames[: code.co_argcount]
        optional = len(function.__defaults__ or ())
        self.needed = self.names[: len(self.names) - optional]
        self.has_rest = bool(code.co_flags & HAS_REST)
        named = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
        given = function.__kwdefaults__ or {}
        self.needed_by_name = [name for name in named if name not in given and name not in self.keywords]
        self.is_async = bool(code.co_flags & (IS_COROUTINE | IS_ASYNC_GENERATOR))

    @classmethod
    def of(cls, thing):
        """How a call of it runs; `None` if that cannot be seen."""
        before, keywords = 0, set()
        for _ in range(100):
            kind = type(thing)
            if kind is FunctionType:
                # PyPy has such functions that are built in.
                return cls(thing, before, keywords) if type(thing.__code__) is CodeType else None
            if kind is MethodType:
                before += 1
                thing = thing.__func__
            elif kind is partial:
                if any(type(argument).__name__ == "_PlaceholderType" for argument in thing.args):
                    return None
                before += len(thing.args)
                keywords |= thing.keywords.keys()
                thing = thing.func
            elif is_class(thing):
                thing = constructor(thing)
                before += 1
            else:
                thing = entry(kind, "__call__")
                if type(thing) is staticmethod:
                    thing = thing.__func__
                elif type(thing) is FunctionType:
                    before += 1
                else:
                    return None
        return None

    @classmethod
    def of_instances(cls, kind):
        """The same of the instances of a class."""
        function = entry(kind, "__call__")
        return cls(function, 1) if type(function) is FunctionType else None

    def free(self):
        """The parameters that are left to the caller."""
        return [name for name in self.names[self.before :] if name not in self.keywords]

    def missing(self, count):
        """Whether a call with so many arguments lacks some."""
        reached = self.before + count
        return bool([name for name in self.needed[reached:] if name not in self.keywords] or self.needed_by_name)

    def twice(self, count):
        """The parameters that a call with so many arguments would set again."""
        return [name for name in self.names[self.before : self.before + count] if name in self.keywords]

    def refuses(self, count):
        """Whether a call with so many arguments fails."""
        is_more = self.before + count > len(self.names) and not self.has_rest
        return is_more or self.missing(count) or bool(self.twice(count))

    def is_asgi(self):
        """Whether ASGI calls it (`scope, receive, send`; `receive, send` in its version 2)."""
        names = tuple(self.free())
        if self.is_async:
            return names == ("receive", "send") or (not self.refuses(3) and not self.has_rest)
        return names == ("scope", "receive", "send")

    def arguments(self):
        """The parameters in words."""
        names = self.free()
        needed = [name for name in names if name in self.needed] + self.needed_by_name
        names += [name + "=" for name in self.needed_by_name]
        if not names:
            return "no arguments"
        some = "at least " if self.has_rest else "at most " if len(needed) < len(names) else ""
        count = len(needed) if self.has_rest else len(names)
        shown = ", ".join(names[:MOST_NAMES] + ["…"] * (len(names) > MOST_NAMES))
        return "%s%d argument%s (%s)" % (some, count, "" if count == 1 else "s", shown)


def constructor(kind):
    """The function that a call of a class runs first; `None` if that cannot be seen."""
    if not makes_instances(kind):
        new = entry(kind, "__new__")
        is_own = type(new) is staticmethod and has_usual_call(kind)
        return new.__func__ if is_own else None
    start = entry(kind, "__init__")
    if start is object.__dict__["__init__"]:
        return no_arguments
    return start if type(start) is FunctionType else None


def makes_instances(kind):
    """Whether a call of a class returns one of its instances for sure."""
    return has_usual_call(kind) and entry(kind, "__new__") is object.__dict__["__new__"]


def has_usual_call(kind):
    return entry(type(kind), "__call__") is type.__dict__["__call__"]


def no_arguments(self):
    """The constructor of `object`."""


def is_class(thing):
    # `isinstance` would ask the object, which may be a proxy of something that is not there yet.
    return issubclass(type(thing), type)


def entry(kind, name):
    """What a class has under a name, as it stands there."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def is_iterable(kind):
    return entry(kind, "__iter__") is not None or entry(kind, "__getitem__") is not None


def innermost(function):
    """The function that decorators stand around."""
    for _ in range(100):
        inside = getattr(function, "__wrapped__", None)
        if inside is None:
            break
        function = inside
    return function


def is_factory(found, count=1):
    """Whether a function makes an application: its name says so, and it needs no more than so many arguments."""
    try:
        if getattr(found, "__name__", None) not in FACTORIES:
            return False
        run = Call.of(innermost(found))
    except Exception:
        return False  # the object is stranger than a factory
    return run is not None and not run.missing(count)
