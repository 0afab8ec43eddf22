"""The template of runner's workers: imports an application once, and forks a worker each time it is told to.

Plain Python 3.8 and later, standard library only. The messages are described in runner's
src/workers/python/template.rs; bootstrap.py calls `main`.
"""

import gc
import importlib
import platform
import sys
from functools import partial
from marshal import dumps, loads
from struct import pack, unpack, unpack_from

from runner_control import IGNORED, MOMENT, Forks, Importing, Room, no_action, unblock
from runner_descriptors import CLOSE_ON_EXEC, DESCRIPTOR, RECEIVE
from runner_development import imported_folders, keep_fresh_code_uncompiled
from runner_examine import application_of
from runner_forked import Finalizers
from runner_kept import os, resource, select, signal, socket, time
from runner_output import adopt_standard_streams, end_lines, finish_lines, form_lines, identity, is_still, say
from runner_resolve import explained
from runner_sharing import Sharing
from runner_title import entitle, let_setproctitle_begin

VERSION = platform.python_version()
# A process that is not in the foreground of its terminal is stopped when it uses the terminal. Workers are not in the
# foreground, since they lead process groups of their own; with these signals ignored they can write to it.
OF_TERMINAL = [getattr(signal, name) for name in ("SIGTTIN", "SIGTTOU") if hasattr(signal, name)]
MARK = "RUNNER_WORKER"  # the variable by which runner knows the processes of a worker


class Control:
    """Messages from and to runner: a length, then a tuple in marshal's format."""

    def __init__(self, connection):
        self.socket = connection
        self.buffer = b""
        self.descriptors = []

    def send(self, *message):
        data = dumps(message, 2)
        try:
            self.socket.sendall(pack("<I", len(data)) + data)
        except OSError:
            pass  # runner is gone, which the next read notices

    def receive(self):
        """Reads once. Returns whether runner is still there. Descriptors collect in `descriptors`."""
        try:
            with Room():
                data, ancillary, flags, _ = self.socket.recvmsg(RECEIVE, 16 * DESCRIPTOR, CLOSE_ON_EXEC)
        except OSError:  # runner ended without reading all messages
            return False
        if flags & socket.MSG_CTRUNC:
            say("it is replaced, because the application has opened as many files as it may, and nothing can be given to it")
            os._exit(1)
        for level, kind, rights in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                count = len(rights) // 4
                self.descriptors += unpack("%di" % count, rights[: count * 4])
        self.buffer += data
        return bool(data)

    def message(self):
        """The next complete message, or `None`."""
        if len(self.buffer) < 4:
            return None
        end = 4 + unpack_from("<I", self.buffer)[0]
        if len(self.buffer) < end:
            return None
        message = loads(self.buffer[4:end])
        self.buffer = self.buffer[end:]
        return message

    def take_descriptors(self, count):
        taken, self.descriptors = self.descriptors[:count], self.descriptors[count:]
        return taken


class Template:
    """Imports the application once and forks workers, each time that it is told to."""

    def __init__(self, control, paths, modules):
        self.control = control
        self.modules = modules  # runner's own, by name
        self.paths = paths  # where Python looks for modules
        self.children = set()
        self.finalizers = None
        self.waking = None  # a pipe that wakes the poll when a signal comes

    def run(self):
        options = None
        while options is None:
            if not self.control.receive():
                return
            options = self.control.message()
        let_setproctitle_begin(os.environ)
        entitle(options["role"], options["application"])
        for number in IGNORED:
            signal.signal(number, no_action)
        for number in OF_TERMINAL:
            signal.signal(number, signal.SIG_IGN)
        stacks, *channels = self.control.take_descriptors(2 if options["log"][0] == "json" else 1)
        form_lines(*options["log"], *channels or [None])
        line = self.control.socket.fileno(), identity(self.control.socket.fileno())
        sys.argv[:] = [os.fsdecode(argument) for argument in options["arguments"]]
        if options["descriptors"] is not None:
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (options["descriptors"], most))
        adopt_standard_streams()
        self.waking = os.pipe()
        own = [self.control.socket.fileno(), stacks, *self.waking]
        known = [(descriptor, identity(descriptor)) for descriptor in own]
        Forks.disown = lambda: [partial(os.close, descriptor) for descriptor, what in known if is_still(descriptor, what)]
        Forks.watch()
        # A process that the application forks may write to the log, too.
        sharing = Sharing(own + channels) if options["forks"] else None
        first = [os.fsdecode(entry) for entry in options["path"]]
        sys.path[:] = first + [entry for entry in self.paths if entry not in first]
        name, number = options["application"], -1
        failure = cause = None
        if options["development"]:
            keep_fresh_code_uncompiled()
        try:
            with Importing(options["stack_signal"], stacks):
                application = application_of(name, options["asgi"] is not None)
                # They may need what the application sets up: Django's models, for one.
                for number, name in enumerate(options["imports"]):
                    importlib.import_module(name)
                if options["asgi"] is not None:
                    importlib.import_module("asyncio")  # once for all workers
        except BaseException as error:
            failure = (*explained(name, error), number)
            cause = error
        if Forks.is_foreign:
            return  # the application has forked this process, which is no second template
        if not is_still(*line):
            # The descriptor may belong to the application by now.
            say("the application closed descriptors that are not its own while it was imported")
            os._exit(1)
        if options["development"]:
            self.control.send("imported", imported_folders(cause), 0)
        cause = None
        if failure is not None:
            reason, *details = failure
            self.control.send("failed", reason, tuple(details))
            return
        gc.collect()
        hindrances = ""
        if sharing:
            hindrances = sharing.hindrances()
            self.finalizers = Finalizers()
            if hasattr(gc, "freeze"):
                gc.freeze()  # keeps the collector from writing to pages that workers share
        self.control.send("loaded", VERSION, hindrances)
        options["is_first"] = True
        work = self.await_orders(options)
        if work is not None:
            worker = "runner_worker" if options["asgi"] is None else "runner_asgi_worker"
            self.modules[worker].run_worker(application, options, work)
            if options["only_imported"] and not Forks.is_foreign:
                # Threads and exit handlers of the application could take for ever.
                flush()
                os._exit(0)
        elif hasattr(gc, "unfreeze"):
            gc.unfreeze()  # so that the collector finds the objects to finalize

    def await_orders(self, options):
        """Carries out orders. Returns the descriptors of the worker in a process that is to be one, else `None`."""
        waking, woken = self.waking
        for descriptor in (waking, woken):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, no_action)
        orphan = options["orphan_signal"]
        if orphan:
            # From here on this process notices that runner is gone, and ends its children.
            signal.signal(orphan, no_action)
        unblock(signal.SIGCHLD, *filter(None, [orphan]))
        poll = select.poll()
        for descriptor in (self.control.socket, waking):
            poll.register(descriptor, select.POLLIN)
        while True:
            readable = [descriptor for descriptor, _ in poll.poll()]
            if waking in readable:
                try:
                    os.read(waking, 4096)
                except BlockingIOError:
                    pass
                self.reap()
            if self.control.socket.fileno() not in readable:
                continue
            if not self.control.receive():
                self.end_children(options["stop_timeout"])
                return None
            for kind, worker, count in iter(self.control.message, None):
                if kind == "descriptors":
                    continue
                if kind == "end":
                    return None
                descriptors = self.control.take_descriptors(count)
                if kind == "serve" or self.fork(worker, descriptors):
                    options["is_forked"] = kind != "serve"
                    try:
                        os.environ[MARK] = "%s.%d" % (options["mark"], worker)
                    except Exception:
                        pass  # the application has changed `os`; processes of the worker are known by their group
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    if orphan:
                        signal.signal(orphan, signal.SIG_DFL)
                    os.close(waking)
                    os.close(woken)
                    self.control.socket.close()
                    for other in self.control.descriptors:  # those of the next worker
                        os.close(other)
                    return descriptors
                options["is_first"] = options["is_first"] and not self.children

    def fork(self, worker, descriptors):
        """Makes a worker. Returns true in the worker itself."""
        flush()
        Forks.makes_worker = True
        try:
            pid = os.fork()
        except OSError as error:
            Forks.makes_worker = False
            self.control.send("unforked", worker, str(error))
        else:
            Forks.makes_worker = False
            if pid == 0:
                lead_group(0)
                entitle("worker %d" % worker)
                self.finalizers.forget()
                return True
            lead_group(pid)
            self.children.add(pid)
            self.control.send("forked", worker, pid)
        for descriptor in descriptors:
            os.close(descriptor)
        return False

    def reap(self):
        for pid in list(self.children):
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = pid, 0
            if ended:
                self.children.discard(pid)
                self.control.send("died", pid, status)

    def end_children(self, grace):
        """Runner is gone. The workers notice that themselves. The processes that they have started are told to end; after a
        moment all of them are killed."""
        deadline = time.perf_counter() + min(grace, MOMENT)
        groups = list(self.children)
        for group in groups:
            signal_group(group, signal.SIGTERM)  # which the workers themselves ignore
        while self.children and time.perf_counter() < deadline:
            time.sleep(0.01)
            self.reap()
        for group in groups:
            signal_group(group, signal.SIGKILL)


def flush():
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except BaseException:
            pass  # the application has replaced or removed it
    finish_lines()


def lead_group(pid):
    """Makes a worker the leader of a process group. Both sides call it, so that each can rely on it."""
    try:
        os.setpgid(pid, 0)
    except OSError:
        pass  # it has ended


def signal_group(leader, number):
    try:
        os.killpg(leader, number)
    except OSError:
        pass  # nothing is left of it


def main(connection, paths, modules):
    try:
        Template(Control(connection), paths, modules).run()
    finally:
        end_lines()
        connection.detach()  # it stays open to the very end: when it closes, runner takes this process for ended
