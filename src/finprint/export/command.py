"""finprint export: everything that other programs want to know of the sightings."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from finprint.answers.tables import write_sheet
from finprint.base.files import atomic, read_json, write_text
from finprint.base.words import counted
from finprint.bundle.identified import REVIEW, RUN
from finprint.export.doubt import doubt
from finprint.export.folders import into_folders
from finprint.export.history import capture_table, discovery, estimate, histories, inp, occasions
from finprint.export.plots import sighting_plots
from finprint.export.sightings import ANSWERED, darwin_core, of_identified, of_pipeline
from finprint.paper.figure import png, svg


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        occasion: day, month, year, or a column of the sightings.
        least: probability from which an answer counts in histories; confirmed names always do.
        folders: copy or link photos into folders by individual; None: neither.
        seed: of the draws behind the intervals.
    """

    occasion: str
    least: float
    folders: Literal["copy", "link"] | None
    seed: int


def export(source: Path, out: Path, wanted: Wanted) -> Iterator[str]:
    """Write sightings, capture histories, plots and folders; tell what was written, a line each.

    Args:
        source: `data` of a finished run, or a folder that `finprint identify` wrote.
        out: folder to write.
        wanted: how.

    Raises:
        UserError: nothing was answered there, or an occasion or a photo is missing.
    """
    identified = (source / REVIEW / RUN).is_file()
    sightings, answers = of_identified(source) if identified else of_pipeline(source)
    status = sightings["status"].value_counts()
    write_sheet(out / "sightings.csv", sightings)
    write_sheet(out / "sightings.xlsx", sightings)
    write_sheet(out / "darwin_core.csv", darwin_core(sightings))
    yield f"{counted(len(sightings), 'sighting')} ({', '.join(f'{n} {name}' for name, n in status.items())}): {out}"
    if wanted.folders:
        root = Path(read_json(source / REVIEW / RUN)["folder"]) if identified else Path()
        made, gone = into_folders(sightings, root, out / "photos", wanted.folders)
        moved = f", {gone} taken away that showed somebody else before" if gone else ""
        yield f"{counted(made, 'photo')} new in folders by individual{moved}: {out / 'photos'}"
    yield from _counted(sightings, answers, out, wanted)


def _counted(sightings: pd.DataFrame, answers: pd.DataFrame, out: Path, wanted: Wanted) -> Iterator[str]:
    """Capture histories, plots and numbers of animals."""
    sure = sightings[sightings["status"].ne(ANSWERED) | (sightings["probability"] >= wanted.least)]
    if not len(sure):
        yield f"no name is sure enough for a capture history (--least {wanted.least:g})"
        return
    occasion = occasions(sure, wanted.occasion)
    if missing := int(occasion.isna().sum()):
        yield f"{counted(missing, 'sighting')} without an occasion ({wanted.occasion}) left out of the histories"
    seen = histories(sure, occasion)
    write_text(out / "history.inp", inp(seen))
    write_sheet(out / "history.csv", capture_table(seen))
    figure = sighting_plots(discovery(sure, occasion), seen)
    for kind, drawn in (("png", png(figure)), ("svg", svg(figure))):
        with atomic(out / f"discovery.{kind}") as draft:
            draft.write_bytes(drawn)
    yield f"{counted(len(seen), 'individual')} on {counted(seen.shape[1], 'occasion')}: {out / 'history.inp'}"

    def animals(table: pd.DataFrame) -> float:
        return float(table["individual"].nunique())

    def there_are(table: pd.DataFrame) -> float:
        return estimate(histories(table, occasions(table, wanted.occasion)).to_numpy())

    low, high = doubt(sightings, answers, animals, wanted.seed)
    yield f"animals seen: {animals(sightings):.0f}; if answers may be wrong, {_range(low, high)}"
    if seen.shape[1] > 1:
        low, high = doubt(sightings, answers, there_are, wanted.seed, 100)
        yield f"animals there are, if none comes or goes: {there_are(sightings):.0f}; likewise {_range(low, high)}"


def _range(low: float, high: float) -> str:
    return "nobody can tell: there are no probabilities" if math.isnan(low) else f"{low:.0f} to {high:.0f}"
