"""Set up before anything imports torch."""

import os
import resource
import signal
import sys
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

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


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Wait for the server that forks processes, so that what they took is counted as ours."""
    server = forkserver._forkserver
    if server._forkserver_alive_fd is not None:
        server._stop()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell the processor time of all processes, which is what a busy machine does not change."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(each.ru_utime + each.ru_stime for each in used)
    terminalreporter.write_line(f"{seconds:.0f} s of processor time, children included")
