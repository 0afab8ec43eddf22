"""Runs the cases of a module beside this file, or those of them whose names contain a word: `run.py MODULE [LOOP [WORD]]`."""

import importlib
import sys
import traceback

import stand_in


def main(module, loop="asyncio", word=""):
    stand_in.DEFAULT_LOOP = loop
    cases = vars(importlib.import_module(module))
    failed = 0
    for name, case in cases.items():
        if name.startswith("test_") and word in name:
            try:
                case()
            except BaseException:
                traceback.print_exc()
                print("FAILED %s" % name)
                failed += 1
            else:
                print("ok %s" % name)
    sys.exit(failed > 0)


main(*sys.argv[1:])
