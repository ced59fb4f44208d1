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
from finprint.export.folders import folder_name, into_folders
from finprint.export.history import (
    PERIODS,
    capture_table,
    discovery,
    estimate,
    every_occasion,
    histories,
    inp,
    occasions,
    read_occasions,
)
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
        occasions: a file of the occasions on which somebody was out, see `read_occasions`; None: those of sightings.
    """

    occasion: str
    least: float
    folders: Literal["copy", "link"] | None
    seed: int
    occasions: Path | None = None


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
    """Capture histories, plots and numbers of animals, of each species for itself."""
    sure = sightings[sightings["status"].ne(ANSWERED) | (sightings["probability"] >= wanted.least)]
    if not len(sure):
        yield f"no name is sure enough for a capture history (--least {wanted.least:g})"
        return
    if wanted.occasion in PERIODS and sure["date"].isna().all():
        yield "no capture history: no sighting has a date. --occasion also takes a column, such as encounter"
        return
    occasion = occasions(sure, wanted.occasion)
    if missing := int(occasion.isna().sum()):
        yield f"{counted(missing, 'sighting')} without an occasion ({wanted.occasion}) left out of the histories"
    told = read_occasions(wanted.occasions, wanted.occasion) if wanted.occasions else []
    every, all_of_them = every_occasion(occasion, told), occasions(sightings, wanted.occasion)
    if told and (more := [one for one in every if one not in told]):
        yield f"{counted(len(more), 'occasion')} with sightings, but not in {wanted.occasions}: {', '.join(more)}"
    kinds = sightings["species"].astype("string").fillna("of unknown species").str.replace("_", " ")
    for kind in sorted(kinds.unique()):
        own, alone = sure[kinds[sure.index] == kind], kinds.nunique() == 1
        seen = histories(own, occasion[own.index], every)
        if not len(seen):
            yield f"{kind}: no name that is sure enough (--least {wanted.least:g}) has an occasion"
            continue
        suffix = "" if alone else f"_{folder_name(kind.replace(' ', '_'))}"
        _write_histories(seen, discovery(own, occasion[own.index], every), out, suffix)
        what = "" if alone else f"{kind}: "
        columns = counted(len(every), "occasion")
        yield f"{what}{counted(len(seen), 'individual')} on {columns}: {out / f'history{suffix}.inp'}"
        yield from _numbers(sightings[kinds == kind], answers, all_of_them, wanted.seed, what)


def _write_histories(seen: pd.DataFrame, discovered: pd.Series, out: Path, suffix: str) -> None:
    """Write capture histories and the plots of them."""
    write_text(out / f"history{suffix}.inp", inp(seen))
    write_sheet(out / f"history{suffix}.csv", capture_table(seen))
    figure = sighting_plots(discovered, seen)
    for kind, drawn in (("png", png(figure)), ("svg", svg(figure))):
        with atomic(out / f"discovery{suffix}.{kind}") as draft:
            draft.write_bytes(drawn)


def _numbers(
    sightings: pd.DataFrame, answers: pd.DataFrame, occasion: pd.Series, seed: int, what: str
) -> Iterator[str]:
    """How many animals were seen, and how many there are; `what` is put before each line."""
    every = sorted(occasion.dropna().unique())

    def animals(table: pd.DataFrame) -> float:
        return float(table["individual"].nunique())

    def there_are(table: pd.DataFrame) -> float:
        return estimate(histories(table, occasion[table.index], every).to_numpy())

    doubtful = sightings["status"].eq(ANSWERED).any()
    wrong = _range(*doubt(sightings, answers, animals, seed)) if doubtful else ""
    yield f"{what}animals seen: {animals(sightings):.0f}" + (wrong and f"; if answers may be wrong, {wrong}")
    if not math.isnan(there_are(sightings)):
        wrong = _range(*doubt(sightings, answers, there_are, seed, 100)) if doubtful else ""
        number = f"{there_are(sightings):.0f}" + (wrong and f"; likewise {wrong}")
        yield f"{what}animals there are, if none comes or goes: {number}"


def _range(low: float, high: float) -> str:
    return "nobody can tell: there are no probabilities" if math.isnan(low) else f"{low:.0f} to {high:.0f}"
