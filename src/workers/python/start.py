"""The first lines of each Python that runner starts: what runner needs comes from the standard library.

Not from the current folder, nor from PYTHONPATH, which counts when the application is imported: `paths` has it where it
belongs. Any Python can run this.
"""
import os, sys
paths = [entry for entry in sys.path if entry]
given = os.environ.get("PYTHONPATH")
given = [os.path.abspath(entry) for entry in given.split(os.pathsep)] if given else []
sys.path[:] = [entry for entry in paths if entry not in given] + [entry for entry in paths if entry in given]
