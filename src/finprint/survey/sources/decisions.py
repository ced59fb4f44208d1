"""What people decided about the photos and names of a survey: in its `decisions.csv`, and in the log of reviews."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import sha256_path
from finprint.base.words import counted
from finprint.store.decisions import AWAY, NAMING, Decision, Log, content, located, names_made, standing
from finprint.store.tables import NEW, names_of
from finprint.survey.names import Nobody, one_form
from finprint.survey.sources.decided import ACTIONS, Asked, Decided
from finprint.survey.sources.sheets import locate, read_sheet
from finprint.survey.sources.source import Source

FILE = "decisions.csv"
COLUMNS = ["action", "id", "to"]


def decision(action: str, one: str, to: str = "") -> str:
    """A line of `decisions.csv`, quoted where it must be."""
    line = io.StringIO()
    cells = (action, one, to)
    special = any(set(cell) & set(";\t|\n\r") or cell != cell.strip() for cell in cells)
    writer = csv.writer(line, lineterminator="", quoting=csv.QUOTE_ALL if special else csv.QUOTE_MINIMAL)
    writer.writerow(cells)
    return line.getvalue()


def apply_decisions(
    source: Source, folder: Path, nobody: Nobody, log: Path | None = None
) -> tuple[Source, dict[str, int]]:
    """Apply `decisions.csv` (action, id, to), where the folder has one, line by line; then what stands of the log.

    drop: the photo `id`, with all its animals, is not used. relabel: the photo `id` shows the individual `to`; if `to`
    is empty or a name that means nobody, nobody knows whom. For a photo to identify this is the truth, which only
    `evaluate` and `judge` read. confirm: the photo to identify `id` shows the individual `to`, and joins the catalogue.
    new: it shows the new individual `to`; if that is empty, a name is made. unsure: it stays a photo to identify.
    unusable: the photo `id` is rejected. merge: the individual `id` is the individual `to`. rename: the individual `id`
    is called `to`. split: the photo `id` shows the new individual `to`, and not the one whom it is labelled as.

    Photos are called by their id or by their path in the folder. Individuals are called as they are on disk or in a
    table, or with underscores for spaces. Two equal lines are one.

    Args:
        source: the survey.
        folder: where it lies.
        nobody: names that mean nobody.
        log: a file that `store.decisions.Log` wrote, if there is one.

    Returns:
        The source, with the names that there were `before` the log, and how often each action stood there.

    Raises:
        UserError: an action, a photo or an individual that nobody knows, or a name for two individuals.
    """
    lines = _located(Log(log).read(mend=False) if log else [], source)
    written, reviewed = list(_written(folder, nobody)), list(_reviewed(lines, log))
    asked = [*written, *reviewed]
    made = [one.to for one in asked if one.action in NAMING and one.to]
    decided = Decided(source, folder, [*made, *sorted(names_made(lines) - set(made))])
    _apply(decided, written, nobody)
    before = names_of(decided.source().labelled)
    _apply(decided, reviewed, nobody)
    counts = {action: sum(one.action == action for one in asked) for action in ACTIONS}
    return replace(decided.source(), before=before), counts


def _located(lines: Sequence[Decision], source: Source) -> list[Decision]:
    """The lines, where photos that are known by their content are called as in the source."""
    if not any(line.contents for line in lines):
        return list(lines)
    there = sorted({place for place in source.paths().values() if Path(place).is_file()})
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing releases the interpreter lock
        hashes = dict(zip(there, pool.map(sha256_path, map(Path, there)), strict=True))
    paths = reversed(source.paths().items())  # of two copies the first counts
    images = {content(hashes[place], image): image for image, place in paths if place in hashes}
    placed = located(lines, images)
    if away := {photo for line in standing(placed) for photo in line.every if photo.startswith(AWAY)}:
        print(f"the decisions on {counted(len(away), 'photo')} wait until the photos are in the collection")
    return placed


def _apply(decided: Decided, asked: list[Asked], nobody: Nobody) -> None:
    """Apply decisions; one that cannot be is named with its place."""
    for one in asked:
        try:
            if one.action in NAMING and one.to and (one.to in nobody or one.to.casefold() == NEW):
                raise UserError(f"{one.to!r} means nobody, so no individual can be called so")
            decided.apply(one)
        except UserError as error:
            raise UserError(f"{one.place}: {error}{one.remedy}") from None


def _written(folder: Path, nobody: Nobody) -> Iterator[Asked]:
    """The lines of `decisions.csv`."""
    path = locate(folder / FILE) or folder / FILE
    table = read_sheet(path, COLUMNS[:2], optional=True)
    table = table.rename(columns={name: name.casefold() for name in table.columns}).reindex(columns=COLUMNS)
    table["action"] = table["action"].str.casefold()
    lines = table.apply(
        lambda column: column.map(lambda cell: one_form(cell).strip(), na_action="ignore")
    ).drop_duplicates()
    for line, row in zip(lines.index, lines.itertuples(index=False, name=None), strict=True):
        action, one, to = (None if pd.isna(cell) else str(cell) for cell in row)
        to = None if action == "relabel" and to and to in nobody else to
        yield Asked(f"{path} line {line + 2}", str(action), one, to)


def _reviewed(lines: Sequence[Decision], log: Path | None) -> Iterator[Asked]:
    """What stands of the log, but grades, which tell nothing about names."""
    remedy = "; undo this decision in the review page, or move the log away if it is about other photos"
    for one in standing(lines):
        if one.action == "grade":
            continue
        place = f"{log}: {one.action} by {one.who or 'somebody'}, {one.when}"
        if one.action in ("merge", "rename"):
            yield Asked(place, one.action, one.individual, one.to, remedy=remedy)
        else:
            for photo in one.every:
                yield Asked(place, one.action, photo, one.to or None, one.box, one.id, one.individual, remedy)
