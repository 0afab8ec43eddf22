//! An application that is not of the kind that the word before its name says is found out when it is imported, before
//! anything is served; an application that is one is never refused.

mod support;

use std::fs;

use support::{Folder, project, python, version};

/// Each object of `tests/apps/callables.py` that is refused behind `WSGI`, with what to write, and each behind `ASGI`.
const REFUSED: &str = "\
`shop.coroutine` is a coroutine function (`async def`), but WSGI calls plain functions
  = hint: write `def` instead of `async def`
`shop.generator` is a coroutine function (`async def`), but WSGI calls plain functions
  = hint: write `def` instead of `async def`
`shop.asgi` is an ASGI application, not a WSGI application
  = hint: write `ASGI import:shop.asgi`
`shop.asgi_by_name` is an ASGI application, not a WSGI application
  = hint: write `ASGI import:shop.asgi_by_name`
`shop.Asgi` is a class whose instances are ASGI applications
  = hint: write `ASGI import:shop.Asgi()`
`shop.asgi_instance`, an Asgi, is an ASGI application, not a WSGI application
  = hint: write `ASGI import:shop.asgi_instance`
`shop.AsgiTwo` is an ASGI application, not a WSGI application
  = hint: write `ASGI import:shop.AsgiTwo`
`shop.function_two` is an ASGI application, not a WSGI application
  = hint: write `ASGI import:shop.function_two`
`shop.Endpoint` is an ASGI application, not a WSGI application
  = hint: write `ASGI import:shop.Endpoint`
`shop.Middleware` is a class whose instances are ASGI applications
  = hint: write `app = Middleware(…)` in `shop`, and `ASGI import:shop.app` here
`shop.async_instance`, an Async, has `async def __call__`, but WSGI calls plain functions
  = hint: write `def` instead of `async def`, or `ASGI import:shop.async_instance` if it is an ASGI application
`shop.stream` is a coroutine function (`async def`), but WSGI calls plain functions
  = hint: write `def` instead of `async def`
`shop.create_app` makes an application, as its name says, and is none itself
  = hint: write `import:shop.create_app()`
`shop.cached.create_app` makes an application, as its name says, and is none itself
  = hint: write `import:shop.cached.create_app()`
`shop.make_app` makes an application, as its name says, and is none itself
  = hint: write `app = make_app(…)` in `shop`, and `import:shop.app` here
`shop.plain` takes no arguments, but a WSGI application takes two (environ, start_response)
  = hint: if it makes the application, write `import:shop.plain()`
`shop.main` takes 1 argument (global_config), but a WSGI application takes two (environ, start_response)
  = hint: if it makes the application, write `app = main(…)` in `shop`, and `import:shop.app` here
`shop.many` takes 6 arguments (one, two, three, four, …), but a WSGI application takes two (environ, start_response)
  = hint: if it makes the application, write `app = many(…)` in `shop`, and `import:shop.app` here
`shop.strict` takes 3 arguments (environ, start_response, tenant=), but a WSGI application takes two (environ, start_response)
  = hint: None
`shop.partial`, a partial, has `option` set by name, but WSGI passes arguments by position
  = hint: None
`shop.whole_partial`, a partial, takes no arguments, but a WSGI application takes two (environ, start_response)
  = hint: None
`shop.Site` is a class whose instances are WSGI applications, and is none itself
  = hint: write `import:shop.Site()`
`shop.Configured` is a class whose instances are WSGI applications, and is none itself
  = hint: write `app = Configured(…)` in `shop`, and `import:shop.app` here
`shop.Endless` is a class whose instances cannot be iterated, as the body of a response must be
  = hint: None
`shop.request`, a Request, takes 1 argument (request), but a WSGI application takes two (environ, start_response)
  = hint: None
`shop.module` is not callable, it is a module
  = hint: None
`shop.number` is not callable, it is an int
  = hint: None
\n`shop.function` is a WSGI application, not an ASGI application
  = hint: write `WSGI import:shop.function`
`shop.instance`, a Site, is a WSGI application, not an ASGI application
  = hint: write `WSGI import:shop.instance`
`shop.Response` is a WSGI application, not an ASGI application
  = hint: write `WSGI import:shop.Response`
`shop.Site` is a class whose instances are WSGI applications
  = hint: write `WSGI import:shop.Site()`
`shop.Configured` is a class whose instances are WSGI applications
  = hint: write `app = Configured(…)` in `shop`, and `WSGI import:shop.app` here
`shop.coroutine` takes 2 arguments (environ, start_response), but an ASGI application takes three (scope, receive, send)
  = hint: None
`shop.stream` is an async generator (it has `yield`), but ASGI awaits what it calls
  = hint: write `await send({'type': 'http.response.body', 'body': part, 'more_body': True})` instead of `yield part`
`shop.scope_alone` takes 1 argument (scope), but an ASGI application takes three (scope, receive, send)
  = hint: None
`shop.two` takes 2 arguments (one, two), but an ASGI application takes three (scope, receive, send)
  = hint: if it is a WSGI application, write `WSGI import:shop.two`
`shop.lambda` takes 2 arguments (e, s), but an ASGI application takes three (scope, receive, send)
  = hint: if it is a WSGI application, write `WSGI import:shop.lambda`
`shop.Asgi` is a class whose instances are ASGI applications, and is none itself
  = hint: write `import:shop.Asgi()`
`shop.Middleware` is a class whose instances are ASGI applications, and is none itself
  = hint: write `app = Middleware(…)` in `shop`, and `import:shop.app` here
`shop.ConfiguredEndpoint` is a class whose constructor takes 1 argument (config), but an ASGI application takes three (scope, receive, send)
  = hint: None
`shop.Async` is a class whose instances cannot be awaited, as what ASGI calls must be
  = hint: write `import:shop.Async()`
`shop.create_app` makes an application, as its name says, and is none itself
  = hint: write `import:shop.create_app()`
`shop.make_app` makes an application, as its name says, and is none itself
  = hint: write `app = make_app(…)` in `shop`, and `import:shop.app` here
`shop.plain` takes no arguments, but an ASGI application takes three (scope, receive, send)
  = hint: if it makes the application, write `import:shop.plain()`
`shop.partial`, a partial, has `receive` set by name, but ASGI passes arguments by position
  = hint: None
`shop.request`, a Request, takes 1 argument (request), but an ASGI application takes three (scope, receive, send)
  = hint: None
`shop.number` is not callable, it is an int
  = hint: None
";

#[test]
fn what_cannot_be_such_an_application_is_refused_and_nothing_else() {
    let script = project("tests/apps/callables.py");
    let modules = project("src/workers/python");
    for python in [python(), "python3".into(), "pypy3".into()] {
        let folder = Folder::new();
        let outcome = folder.program(python, [&script, &modules]).run();
        outcome.is(0, REFUSED, "");
    }
}

/// Applications of frameworks, and what wraps them.
const FRAMEWORKS: &str = "\
import functools
import django.conf
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from flask import Flask, current_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Request, Response
from wsgiref.simple_server import demo_app
from wsgiref.validate import validator

django.conf.settings.configure()
flask = Flask('shop')
method = flask.wsgi_app
fixed = ProxyFix(flask)
both = DispatcherMiddleware(flask, {'/site': fixed})
site = get_wsgi_application()
asgi_site = get_asgi_application()
checked = validator(flask)
cached = functools.lru_cache(flask)
response = Response('hello')

@Request.application
def of_request(request):
    return response

def create_app(test_config=None):
    return flask
";

/// Names in that module, and what is said of them.
const NAMES: &[(&str, &str)] = &[
    ("flask", ""),
    ("method", ""),
    ("fixed", ""),
    ("both", ""),
    ("site", ""),
    ("checked", ""),
    ("cached", ""),
    ("response", ""),
    ("of_request", ""),
    ("current_app", ""),
    ("demo_app", ""),
    ("create_app()", ""),
    ("get_wsgi_application()", ""),
    (
        "create_app",
        "`shop.create_app` makes an application, as its name says, and is none itself\n\
         \x20= hint: write `import:shop.create_app()`\n",
    ),
    (
        "flask()",
        "`shop.flask` is a WSGI application, and makes none\n = hint: write `import:shop.flask`\n",
    ),
    (
        "asgi_site()",
        "`shop.asgi_site` is an ASGI application, and makes none\n\
         \x20= hint: write `ASGI import:shop.asgi_site`\n",
    ),
    (
        "Flask",
        "`shop.Flask` is a class whose instances are WSGI applications, and is none itself\n\
         \x20= hint: write `app = Flask(…)` in `shop`, and `import:shop.app` here\n",
    ),
    (
        "asgi_site",
        "`shop.asgi_site`, an ASGIHandler, is an ASGI application, not a WSGI application\n\
         \x20= hint: write `ASGI import:shop.asgi_site`\n",
    ),
    (
        "application",
        "`shop` has no attribute `application`\n\
         \x20= hint: write `import:shop.flask` or `import:shop.method` or `import:shop.fixed`\n",
    ),
];

#[test]
fn frameworks_are_known_for_what_they_are() {
    let folder = Folder::new()
        .file("shop.py", FRAMEWORKS)
        .file("request.sh", CGI_REQUEST);
    for (name, said) in NAMES {
        let outcome = folder
            .program("sh", ["request.sh", &format!("import:shop.{name}")])
            .env("VIRTUAL_ENV", project("target/venv"))
            .run();
        if said.is_empty() {
            assert_eq!(outcome.status, 0, "{name}: {outcome:#?}");
        } else {
            let said = format!("error: cannot use `import:shop.{name}`: {said}");
            outcome.is(1, "", &said);
        }
    }
}

/// ASGI applications of frameworks, and what wraps them.
const ASGI_FRAMEWORKS: &str = "\
import django.conf
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from asgiref.wsgi import WsgiToAsgi
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from quart import Quart
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse

django.conf.settings.configure()
fastapi = FastAPI()
starlette = Starlette()
quart = Quart('shop')
litestar = Litestar([])
site = get_asgi_application()
wsgi_site = get_wsgi_application()
flask = Flask('shop')
adapted = WsgiToAsgi(flask)
consumer = AsyncWebsocketConsumer.as_asgi()
routed = ProtocolTypeRouter({'http': site, 'websocket': URLRouter([])})
wrapped = CORSMiddleware(fastapi)
response = PlainTextResponse('hello')

class Endpoint(HTTPEndpoint):
    pass

def create_app():
    return fastapi
";

/// Says of names in that module what is said of them behind `ASGI`.
const ASGI_NAMES: &str = "\
import callables
import shop

callables.examiner, callables.BadName = callables.examine()
names = 'fastapi starlette quart litestar site adapted consumer routed wrapped response Endpoint'.split()
names += 'create_app get_asgi_application FastAPI wsgi_site flask'.split()
callables.refused(callables.examiner.ASGI, {name: getattr(shop, name) for name in names})
";

/// The first ones are applications.
const ASGI_SAID: &str = "\
fastapi: passed
starlette: passed
quart: passed
litestar: passed
site: passed
adapted: passed
consumer: passed
routed: passed
wrapped: passed
response: passed
Endpoint: passed
`shop.create_app` makes an application, as its name says, and is none itself
  = hint: write `import:shop.create_app()`
`shop.get_asgi_application` makes an application, as its name says, and is none itself
  = hint: write `import:shop.get_asgi_application()`
`shop.FastAPI` is a class whose instances are ASGI applications, and is none itself
  = hint: write `import:shop.FastAPI()`
`shop.wsgi_site`, a WSGIHandler, is a WSGI application, not an ASGI application
  = hint: write `WSGI import:shop.wsgi_site`
`shop.flask`, a Flask, is a WSGI application, not an ASGI application
  = hint: write `WSGI import:shop.flask`
";

#[test]
fn asgi_frameworks_are_known_for_what_they_are() {
    let folder = Folder::new()
        .copy("tests/apps/callables.py")
        .file("shop.py", ASGI_FRAMEWORKS)
        .file("names.py", ASGI_NAMES);
    let modules = project("src/workers/python");
    let outcome = folder.program(python(), ["names.py".into(), modules]).run();
    outcome.is(0, ASGI_SAID, "");
}

/// One CGI request.
const CGI_REQUEST: &str = "\
export GATEWAY_INTERFACE=CGI/1.1 REQUEST_METHOD=GET SCRIPT_NAME= PATH_INFO=/ QUERY_STRING= \\
    SERVER_NAME=localhost SERVER_PORT=80 SERVER_PROTOCOL=HTTP/1.1
exec runner CGI WSGI \"$1\"
";

/// A module without an application, but with what makes one.
const FACTORY: &str = "\
def create_app():
    return application
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'made']
";

/// What a start says.
fn said(file: &str, before: &str) -> String {
    let bar = " ".repeat(before.len());
    format!(
        "\
error: cannot use `import:shop.create_app`: `shop.create_app` makes an application, as its name says, and is none itself
  ┌─ {file}:1:{}
  │
1 │ {before}'import:shop.create_app'])
  │ {bar}^^^^^^^^^^^^^^^^^^^^^^^^
  │
  = hint: write `import:shop.create_app()`
",
        before.chars().count() + 1
    )
}

#[test]
fn each_way_to_run_it_says_so_where_the_name_is_written_and_serves_nothing() {
    for words in [
        "'launch', 'WSGI'",
        "'serve', 'WSGI'",
        "'FastCGI', 'tcp://127.0.0.1:0', 'WSGI'",
        "'CGI', 'WSGI'",
        "'supervise', 'serve', 'WSGI'",
    ] {
        let before = format!("app = commands.Alias(command=[{words}, ");
        let settings = "url = 'tcp://127.0.0.1:0'\n[runner.supervise]\npid_file = 'shop.pid'\n";
        let folder = Folder::new().file("shop.py", FACTORY).file(
            "shop.ini",
            format!("{before}'import:shop.create_app'])\n{settings}"),
        );
        let outcome = folder
            .runner(["runIni", "shop.ini"])
            .env("GATEWAY_INTERFACE", "CGI/1.1")
            .env("REQUEST_METHOD", "GET")
            .run();
        outcome.is(1, "", &said("shop.ini", &before));
    }
}

#[test]
fn a_reload_to_such_a_version_fails_and_the_old_one_serves_on() {
    for preload in ["True", "False"] {
        let before = "app = commands.Alias(command=['serve', 'WSGI', ";
        let file = |name: &str| {
            format!(
                "{before}'import:shop.{name}'])\nurl = 'tcp://127.0.0.1:0'\n[runner]\nstatus.url = 'unix:control'\n\
                 workers.preload = {preload}\n"
            )
        };
        let server = Folder::new()
            .file("shop.py", version(1))
            .file("shop.ini", file("application"))
            .runner(["runIni", "shop.ini"])
            .start();
        let folder = server.folder();
        fs::write(folder.path("shop.py"), FACTORY).expect("a file");
        fs::write(folder.path("shop.ini"), file("create_app")).expect("a file");
        let outcome = folder.runner(["reload", "shop.ini"]).run();
        outcome.is(1, "", &said("shop.ini", before));
        assert_eq!(server.get("/").ok(), "version 1");
        fs::write(folder.path("shop.ini"), file("create_app()")).expect("a file");
        let outcome = folder.runner(["reload", "shop.ini"]).run();
        outcome.is(0, "shop.ini serves the new version\n", "");
        assert_eq!(server.get("/").ok(), "made");
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn wsgi_stands_once() {
    let says = "app2 = commands.Alias(command=['WSGI', 'import:a.b'])\n";
    let twice = "error: `WSGI WSGI`: one `WSGI` is enough\n = hint: write `WSGI` once\n";
    let itself =
        "error: `WSGI` stands before a name that includes `WSGI`\n = hint: write `WSGI` once\n";
    for (word, message) in [("WSGI", twice), ("app2", itself)] {
        Folder::new()
            .file("c.ini", format!("[peak.running.shortcuts]\n{says}"))
            .runner(["-c", "c.ini", "serve", "WSGI", word, "import:a.b"])
            .run()
            .is(1, "", message);
    }
}
