"""What `launch` asks of templates and workers: which folders the application was imported from, and a page that shows an
exception.

Plain Python 3.8 and later, standard library only. The page has source code and data of the request. Runner's
src/application/development/ passes it on only to clients on the same machine, and knows it by the field `Runner-Page`.
"""

import importlib.machinery
import linecache
import re
import traceback
from urllib.parse import unquote_plus

from runner_kept import os, sys, time
from runner_resolve import OURS, traceback_of

MARK = "Runner-Page"
AROUND = 2  # lines of source before and after the one that ran
MOST_FRAMES = 30  # of one exception, half of them from each end
MOST_EXCEPTIONS = 8
LONGEST_LINE = 300  # characters that are shown of a line
LONGEST_TEXT = 20000  # characters that are shown of a traceback
LARGEST_PAGE = 100000  # bytes: an ASGI worker sends it in one frame
FRESH = 2.0  # seconds after a change in which it may be followed by one that Python takes for the same
# Words that make a name one of a secret, as in src/secrets/names.rs; cookies and sessions besides.
SECRET = (
    "apikey auth authorization bearer cookie credential jwt key pass passcode passphrase passwd password private pwd salt"
    " secret session signature token"
).split()
SECRET_ENDS = (
    "accesskey apikey authkey credential dbpass encryptionkey masterkey passphrase passwd password privatekey secret"
    " secretkey signingkey token userpass"
).split()
# Parameters of a query that are secrets besides: what signs a URL, what a login gives once, and what confirms one.
SECRET_PARAMETERS = {"code", "otp", "pin", "sig"}
HARMLESS = {("public", "key"), ("primary", "key"), ("foreign", "key"), ("sort", "key"), ("pass", "through")}
# Words that make the value of a local variable a secret: others, such as `key`, name what is no secret as often.
SECRET_LOCALS = {"passphrase", "passwd", "password", "secret"}
SHORTEST = 6  # characters of a value that is hidden wherever it stands: shorter ones are parts of ordinary words
IN_URL = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")
PYTHON = os.path.dirname(os.__file__)
INSTALLED = ("site-packages", "dist-packages")

STYLE = (
    ":root{color-scheme:light dark;--line:#8884;--soft:#8882;--quiet:#666;--hot:#c002}"
    "@media(prefers-color-scheme:dark){:root{--quiet:#aaa;--hot:#f556}}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:2rem 1rem}"
    "h1{font-size:1.4rem;margin:0;overflow-wrap:anywhere;white-space:pre-wrap}"
    "h2{font-size:1rem;margin:2rem 0 .5rem}p{margin:.25rem 0;color:var(--quiet)}"
    "p.frame{margin-top:1rem;overflow-wrap:anywhere}p.frame.own b{font-weight:700}"
    "pre{margin:.25rem 0;padding:.5rem;background:var(--soft);overflow-x:auto;font-size:.85rem}"
    "pre b{display:inline-block;min-width:100%;background:var(--hot);font-weight:inherit}"
    "table{border-collapse:collapse;width:100%}th,td{border-top:1px solid var(--line);padding:.25rem .5rem;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}th{width:14rem;font-weight:400;color:var(--quiet)}"
)


def imported_folders(error):
    """The folders of the application's modules, and of those that an exception came from, as runner reads them."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    for link in chain_of(error) if error is not None else ():
        files.append(getattr(link, "filename", None))  # of a SyntaxError
        files += [frame.f_code.co_filename for frame, _ in traceback.walk_tb(link.__traceback__)]
    return b"\0".join(sorted({os.fsencode(os.path.dirname(file)) for file in files if is_own(file)}))


def keep_fresh_code_uncompiled():
    """Python takes a compiled file for the source if that has the same size and was changed in the same second (PEP 552): an
    editor that formats what it has saved would have the first version run. So what has just changed is not kept compiled."""
    loader = importlib.machinery.SourceFileLoader
    keep = getattr(loader, "_cache_bytecode", None)
    if keep is None:
        return

    def keep_old(self, source, target, data):
        try:
            is_fresh = time.time() - os.stat(source).st_mtime < FRESH
        except OSError:
            is_fresh = False
        if not is_fresh:
            keep(self, source, target, data)

    loader._cache_bytecode = keep_old


def is_own(file):
    """Whether a file belongs to the application, and not to Python or an installed package."""
    if not isinstance(file, str) or not os.path.isabs(file) or file.startswith(PYTHON + os.sep):
        return False
    return not any(part in INSTALLED or part == "lib_pypy" for part in file.split(os.sep))


def chain_of(error):
    """An exception after those that led to it."""
    chain = []
    while error is not None and error not in chain and len(chain) < MOST_EXCEPTIONS:
        chain.append(error)
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)
    return chain[::-1]


def wsgi_answer(error, method, target, environ):
    """Status, header fields and body that show an exception; `None` if that fails, too."""
    try:
        fields = [
            (name[5:].replace("_", "-").title(), value) for name, value in environ.items() if name.startswith("HTTP_")
        ]
        accept = environ.get("HTTP_ACCEPT", "")
        kind, body = shown(error, method, target, fields, accept)
    except Exception:
        return None
    return "500 Internal Server Error", list(head(kind, body)), body


def asgi_answer(error, method, target, scope):
    """The same for ASGI: header fields and body in bytes."""
    try:
        fields = [(name.decode("latin-1").title(), value.decode("latin-1")) for name, value in scope["headers"]]
        accept = ",".join(value for name, value in fields if name == "Accept")
        kind, body = shown(error, method, target.decode("latin-1"), fields, accept)
        return [part.lower().encode("latin-1") for field in head(kind, body) for part in field], body
    except Exception:
        return None


def head(kind, body):
    """The header fields of the page. Nothing but the script that reloads it is allowed to run."""
    yield "Content-Type", kind + "; charset=utf-8"
    yield "Content-Length", str(len(body))
    yield "Cache-Control", "no-store"
    yield "X-Content-Type-Options", "nosniff"
    yield "Content-Security-Policy", (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    yield MARK, "exception"


def shown(error, method, target, fields, accept):
    """The media type and the body that show an exception: HTML if the client accepts it."""
    conceal = Concealer(error, fields, target)
    target = without_secrets(target)
    text = conceal(traceback_of(error))
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT // 2] + "\n[...]\n" + text[-LONGEST_TEXT // 2 :]
    if "text/html" not in accept.lower():
        plain = "500 Internal Server Error: exception while answering %s %s\n\n%s" % (method, target, text)
        return "text/plain", encoded(plain.translate(CONTROLS))
    fields = [(name, conceal(value)) for name, value in map(hidden, fields)]
    request = section("Request", rows([("Method", method), ("Target", target), *fields]))
    whole = section("Traceback", "<pre>%s</pre>" % escaped(text))
    title = conceal(title_of(error))
    parts = [frames_of(link, link is not error, conceal) for link in chain_of(error)]
    body = encoded(page(title, method, target, "".join(parts) + request + whole))
    if len(body) > LARGEST_PAGE:
        body = encoded(page(title[:LONGEST_LINE], method, target[:LONGEST_LINE], whole))
    return "text/html", body


def page(title, method, target, content):
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<title>%s</title>\n<style>%s</style>\n<body>\n'
        "<h1>%s</h1>\n<p>%s %s</p>\n%s<p>Only runner launch shows this, and only on this machine.</p>\n</body>\n</html>\n"
    ) % (escaped(title), STYLE, escaped(title), escaped(method), escaped(target), content)


def section(heading, content):
    return "<h2>%s</h2>\n%s\n" % (heading, content)


def rows(pairs):
    lines = ["<tr><th>%s<td>%s\n" % (escaped(name), escaped(str(value)[:2000])) for name, value in pairs]
    return "<table>\n%s</table>" % "".join(lines)


def is_secret(name):
    """Whether something with this name is a secret: as in src/secrets/names.rs, where words count and not parts of them."""
    words = [word.lower() for word in WORDS.findall(name)]
    harmless = {place for place, pair in enumerate(zip(words, words[1:])) if pair in HARMLESS}
    for place, word in enumerate(words):
        if place in harmless or place - 1 in harmless:
            continue
        one = word[:-1] if word.endswith("s") else word
        if word in SECRET or one in SECRET or word.endswith(tuple(SECRET_ENDS)) or one.endswith(tuple(SECRET_ENDS)):
            return True
    return False


class Concealer:
    """Hides the values of secrets in texts: of variables of the environment, of the request, and of the code that has failed."""

    def __init__(self, error, fields, target):
        parameters = [part.partition("=")[::2] for part in re.split("[&;]", target.partition("?")[2])]
        # The names of what a desktop tells of its session, and of the current folder.
        named = [(name.replace("SESSION", ""), value) for name, value in os.environ.items() if name != "PWD"]
        values = {value for name, value in fields + named if is_secret(unquote_plus(name))}
        values |= {value for name, value in parameters if is_secret_parameter(unquote_plus(name))}
        values |= {unquote_plus(value) for value in values}
        for link in chain_of(error):
            for frame, _ in traceback.walk_tb(link.__traceback__):
                values |= {value for name, value in frame.f_globals.items() if is_secret_constant(name, value)}
                values |= {value for name, value in frame.f_locals.items() if is_secret_local(name, value)}
        found = sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True)
        self.values = re.compile("|".join(map(re.escape, found))) if found else None

    def __call__(self, text):
        text = IN_URL.sub(r"\1(hidden)", text)
        return self.values.sub("(hidden)", text) if self.values else text


def is_secret_parameter(name):
    """Whether a parameter of a query with this name is a secret."""
    return is_secret(name) or not SECRET_PARAMETERS.isdisjoint(word.lower() for word in WORDS.findall(name))


def is_secret_constant(name, value):
    return type(value) is str and name.isupper() and is_secret(name)


def is_secret_local(name, value):
    return type(value) is str and not SECRET_LOCALS.isdisjoint(word.lower() for word in WORDS.findall(name))


def hidden(field):
    """A header field without a value that is a secret."""
    name, value = field
    if is_secret(name):
        return name, "(hidden)"
    return (name, without_secrets(value)) if name.lower() == "referer" else field


def without_secrets(target):
    """A target without the values in its query that are secrets."""
    path, mark, query = target.partition("?")
    parts = re.split("([&;])", query)
    for place, part in enumerate(parts):
        name, sign, _ = part.partition("=")
        if sign and is_secret_parameter(unquote_plus(name)):
            parts[place] = name + "=(hidden)"
    return path + mark + "".join(parts)


def title_of(error):
    said = str(error)
    return "%s: %s" % (type(error).__name__, said) if said else type(error).__name__


def frames_of(error, has_led_to_another, conceal):
    """The frames of an exception from the application's first one on, each with lines of its source."""
    frames = list(traceback.walk_tb(error.__traceback__))
    while frames and frames[0][0].f_code.co_filename.startswith(OURS):
        del frames[0]
    half = MOST_FRAMES // 2
    left_out = len(frames) - MOST_FRAMES
    parts = [frame_of(*frame, conceal) for frame in (frames if left_out <= 0 else frames[:half])]
    if left_out > 0:
        parts.append("<p>%d frames are not shown.</p>\n" % left_out)
        parts += [frame_of(*frame, conceal) for frame in frames[-half:]]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        parts.append(place(error.filename, error.lineno, "", conceal))
    title = escaped(conceal(title_of(error)))
    heading = "Most recent call last" if not has_led_to_another else title + ", which led to:"
    return section(heading, "".join(parts))


def frame_of(frame, line, conceal):
    where = " in <b>%s</b>" % escaped(frame.f_code.co_name)
    return place(frame.f_code.co_filename, line, where, conceal, frame.f_globals)


def place(file, line, where, conceal, module_globals=None):
    """A place in a file, with the lines around it."""
    lines = linecache.getlines(file, module_globals)
    first = max(1, line - AROUND)
    shown_lines = []
    for number, text in enumerate(lines[first - 1 : line + AROUND], first):
        text = "%5d  %s" % (number, escaped(conceal(text.rstrip("\r\n"))[:LONGEST_LINE]))
        shown_lines.append("<b>%s</b>" % text if number == line else text)
    kind = " own" if is_own(file) else ""
    source = "<pre>%s</pre>\n" % "\n".join(shown_lines) if shown_lines else ""
    return '<p class="frame%s">%s, line %d%s</p>\n%s' % (kind, escaped(file), line, where, source)


CONTROLS = {code: chr(code).encode("unicode_escape").decode() for code in (*range(9), *range(11, 32), *range(127, 160))}
MARKUP = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("'"): "&#39;"}
UNSAFE = {**CONTROLS, **MARKUP}


def escaped(text):
    return text.translate(UNSAFE)


def encoded(text):
    return text.encode("utf-8", "backslashreplace")
