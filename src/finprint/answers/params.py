"""The section `search` of params.yaml."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from finprint.base.params import Count, Positive, Section, Share


class NewThreshold(Section):
    target: Literal["map5", "new_share", "known_called_new", "new_precision", "fixed"]
    value: Annotated[float, Field(ge=-1, le=1)]
    expected_new: Literal["validation"] | Annotated[float, Field(gt=0, lt=1)]
    per_species: bool
    shrinkage: Positive
    default: Annotated[float, Field(ge=-1, le=1)]

    @model_validator(mode="after")
    def _fits_its_target(self) -> "NewThreshold":
        if self.target not in ("map5", "fixed") and not 0 <= self.value <= 1:
            raise ValueError(f"value is {self.value}, but as {self.target} it is a share, 0 to 1")
        if self.target in ("new_share", "fixed") and self.per_species:
            raise ValueError(f"per_species needs a target fitted on validation, and {self.target} is not")
        return self


class Search(Section):
    renamed: ClassVar = {"nearest": "mean_photos"}
    renamed_values: ClassVar = {"index": {"ivf": "ivf_sq8"}}

    shares: Literal["equal", "fit"] | list[Share]
    blend: Literal["fit", "nearest"]
    mean_photos: Count
    neighbours: Annotated[int, Field(ge=5)]
    shortlist: Annotated[int, Field(ge=5)]
    index: Literal["auto", "flat", "ivf_sq8", "ivf_pq"]
    expand: Annotated[int, Field(ge=0)]
    species: Literal["ignore", "same", "prior"]
    encounter: Literal["ignore", "fit"]
    new: NewThreshold

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Search":
        if isinstance(self.shares, list) and abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares are {self.shares}, which add up to {sum(self.shares):g} and not to 1")
        return self
