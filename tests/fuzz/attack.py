"""Reading changed files, and what is wrong with how that ended.

``make fuzz`` reads many in processes of their own, so that a crash of the interpreter is found as
well; it ends with 1 if it finds a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from fuzz.changes import change_bytes, change_document
from fuzz.kinds import Kind, all_kinds
from tacit.errors import TacitError

SECONDS, WAITED = 10, 60  # of the processor, and on the clock, which a busy machine stretches
LONGEST = 2000
ADDRESS_SPACE = 12 << 30
MEMORY = 10**9 // 1024  # KiB that reading a file of a few may take


class Late(BaseException):
    """Reading took longer than it may; says so."""


class Plain(Random):
    """No chance: the first choice, and nothing more often than never."""

    def choice(self, seq: Any) -> Any:
        """Return the first."""
        return seq[0]

    def random(self) -> float:
        """Return what is no less than any share."""
        return 1.0


class Attack:
    """Whole files of one kind, of which copies are changed and read."""

    def __init__(self, name: str, kind: Kind, work: Path) -> None:
        self.name, self.kind, self.work = name, kind, work
        self.least: int | None = None
        self.whole, self.copy = work / "whole", work / "copy"
        self.whole.mkdir(parents=True)
        kind.make(self.whole)
        found = {path for pattern in kind.files for path in self.whole.glob(pattern)}
        self.files = sorted(path for path in found if path.is_file())
        assert self.files, f"{name}: there is nothing to change"

    def read_whole(self) -> None:
        """Read what was not changed, in the plainest way, which no reader may refuse."""
        self._copy()
        self.kind.read(Plain(), self.copy)

    def run(self, seed: int, case: int) -> tuple[str, str | None]:
        """Change one file and read. Return how it ended, and what is wrong with that."""
        random = Random(f"{self.name} {seed} {case}")
        self._copy()
        path = random.choice(self.files)
        documents = self.kind.documents and path.suffix in (".json", ".jsonl")
        change = random.choice((change_bytes, change_document)) if documents else change_bytes
        target = self.copy / path.relative_to(self.whole)
        target.write_bytes(change(random, path.read_bytes()))
        before = _peak()
        # From the first case on: what one took before would hide what the next one takes.
        self.least = before if self.least is None else self.least
        outcome, fault = self._read(random)
        if fault is None and _peak() > max(before, self.least + MEMORY):
            fault = f"it took {_peak() - self.least >> 10} MiB of memory"
        return outcome, fault

    def _copy(self) -> None:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.whole, self.copy)

    def _read(self, random: Random) -> tuple[str, str | None]:
        clocks = {
            signal.SIGPROF: (signal.ITIMER_PROF, SECONDS),
            signal.SIGALRM: (signal.ITIMER_REAL, WAITED),
        }
        before = {number: signal.signal(number, _come_late) for number in clocks}
        for clock, limit in clocks.values():
            signal.setitimer(clock, limit)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.kind.read(random, self.copy)
            return "read", None
        except TacitError as error:
            return "refused", _find_fault(str(error))
        except Late as late:
            return "fault", str(late)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            ours = [f for f in frames if "/tacit/" in f.filename] or list(frames)
            at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
            return "fault", f"{type(error).__name__} at {at}: {str(error)[:150]!r}"
        finally:
            for number, (clock, _) in clocks.items():
                signal.setitimer(clock, 0)
                signal.signal(number, before[number])


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _come_late(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGPROF:
        raise Late(f"it computed longer than {SECONDS} s")
    raise Late(f"it took longer than {WAITED} s")


def _find_fault(sentence: str) -> str | None:
    if not sentence.strip():
        return "it says nothing"
    if len(sentence) > LONGEST:
        return f"it says {len(sentence):,} characters"
    if not all(sign.isprintable() or sign == "\n" for sign in sentence):
        return f"it says what is no text: {sentence[:150]!r}"
    return None


def attack_apart(attack: Attack, seed: int, cases: int) -> Iterator[tuple[int, str, str | None]]:
    """Run cases in a process of their own, and in a new one after each crash."""
    notes = attack.work / "notes"
    done = 0
    while done < cases:
        notes.unlink(missing_ok=True)
        process = os.fork()
        if process == 0:
            try:
                _run_cases(attack, seed, range(done, cases), notes)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        for line in notes.read_text().splitlines():
            yield tuple(json.loads(line))
            done += 1
        if status:
            yield done, "crash", f"the process ended with {os.waitstatus_to_exitcode(status)}"
            done += 1


def _run_cases(attack: Attack, seed: int, cases: range, notes: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with notes.open("w") as file:
        for case in cases:
            outcome, fault = attack.run(seed, case)
            file.write(json.dumps([case, outcome, fault]) + "\n")
            file.flush()


def main() -> int:
    """Attack all kinds, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="parts of the names of kinds")
    parser.add_argument("--cases", type=int, default=3000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    kinds = all_kinds()
    if asked.kinds:
        kinds = {name: kinds[name] for name in kinds if any(word in name for word in asked.kinds)}
    total: Counter[str] = Counter()
    faults: dict[tuple[str, str], tuple[int, int]] = {}
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory() as work:
        for number, (name, kind) in enumerate(kinds.items()):
            attack = Attack(name, kind, Path(work, str(number)))
            attack.read_whole()
            counted: Counter[str] = Counter()
            started = time.perf_counter()
            for case, outcome, fault in attack_apart(
                attack, asked.seed, -(-asked.cases // len(kinds))
            ):
                counted["fault" if fault else outcome] += 1
                if fault:
                    key = (name, fault.partition(": ")[0])
                    first, times = faults.get(key, (case, 0))
                    faults[key] = (first, times + 1)
                    if not times:
                        print(f"  {name}, case {case}: {fault}", flush=True)
            total += counted
            took = time.perf_counter() - started
            print(f"{name:32} {dict(counted)} {took:.1f} s", flush=True)
    print(f"all: {dict(total)}, {sum(total.values()):,} cases, seed {asked.seed}")
    for (name, fault), (case, times) in sorted(faults.items(), key=lambda each: -each[1][1]):
        print(f"{times:6} times: {name}: {fault} (first in case {case})")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
