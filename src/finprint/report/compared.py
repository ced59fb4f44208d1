"""Two experiments side by side on one page, which needs no network: their metrics and their figures."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from finprint.base.files import atomic
from finprint.paper.pages import template


def write_compared(path: Path, names: tuple[str, str], table: pd.DataFrame, figures: list[Mapping[str, bytes]]) -> None:
    """Write the page, atomically.

    Args:
        names: of the experiments A and B.
        table: of `finprint.evaluation.compare.compare`.
        figures: of A and of B, PNGs by name. A figure that only one of them has stands beside an empty place.
    """
    titles = list(dict.fromkeys(name for own in figures for name in own))
    pairs = [(name, [base64.b64encode(own.get(name, b"")).decode() for own in figures]) for name in titles]
    rows = table.to_dict("records")
    with atomic(path) as draft:
        draft.write_text(template(__file__).render(names=names, rows=rows, pairs=pairs), encoding="utf-8")
