"""What the owner of a survey decided about its photos and names: dropped, merged, named otherwise."""

import csv
import difflib
import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.names import Nobody, one_form, whole_name
from finprint.survey.sources.sheets import locate, read_sheet
from finprint.survey.sources.source import Source

FILE = "decisions.csv"
COLUMNS = ["action", "id", "to"]
ACTIONS = ("drop", "merge", "relabel")


def decision(action: str, one: str, to: str = "") -> str:
    """A line of `decisions.csv`, quoted where it must be."""
    line = io.StringIO()
    cells = (action, one, to)
    special = any(set(cell) & set(";\t|\n\r") or cell != cell.strip() for cell in cells)
    writer = csv.writer(line, lineterminator="", quoting=csv.QUOTE_ALL if special else csv.QUOTE_MINIMAL)
    writer.writerow(cells)
    return line.getvalue()


def apply_decisions(source: Source, folder: Path, nobody: Nobody) -> tuple[Source, dict[str, int]]:
    """Apply `decisions.csv` (action, id, to), where the folder has one, line by line.

    drop: the photo `id`, with all its animals, is not used. relabel: the photo `id` shows the individual `to`; if `to`
    is empty or a name that means nobody, nobody knows whom. For a photo to identify this is the truth, which only
    `evaluate` reads. merge: the individual `id` is the individual `to`.

    Photos are called by their id or by their path in the folder. Individuals are called as they are on disk or in a
    table, or with underscores for spaces. Two equal lines are one.

    Args:
        source: the survey.
        folder: where it lies.
        nobody: names that mean nobody.

    Returns:
        The source, and how often each action stood there.

    Raises:
        UserError: an action, a photo or an individual that nobody knows.
    """
    path = locate(folder / FILE) or folder / FILE
    table = read_sheet(path, COLUMNS[:2], optional=True)
    table = table.rename(columns={name: name.casefold() for name in table.columns}).reindex(columns=COLUMNS)
    table["action"] = table["action"].str.casefold()
    lines = table.apply(
        lambda column: column.map(lambda cell: one_form(cell).strip(), na_action="ignore")
    ).drop_duplicates()
    decided = _Decided(source, folder, lines.loc[lines["action"] == "merge", "to"].dropna())
    for line, row in zip(lines.index, lines.itertuples(index=False, name=None), strict=True):
        action, one, to = (None if pd.isna(cell) else str(cell) for cell in row)
        try:
            if action not in ACTIONS:
                raise UserError(f"action {action!r} is none of {', '.join(ACTIONS)}")
            if one is None:
                raise UserError("id is empty")
            getattr(decided, action)(one, None if action == "relabel" and to and to in nobody else to)
        except UserError as error:
            raise UserError(f"{path} line {line + 2}: {error}") from None
    return decided.source(), {action: int((lines["action"] == action).sum()) for action in ACTIONS}


class _Decided:
    """A survey to which decisions are applied one by one.

    Attributes:
        tables: of the source, by their names in it.
        names: individuals that there are.
        named: those and the ones that merges will make.
    """

    def __init__(self, source: Source, folder: Path, merged: Iterable[str]) -> None:
        self._source = source
        self.tables = {name: getattr(source, name).copy() for name in ("labelled", "queries", "truth", "boxes")}
        every = pd.concat([source.labelled[["image", "path"]], source.queries[["image", "path"]]])
        self._photos = _Spellings(every["image"], "photo")
        for image, place in every.itertuples(index=False, name=None):
            self._photos.also(
                Path(place).relative_to(folder).as_posix() if folder in Path(place).parents else place, image
            )
        self._asked = set(source.queries["image"])
        names = [*source.labelled["identity"].dropna().unique(), *source.truth["identity"].dropna().unique()]
        self._names = _Spellings(names, "individual")
        self._named = _Spellings([*names, *(name for name in merged if name not in self._names)], "individual")

    def source(self) -> Source:
        """The source as it is now."""
        return replace(self._source, **(self.tables | {"truth": self.tables["truth"].dropna()}))

    def merge(self, one: str, to: str | None) -> None:
        """The individual `one` is `to`, which may be a new name."""
        before = self._names.find(one)
        if to is None:
            raise UserError("merge needs the individual in column to")
        after = self._names.find(to) if to in self._names else to
        after = to if after == before else after  # its own name, spelled in another way
        for name in ("labelled", "truth"):
            identity = self.tables[name]["identity"]
            self.tables[name]["identity"] = identity.mask(identity.eq(before).fillna(False), after)
        for names in (self._names, self._named):
            names.forget(before)
            names.learn(after)

    def drop(self, one: str, _: str | None) -> None:
        """The photo `one` and the animals in it are not used."""
        image = self._photos.find(one)
        gone = {image, *(other for other in self.tables["labelled"]["image"] if other.rpartition("#")[0] == image)}
        for name in ("labelled", "queries", "boxes"):
            table = self.tables[name]
            self.tables[name] = table[~table["image"].isin(gone)]

    def relabel(self, one: str, to: str | None) -> None:
        """The photo `one` shows the individual `to`; None: nobody knows whom."""
        image = self._photos.find(one)
        identity: Any = pd.NA if to is None else self._named.find(to)
        if image in self._asked:
            told = pd.DataFrame({"image": [image], "identity": [identity]}, dtype="string")
            truth = self.tables["truth"]
            self.tables["truth"] = pd.concat([truth[truth["image"] != image], told], ignore_index=True)
        labelled = self.tables["labelled"]
        labelled.loc[labelled["image"] == image, "identity"] = identity


class _Spellings:
    """Names that there are, found in the spellings that people use: spaces or underscores, any Unicode form."""

    def __init__(self, names: Iterable[str], kind: str) -> None:
        self._kind = kind
        self._names: set[str] = set()
        self._spelled: dict[str, set[str]] = {}
        for name in names:
            self.learn(name)

    def learn(self, name: str) -> None:
        self._names.add(name)
        self.also(name, name)

    def also(self, spelling: str, name: str) -> None:
        """Find `name` by another spelling, too."""
        self._spelled.setdefault(_key(spelling), set()).add(name)

    def forget(self, name: str) -> None:
        self._names.discard(name)

    def __contains__(self, name: str) -> bool:
        return name in self._names or bool(self._spelled.get(_key(name), set()) & self._names)

    def find(self, name: str) -> str:
        """The name as it is in the survey.

        Raises:
            UserError: nothing is called so, or several are.
        """
        if name in self._names:
            return name
        same = sorted(self._spelled.get(_key(name), set()) & self._names)
        if len(same) > 1:
            raise UserError(f"{len(same)} {self._kind}s are called {name!r}: write {same[0]!r} or {same[1]!r}")
        if same:
            return same[0]
        names, key = sorted(self._names), _key(name).casefold()
        near = [other for other in names if _key(other).casefold() == key or _key(other).casefold().endswith(f"/{key}")]
        near = near or difflib.get_close_matches(name, names, 1)
        raise UserError(f"no {self._kind} is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _one_form(text: str) -> str:
    return one_form(text).strip()


def _key(name: str) -> str:
    return whole_name(one_form(name).replace("\\", "/"))
