"""How a call of an object runs: which Python function, and with which arguments before those of the caller.

Plain Python 3.8 and later, standard library only. It is read from code, never from signatures that decorators and proxies
claim to have.
"""

from functools import partial
from types import CodeType, FunctionType, MethodType

# As in `inspect`, which would have to be imported.
HAS_REST, IS_COROUTINE, IS_ASYNC_GENERATOR = 0x04, 0x80, 0x200
MOST_NAMES = 4  # in a message


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
        self.is_generator = bool(code.co_flags & IS_ASYNC_GENERATOR)

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
        """Whether ASGI calls it: by the names of its parameters, or because a coroutine function can be nothing else."""
        names = self.free()
        if self.is_async:
            return names == ["receive", "send"] or not (self.refuses(3) or self.has_rest or self.is_generator)
        return names == ["scope", "receive", "send"] or names[:1] == ["scope"] and not self.refuses(1)

    def is_wsgi(self):
        """Whether WSGI calls it, by the names of its parameters."""
        names = self.free()
        has_names = len(names) > 1 and ("env" in names[0].lower() or names[1] == "start_response")
        return has_names and not (self.is_async or self.refuses(2))

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
