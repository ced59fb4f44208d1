"""What the owner of a survey decided about its photos and names: dropped, merged, named otherwise."""

import difflib
from dataclasses import replace
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.sources.sheets import read_sheet
from finprint.survey.sources.source import Source

FILE = "decisions.csv"
ACTIONS = ("drop", "merge", "relabel")


def apply_decisions(source: Source, folder: Path) -> tuple[Source, dict[str, int]]:
    """Apply `decisions.csv` (action, id, to), where the folder has one, line by line.

    drop: the photo `id`, with all its animals, is used for nothing. relabel: the photo `id` shows the individual `to`;
    with no `to`, nobody known; of a photo to identify that is the truth, which `evaluate` alone reads. merge: the
    individual `id` is the individual `to`.

    Returns:
        The source, and how often each action stood there.

    Raises:
        UserError: an action, a photo or an individual that nobody knows.
    """
    path = folder / FILE
    decisions = read_sheet(path, ["action", "id"], optional=True).reindex(columns=["action", "id", "to"])
    decisions = decisions.apply(lambda column: column.astype("string").str.strip().replace({"": pd.NA}))
    labelled, queries, truth, boxes = (t.copy() for t in (source.labelled, source.queries, source.truth, source.boxes))
    images, asked = {*labelled["image"], *queries["image"]}, set(queries["image"])
    names = set(labelled["identity"].dropna()) | set(truth["identity"].dropna())
    known = names | set(decisions.loc[decisions["action"] == "merge", "to"].dropna())  # a merge may found a name
    for line, (action, one, to) in enumerate(decisions[["action", "id", "to"]].itertuples(index=False), start=2):
        if action not in ACTIONS:
            raise UserError(f"{path} line {line}: action {action!r} is none of {', '.join(ACTIONS)}")
        if action == "merge":
            _know(one, names, f"{path} line {line}: no individual is called")
            if pd.isna(to):
                raise UserError(f"{path} line {line}: merge needs the individual in column to")
            for table in (labelled, truth):
                table["identity"] = table["identity"].mask(table["identity"].eq(one).fillna(False), to)
            for these in (names, known):
                these.discard(one)
                these.add(to)
            continue
        _know(one, images, f"{path} line {line}: no photo is called")
        if action == "drop":
            gone = {one, *(image for image in labelled["image"] if image.rpartition("#")[0] == one)}
            labelled, queries, boxes = (t[~t["image"].isin(gone)] for t in (labelled, queries, boxes))
            continue
        if not pd.isna(to):
            _know(to, known, f"{path} line {line}: no individual is called")
        if one in asked:
            told = pd.DataFrame({"image": [one], "identity": [to]}, dtype="string")
            truth = pd.concat([truth[truth["image"] != one], told], ignore_index=True)
        labelled.loc[labelled["image"] == one, "identity"] = to
    counts = {action: int((decisions["action"] == action).sum()) for action in ACTIONS}
    return replace(source, labelled=labelled, queries=queries, truth=truth.dropna(), boxes=boxes), counts


def _know(name: object, known: set[str], complaint: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(str(name), sorted(known), 1)
        raise UserError(f"{complaint} {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
