//! Exceptions that an application does not handle, and Python's `logging`: where a handler of the application takes them, it has
//! them, and else the log. Never both.

mod support;

use support::Folder;

/// How an application has set up `logging`, and whether it has a handler for exceptions.
const SETUPS: &[(&str, bool)] = &[
    ("", false),
    ("logging.getLogger('runner.error')", false),
    ("logging.basicConfig(format=FORM)", true),
    (
        "handler = logging.StreamHandler()\nhandler.setFormatter(logging.Formatter(FORM))\n\
         logging.getLogger('runner').addHandler(handler)\nlogging.getLogger('runner').propagate = False",
        true,
    ),
    (
        "logging.getLogger().addHandler(logging.NullHandler())",
        false,
    ),
    (
        "logging.basicConfig(format=FORM)\nlogging.getLogger().handlers[0].setLevel('CRITICAL')",
        false,
    ),
    (
        "logging.basicConfig(format=FORM)\nlogging.getLogger('runner.error').setLevel('CRITICAL')",
        false,
    ),
    (
        "logging.basicConfig(format=FORM)\nlogging.disable(logging.CRITICAL)",
        false,
    ),
    (
        "class Broken(logging.Handler):\n    def emit(self, record):\n        raise OSError\n\
         logging.getLogger().addHandler(Broken())",
        false,
    ),
    ("del sys.modules['logging']", false),
];

/// The interfaces that a setup is tried with: the code is the same.
fn kinds(number: usize) -> &'static [&'static str] {
    match number {
        0 | 2 => &["wsgi", "asgi"],
        _ => &["wsgi"],
    }
}

/// What error trackers wrap sees each exception, with the traceback from the application on.
const WRAPPED: &str = "\
def wrap(plain):
    def call(logger, record):
        kind, error, trace = record.exc_info
        print('tracked', record.getMessage(), error, trace.tb_frame.f_code.co_name)
        return plain(logger, record)
    return call
logging.Logger.callHandlers = wrap(logging.Logger.callHandlers)
";

fn module(setup: &str, number: usize) -> String {
    format!(
        "\
import logging, sys
FORM = 'mine %(levelname)s %(name)s %(message)s'
{WRAPPED}{setup}

def wsgi(environ, start_response):
    raise ValueError('wsgi {number}')

async def asgi(scope, receive, send):
    if scope['type'] != 'lifespan':
        raise ValueError('asgi {number}')
"
    )
}

#[test]
fn an_exception_that_nothing_handles_is_logged_once() {
    let mut folder = Folder::new();
    let mut routes = String::new();
    for (number, (setup, _)) in SETUPS.iter().enumerate() {
        folder = folder.file(format!("m{number}.py"), module(setup, number));
        for kind in kinds(number) {
            let interface = kind.to_uppercase();
            routes += &format!("'/{kind}/{number}/': ['{interface}', 'import:m{number}.{kind}'], ");
        }
    }
    let file = format!(
        "site = commands.Routes({{{routes}}})\napp = commands.Alias(command=['serve', 'site'])\n\
         url = 'tcp://127.0.0.1:0'\nrunner.workers.max = 1\n"
    );
    let server = folder
        .file("app.ini", file)
        .runner(["runIni", "app.ini"])
        .start();
    for number in 0..SETUPS.len() {
        for kind in kinds(number) {
            assert_eq!(server.get(&format!("/{kind}/{number}/x")).status, 500);
        }
    }
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let log = outcome.stderr;
    for (number, (setup, is_taken)) in SETUPS.iter().enumerate() {
        for kind in kinds(number) {
            let what = format!("exception while answering GET /{kind}/{number}/x\n");
            let count = |text: &str| log.matches(text).count();
            assert_eq!(count(&what), 1, "{setup}\n{log}");
            let error = format!("ValueError: {kind} {number}\n");
            assert_eq!(count(&error), 1, "{setup}\n{log}");
            let mine = format!("mine ERROR runner.error {what}");
            assert_eq!(count(&mine), usize::from(*is_taken), "{setup}\n{log}");
        }
    }
    // Where messages are not wanted, or there is no `logging`, what wraps it sees none.
    for (number, is_tracked) in [(0, true), (2, true), (4, true), (7, false), (9, false)] {
        for kind in kinds(number) {
            let request = format!("GET /{kind}/{number}/x");
            let said =
                format!("tracked exception while answering {request} {kind} {number} {kind}\n");
            let is_said = log.contains(&said);
            assert_eq!(is_said, is_tracked, "{said}{log}");
        }
    }
}

/// So is one of its lifespan.
#[test]
fn an_exception_of_lifespan_passes_through_logging() {
    const APPLICATION: &str = "\
import logging
logging.basicConfig(format='mine %(levelname)s %(name)s %(message)s')
async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        await send({'type': 'lifespan.startup.complete'})
        await receive()
        raise ValueError('at the end')
    await send({'type': 'http.response.start', 'status': 200})
    await send({'type': 'http.response.body'})
";
    let server = Folder::new()
        .file("shop.py", APPLICATION)
        .runner(["serve", "tcp://127.0.0.1:0", "ASGI", "import:shop.app"])
        .start();
    server.get("/").ok();
    let log = server.stop().stderr;
    let said = "\nmine ERROR runner.error exception in lifespan\nTraceback";
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert_eq!(log.matches("ValueError: at the end").count(), 1, "{log}");
}
