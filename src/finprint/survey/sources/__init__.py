"""Where photos and labels come from: each kind of source is read into the same tables, unchecked against the disk."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.unchanged import depend_on
from finprint.base.words import counted
from finprint.store.decisions import LOG
from finprint.store.tables import NEW
from finprint.survey.degrees import MOST, read_numbers
from finprint.survey.hygiene import nobodies
from finprint.survey.names import Nobody, one_form, side, whole_name
from finprint.survey.params import Prepare
from finprint.survey.sources.beside import told_beside
from finprint.survey.sources.csv_table import read_any_csv
from finprint.survey.sources.decisions import apply_decisions, decision
from finprint.survey.sources.disk import inner, plain_path, refuse_unwatched
from finprint.survey.sources.folders import read_folders
from finprint.survey.sources.happywhale import read_happywhale
from finprint.survey.sources.source import FACTS, Source, table_names, with_background


def read_source(params: Prepare, folder: Path, decisions: Path | None = None) -> tuple[Source, dict[str, int]]:
    """Read a source, correct typos in its species, apply what people decided and check its ids.

    The folder must stay as it is until the stage ends.

    Args:
        params: the section `prepare`.
        folder: where the source lies.
        decisions: the folder of the log of reviews, if there is one.

    Returns:
        The source, and how many decisions of each kind were applied.

    Raises:
        UserError: something is missing, lies where DVC does not watch, or an id cannot stand in an answer.
    """
    depend_on(folder)
    for name in table_names(params, folder):
        refuse_unwatched(folder / inner(name, folder, "prepare.csv.file or prepare.boxes"), folder)
    nobody = Nobody([*params.nobody, *([params.csv.unknown] if params.source == "csv" else [])])
    if params.source == "folder":
        source = told_beside(read_folders(folder, params, nobody), folder, params)
    elif params.source == "csv":
        source = read_any_csv(folder, params)
    else:
        source = read_happywhale(folder, params)
    source = with_background(source, params, folder)
    decided, counts = apply_decisions(
        _in_one_form(source, params, nobody, folder), folder, nobody, decisions / LOG if decisions else None
    )
    decided = _whole_names(decided, folder)
    _check_ids(decided, folder)
    return decided, counts


def _degrees(told: pd.DataFrame, what: str) -> pd.Series:
    """The photos' latitudes or longitudes as numbers.

    Raises:
        UserError: one cannot be read.
    """
    numbers, wrong = read_numbers(told[what], MOST[what])
    for row in wrong.index[wrong.notna()][:1]:
        raise UserError(f"{told['image'][row]}: {what} is {told[what][row]!r}, {wrong[row]}")
    return numbers


def _in_one_form(source: Source, params: Prepare, nobody: Nobody, folder: Path) -> Source:
    """The source, where words for "not known" are missing, species have no typos, and sides are left or right."""
    names = Counter(source.labelled["identity"].dropna())

    def plain(table: pd.DataFrame) -> pd.DataFrame:
        facts = table[[column for column in FACTS if column in table]]
        nobodies = {text for column in facts for text in facts[column].dropna().unique() if text in nobody}
        return table.assign(**facts.mask(facts.isin(nobodies)))

    labelled, queries = (
        plain(table).assign(
            species=lambda told: told["species"].replace(params.species_typos),
            viewpoint=lambda told: told["viewpoint"].map(_side, na_action="ignore").astype("string"),
            latitude=lambda told: _degrees(told, "latitude"),
            longitude=lambda told: _degrees(told, "longitude"),
        )
        for table in (source.labelled, source.queries)
    )
    return replace(
        source,
        labelled=labelled,
        queries=queries,
        truth=plain(source.truth),
        boxes=source.boxes.assign(
            image=[plain_path(image, folder) for image in source.boxes["image"]], part=_parts(source.boxes["part"])
        ),
        findings=[*source.findings, *nobodies(names, nobody)],
    )


def _parts(parts: pd.Series) -> pd.Series:
    """Names of parts without spaces around them; one that is written in several ways, `Fin` and `fin`, in small
    letters."""
    written = parts.map(lambda part: one_form(str(part)).strip(), na_action="ignore")
    spelled = Counter(part.casefold() for part in written.dropna().unique())
    return written.map(lambda part: part.casefold() if spelled[part.casefold()] > 1 else part, na_action="ignore")


def _side(viewpoint: str) -> str | None:
    told = side(viewpoint)
    return viewpoint if told is None else None if told == "both" else told


def _whole_names(source: Source, folder: Path) -> Source:
    """Spaces in individuals' names become underscores, because spaces separate the names in an answer."""
    tables = [source.labelled, source.truth]
    of: dict[str, str] = {}
    for name in pd.concat([table["identity"] for table in tables]).dropna().unique():
        other = of.setdefault(whole_name(name), name)
        if other.split() != name.split():
            raise UserError(
                f"{folder}: {other!r} and {name!r} would both be called {whole_name(name)}: rename one of them, or "
                f"write into decisions.csv: {decision('merge', other, name)}"
            )
    names = [table["identity"].map(whole_name, na_action="ignore").astype("string") for table in tables]
    labelled, truth = (
        table.assign(identity=name.mask(name.eq("").fillna(False))) for table, name in zip(tables, names, strict=True)
    )
    return replace(source, labelled=labelled, truth=truth)


def _check_ids(source: Source, folder: Path) -> None:
    first = source.labelled.dropna(subset="identity").drop_duplicates("identity")
    for image, identity in zip(first["image"], first["identity"], strict=True):
        if identity.casefold() == NEW:  # written otherwise it would be an animal beside the answer of the same name
            raise UserError(f"{folder}: {image}: an individual cannot be called {NEW}: rename it, or leave it empty")
    both = set(source.labelled["image"]) & set(source.queries["image"])
    if both:
        raise UserError(
            f"{folder}: {counted(len(both), 'photo')} of the catalogue with the name of a photo to identify, such as "
            f"{min(both)}: rename one of the two, because a photo's name is its id"
        )
