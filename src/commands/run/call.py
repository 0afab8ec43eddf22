"""Calls a Python object without arguments; what it returns is the exit status.

Arguments: the object's name, how many folders to search before Python's own, those folders, and what
the object sees as sys.argv. Stands behind start.py, resolve.py and title.py.
"""

import sys


def fail(message, hint=None):
    sys.stderr.write("error: %s\n" % message)
    if hint:
        sys.stderr.write(" = hint: %s\n" % hint)
    sys.exit(1)


def main():
    if sys.version_info < (3, 8):
        version = "%d.%d" % tuple(sys.version_info[:2])
        fail(
            "`%s` is Python %s, but 3.8 or later is needed" % (sys.executable, version),
            "set `runner.python` to another one",
        )
    name, count = sys.argv[1], int(sys.argv[2])
    folders, sys.argv[:] = sys.argv[3 : 3 + count], sys.argv[3 + count :]
    sys.path[:] = folders + [entry for entry in paths if entry not in folders]  # noqa: F821
    show(" ".join(["runner", url(name)] + sys.argv[1:]))  # noqa: F821
    try:
        target = resolve(name)  # noqa: F821
    except Exception as error:
        reason, trace, hint = explained(name, error)  # noqa: F821
        fail(reason + "\n" + trace if trace else reason, hint)
    sys.exit(target())


main()
