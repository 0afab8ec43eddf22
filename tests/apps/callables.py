"""Applications, and objects that are none, for tests/unfit_applications.rs: prints what `examine.py` says of each.

Arguments: the folder of runner's modules.
"""

import functools
import sys
import types


def app_function(environ, start_response):
    return []


def any_arguments(*arguments):
    return []


def optional(environ=None, start_response=None):
    return []


def by_keyword(environ, start_response, *, debug=False):
    return []


def with_option(environ, start_response, option):
    return []


def with_first(option, environ, start_response):
    return []


class Response:
    def __init__(self, environ, start_response):
        pass

    def __iter__(self):
        return iter([])


class Lines(list):
    def __init__(self, environ, start_response):
        super().__init__()


class Made:
    def __new__(cls, environ, start_response):
        return []


class Meta(type):
    def __call__(cls, *arguments):
        return []


class OfMeta(metaclass=Meta):
    pass


class Site:
    def __call__(self, environ, start_response):
        return []

    def method(self, environ, start_response):
        return []

    @classmethod
    def of_class(cls, environ, start_response):
        return []


class Static:
    @staticmethod
    def __call__(environ, start_response):
        return []


class Proxy:
    """Says of itself that it is something else, as proxies do."""

    __class__ = property(lambda self: self.fail())
    __call__ = property(lambda self: app_function)

    def __getattr__(self, name):
        raise RuntimeError("there is nothing behind the proxy")


def adapter(function):
    @functools.wraps(function)
    def application(*arguments):
        return []

    return application


@adapter
def of_request(request):
    return []


def claims(environ, start_response):
    return []


claims.__signature__ = "not what it takes"
LEGAL = {
    "function": app_function,
    "any arguments": any_arguments,
    "optional arguments": optional,
    "an optional keyword": by_keyword,
    "lambda": lambda e, s: [],
    "partial at the end": functools.partial(with_option, option=1),
    "partial at the beginning": functools.partial(with_first, 1),
    "a class that is a response": Response,
    "a class that is a list": Lines,
    "a class that makes something else": Made,
    "a class with a class of its own": OfMeta,
    "instance": Site(),
    "bound method": Site().method,
    "class method": Site.of_class,
    "static call": Static(),
    "proxy": Proxy(),
    "decorated for requests": of_request,
    "a wrong signature": claims,
    "written in C": len,
    "cached": functools.lru_cache()(app_function),
}


async def coroutine(environ, start_response):
    pass


async def generator(environ, start_response):
    yield b""


async def asgi(scope, receive, send):
    pass


def asgi_by_name(scope, receive, send):
    return asgi(scope, receive, send)


class Asgi:
    async def __call__(self, scope, receive, send):
        pass

    def method(self, scope, receive, send):
        return asgi(scope, receive, send)


class AsgiTwo:
    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await send(self.scope["asgi"])


class PlainTwo:
    def __init__(self, scope):
        self.second = AsgiTwo(scope)

    def __call__(self, receive, send):
        return self.second(receive, send)


def function_two(scope):
    return AsgiTwo(scope)


def either_two(scope, receive=None, send=None):
    return AsgiTwo(scope)


def either_three(scope, receive=None, send=None):
    return asgi_told(scope, receive, send)


def either_rest(scope, *arguments):
    return asgi_told(scope, *arguments) if arguments else AsgiTwo(scope)


async def asgi_told(scope, receive, send):
    await send(scope["asgi"])


class InstanceTwo:
    def __call__(self, scope):
        return AsgiTwo(scope)


class Endpoint:
    """As those of Starlette: its instances are what ASGI awaits."""

    def __init__(self, scope, receive, send):
        pass

    def __await__(self):
        yield


class ConfiguredEndpoint(Endpoint):
    def __init__(self, config):
        pass


class Middleware:
    def __init__(self, app):
        pass

    async def __call__(self, scope, receive, send):
        pass


class Async:
    async def __call__(self, *arguments):
        pass


async def stream(scope, receive, send):
    yield b""


async def scope_alone(scope):
    pass


def two(one, two):
    pass


def create_app(config=None, debug=False):
    return Site()


def make_app(config):
    return Site()


def plain():
    return None


def main(global_config, **settings):
    return Site()


def many(one, two, three, four, five, six):
    pass


def strict(environ, start_response, *, tenant):
    return []


class Configured:
    def __init__(self, config):
        pass

    def __call__(self, environ, start_response):
        return []


class Endless:
    def __init__(self, environ, start_response):
        pass


class Request:
    def __call__(self, request):
        return []


LEGAL_ASGI = {
    "coroutine function": asgi,
    "plain function": asgi_by_name,
    "lambda": lambda s, r, w: asgi(s, r, w),
    "any arguments": any_arguments,
    "instance": Asgi(),
    "bound method": Asgi().method,
    "any arguments, async": Async(),
    "proxy": Proxy(),
    "cached": functools.lru_cache()(asgi),
    "class that is awaited": Endpoint,
    "class with a class of its own": OfMeta,
    "a wrong signature": adapter(asgi),
    "written in C": len,
}

LEGACY = {
    "class": AsgiTwo,
    "class with a plain call": PlainTwo,
    "function": function_two,
    "instance": InstanceTwo(),
}

EITHER = {"called twice": either_two, "called once": either_three, "any arguments": either_rest}

UNFIT = {
    "coroutine": coroutine,
    "generator": generator,
    "asgi": asgi,
    "asgi_by_name": asgi_by_name,
    "Asgi": Asgi,
    "asgi_instance": Asgi(),
    "AsgiTwo": AsgiTwo,
    "function_two": function_two,
    "Endpoint": Endpoint,
    "Middleware": Middleware,
    "async_instance": Async(),
    "stream": stream,
    "create_app": create_app,
    "cached.create_app": functools.lru_cache()(create_app),
    "make_app": make_app,
    "plain": plain,
    "main": main,
    "many": many,
    "strict": strict,
    "partial": functools.partial(with_first, option=1),
    "whole_partial": functools.partial(app_function, {}, None),
    "Site": Site,
    "Configured": Configured,
    "Endless": Endless,
    "request": Request(),
    "module": types,
    "number": 3,
}


UNFIT_ASGI = {
    "function": app_function,
    "instance": Site(),
    "Response": Response,
    "Site": Site,
    "Configured": Configured,
    "coroutine": coroutine,
    "stream": stream,
    "scope_alone": scope_alone,
    "two": two,
    "lambda": lambda e, s: [],
    "Asgi": Asgi,
    "Middleware": Middleware,
    "ConfiguredEndpoint": ConfiguredEndpoint,
    "Async": Async,
    "create_app": create_app,
    "make_app": make_app,
    "plain": plain,
    "partial": functools.partial(asgi, receive=None),
    "request": Request(),
    "number": 3,
}


def examine():
    """`examine.py` as a template has it."""
    for name in "resolve", "call_shape", "examine":
        module = sys.modules["runner_" + name] = types.ModuleType("runner_" + name)
        with open("%s/%s.py" % (sys.argv[1], name)) as file:
            exec(compile(file.read(), name, "exec"), vars(module))
    return module, sys.modules["runner_resolve"].BadName


def called(application):
    """What an application sends of a scope."""
    sent = []

    async def send(message):
        sent.append(message)

    try:
        application({"asgi": {"version": "3.0"}}, None, send).send(None)
    except StopIteration:
        return sent


def refused(kind, things):
    for name, thing in things.items():
        try:
            examiner.examine(thing, "shop." + name, kind)
            print("%s: passed" % name)
        except BadName as error:
            print("%s\n  = hint: %s" % (error.message, error.hint))


if __name__ == "__main__":
    examiner, BadName = examine()
    for kind, things in [(examiner.WSGI, LEGAL), (examiner.ASGI, LEGAL_ASGI)]:
        for name, thing in things.items():
            examiner.examine(thing, name, kind)
            assert not examiner.is_legacy(thing), name
    for name, thing in LEGACY.items():
        examiner.examine(thing, name, examiner.ASGI)
        assert examiner.is_legacy(thing), name
        assert called(examiner.for_asgi_3(thing)) == [{"version": "2.0"}], name
    for name, thing in EITHER.items():
        examiner.examine(thing, name, examiner.ASGI)
        assert called(examiner.for_asgi_3(thing)) == [{"version": "3.0"}], name
    refused(examiner.WSGI, UNFIT)
    print()
    refused(examiner.ASGI, UNFIT_ASGI)
