"""A forked worker forgets the exit handlers and finalizers from before the fork.

Plain Python 3.8 and later, standard library only. The template runs them at the very end: a temporary folder that the
application made when it was imported is needed by all workers. Handlers that a worker adds run when that worker leaves.
"""

import gc
import sys
import threading
from atexit import _clear as clear, register
from weakref import finalize

# Handlers of the standard library for resources that the worker itself will have.
KEPT = [("logging", "shutdown"), ("multiprocessing.util", "_exit_function")]
if sys.version_info < (3, 9):
    KEPT += [("concurrent.futures.process", "_python_exit"), ("concurrent.futures.thread", "_python_exit")]
POOLS = "concurrent.futures."
OF_THREADS = getattr(threading, "_threading_atexits", [])  # run before threads are waited for


class Finalizers:
    """The finalizers of the template. To be made before `gc.freeze`."""

    def __init__(self):
        has = {}
        self.owners = []
        if not hasattr(gc, "freeze"):
            return  # PyPy finalizes nothing when it ends
        for thing in gc.get_objects():
            kind = type(thing)
            if kind not in has:
                has[kind] = any("__del__" in base.__dict__ for base in kind.__mro__)
            if has[kind]:
                self.owners.append(thing)

    def forget(self):
        """Forgets them, in a worker that has just been forked."""
        # Only the list refers to itself, and the collector does not look at it: its contents are never finalized.
        self.owners.append(self.owners)
        finalize._registry.clear()
        clear()
        if finalize._registered_with_atexit:
            register(finalize._exitfunc)
        for module, name in KEPT:
            handler = getattr(sys.modules.get(module), name, None)
            if handler is not None:
                register(handler)
        OF_THREADS[:] = [handler for handler in OF_THREADS if is_of_pool(handler)]
        processes = sys.modules.get("multiprocessing.process")
        if processes is not None:
            processes._children.clear()  # they belong to the template, and do not end with the worker


def is_of_pool(handler):
    """Whether a handler ends the pools of this process, future ones included."""
    function = getattr(handler, "func", handler)
    return getattr(function, "__module__", "").startswith(POOLS)
