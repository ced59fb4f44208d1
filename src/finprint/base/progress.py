"""How far long work has come, with an ETA: a bar on a terminal, in a log a line a minute."""

import sys
from typing import Any

from tqdm import tqdm

PERIOD = 60.0  # seconds from one line in a log to the next; what takes less leaves none


class _Log:
    """Standard error, where a bar is drawn anew in a line of its own."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.replace("\r", "").rstrip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def bar(what: str, total: int, unit: str, items: Any = None, quiet: bool = False) -> "tqdm[Any]":
    """tqdm's bar, over `items`, an iterable, or to be updated by hand."""
    if sys.stderr.isatty():
        return tqdm(items, what, total, unit=unit, disable=quiet)
    return tqdm(
        items, what, total, unit=unit, disable=quiet, file=_Log(), ascii=True,
        delay=PERIOD, mininterval=PERIOD, maxinterval=PERIOD,
    )  # fmt: skip
