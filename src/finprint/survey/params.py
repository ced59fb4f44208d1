"""The section `prepare` of params.yaml."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from finprint.base.params import Count, Section, Share

BOX_FORMS = ("corners", "size", "centre")  # what four numbers in a table of boxes are
BOX_UNITS = ("pixels", "percent")


def is_project(folder: Path) -> bool:
    """Is a folder the project's own: its root, what it lies in, or what its stages write to?"""
    here, there = Path.cwd(), folder.resolve()
    return here.is_relative_to(there) or there in [here / name for name in ("data", "models", "metrics")]


class Sample(Section):
    individuals: Annotated[int, Field(ge=6)]
    photos: Count
    test_photos: Count
    boxed_share: Share

    @model_validator(mode="after")
    def _enough_photos(self) -> "Sample":
        if self.photos < 2 * self.individuals:
            raise ValueError("photos must be at least twice individuals")
        return self


class Folders(Section):
    identity: Literal["auto", "file", "first", "last", 1, 2, 3, 4, 5, 6, 7, 8]
    around: Literal["auto", "species", "group"]
    groups: str

    @model_validator(mode="after")
    def _a_table_and_its_column(self) -> "Folders":
        if self.groups and not all(self.groups.partition(":")):
            raise ValueError(f"groups is {self.groups!r}: it must be TABLE:COLUMN, such as trips.csv:boat")
        return self


class Csv(Section):
    renamed: ClassVar = {"query": "query_value"}

    file: Annotated[str, Field(min_length=1)]
    image: Annotated[str, Field(min_length=1)]
    identity: str
    species: str
    encounter: str
    date: str
    viewpoint: str
    location: str
    latitude: str
    longitude: str
    split: str
    query_value: str
    unknown: str
    box: str
    box_form: Literal["corners", "size", "centre"]
    box_unit: Literal["auto", "pixels", "percent"]
    part: str

    @model_validator(mode="after")
    def _one_box_column_or_four(self) -> "Csv":
        if len(self.box.split()) not in (0, 1, 4):
            raise ValueError(f"box is {self.box!r}: it must name one column, or four with spaces between them")
        return self


class Prepare(Section):
    source: Literal["sample", "happywhale", "folder", "csv"]
    folder: str
    queries: Annotated[str, Field(min_length=1)]
    background: str
    nobody: list[str]
    boxes: list[str]
    box_confidence: Share
    day_first: Literal["auto", True, False]
    encounter_gap: Annotated[float, Field(ge=0)]
    fold: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=2)]
    new_share: Annotated[float, Field(ge=0, lt=1)]
    duplicate_bits: Annotated[int, Field(ge=-1, le=64)]
    species_typos: dict[str, str]
    folders: Folders
    csv: Csv
    sample: Sample

    @property
    def asked(self) -> tuple[str, ...]:
        """What the ids of photos to identify begin with: the sub-folders of `queries`, as `test/`."""
        return tuple(f"{name.strip().strip('/')}/" for name in self.queries.split(","))

    @model_validator(mode="after")
    def _folders_that_are_watched(self) -> "Prepare":
        if is_project(Path(self.folder)):
            raise ValueError(f"folder is {self.folder!r}, which is the project itself: it must name the photos' folder")
        named = [("queries", name.strip()) for name in self.queries.split(",")]
        named += [("background", self.background)] if self.background else []
        for key, name in named:
            inner = Path(name.strip("/"))
            if name.startswith("/") or ".." in inner.parts or not inner.parts:
                raise ValueError(f"{key} is {getattr(self, key)!r}: it must name a sub-folder of prepare.folder")
        if f"{self.background.strip('/')}/" in self.asked:
            raise ValueError(
                f"background and queries are both {self.background.strip('/')!r}: they must be two folders"
            )
        return self

    @model_validator(mode="after")
    def _forms_of_boxes(self) -> "Prepare":
        for entry in self.boxes:
            for word in entry.split(":")[2:]:
                if word not in (*BOX_FORMS, *BOX_UNITS):
                    raise ValueError(
                        f"boxes has {entry!r}: {word!r} is none of {', '.join((*BOX_FORMS, *BOX_UNITS))} "
                        "(NAME:PART:FORM)"
                    )
        return self

    @model_validator(mode="after")
    def _fold_exists(self) -> "Prepare":
        if self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}, but with folds: {self.folds} the last one is {self.folds - 1}")
        return self
