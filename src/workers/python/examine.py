"""Examines what an `import:` name leads to, before anything is served: is it an application of the kind that is wanted?

Plain Python 3.8 and later, standard library only. Refused is only what cannot be one: a call of it with the two arguments
of PEP 3333, or the three of ASGI, would fail, whoever makes the call, or could not return what is needed. That is decided by
the code that such a call would run. What cannot be seen, such as functions written in C, passes. One exception is a function
whose name says that it makes an application; another what names the parameters of the other kind.
"""

import sys
from types import FunctionType, MethodType

from runner_call_shape import Call, entry, innermost, is_class, is_iterable, makes_instances
from runner_resolve import FILE, BadName, check_callable, described, loaded, locate, parts, url

FACTORIES = ("create_app", "make_app", "get_app", "build_app", "create_application", "make_application")
FACTORIES += ("get_application", "build_application", "app_factory", "application_factory")
FACTORIES += ("get_wsgi_application", "get_asgi_application")


class Kind:
    """What kind of application is wanted."""

    def __init__(self, word, noun, arguments, usual):
        self.word = word  # as it stands before a name
        self.noun = noun
        self.needs = "%s takes %s (%s)" % (noun, ("two", "three")[len(arguments) - 2], ", ".join(arguments))
        self.count = len(arguments)
        self.arguments = arguments
        self.usual = usual  # names of applications

    def calls(self, run):
        """Whether a call, if it can be seen, is one of this kind for sure."""
        return run is not None and (run.is_wsgi() if self is WSGI else run.is_asgi())


USUAL = ("application", "app", "wsgi_app", "wsgi", "server")
WSGI = Kind("WSGI", "a WSGI application", ("environ", "start_response"), USUAL)
USUAL = ("application", "app", "asgi_app", "asgi", "api")
ASGI = Kind("ASGI", "an ASGI application", ("scope", "receive", "send"), USUAL)
PLAIN = "write `def` instead of `async def`"
PLAIN_SEND = "write `await send({'type': 'http.response.body', 'body': part, 'more_body': True})` instead of `yield part`"


def other_than(kind):
    return WSGI if kind is ASGI else ASGI


def application_of(name, is_asgi):
    """The application that a name means: a WSGI application, or one that ASGI 3 calls."""
    kind = ASGI if is_asgi else WSGI
    path, is_made = parts(name)
    try:
        found, seen = locate(path)
    except BadName as error:
        if error.within is None:
            raise
        hint = hint_near(error.within, error.seen, kind)
        if hint is None and path == "%s.py" % error.seen:
            hint = "write `import:%s.NAME`, with the application's name" % error.seen
        raise BadName(error.message, hint) from None
    if is_made:
        found, seen = made(found, seen, kind), seen + "()"
    examine(found, seen, kind)
    return for_asgi_3(found) if is_asgi else found


def made(factory, seen, kind):
    """What a factory returns."""
    check_callable(factory, seen)
    run = Call.of(factory)
    for known in (kind, other_than(kind)):
        if known.calls(run) and not is_class(factory):
            word = "" if known is kind else known.word + " "
            raise BadName("`%s` is %s, and makes none" % (seen, known.noun), "write `%s%s`" % (word, written(seen)))
    if run is not None:
        if run.is_async:
            raise BadName("%s, but a plain function must make the application" % asynchronous(factory, seen), PLAIN)
        if run.missing(0):
            message = "`%s` takes %s, but `()` gives it none" % (seen, run.arguments())
            raise BadName(message, in_module(seen, factory))
    return factory()


def examine(found, seen, kind):
    """Refuses what cannot be an application of a kind."""
    if callable(found):
        fault = fault_of(found, seen, kind)
    else:
        fault = "`%s` is not callable, it is %s" % (seen, described(found)), hint_near(found, seen, kind)
    if fault is not None:
        message, hint = fault
        module, _, own = seen.rpartition(".")
        raise BadName(message, hint or hint_near(sys.modules.get(module), module, kind, own))


def fault_of(found, seen, kind):
    """Why a callable cannot be an application of a kind, and what to write, if that is known; else `None`."""
    if is_factory(found):
        message = "`%s` makes an application, as its name says, and is none itself" % seen
        return message, in_module(seen, found)
    return (fault_of_wsgi if kind is WSGI else fault_of_asgi)(found, seen)


def fault_of_wsgi(found, seen):
    """The same for WSGI."""
    if is_class(found):
        return fault_of_wsgi_class(found, seen)
    run = Call.of(found)
    if run is None:
        return None
    if run.is_asgi():
        return other_kind(found, seen, ASGI)
    if run.is_async:
        hint = PLAIN
        if not (run.refuses(3) or run.is_generator):
            hint += ", or `ASGI %s` if it is an ASGI application" % written(seen)
        return "%s, but WSGI calls plain functions" % asynchronous(found, seen), hint
    return unwanted(found, seen, run, WSGI) if run.refuses(2) else None


def fault_of_wsgi_class(found, seen):
    """The same of a class. PEP 3333 lets a class be the application: its instances are the bodies of responses."""
    run = Call.of(found)
    if is_legacy(found) or ASGI.calls(run):
        return other_kind(found, seen, ASGI)
    why = None
    if ASGI.calls(Call.of_instances(found)):
        why = "whose instances are ASGI applications"
    elif run is not None and run.refuses(2):
        why = "whose constructor takes %s, but %s" % (run.arguments(), WSGI.needs)
    elif makes_instances(found) and not is_iterable(found):
        why = "whose instances cannot be iterated, as the body of a response must be"
    return None if why is None else unfit_class(found, seen, why, WSGI)


def fault_of_asgi(found, seen):
    """The same for ASGI. A plain function may return a coroutine."""
    if is_legacy(found):
        return None
    if is_class(found):
        return fault_of_asgi_class(found, seen)
    run = Call.of(found)
    if run is None:
        return None
    if run.is_wsgi():
        return other_kind(found, seen, WSGI)
    if run.is_generator:
        return "`%s` is an async generator (it has `yield`), but ASGI awaits what it calls" % seen, PLAIN_SEND
    return unwanted(found, seen, run, ASGI) if run.refuses(3) else None


def fault_of_asgi_class(found, seen):
    """The same of a class. It can be the application if its instances can be awaited."""
    run = Call.of(found)
    if WSGI.calls(run):
        return other_kind(found, seen, WSGI)
    why = None
    if WSGI.calls(Call.of_instances(found)):
        why = "whose instances are WSGI applications"
    elif not makes_instances(found):
        return None
    elif entry(found, "__await__") is None:
        why = "whose instances cannot be awaited, as what ASGI calls must be"
    elif run is not None and run.refuses(3):
        why = "whose constructor takes %s, but %s" % (run.arguments(), ASGI.needs)
    return None if why is None else unfit_class(found, seen, why, ASGI)


def unfit_class(found, seen, why, kind):
    """A fault: it is a class, and no application because of something that matters only if its instances are none."""
    if kind.calls(Call.of_instances(found)):
        why = "whose instances are %s applications, and is none itself" % kind.word
    return "`%s` is a class %s" % (seen, why), with_instances(found, seen, kind)


def with_instances(found, seen, kind):
    """What to write for a class whose instances are applications, of the kind that is wanted or of the other."""
    run = Call.of_instances(found)
    other = other_than(kind)
    if other.calls(run):
        return in_module(seen, found, word=other.word + " ")
    return None if run is None or run.refuses(kind.count) else in_module(seen, found)


def is_legacy(found):
    """Whether it is called twice, with the scope and then with `receive, send` (ASGI 2)."""
    run = Call.of(found)
    if run is None or run.is_async or run.refuses(1):
        return False
    if not is_class(found):
        return run.free()[:1] == ["scope"] and run.refuses(3)
    second = Call.of_instances(found)
    if second is None or second.refuses(2):
        return False
    return second.free() == ["receive", "send"] or second.is_async and second.refuses(3)


def for_asgi_3(found):
    """What ASGI 3 calls."""
    if is_legacy(found):
        return legacy_adapter(found)
    return either_adapter(found) if may_be_legacy(found) else found


def may_be_legacy(found):
    """Whether it can be called in both ways: a plain function to which `receive` and `send` need not be given."""
    run = Call.of(found)
    if run is None or run.is_async or is_class(found):
        return False
    return run.free()[:1] == ["scope"] and not (run.refuses(1) or run.refuses(3))


def either_adapter(application):
    """What ASGI 3 calls, made of what may be called once or twice: what it returns shows which."""

    async def call(scope, receive, send):
        result = application(scope, receive, send)
        if callable(result) and entry(type(result), "__await__") is None:
            result = result(receive, send)
        return await result

    return call


def legacy_adapter(application):
    """What ASGI 3 calls, made of what ASGI 2 calls twice."""

    async def call_twice(scope, receive, send):
        scope["asgi"]["version"] = "2.0"
        await application(scope)(receive, send)

    return call_twice


def other_kind(found, seen, kind):
    """A fault: it is of the other kind."""
    what = "" if is_class(found) or type(found) is FunctionType else ", %s," % described(found)
    message = "`%s`%s is %s, not %s" % (seen, what, kind.noun, other_than(kind).noun)
    return message, "write `%s %s`" % (kind.word, written(seen))


def asynchronous(found, seen):
    if type(found) in (FunctionType, MethodType):
        return "`%s` is a coroutine function (`async def`)" % seen
    return "`%s`, %s, has `async def __call__`" % (seen, described(found))


def unwanted(found, seen, run, kind):
    """A fault: the wrong arguments."""
    what = "" if type(found) in (FunctionType, MethodType) else ", %s," % described(found)
    twice = run.twice(kind.count)
    if twice:
        message = "`%s`%s has `%s` set by name, but %s passes arguments by position"
        return message % (seen, what, twice[0], kind.word), None
    message = "`%s`%s takes %s, but %s" % (seen, what, run.arguments(), kind.needs)
    if kind is ASGI and not run.is_async and not run.refuses(2) and run.missing(1):
        return message, "if it is a WSGI application, write `WSGI %s`" % written(seen)
    if what or run.is_async or any("environ" in name for name in run.names):
        return message, None
    return message, in_module(seen, found, "if it makes the application, ")


def in_module(seen, factory, when="", word=""):
    """What to write instead of the name of something that makes an application."""
    if seen.endswith("()"):
        return "%scall it in `%s`" % (when, seen[:-2])
    run = Call.of(innermost(factory))
    if run is None or not run.missing(0):
        return "%swrite `%s%s()`" % (when, word, written(seen))
    module, _, own = seen.rpartition(".")
    name = "app" if own != "app" else "application"
    here = place_of(module, ".", name)
    return "%swrite `%s = %s(…)` in `%s`, and `%s%s` here" % (when, name, own, module, word, here)


def written(seen):
    """A name with dots alone as it is to be written: in a package, a name behind a dot can also be that of a module."""
    module = seen
    while "." in module:
        module = module.rpartition(".")[0]
        if module in sys.modules:
            separator = ":" if hasattr(sys.modules[module], "__path__") else "."
            return place_of(module, separator, seen[len(module) + 1 :])
    return url(seen)


def place_of(module, separator, name):
    """An attribute of a module as it is to be written."""
    if module in loaded:
        return "%s%s:%s" % (FILE, loaded[module], name)
    return url(module + separator + name)


def hint_near(thing, seen, kind, but=None):
    """What to write instead: applications, or what makes them, by names that a module or another object has."""
    try:
        names = dict(vars(thing))
    except TypeError:
        return None
    usual = [name for name in kind.usual if name in names and callable(names[name])]
    near = [name for name in usual if name != but and fault_of(names[name], name, kind) is None]
    near += [name for name in names if name != but and name not in near and looks_like_one(names[name], seen, kind)]
    near += [name + "()" for name in FACTORIES if name in names and name != but and is_factory(names[name], 0)]
    separator = ":" if "__path__" in names else "."
    if near:
        return "write " + " or ".join(["`%s`" % place_of(seen, separator, name) for name in near[:3]])
    other = other_than(kind)
    for name in other.usual:
        if name in names and not is_class(names[name]) and other.calls(Call.of(names[name])):
            return "write `%s %s`" % (other.word, place_of(seen, separator, name))
    return None


def looks_like_one(thing, seen, kind):
    """Whether it has the signature of an application, and is no function of another module."""
    is_foreign = type(thing) is FunctionType and thing.__module__ != seen
    run = None if is_foreign or is_class(thing) else Call.of(thing)
    if run is None or run.refuses(kind.count):
        return False
    names = run.free()
    if kind is ASGI:
        return tuple(names[:3]) == kind.arguments and not run.is_generator
    return len(names) > 1 and not run.is_async and "env" in names[0].lower() and run.missing(1)


def is_factory(found, count=1):
    """Whether a function makes an application: its name says so, and it needs no more than so many arguments."""
    try:
        if getattr(found, "__name__", None) not in FACTORIES:
            return False
        run = Call.of(innermost(found))
    except Exception:
        return False  # the object is stranger than a factory
    return run is not None and not (run.missing(count) or run.is_async)
