"""The title of a process in lists of processes: what it does, and for which application.

Plain Python 3.8 and later, standard library only. On Linux a process may write over the words that it was started with,
which lists show (proc(5)); their length is the longest title. Python has its own copy of them by then, so that
`sys.executable`, `sys.argv` and `multiprocessing` are as before. Where the system does not let it, the words stay.
"""

ARG_START, ARG_END = 45, 46  # among the fields of /proc/self/stat after the name


class Title:
    """What this process does."""

    role = application = ""


def let_setproctitle_begin(environ):
    """An application may use the package `setproctitle`, which finds the words only as long as they are there."""
    own = environ.get("SPT_NOENV")
    environ["SPT_NOENV"] = "1"  # the environment stands behind the words, and is needed
    try:
        from setproctitle import getproctitle

        getproctitle()
    except Exception:
        pass  # it is not there, or too old
    finally:
        if own is None:
            del environ["SPT_NOENV"]
        else:
            environ["SPT_NOENV"] = own


def entitle(role, application=None):
    """Shows what this process does, as `worker 2`, for an application."""
    Title.role = role
    Title.application = application or Title.application
    of = Title.application
    url = of if of.startswith("file:") else "import:" + of
    show("runner: %s of %s" % (role, url), "runner " + role.partition(" ")[0])


def entitle_fork():
    """The same in a process that the application has forked."""
    if Title.application:
        entitle("process of " + Title.role)


def show(title, name=None):
    """Shows a title, and a name of up to 15 bytes (`ps -o comm`)."""
    for step in (lambda: show_title(title), lambda: name and write("/proc/self/comm", 0, name.encode())):
        try:
            step()
        except Exception:
            pass  # this system shows no titles, or does not let us


def show_title(title):
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[ARG_START]), int(fields[ARG_END])
    room = end - start
    text = title.encode("utf-8", "surrogateescape")[: room - 1]
    write("/proc/self/mem", start, text.ljust(room, b"\0"))


def write(path, offset, data):
    with open(path, "r+b", buffering=0) as file:
        if offset:
            file.seek(offset)
        file.write(data)
