"""The code that a template runs after start.py: it takes the socket from standard input, and runner's modules from a file
that comes over the socket.

The first lines run on any Python, to say that it is too old.
"""
import marshal
if sys.version_info < (3, 8):
    message = marshal.dumps(("outdated", "%d.%d.%d" % tuple(sys.version_info[:3]), 0), 2)
    os.write(0, bytearray([len(message), 0, 0, 0]) + message)
    sys.exit(1)
import builtins, socket, types
control = socket.socket(fileno=os.dup(0))
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.close(null)
_, ancillary, _, _ = control.recvmsg(1, socket.CMSG_SPACE(4))
if not ancillary:
    sys.exit(0)
ours = {}
with open(int.from_bytes(ancillary[0][2][:4], sys.byteorder), "rb") as modules:
    program = marshal.load(modules)
for name, file, source in program:
    ours[name] = sys.modules[name] = types.ModuleType(name)
    # The application may replace functions in `builtins`: these modules keep the original ones.
    ours[name].__builtins__ = dict(vars(builtins))
    exec(compile(source, file, "exec"), vars(ours[name]))
# Code that patches or purges all modules does not find these.
for name in ours:
    del sys.modules[name]
ours["runner_template"].main(control, paths, ours)
