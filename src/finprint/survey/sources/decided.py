"""A survey to which decisions are applied one by one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from finprint.base.errors import UserError
from finprint.store.decisions import new_name
from finprint.survey.sources.marks import Mark
from finprint.survey.sources.source import Source
from finprint.survey.sources.spellings import Spellings

ACTIONS = ("drop", "merge", "relabel", "confirm", "new", "unsure", "unusable", "split", "rename")
UNUSABLE = "unusable, as a person decided"


@dataclass(frozen=True)
class Asked:
    """A decision, and where it stands.

    Attributes:
        box: of the action box.
        animal: what tells new individuals of one name apart, in the log; "" in the table.
    """

    place: str
    action: str
    id: str | None
    to: str | None
    box: tuple[float, float, float, float] | None = None
    animal: str = ""
    remedy: str = ""


class Decided:
    """A survey to which decisions are applied one by one.

    Attributes:
        tables: of the source, by their names in it.
        names: individuals that there are.
    """

    def __init__(self, source: Source, folder: Path, made: Iterable[str]) -> None:
        self._source = source
        self.tables = {name: getattr(source, name).copy() for name in ("labelled", "queries", "truth", "boxes")}
        every = pd.concat([source.labelled[["image", "path"]], source.queries[["image", "path"]]])
        self._photos = Spellings(every["image"], "photo")
        for image, place in every.itertuples(index=False, name=None):
            self._photos.also(
                Path(place).relative_to(folder).as_posix() if folder in Path(place).parents else place, image
            )
        self._asked = set(source.queries["image"])
        names = [*source.labelled["identity"].dropna().unique(), *source.truth["identity"].dropna().unique()]
        self._names = Spellings(names, "individual")
        # Those and the ones that decisions make, so that an earlier line may name them.
        made = [name for name in made if name not in self._names]
        self._named = Spellings([*names, *made], "individual")
        # What is only in the answers to the test, nobody knows: a decision neither needs it nor stumbles over it.
        labelled = source.labelled["identity"].dropna().unique()
        self._labelled = Spellings(labelled, "individual")
        self._catalogue = Spellings([*labelled, *made], "individual")
        self._animals: dict[str, str] = {}  # the new individuals, by their names
        self._barred: dict[str, str] = {}

    def apply(self, asked: Asked) -> None:
        """Apply one decision.

        Raises:
            UserError: it names something that nobody knows, or cannot be.
        """
        if asked.action not in ACTIONS and not asked.box:
            raise UserError(f"action {asked.action!r} is none of {', '.join(ACTIONS)}")
        if asked.id is None:
            raise UserError("id is empty")
        if asked.box:
            self.box(asked.id, asked.box)
        elif asked.action == "new":
            self.new(asked.id, asked.to, asked.animal)
        elif asked.action == "split":
            self.split(asked.id, asked.to, asked.animal)
        else:
            getattr(self, asked.action)(asked.id, asked.to)

    def source(self) -> Source:
        """The source as it is now."""
        barred = self._source.barred | self._barred
        return replace(self._source, barred=barred, **(self.tables | {"truth": self.tables["truth"].dropna()}))

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
        for names in (self._names, self._named, self._catalogue, self._labelled):
            names.forget(before)
            names.learn(after)
        if before != after:
            self._animals.pop(before, None)  # its name is free again

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

    def confirm(self, one: str, to: str | None) -> None:
        """The photo to identify `one` shows the individual `to`, and joins the catalogue."""
        if to is None:
            raise UserError("confirm needs the individual in column to")
        self._join(self._photos.find(one), self._catalogue.find(to))

    def new(self, one: str, to: str | None, animal: str) -> None:
        """The photo to identify `one` shows the new individual `to`."""
        image = self._photos.find(one)
        self._join(image, self._new_individual(to, animal))

    def split(self, one: str, to: str | None, animal: str) -> None:
        """The labelled photo `one` shows the new individual `to`."""
        image, labelled = self._photos.find(one), self.tables["labelled"]
        if not labelled.loc[labelled["image"] == image, "identity"].notna().any():
            raise UserError(f"{one!r} shows nobody who is known, so there is nobody to split")
        labelled.loc[labelled["image"] == image, "identity"] = self._new_individual(to, animal)

    def rename(self, one: str, to: str | None) -> None:
        """The individual `one` is called `to`."""
        taken = to is not None and (to in self._labelled or to in self._animals)
        if taken and self._names.find(str(to)) != self._names.find(one):
            raise UserError(f"{to!r} is another individual already: to make them one, write merge")
        self.merge(one, to)

    def unsure(self, one: str, _: str | None) -> None:
        """Nobody can tell whom the photo `one` shows."""
        self._photos.find(one)

    def unusable(self, one: str, _: str | None) -> None:
        """The photo `one` is too bad to tell anything."""
        image = self._photos.find(one)
        for name in ("labelled", "queries"):
            table = self.tables[name]
            self._barred |= dict.fromkeys(table.loc[table["image"] == image, "path"], UNUSABLE)

    def box(self, one: str, corners: tuple[float, float, float, float]) -> None:
        """The animal in the photo `one` lies there."""
        image, boxes = self._photos.find(one), self.tables["boxes"]
        own = boxes["image"] == image
        parts = [*boxes.loc[own, "part"].dropna(), *boxes["part"].dropna(), "body"]
        mark = pd.DataFrame([Mark(image, parts[0], *corners, 1.0, False, "drawn")], columns=list(Mark._fields))
        kept = boxes[~own]
        self.tables["boxes"] = pd.concat([kept, mark], ignore_index=True) if len(kept) else mark

    def _join(self, image: str, name: str) -> None:
        """A photo to identify joins the catalogue under a name."""
        labelled, queries = self.tables["labelled"], self.tables["queries"]
        told = labelled.loc[labelled["image"] == image, "identity"].dropna()
        if len(told):
            if told.tolist() != [name]:
                raise UserError(f"{image!r} is labelled as {told.iloc[0]!r} already: write relabel")
            return
        asked = queries["image"] == image
        joining = queries[asked].assign(identity=pd.array([name] * int(asked.sum()), "string"))
        self.tables["queries"] = queries[~asked]
        self.tables["labelled"] = pd.concat([labelled[labelled["image"] != image], joining], ignore_index=True)

    def _new_individual(self, name: str | None, animal: str) -> str:
        """A name that nobody has, or that an earlier decision gave to the same new individual.

        Args:
            name: None: one is made.
            animal: tells new individuals of one name apart.
        """
        if name is None:
            name = new_name([*self._catalogue])
        elif name not in self._animals and name in self._labelled:
            raise UserError(f"{name!r} is in the catalogue already, so it is not new: write confirm")
        if self._animals.setdefault(name, animal) != animal:
            raise UserError(f"two decisions give the name {name!r} to two new individuals: rename one of them")
        for names in (self._names, self._named, self._catalogue):
            names.learn(name)
        return name
