"""`tacit review`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tacit.cli.label_options import AS_FOUND, LabelOptions
from tacit.cli.output import stderr, tell
from tacit.errors import UsageError

PORT = 8765


def review(
    target: Path | None = None,
    /,
    *,
    data: Path | None = None,
    demo: Annotated[bool, Parameter(negative=())] = False,
    out: Path = Path("review-demo"),
    user: str | None = None,
    host: str = "127.0.0.1",
    port: int = PORT,
    browser: bool = True,
    learn: bool = True,
    read: LabelOptions = AS_FOUND,
) -> int:
    """Look at suspects on a page of this machine, and say whether they are there.

    Every answer is on the disk before the page calls it saved. Reopens where one stopped; Ctrl-C
    ends it.

    Parameters
    ----------
    target
        A run with suspects, or a file of suspects.
    data
        The labels that a file of suspects is about, in any format of `tacit datasets`.
    demo
        Draw images, find suspects among them and open these; nothing else is needed.
    out
        Where the demo goes.
    user
        Your name, as it is written beside your answers; the name you are logged in with if left
        out.
    host
        Where the page is served: 127.0.0.1, or ::1. Other machines come by ssh.
    port
        The port of the page.
    browser
        Open the page in a browser.
    learn
        Make the queue of a run anew after every 20 answers, where it has a feature store or at most
        5,000 images.
    """
    if demo == (target is not None):
        raise UsageError("Name a run or a file of suspects, or ask for --demo.")
    with stderr().status("reading"):
        import pyarrow

        # It gives back what it no longer needs: 253 MB for a million suspects in place of 309.
        pyarrow.set_memory_pool(pyarrow.system_memory_pool())
        from tacit.repair.serving import bind, serve

        listening = bind(host, port)  # first, because reading may take a while
    with listening:
        with stderr().status("drawing images" if demo else "reading"):
            if demo:
                from tacit.repair.demo import open_demo

                opened = open_demo(out)
            else:
                from tacit.repair.opening import open_review

                assert target is not None
                opened = open_review(target, data, learn=learn, **read.as_arguments())
        with opened:
            serve(opened, user or _login(), listening, lambda address: _ready(address, browser))
    count = len(opened.store)
    tell(f"{count:,} verdicts are in {opened.store.path}; the same command goes on from there.")
    return 0


def _ready(address: str, browser: bool) -> None:
    import threading
    import webbrowser

    tell(f"The review is at {address}\nCtrl-C ends it.")
    if browser:  # on a thread, because some browsers are waited for
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a process of nobody
        return "somebody"
