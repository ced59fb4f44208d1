"""Where photos and labels come from: each kind of source is read into the same tables, unchecked against the disk."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.store.tables import NEW
from finprint.survey.params import Prepare
from finprint.survey.sources.csv_table import read_any_csv
from finprint.survey.sources.decisions import apply_decisions, decision
from finprint.survey.sources.folders import read_folders
from finprint.survey.sources.happywhale import read_happywhale
from finprint.survey.sources.source import Source, whole_name


def read_source(params: Prepare, folder: Path) -> tuple[Source, dict[str, int]]:
    """Read a source, mend its species typos, apply its owner's decisions and check its ids.

    Args:
        params: the section `prepare`.
        folder: where the source lies.

    Returns:
        The source, and how many decisions of each kind were applied.

    Raises:
        UserError: something is missing, or an id cannot stand in an answer.
    """
    asked = params.queries.strip("/")  # a shell's completion leaves a slash
    if params.source == "folder":
        source = read_folders(folder, asked, params.boxes, params.box_confidence)
    elif params.source == "csv":
        source = read_any_csv(folder, params.csv, asked, params.boxes, params.box_confidence)
    else:
        source = read_happywhale(folder, params.boxes, params.box_confidence)
    labelled, queries = (
        table.assign(species=table["species"].replace(params.species_typos))
        for table in (source.labelled, source.queries)
    )
    decided, counts = apply_decisions(replace(source, labelled=labelled, queries=queries), folder)
    decided = _whole_names(decided, folder)
    _check_ids(decided, folder)
    return decided, counts


def _whole_names(source: Source, folder: Path) -> Source:
    """Spaces in individuals' names become underscores, since spaces stand between the names of an answer."""
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
    for table, own in ((source.labelled, True), (source.truth, False)):
        first = table.dropna(subset="identity").drop_duplicates("identity")
        for image, identity in zip(first["image"], first["identity"], strict=True):
            if own and identity == NEW:
                raise UserError(f"{folder}: {image}: an individual cannot be called {NEW}: leave it empty")
    both = set(source.labelled["image"]) & set(source.queries["image"])
    if both:
        raise UserError(
            f"{folder}: {len(both)} photos of the catalogue and photos to identify are called alike, {min(both)} for "
            "one: a photo's name is its id, rename one of the two"
        )
