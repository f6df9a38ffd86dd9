"""Hyperparameters under which every method does all it can within two short epochs."""

from __future__ import annotations

from typing import Any

ACTIVE: dict[str, dict[str, Any]] = {
    "epr": {},
    "role": {"row_rate": 0.1},
    "em_apl": {"warmup_epochs": 1, "share": 0.5},
    "splc": {"threshold": 0.4, "from_epoch": 2},
    "ll_r": {"rate": 0.3},
    "ll_ct": {"rate": 0.3},
    "ll_cp": {"rate": 0.3},
    "boostlu": {"rate": 0.3},
    "plc": {"threshold": 0.5},
    "plc_lac": {"threshold": 0.5, "late_threshold": 0.5, "queue_size": 16},
    "ignore": {"warmup_epochs": 1, "gap_decay": 0.5, "average_decay": 0.5},
    "calr": {"warmup_epochs": 1, "gap_decay": 0.5, "average_decay": 0.5, "cap": True},
    "crisp": {"warmup_epochs": 1},
    "gr": {},
}
