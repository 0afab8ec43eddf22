"""What a template runs first, behind start.py: takes the socket from standard input, and runner's modules from the socket.

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
def take(count):
    data = b""
    while len(data) < count:
        part = control.recv(count - len(data))
        if not part:
            sys.exit(0)
        data += part
    return data
ours = {}
for name, file, source in marshal.loads(take(int.from_bytes(take(4), "little"))):
    ours[name] = sys.modules[name] = types.ModuleType(name)
    # What an application replaces in `builtins`, it replaces for itself.
    ours[name].__builtins__ = dict(vars(builtins))
    exec(compile(source, file, "exec"), vars(ours[name]))
# Those that go through all modules, to patch or to purge them, do not come to these.
for name in ours:
    del sys.modules[name]
ours["runner_template"].main(control, paths)
