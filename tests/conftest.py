"""Set up before anything imports torch."""

import os
import signal
import sys
from pathlib import Path

# As the command line does: waiting threads soon sleep instead of spinning.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# Tests start many processes that import torch, and where an environment forbids python to keep what
# it compiles, each of them would compile all of torch anew: most of what such a process costs.
if sys.dont_write_bytecode:
    compiled = Path(__file__).parents[1] / "build" / "bytecode"
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(compiled)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(compiled)

# A shell starts background jobs with Ctrl-C ignored; tests of it want it to mean what it means.
signal.signal(signal.SIGINT, signal.default_int_handler)
