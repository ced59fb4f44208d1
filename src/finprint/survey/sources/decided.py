"""A survey to which decisions are applied one by one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.store.decisions import AWAY, Decision, new_name
from finprint.store.replay import Replay
from finprint.survey.names import whole_name
from finprint.survey.sources.marks import Mark
from finprint.survey.sources.source import Source
from finprint.survey.sources.spellings import Spellings

ACTIONS = ("drop", "merge", "relabel", "confirm", "new", "unsure", "unusable", "split", "rename")
UNUSABLE = "unusable, as a person decided"


@dataclass(frozen=True)
class Asked:
    """A decision, and where it stands.

    Attributes:
        id: of the photo, or the individual's name.
        box: of the action box.
        maker: the id of a line of the log, by which new individuals of one name are told apart; "" in the table.
        individual: whom a split photo showed; "" in the table.
    """

    place: str
    action: str
    id: str | None
    to: str | None
    box: tuple[float, float, float, float] | None = None
    maker: str = ""
    individual: str = ""
    remedy: str = ""


def as_in_a_run(one: Decision) -> Decision:
    """The decision with the names that a run gives to individuals."""
    return one.model_copy(update={"to": whole_name(one.to), "individual": whole_name(one.individual)})


class Decided:
    """A survey to which decisions are applied one by one: names in any spelling are found, then replayed."""

    def __init__(self, source: Source, folder: Path, made: Iterable[str]) -> None:
        self._source = source
        every = pd.concat([source.labelled[["image", "path"]], source.queries[["image", "path"]]])
        self._photos = Spellings(every["image"], "photo")
        for image, place in every.itertuples(index=False, name=None):
            self._photos.also(
                Path(place).relative_to(folder).as_posix() if folder in Path(place).parents else place, image
            )
        self._rows = _rows(source.labelled)
        shows = dict.fromkeys(source.queries["image"]) | _identities(source.labelled, self._rows)
        truth = source.truth.drop_duplicates("image")  # the first row counts
        self._replay = Replay(shows, made, _identities(truth, truth["image"]))
        self._asked = set(source.queries["image"])
        self._boxes, self._barred = source.boxes, dict[str, str]()
        # The names that there are, and those that decisions make, so that an earlier line may name them. What is only
        # in the answers to the test, nobody knows: a decision neither needs it nor stumbles over it.
        self._catalogue = Spellings(source.labelled["identity"].dropna().unique(), "individual")
        self._names = Spellings([*self._catalogue, *source.truth["identity"].dropna().unique()], "individual")
        for name in made:
            for names in (self._names, self._catalogue):
                if name not in names:
                    names.learn(name)

    def apply(self, asked: Asked) -> None:
        """Apply one decision.

        Raises:
            UserError: it names something that nobody knows, or cannot be.
        """
        if asked.action not in ACTIONS and not asked.box:
            raise UserError(f"action {asked.action!r} is none of {', '.join(ACTIONS)}")
        if asked.id is None:
            raise UserError("id is empty")
        if asked.action in ("merge", "rename"):
            self._call(asked, self._find(self._names, asked.id, asked))
            return
        image = self._photo(asked.id)
        if asked.box:
            if not image.startswith(AWAY):
                self._box(image, asked.box)
        elif asked.action == "relabel":
            self._relabel(image, None if asked.to is None else self._find(self._names, asked.to, asked))
        elif asked.action == "confirm":
            if asked.to is None:
                raise UserError("confirm needs the individual in column to")
            self._replay.confirm(image, self._find(self._catalogue, asked.to, asked))
        elif asked.action in ("new", "split"):
            self._new(image, asked)
        elif asked.action == "unusable":
            for table in (self._source.labelled, self._source.queries):
                self._barred |= dict.fromkeys(table.loc[table["image"] == image, "path"], UNUSABLE)
        elif asked.action == "drop":
            self._drop(image)

    def _photo(self, one: str) -> str:
        """The photo's id. One that is away is decided on all the same, because the others of its individual are not."""
        if one.startswith(AWAY):
            self._replay.shows.setdefault(one, None)
            return one
        return self._photos.find(one)

    def source(self) -> Source:
        """The source as it is now."""
        shows, unused = self._replay.shows, self._replay.unused
        rows = self._rows.where(~self._source.labelled["image"].isin(self._replay.told), self._source.labelled["image"])
        labelled = self._source.labelled.assign(identity=rows.map(shows).astype("string"))
        queries = self._source.queries
        asked = queries.assign(identity=queries["image"].map(shows).astype("string"))
        joins = asked["identity"].notna() & ~asked["image"].isin(labelled["image"])
        labelled = pd.concat([labelled, asked[joins]], ignore_index=True)
        truth = pd.DataFrame(list(self._replay.truth.items()), columns=["image", "identity"], dtype="string").dropna()
        return replace(
            self._source,
            labelled=labelled[~labelled["image"].isin(unused)].reset_index(drop=True),
            queries=queries[~joins & ~queries["image"].isin(unused)],
            truth=truth,
            boxes=self._boxes[~self._boxes["image"].isin(unused)],
            barred=self._source.barred | self._barred,
        )

    def _find(self, names: Spellings, name: str, asked: Asked) -> str:
        """The individual's name as it is in the survey. A line of the log may call it as it was called before."""
        return names.find(self._replay.now(name) if asked.remedy and name not in names else name)

    def _call(self, asked: Asked, before: str) -> None:
        """Merge or rename the individual `before`."""
        if asked.to is None:
            raise UserError(f"{asked.action} needs the individual in column to")
        after = self._names.find(asked.to) if asked.to in self._names else asked.to
        after = asked.to if after == before else after  # its own name, spelled in another way
        if asked.action == "rename" and after in self._catalogue:
            self._replay.rename(before, self._catalogue.find(after))
        else:
            self._replay.merge(before, after)
        for names in (self._names, self._catalogue):
            names.forget(before)
            names.learn(self._replay.now(before))

    def _new(self, image: str, asked: Asked) -> None:
        """The photo shows a new individual; one without a name gets one."""
        name = asked.to or new_name([*self._catalogue])
        name = self._catalogue.find(name) if name in self._catalogue else name
        if asked.action == "new":
            self._replay.new(image, name, asked.maker)
        else:
            individual = self._find(self._names, asked.individual, asked) if asked.individual else ""
            self._replay.split(image, name, asked.maker, individual)
        for names in (self._names, self._catalogue):
            names.learn(name)

    def _relabel(self, image: str, name: str | None) -> None:
        """The photo shows the individual; of a photo to identify this is the right answer."""
        if image in self._asked:
            self._replay.truth.pop(image, None)
            self._replay.truth[image] = name
        if image not in self._asked or self._replay.shows[image] is not None:
            self._replay.relabel(image, name)

    def _drop(self, image: str) -> None:
        """The photo and the animals in it are not used."""
        for row in self._replay.shows:
            if image in ((other := row.partition("\0")[0]), other.rpartition("#")[0]):
                self._replay.drop(row)

    def _box(self, image: str, corners: tuple[float, float, float, float]) -> None:
        """The animal in the photo lies there."""
        boxes = self._boxes
        own = boxes["image"] == image
        parts = [*boxes.loc[own, "part"].dropna(), *boxes["part"].dropna(), "body"]
        mark = pd.DataFrame([Mark(image, parts[0], *corners, 1.0, False, "drawn")], columns=list(Mark._fields))
        kept = boxes[~own]
        self._boxes = pd.concat([kept, mark], ignore_index=True) if len(kept) else mark.reindex(columns=boxes.columns)


def _rows(table: pd.DataFrame) -> pd.Series:
    """A key for each row: its image; of a further row of one image, which may name another individual, one of its own.

    Args:
        table: of a source.
    """
    number = table.groupby("image").cumcount()
    return table["image"].where(number == 0, table["image"] + "\0" + number.astype("string"))


def _identities(table: pd.DataFrame, keys: pd.Series) -> dict[str, str | None]:
    """The individual in each row, by its key; None where it is missing."""
    names = table["identity"].astype(object).where(table["identity"].notna(), None)
    return dict(zip(keys, names, strict=True))
