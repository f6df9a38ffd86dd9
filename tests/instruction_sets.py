"""Run the tests that compare digits as processors with fewer instructions would.

    python tests/instruction_sets.py [SET ...] [-- PYTEST-OPTION ...]

Kernels are chosen by what a processor can do and by how much there is to do, and each sums in an
order of its own. What holds on one processor may have held by luck: these tests, marked ``digits``,
have to hold under every set. Sets that this processor lacks are skipped, and that is said; so is
the one it has by itself, under which all tests run anyway.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
# name -> the flag of /proc/cpuinfo it needs, and what tells torch, oneDNN and MKL to keep to it
SETS: dict[str, tuple[str, dict[str, str]]] = {
    "sse": (
        "sse4_1",
        {
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        },
    ),
    "avx2": (
        "avx2",
        {
            "ATEN_CPU_CAPABILITY": "avx2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        },
    ),
    "avx512": (
        "avx512f",
        {
            "ATEN_CPU_CAPABILITY": "avx512",
            "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
            "MKL_ENABLE_INSTRUCTIONS": "AVX512",
        },
    ),
}
# Where a processor has one of these, its own kernels are none of the sets above.
MORE = ("avx512_bf16", "amx_bf16")


def known_flags() -> set[str]:
    """Return what the processor can do, as far as the system tells."""
    cores = Path("/proc/cpuinfo")
    lines = cores.read_text(encoding="utf-8").splitlines() if cores.is_file() else []
    return set(next((line.split(":")[1] for line in lines if line.startswith("flags")), "").split())


def chosen(asked: list[str], flags: set[str]) -> tuple[list[str], list[str]]:
    """Return the sets to run, and a line about every one that is left out."""
    possible = [name for name, (flag, _) in SETS.items() if flag in flags]
    own = possible[-1] if possible and not flags & set(MORE) else None
    run, told = [], []
    for name in asked or SETS:
        if name not in possible:
            told.append(f"{name}: skipped, this processor has no {SETS[name][0]}")
        elif name == own and not asked:
            told.append(f"{name}: skipped, it is what this processor does by itself")
        else:
            run.append(name)
    return run, told


def main(arguments: list[str]) -> int:
    """Run the tests under each set, and say under which they failed."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    asked, options = arguments[:cut], arguments[cut + 1 :]
    if unknown := sorted(set(asked) - set(SETS)):
        print(f"There is no set {', '.join(unknown)}; there are {', '.join(SETS)}.")
        return 2
    run, told = chosen(asked, known_flags())
    print("\n".join(told))
    command = [sys.executable, "-m", "pytest", "-m", "digits", "-p", "no:cacheprovider"]
    failed = []
    for name in run:
        print(f"{name}: {' '.join(f'{key}={value}' for key, value in SETS[name][1].items())}")
        started = time.monotonic()
        environment = {**os.environ, **SETS[name][1], "OMP_NUM_THREADS": "1"}
        status = subprocess.run(
            [*command, *(options or ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"])],
            cwd=ROOT,
            env=environment,
        ).returncode
        print(f"{name}: {'held' if status == 0 else 'FAILED'}, {time.monotonic() - started:.0f} s")
        failed += [name] if status else []
    print(f"Failed under {', '.join(failed)}." if failed else f"Held under {len(run)} sets.")
    return 1 if failed or not run else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
