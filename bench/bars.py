"""What every measurement has to reach, by what the processor can do: the one place that says so.

A bar is stated for instructions. The first whose instructions a processor has is the one that
holds there; where it has none of them the measurement is printed without a bar, or not made.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bar:
    """The least, or the most, that a measurement may be, where there are these instructions."""

    least: float | None = None
    most: float | None = None
    needs: str = ""  # a flag of /proc/cpuinfo; none: any processor

    def is_met(self, value: float) -> bool:
        low = self.least is None or value >= self.least
        return low and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        bounds = [f"at least {self.least:g}" if self.least is not None else "",
                  f"at most {self.most:g}" if self.most is not None else ""]  # fmt: skip
        return " and ".join(filter(None, bounds)) + (f" with {self.needs}" if self.needs else "")


BF16 = ("amx_bf16", "avx512_bf16")
# Measured on a Xeon with AMX: 1.26; on EPYCs, with AVX-512 and without: 1.12, where convolutions
# are slower, and what a step does beside them is less of its time.
STEP = (Bar(least=1.2, needs="amx_tile"), Bar(least=1.05))
BARS: dict[str, tuple[Bar, ...]] = {
    "step, fp32 at 224": STEP,
    "step, fp32 at 448": STEP,
    # AMX multiplies bf16 in tiles, AVX-512 in vectors.
    "step, bf16 at 224": (Bar(least=2.5, needs="amx_bf16"), Bar(least=2.0, needs="avx512_bf16")),
    "step, bf16 at 448": (Bar(least=2.8, needs="amx_bf16"),),
    "step, fp32": (Bar(least=1.0),),  # at other sizes
    "step, bf16": tuple(Bar(least=1.0, needs=flag) for flag in BF16),
    # numpy sorts with AVX-512 or AVX2 where it finds them, on a Xeon with AMX 7.7 times as fast,
    # on an EPYC 3.6 times; without them the ratio is about two.
    "metrics": (
        Bar(least=5.0, needs="amx_tile"),
        Bar(least=3.0, needs="avx512f"),
        Bar(least=1.5),
    ),
    "loader, exact": (Bar(least=1.8),),
    "loader, fast": (Bar(least=6.0),),
    "loader, cached": (Bar(least=20.0),),
    "loader, memory": (Bar(least=20.0),),
    "loader, device": (Bar(least=20.0),),
    "memory, fp32": (Bar(most=0.80),),
    "memory, bf16": (Bar(most=0.50),),
    "memory, fp32 in 2 parts": (Bar(most=0.60),),
    "memory, fp32 in 4 parts": (Bar(most=0.45),),
    "memory, fp32 with checkpointing": (Bar(most=0.75),),
    "predict, folded": (Bar(least=1.15),),
    "predict, folded bf16": (Bar(least=2.8, needs="amx_bf16"), Bar(least=2.5, needs="avx512_bf16")),
    "framework tax": (Bar(most=1.03),),
    # Powers of the size; what sorts, and what outgrows caches, is a little above 1.
    "scale, power": (Bar(most=1.25),),
    "scale, step": (Bar(most=1.5),),
    # Bytes of a cell, over all tables of the method.
    "tables, ll_cp": (Bar(most=1),),
    "tables, em_apl": (Bar(most=4),),
    "tables, role": (Bar(most=4),),
    "stream": (Bar(most=1.15),),
    "review, 95 % of verdicts in ms": (Bar(most=50),),
    "review, first question in s": (Bar(most=1),),
    "review, MB": (Bar(most=300),),
    "ten methods over one": (Bar(most=1.3),),
    "second run of quick, s": (Bar(most=30),),
    "stages, 160 px": (Bar(least=2.0),),
    "stages, 224 px": (Bar(least=2.5),),
    "first hour, minutes": (Bar(most=15),),
    "first hour, mAP": (Bar(least=65),),
}
MET, MISSED = "bar met", "BAR MISSED"


def instructions() -> set[str]:
    """Return the flags of the processor, as far as the system tells them."""
    cores = Path("/proc/cpuinfo")
    lines = cores.read_text(encoding="utf-8").splitlines() if cores.is_file() else []
    return set(next((line.split(":")[1] for line in lines if line.startswith("flags")), "").split())


def bar_of(name: str) -> Bar | None:
    """Return the bar of a measurement that holds on this processor, if one does."""
    known = instructions()
    return next((bar for bar in BARS[name] if not bar.needs or bar.needs in known), None)


def computes_in_bf16() -> bool:
    """Say whether the processor multiplies bf16 itself; where it does not, bf16 saves nothing."""
    return bool(instructions() & set(BF16))


def judge(found: Mapping[str, float], part: str = "") -> bool:
    """Print every measurement beside its bar, and return whether all are met.

    Several measurements may share a bar: ``part`` says which these are. What is printed goes to the
    standard error, beside results that may be read by a program.
    """
    good = True
    for name, value in found.items():
        bar = bar_of(name)
        met = bar is None or bar.is_met(value)
        good = good and met
        what = f"{name}, {part}" if part else name
        said = f"{MET if met else MISSED}: {what}: {value:.4g}, {bar or 'no bar here'}"
        print(said, file=sys.stderr, flush=True)
    return good
