"""Where photos and labels come from: each kind of source is read into the same tables, unchecked against the disk."""

from dataclasses import replace
from pathlib import Path

from finprint.errors import UserError
from finprint.params import Prepare
from finprint.sources.csv_table import read_any_csv
from finprint.sources.decisions import apply_decisions
from finprint.sources.folders import read_folders
from finprint.sources.happywhale import read_happywhale
from finprint.sources.source import Source
from finprint.tables import NEW


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
    _check_ids(decided, folder)
    return decided, counts


def _check_ids(source: Source, folder: Path) -> None:
    for table, own in ((source.labelled, True), (source.truth, False)):
        first = table.dropna(subset="identity").drop_duplicates("identity")
        for image, identity in zip(first["image"], first["identity"], strict=True):
            if own and identity == NEW:
                raise UserError(f"{folder}: {image}: an individual cannot be called {NEW}: leave it empty")
            if any(character.isspace() for character in identity):
                raise UserError(
                    f"{folder}: {image}: the individual's name {identity!r} contains a space, "
                    "and answers are separated by spaces: rename it"
                )
    both = set(source.labelled["image"]) & set(source.queries["image"])
    if both:
        raise UserError(
            f"{folder}: {len(both)} photos of the catalogue and photos to identify are called alike, {min(both)} for "
            "one: a photo's name is its id, rename one of the two"
        )
