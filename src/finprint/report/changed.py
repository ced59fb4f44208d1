"""The answers that differ from the last time, on a page and as a CSV."""

from pathlib import Path

import pandas as pd

from finprint.answers.tables import for_spreadsheets
from finprint.base.files import atomic, write_text
from finprint.evaluation.changed import reasons
from finprint.paper.pages import template


def write_changed(page: Path, before: str, table: pd.DataFrame, answered: int) -> None:
    """Write the page, and beside it the table as a CSV, atomically.

    Args:
        page: to write.
        before: what the answers are compared with.
        table: of `finprint.evaluation.changed.changed`.
        answered: number of photos that were answered before.
    """
    with atomic(page.with_suffix(".csv")) as draft:
        for_spreadsheets(table).round(6).to_csv(draft, index=False, lineterminator="\n")
    rows = table.to_dict("records")
    write_text(page, template(__file__).render(before=before, rows=rows, why=reasons(table), answered=answered))
