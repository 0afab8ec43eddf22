"""The first lines of each Python process that runner starts: runner's own imports come from the standard library.

The current folder and PYTHONPATH count only when the application is imported: `paths` has the entries in their order.
Any Python can run this.
"""
import os, sys
paths = [entry for entry in sys.path if entry]
given = os.environ.get("PYTHONPATH")
given = [os.path.abspath(entry) for entry in given.split(os.pathsep)] if given else []
sys.path[:] = [entry for entry in paths if entry not in given] + [entry for entry in paths if entry in given]
