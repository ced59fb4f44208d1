"""The tables of answers: their columns, checked where they are read and written."""

import pandas as pd
import pandera.pandas as pa

from finprint.store.tables import text

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
