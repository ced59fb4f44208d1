"""The tables of answers: their columns, checked where they are read and written; and tables for people."""

import re
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from finprint.base.files import DRAFT, atomic
from finprint.store.tables import text

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # no xlsx can hold these

ANSWERS = pa.DataFrameSchema(
    {
        "query": text(),
        "rank": pa.Column("int8", pa.Check.in_range(1, 5), coerce=True),
        "identity": text(),  # or NEW
        "score": pa.Column("float64", coerce=True),  # blended cosines; of NEW: the threshold
        # P(this answer is right), calibrated; missing where no calibration could be fitted
        "probability": pa.Column("float64", pa.Check.in_range(0, 1), nullable=True, coerce=True),
        "match": text(nullable=True),  # the gallery photo that gave the score; none for NEW
    },
    unique=["query", "identity"],
    strict=True,
    name="answers",
)


PROPOSED = pa.DataFrameSchema(
    {"image": pa.Column("string", unique=True, coerce=True), "proposed": text()},
    strict=True,
    name="proposed new individuals",
)


GALLERY = pa.DataFrameSchema(
    {"image": pa.Column("string", unique=True, coerce=True), "identity": text()}, strict=True, name="gallery"
)


def for_spreadsheets(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before each text that a spreadsheet would take for a formula.

    A photo or an individual may be called "=HYPERLINK(...)": whoever opens the table must not run it.
    """
    table = table.copy()
    for name in table.select_dtypes(["object", "string"]):
        table[name] = table[name].str.replace(r"^(?=[=+\-@\t\r])", "'", regex=True)
    return table


def write_sheet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as .csv or .xlsx by the path's suffix, atomically; no cell is taken for a formula."""
    table = for_spreadsheets(table)
    with atomic(path) as draft:
        if path.suffix == ".csv":
            table.round(6).to_csv(draft, index=False, lineterminator="\n")
        else:
            _write_xlsx(draft, table.round(6))


def _write_xlsx(path: Path, table: pd.DataFrame) -> None:
    from openpyxl import Workbook  # takes half a second to import

    book = Workbook(write_only=True)
    sheet = book.create_sheet(path.stem.removeprefix(".").removesuffix(DRAFT))
    sheet.freeze_panes = "B2"
    sheet.append(list(table.columns))
    for row in table.astype(object).where(table.notna(), None).itertuples(index=False):
        sheet.append([UNPRINTABLE.sub("", cell) if isinstance(cell, str) else cell for cell in row])
    book.save(path)
