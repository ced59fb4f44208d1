"""How far long work has come, with an ETA: a bar on a terminal, in a log a line a minute."""

import sys
from typing import Any

from tqdm import tqdm

PERIOD = 60.0  # seconds from one line in a log to the next; what takes less leaves none


def bar(what: str, total: int, unit: str, items: Any = None, quiet: bool = False) -> "tqdm[Any]":
    """tqdm's bar, over `items`, an iterable, or to be updated by hand."""
    delay, least, most = (0.0, 0.1, 10.0) if sys.stderr.isatty() else (PERIOD, PERIOD, PERIOD)
    return tqdm(items, what, total, unit=unit, disable=quiet, delay=delay, mininterval=least, maxinterval=most)
