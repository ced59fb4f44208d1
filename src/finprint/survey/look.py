"""A look at a folder of photos before any run: is it understood, and as what? No photo is decoded."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted, plural
from finprint.survey.dates import read_dates
from finprint.survey.hygiene import identities_alike, species_alike
from finprint.survey.layout import placed
from finprint.survey.names import Nobody
from finprint.survey.params import Csv, Prepare, is_project
from finprint.survey.sources import read_source
from finprint.survey.sources.boxes import tally
from finprint.survey.sources.disk import walk
from finprint.survey.sources.folders import asked_in
from finprint.survey.sources.guess import asked_beside, guess_table
from finprint.survey.sources.happywhale import is_happywhale, may_be_happywhale
from finprint.survey.sources.source import FACTS, Source, background, without_background

SHOWN = 8  # items of a list
REVIEWED = Path("data/decisions")  # the log of reviews of the photos in prepare.folder


@dataclass(frozen=True)
class Looked:
    """A folder, understood.

    Attributes:
        folder: with the photos.
        params: the section `prepare` that reads it.
        source: what it tells.
        decided: how many decisions of each kind were applied.
    """

    folder: Path
    params: Prepare
    source: Source
    decided: dict[str, int]

    @property
    def animals(self) -> pd.DataFrame:
        """The labelled photos but for those of `prepare.background`, which show no animal."""
        labelled, empty = self.source.labelled, background(self.params)
        return labelled[~labelled["image"].str.startswith(empty)] if empty else labelled


def look(folder: Path, params: Prepare, classes: bool = False) -> Looked:
    """Read a folder as `prepare` will.

    Args:
        folder: the folder with the photos.
        params: the section `prepare`. If its source is the drawn sample, the kind of source is taken from what lies
            in the folder.
        classes: names tell classes, and not individuals.

    Raises:
        UserError: the folder cannot be read as that kind of source; the message says why and what to do.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    if is_project(folder):
        raise UserError(f"{folder} is the project itself: name the photos' folder")
    ours = (
        params.source != "sample" and folder.resolve() == Path(params.folder).resolve()
    )  # whose photos the log is about
    if params.source == "sample":
        params = _kind(folder, params, classes)
    source, decided = read_source(params, folder, REVIEWED if ours else None)
    return Looked(folder, params, source, decided)


def describe(looked: Looked, kind: str = "individual") -> str:
    """Tell in a few lines how `prepare` will understand a folder; `kind` is what its names tell."""
    folder, params, source = looked.folder, looked.params, looked.source
    rows = [
        *(_folders(folder, params) if params.source == "folder" else []),
        *(_columns(params.csv) if params.source == "csv" else []),
        *_catalogue(looked, kind),
        *_facts(source, params),
        ("to identify", _photos(source.queries["image"].nunique()) + _told(source)),
        *(("boxes", f"{name}: {tally(counts)}") for name, counts in source.counts.items()),
        *([("decisions", _each(looked.decided))] if any(looked.decided.values()) else []),
        *_wrong(source),
    ]
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(
        [
            f"{folder} is read with prepare.source: {params.source}" + _asked(params),
            *(f"  {name:<{width}}{text}" for name, text in rows),
        ]
    )


def _kind(folder: Path, params: Prepare, classes: bool) -> Prepare:
    """The section `prepare` with the kind of source that lies in a folder, the columns of its table, and the folder of
    the photos to identify."""
    if is_happywhale(folder):
        return params.model_copy(update={"source": "happywhale"})
    if csv := guess_table(folder, params.csv, classes):
        return params.model_copy(update={"source": "csv", "csv": csv, "queries": asked_beside(folder, csv, params)})
    if may_be_happywhale(folder):
        return params.model_copy(update={"source": "happywhale"})
    return params.model_copy(update={"source": "folder", "queries": asked_in(folder, params)})


def _columns(csv: Csv) -> list[tuple[str, str]]:
    """Which columns of the table are read as what."""
    told = {name: getattr(csv, name) for name in ("image", *FACTS, "split", "box")}
    return [("table", f"{csv.file}: " + ", ".join(f"{name} from {column}" for name, column in told.items() if column))]


def _folders(folder: Path, params: Prepare) -> list[tuple[str, str]]:
    """Which forms the photos' folders have."""
    names = [name for name in without_background(walk(folder).photos(), params) if not name.startswith(params.asked)]
    counts = Counter(
        place.form or "elsewhere" for place in placed(names, params.folders, Nobody(params.nobody), folder)
    )
    return [("folders", _listed(f"{form} ({_photos(count)})" for form, count in counts.most_common()))]


def _asked(params: Prepare) -> str:
    """The folder of the photos to identify, if it has a name of its own."""
    own = params.source in ("folder", "csv") and params.queries.strip("/") != "queries"
    return f", prepare.queries: {params.queries}" if own else ""


def _catalogue(looked: Looked, kind: str) -> list[tuple[str, str]]:
    labelled = looked.animals
    each = labelled["identity"].value_counts()
    photos = labelled["path"].nunique()
    rows = [
        (
            "catalogue",
            f"{_photos(photos)}, {counted(len(each), kind)}, {int((each == 1).sum())} of them with one photo",
        )
    ]
    if unnamed := int(labelled["identity"].isna().sum()):
        rows.append(("nobody named", _photos(unnamed)))
    if looked.params.background:
        rows.append(("no animal", _photos(len(looked.source.labelled) - len(labelled))))
    if len(each):
        rows.append((plural(kind), _most(labelled["identity"].dropna())))
    return rows


def _told(source: Source) -> str:
    """Of how many photos to identify the names are told."""
    known = source.truth.dropna()["image"].nunique()
    return f", {known} of them with names, which only evaluate and judge read" if known else ""


def _facts(source: Source, params: Prepare) -> list[tuple[str, str]]:
    """Species, viewpoints, encounters and dates, where there are any."""
    photos = pd.concat([source.labelled, source.queries], ignore_index=True)
    rows = []
    for name in ("species", "viewpoint", "location"):
        if photos[name].notna().any():
            rows.append((name, _most(photos[name].fillna("not told"))))
    if photos["encounter"].notna().any():
        told = photos["encounter"].notna()
        rows.append(("encounters", f"{photos['encounter'].nunique()}, told for {told.sum()} of {_photos(len(photos))}"))
    dated = photos[photos["date"].notna()]
    if len(dated) and params.encounter_gap:
        read = read_dates(dict(zip(dated["date"], dated["image"], strict=True)), params.day_first)
        bad = [
            f"{image}: {date!r} {why}"
            for image, date in zip(dated["image"], dated["date"], strict=True)
            if (why := read[date].reason)
        ]
        when = [one.when for one in read.values() if one.when]
        span = f", {min(when):%Y-%m-%d} to {max(when):%Y-%m-%d}" if when else ""
        rows.append(("dates", f"{len(dated) - len(bad)} of {_photos(len(photos))}{span}"))
        rows += [("dates not read", _listed(bad))] if bad else []
    return rows


def _wrong(source: Source) -> list[tuple[str, str]]:
    """What is missing on disk, what is not used, and what names look wrong."""
    photos = pd.concat([source.labelled, source.queries], ignore_index=True)
    gone = [
        f"{image}: {source.barred.get(path, 'not on disk')}"
        for image, path in zip(photos["image"], photos["path"], strict=True)
        if path in source.barred or not Path(path).exists()
    ]
    findings = [
        *source.findings,
        *identities_alike(source.labelled["identity"].dropna()),
        *species_alike(source.labelled["species"].dropna()),
    ]
    looks = [
        " ".join(one for one in (f"{kind}:", name, other and f"and {other}", why and f"({why})") if one)
        for kind, name, other, why in findings
    ]
    lists = {
        "cannot be opened": gone,
        "not used": [f"{name}: {why}" for name, why in source.strays],
        "look at": looks,
    }
    rows = []
    for title, lines in lists.items():
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        rows += list(zip([title, *[""] * SHOWN], [*lines[:SHOWN], *more], strict=False))
    return rows


def _most(values: Iterable[str]) -> str:
    """How many there are of each value, most first."""
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    return _listed(f"{value} {count}" for value, count in counts)


def _photos(count: int) -> str:
    return counted(count, "photo")


def _each(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _listed(texts: Iterable[str]) -> str:
    items = list(texts)
    more = f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(items[:SHOWN]) + more
