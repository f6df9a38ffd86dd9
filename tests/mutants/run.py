"""Change the core in small ways, one at a time, and see whether a test notices.

    python tests/mutants/run.py [--sample N] [--seed S] [--only FILE] [--lived] [--report] [--write]

A process that has imported torch forks for every mutant, imports the changed file in place of the
real one and runs the tests that reach the changed line, quickest first, until one fails. Results
are written as they come to build/mutants, and an interrupted run goes on. `--lived` tries again
what lived, after tests were mended; `--write` writes docs/results/mutants.md.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import resource
import signal
import sys
import time
import tomllib
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "tests" / "support")]

from mutants.apply import SOURCE, install  # noqa: E402
from mutants.changes import Mutant, list_mutants  # noqa: E402
from mutants.report import write_page  # noqa: E402

ROOMS = ["methods", "losses.py", "labels.py", "evaluation", "runs/checkpoint.py"]
ROOMS += ["data/observe.py", "data/splits.py", "data/formats"]
TESTS = ["methods", "evaluation", "runs", "data", "benchmarks", "check", "test_losses.py"]
TESTS += ["test_labels.py", "test_labels_at_scale.py", "test_names.py"]
# Whole trainings, and tests that start processes: no line of these is traced.
LEFT_OUT = {"test_two_ranks.py", "test_gap_rejection_end_to_end.py", "test_no_waiting.py"}
LEFT_OUT |= {"test_manifest_bench.py"}
# What lives is tried by these as well: what speaks of processes, and what pages tell of methods.
RANKS, OF_RANKS = "tests/methods/test_two_ranks.py", ("world_size", "rank", "gather", "distributed")
DOCUMENTED = ["tests/test_docs.py::test_hyperparameters_are_documented_with_their_defaults"]
DOCUMENTED += ["tests/test_docs.py::test_the_row_of_a_method_is_true"]
BUILD = ROOT / "build" / "mutants"
HEAVY = ["hypothesis.strategies", "pyarrow.parquet", "pydantic", "pytest", "sklearn.metrics"]
HEAVY += ["timm", "torch", "torchvision"]
BROKEN = 70  # what a fork ends with if not the tests but this program fails
# A limit is of processor time, which other work on the machine does not change; a test that waits
# for what never comes is ended after so many times as much on the clock.
PATIENCE = 5
# Seconds of the processor, traced: longer tests are left out, and so is what exceeds the budget of
# a mutant; the second is for what is done at import, which every test of the file reaches.
SLOW, BUDGETS = 40.0, (120.0, 30.0)

Reached = dict[str, dict[str, list[str]]]  # file -> line -> tests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=None, help="so many of the mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--lived", action="store_true", help="try again what lived")
    parser.add_argument("--report", action="store_true", help="try none, tell what is known")
    parser.add_argument("--write", action="store_true", help="write docs/results/mutants.md")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    BUILD.mkdir(parents=True, exist_ok=True)
    mutants = list_all()
    total = len(mutants)
    if chosen.sample is not None:
        mutants = draw_sample(mutants, chosen.sample, chosen.seed)
    mutants = [mutant for mutant in mutants if chosen.only in mutant.file]
    reasons = read_reasons()
    done = read_results()
    if chosen.lived:
        done = {key: result for key, result in done.items() if result != "lived"}
    waiting = [mutant for mutant in mutants if mutant.key not in done and mutant.key not in reasons]
    if chosen.report:
        waiting = []
    else:
        import_what_is_heavy()
    seconds, reached = map_tests() if waiting else ({}, {})
    for number, mutant in enumerate(waiting, 1):
        tests = choose_tests(mutant, seconds, reached)
        result = try_mutant(mutant, tests, seconds)
        done[mutant.key] = result
        with (BUILD / "results.jsonl").open("a", encoding="utf-8") as file:
            line = {"of": fingerprint([SOURCE / mutant.file]), "key": mutant.key, "result": result}
            file.write(json.dumps(line) + "\n")
        if result == "lived":
            print(f"{number}/{len(waiting)} lived, {len(tests)} tests: {mutant.key}", flush=True)
    counted = {
        mutant.key: "equivalent" if mutant.key in reasons else done[mutant.key]
        for mutant in mutants
        if mutant.key in reasons or mutant.key in done
    }
    page = write_page(counted, reasons, total, chosen.sample, chosen.seed)
    print(page.split("\n## ")[0])
    if chosen.write:
        (ROOT / "docs" / "results" / "mutants.md").write_text(page, encoding="utf-8")


def list_all() -> list[Mutant]:
    found: list[Mutant] = []
    for room in ROOMS:
        at = SOURCE / room
        for path in sorted(at.rglob("*.py")) if at.is_dir() else [at]:
            name = path.relative_to(SOURCE).as_posix()
            found += list_mutants(name, path.read_text(encoding="utf-8"))
    return found


def draw_sample(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """Draw by what a mutant is called, so that an edit of the code exchanges few of them."""

    def lot(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {mutant.key}".encode()).digest()

    return sorted(mutants, key=lot)[:count]


def read_reasons() -> dict[str, str]:
    """Read which mutants do the same as the code, and why."""
    text = (Path(__file__).parent / "equivalent.toml").read_text(encoding="utf-8")
    return {key: row["why"] for row in tomllib.loads(text)["same"] for key in row["mutants"]}


def read_results() -> dict[str, str]:
    """Read what earlier runs found of files that are as they were; the last word counts."""
    path, found = BUILD / "results.jsonl", {}
    prints: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        row = json.loads(line)
        file = row["key"].split("::")[0]
        if file not in prints:
            prints[file] = fingerprint([SOURCE / file])
        if row["of"] == prints[file]:
            found[row["key"]] = row["result"]
    return found


def fingerprint(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()[:16]


def import_what_is_heavy() -> None:
    """Import what takes long, and nothing of ours: a fork imports that with its change."""
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", GOMP_SPINCOUNT="2000")
    # What pytest compiles is kept, and what is imported need not be searched for garbage.
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(ROOT / "build" / "bytecode")
    for name in HEAVY:
        import_module(name)
    calm_hypothesis()
    gc.collect()
    gc.freeze()
    os.chdir(ROOT)


def calm_hypothesis() -> None:
    """Draw the same examples each time, and look for no smaller one when a test has failed."""
    from hypothesis import Phase, settings

    phases = [Phase.explicit, Phase.generate]
    settings.register_profile(
        "mutants", phases=phases, database=None, derandomize=True, deadline=None
    )
    settings.load_profile("mutants")


def map_tests() -> tuple[dict[str, float], Reached]:
    """Return how long each test takes and which tests reach each line, from a run of them all.

    Only files of tests that changed, or that reach what changed, are run anew.
    """
    path = BUILD / "reached.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    tests = []
    for name in TESTS:
        at = ROOT / "tests" / name
        tests += sorted(at.rglob("test_*.py")) if at.is_dir() else [at]
    result = {}
    for test in [test for test in tests if test.name not in LEFT_OUT]:
        name = str(test.relative_to(ROOT))
        if known.get(name, {}).get("of") != fingerprint(_sources(test, known.get(name, {}))):
            status = run_in_fork(lambda test=test: trace(test), 900)
            if status != 0:
                raise SystemExit(f"{name} does not pass by itself; see {BUILD / 'last.txt'}.")
            known[name] = json.loads((BUILD / "trace.json").read_text(encoding="utf-8"))
            known[name]["of"] = fingerprint(_sources(test, known[name]))
            path.write_text(json.dumps(known), encoding="utf-8")
            print(f"{name}: {len(known[name]['seconds'])} tests", flush=True)
        result[name] = known[name]
    seconds: dict[str, float] = {}
    reached: Reached = defaultdict(lambda: defaultdict(list))
    for row in result.values():
        seconds |= row["seconds"]
        for test, files in row["reached"].items():
            for file, lines in files.items():
                for line in lines:
                    reached[file][str(line)].append(test)
    return seconds, reached


def _sources(test: Path, traced: dict[str, Any]) -> list[Path]:
    """Return a file of tests and the files of the core that it reached."""
    reached = {file for files in traced.get("reached", {}).values() for file in files}
    return [test, *(SOURCE / file for file in sorted(reached))]


class Tracer:
    """Note the lines of the core that each test reaches, its fixtures included.

    What a fixture of a whole module reaches is seen in the first test alone, so whatever is reached
    while a test is set up counts for all tests of its file.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.used = _processor_seconds()
        self.lines: set[tuple[str, int]] = set()
        self.reached: dict[str, set[tuple[str, int]]] = {}
        self.shared: set[tuple[str, int]] = set()
        self.failed: list[str] = []
        self.ours: dict[CodeType, str | None] = {}

    def pytest_runtest_logreport(self, report: object) -> None:
        test, passed = report.nodeid, report.passed  # type: ignore[attr-defined]
        before, self.used = self.used, _processor_seconds()
        self.seconds[test] = self.seconds.get(test, 0.0) + self.used - before
        self.reached.setdefault(test, set()).update(self.lines)
        if report.when == "setup":  # type: ignore[attr-defined]
            self.shared |= self.lines
        if not passed:
            self.failed.append(test)
        self.lines = set()
        sys.settrace(self.call)

    def call(self, frame: FrameType, event: str, argument: object) -> object:
        code = frame.f_code
        if code not in self.ours:
            path = code.co_filename
            inside = path.startswith(str(SOURCE))
            self.ours[code] = path[len(str(SOURCE)) + 1 :] if inside else None
        return self.line if self.ours[code] else None

    def line(self, frame: FrameType, event: str, argument: object) -> object:
        if event == "line":
            self.lines.add((self.ours[frame.f_code] or "", frame.f_lineno))
        return self.line

    def as_json(self) -> str:
        left_out = set(self.failed)
        reached = {}
        for test, lines in self.reached.items():
            if test in left_out:
                continue
            files: dict[str, list[int]] = defaultdict(list)
            for file, line in sorted(lines | self.shared):
                files[file].append(line)
            reached[test] = files
        seconds = {test: spent for test, spent in self.seconds.items() if test not in left_out}
        return json.dumps({"seconds": seconds, "reached": reached})


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def trace(test: Path) -> int:
    tracer = Tracer()
    sys.settrace(tracer.call)
    status = run_pytest([str(test.relative_to(ROOT))], tracer)
    sys.settrace(None)
    (BUILD / "trace.json").write_text(tracer.as_json())
    return 0 if status in (0, 1) else status


def run_pytest(tests: list[str], *plugins: object) -> int:
    import pytest

    options = [f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "anyio")]
    options += ["-m", "not gpu and not slow", "--basetemp", str(BUILD / "temporary")]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is imported already
    return int(pytest.main([*options, *([] if plugins else ["-x"]), *tests], plugins=[*plugins]))


def run_in_fork(job: Callable[[], int], limit: float) -> int | None:
    """Run a job in a process of its own and return its status, None where it took too long."""
    child = os.fork()
    if child == 0:
        status = BROKEN
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
            output = os.open(BUILD / "last.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            status = job()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    end = time.monotonic() + PATIENCE * limit
    try:
        while time.monotonic() < end:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                code = os.waitstatus_to_exitcode(status)
                return None if code in (-signal.SIGXCPU, -signal.SIGKILL) else code
            time.sleep(0.02)
    except BaseException:
        os.killpg(child, signal.SIGKILL)
        raise
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def choose_tests(mutant: Mutant, seconds: dict[str, float], reached: Reached) -> list[str]:
    """Return the tests that reach a mutant, quickest first; the whole file's, if it is imported."""
    lines = reached.get(mutant.file, {})
    wanted = lines if mutant.at_import else [str(line) for line in mutant.lines]
    found = {test for line in wanted for test in lines.get(line, ())}
    chosen, spent = [], 0.0
    for test in sorted(found, key=lambda test: (seconds[test], test)):
        spent += seconds[test]
        if seconds[test] > SLOW or spent > BUDGETS[mutant.at_import]:
            break
        chosen.append(test)
    return chosen


def try_mutant(mutant: Mutant, tests: list[str], seconds: dict[str, float]) -> str:
    """Return killed, or lived; a test that never ends has noticed, too."""
    limit = 30 + 5 * sum(seconds[test] for test in tests)
    status = run_in_fork(lambda: run_changed(mutant, tests), limit) if tests else 0
    if status == 4:  # a test by that name is gone, which alone is no failure
        files = sorted({test.split("::")[0] for test in tests})
        status = run_in_fork(lambda: run_changed(mutant, files), limit + 60)
    if status == 0 and any(word in mutant.before for word in OF_RANKS):
        status = run_in_fork(lambda: run_changed(mutant, [RANKS]), 600)
    if status == 0 and mutant.at_import and mutant.file.startswith("methods/"):
        status = run_in_fork(lambda: run_changed(mutant, DOCUMENTED), 300)
    if status is None:
        print(f"took too long, and counts as killed: {mutant.key}", flush=True)
    if status in (BROKEN, 5):
        raise SystemExit(f"{mutant.key} could not be tried; see {BUILD / 'last.txt'}.")
    return "lived" if status == 0 else "killed"


def run_changed(mutant: Mutant, tests: list[str]) -> int:
    install(mutant.key)
    return run_pytest(tests)


if __name__ == "__main__":
    main()
