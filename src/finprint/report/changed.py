"""The answers that differ from the last time, on a page and as a CSV."""

from pathlib import Path

import pandas as pd

from finprint.answers.tables import write_sheet
from finprint.base.files import write_text
from finprint.evaluation.changed import Answered, changed, reasons
from finprint.paper.pages import template


def write_changed(page: Path, before: str, table: pd.DataFrame, answered: int) -> None:
    """Write the page, and beside it the table as a CSV, atomically.

    Args:
        page: to write.
        before: what the answers are compared with.
        table: of `finprint.evaluation.changed.changed`.
        answered: number of photos that were answered before.
    """
    write_sheet(page.with_suffix(".csv"), table)
    rows = table.to_dict("records")
    write_text(page, template(__file__).render(before=before, rows=rows, why=reasons(table), answered=answered))


def tell_changed(page: Path, before: str, earlier: Answered, now: Answered) -> list[str]:
    """Write which answers differ from an earlier time, and why; returns the same in short, for the terminal.

    Where the same was answered from the same, nothing is told, and the page stays as it is.

    Args:
        page: to write, and a CSV beside it.
        before: what the answers are compared with.
        earlier: what was answered then.
        now: what is answered now.
    """
    if earlier.same(now):
        return []
    table, answered = changed(earlier, now), earlier.answers["query"].nunique()
    write_changed(page, before, table, answered)
    lines = [f"{count}: {reason}" for reason, count in reasons(table)]
    return [*lines, f"{len(table)} of {answered} first answers changed since {before}: {page}"]
