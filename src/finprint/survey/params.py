"""The section `prepare` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from finprint.base.params import Count, Section, Share


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


class Csv(Section):
    file: str
    image: Annotated[str, Field(min_length=1)]
    identity: str
    species: str
    encounter: str
    date: str
    split: str
    query: str
    unknown: str
    box: str
    box_form: Literal["corners", "size"]
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
    boxes: list[str]
    box_confidence: Share
    encounter_gap: Annotated[float, Field(ge=0)]
    fold: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=2)]
    new_share: Annotated[float, Field(ge=0, lt=1)]
    duplicate_bits: Annotated[int, Field(ge=-1, le=64)]
    species_typos: dict[str, str]
    csv: Csv
    sample: Sample

    @model_validator(mode="after")
    def _fold_exists(self) -> "Prepare":
        if self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}, but with folds: {self.folds} the last one is {self.folds - 1}")
        return self
