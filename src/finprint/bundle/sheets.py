"""Answers as people open them: CSV and xlsx, a row a photo."""

import re
from pathlib import Path

import pandas as pd

from finprint.answers.tables import for_spreadsheets
from finprint.base.files import atomic
from finprint.bundle.identified import Identified
from finprint.matching.ranking import ANSWERS
from finprint.store.tables import SIDES

RANKS = range(1, ANSWERS + 1)
COLUMNS = [
    "image", *(f"{kind}_{rank}" for rank in RANKS for kind in ("name", "probability")), "p_new", "match", "encounter",
    "side", *SIDES, "problem",
]  # fmt: skip
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # no xlsx can hold these


def answer_sheet(identified: Identified) -> pd.DataFrame:
    """A row for each photo: five names with their probabilities, P(new), the photo most like it, its box, problems."""
    answers, photos = identified.answers, identified.photos
    wide = {
        f"{told}_{rank}": answers[answers["rank"] == rank].set_index("query")[column]
        for rank in RANKS
        for told, column in (("name", "identity"), ("probability", "probability"))
    }
    matched = answers.dropna(subset="match").drop_duplicates("query").set_index("query")["match"]
    boxes = identified.crops.index.set_index("image")[SIDES]
    table = photos.drop(columns=SIDES, errors="ignore").rename(columns={"viewpoint": "side"}).set_index("image")
    return table.join(pd.DataFrame(wide)).assign(match=matched).join(boxes).reset_index()[COLUMNS]


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
    sheet = book.create_sheet("answers")
    sheet.freeze_panes = "B2"
    sheet.append(list(table.columns))
    for row in table.astype(object).where(table.notna(), None).itertuples(index=False):
        sheet.append([UNPRINTABLE.sub("", cell) if isinstance(cell, str) else cell for cell in row])
    book.save(path)
