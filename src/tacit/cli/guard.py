"""What ends a command, in a sentence: what happened, where, and what to do about it.

Whoever reads a file or a flag says best what is wrong with it. Here is what nobody foresaw: a disk
that is full, a folder that may not be written to, and faults of tacit's own.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TextIO

import tacit
from tacit.errors import TacitError, make_printable
from tacit.files import REASONS

TRACEBACK = "TACIT_TRACEBACK"
FAULT, INTERRUPTED = 70, 130
PRINTERS = ("run", "print_json")  # the functions of ours that write to stdout

# What to do about what the system refuses, whether a file is written or anything else is done.
REMEDIES = REASONS | {
    errno.EFBIG: "the file would be larger than is allowed here (see ulimit -f)",
    errno.ENOENT: "there is no such file or folder",
    errno.EISDIR: "it is a folder, where a file is meant; choose another name",
    errno.EEXIST: "there is such a file or folder already; choose another name",
    errno.ENOTEMPTY: "the folder is not empty; choose another one",
    errno.ELOOP: "links lead round in a circle; remove one",
    errno.EMFILE: "too many files are open; allow more with ulimit -n, or use fewer workers",
    errno.ENFILE: "the whole machine has too many files open; try again later",
    errno.ENOMEM: "there is not enough memory; use smaller batches or fewer workers",
    errno.ENODEV: "this is no place for a file; choose another one",
    errno.ENXIO: "this is no place for a file; choose another one",
    errno.EINVAL: "this is no place for a file, or no name for one; choose another one",
}


def wants_traceback() -> bool:
    """Say whether whoever started us wants to see where an error came from."""
    return bool(os.environ.get(TRACEBACK))


def end(error: BaseException) -> int:
    """Say what ended a command, and return its exit status."""
    if isinstance(error, BrokenPipeError) or _is_of_stdout(error):
        return _end_without_stdout(error)
    if isinstance(error, KeyboardInterrupt):
        _print("interrupted.")
        return INTERRUPTED
    if wants_traceback():
        raise error
    message, status = explain(error)
    # What is wrong with a request is the same in every process; what goes wrong later is not.
    if status not in (2, 3) or os.environ.get("RANK", "0") == "0":
        _print(message)
    return status


def explain(error: BaseException) -> tuple[str, int]:
    """Return a sentence about an error, and the exit status that goes with it."""
    if isinstance(error, TacitError):
        return _without_worker(str(error)), error.exit_code
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            "There is not enough memory; use smaller batches (phases.batch, or phases.accumulate; "
            f"--batch of predict) or fewer workers. {_first_line(error)}".strip(),
            1,
        )
    if isinstance(error, OSError) and error.errno is not None:
        remedy = REMEDIES.get(error.errno, (error.strerror or "it failed").lower())
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        status = 2 if error.errno == errno.ENAMETOOLONG else 1  # a name is what was asked for
        return f"{' -> '.join(names) or 'A file'} cannot be used: {remedy}.", status
    return _explain_fault(error), FAULT


def _explain_fault(error: BaseException) -> str:
    said = f"{type(error).__name__}: {_first_line(error)}".rstrip(": ")
    package = Path(tacit.__file__).parent
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_ours(f.filename)]
    last = frames[-1] if frames else None
    if last and not Path(last.filename).is_relative_to(package):
        return (
            f"Your own code failed at {last.filename}, line {last.lineno} ({said}). "
            f"{TRACEBACK}=1 shows how it came there."
        )
    where = f"{Path(last.filename).relative_to(package)}, line {last.lineno}" if last else "tacit"
    return (
        f"Something went wrong at {where} ({said}). That it is not said better is a fault of "
        f"tacit {tacit.__version__}; please report it with the command and what "
        f"{TRACEBACK}=1 shows."
    )


def _is_ours(filename: str) -> bool:
    """Whether a file is of tacit or the user's, and neither of a library nor of Python's."""
    inside = Path(filename).is_relative_to(Path(tacit.__file__).parent)
    outside = "site-packages" in filename or filename.startswith((sys.base_prefix, "<"))
    return inside or not outside


def _first_line(error: BaseException) -> str:
    return make_printable(str(error).partition("\n")[0])[:300]


def _without_worker(message: str) -> str:
    """Take the last line of what torch passes on from a process that reads images."""
    if "Original Traceback" not in message:
        return message
    last = message.strip().rpartition("\n")[2]
    return last.partition(": ")[2] or last


def _is_of_stdout(error: BaseException) -> bool:
    """Whether the output of the command is what cannot be written; nothing else has no name."""
    if not isinstance(error, OSError) or error.filename is not None:
        return False
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    path, name = Path(frames[-1].filename), frames[-1].name
    return "rich" in path.parts or (path.parent == Path(__file__).parent and name in PRINTERS)


def _end_without_stdout(error: BaseException) -> int:
    # What is still buffered has nowhere to go, and Python would try again in the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return 0  # whoever read our output has enough
    reason = REMEDIES.get(getattr(error, "errno", 0) or 0, str(error))
    _print(f"The output cannot be written: {reason}.")
    return 1


def _print(message: str) -> None:
    try:
        print(f"tacit: {message}", file=sys.stderr, flush=True)
    except OSError:  # nobody listens
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def prepare_streams() -> None:
    """Let what a terminal cannot show be escaped instead of ending the command."""
    # Whoever closed them wants to see nothing; Python has None in their place.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Say what tacit warns of as it says everything else; what others warn of is theirs."""
        if category is UserWarning and _is_ours(filename):
            _print(make_printable(str(message)))
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show
