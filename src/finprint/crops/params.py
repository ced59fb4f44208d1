"""The section `crop` of params.yaml."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from finprint.base.params import Count, Section, Share


class Crop(Section):
    renamed: ClassVar = {"margin": "border", "boxes": "boxes_from"}
    renamed_values: ClassVar = {"boxes_from": {"found": "detector"}}

    parts: Annotated[list[str], Field(min_length=1)]
    confidence: Share
    border: Annotated[float, Field(ge=0, le=1)]
    whole: Annotated[list[Share], Field(min_length=4, max_length=4)]
    image_size: Annotated[int, Field(ge=16)]
    quality: Annotated[int, Field(ge=1, le=100)]
    shard_photos: Count
    boxes_from: Literal["detector", "given"]
    animals: Literal["best", "each"]
    slices: Annotated[int, Field(ge=1, le=8)]

    @model_validator(mode="after")
    def _holds_something(self) -> "Crop":
        left, top, right, bottom = self.whole
        if left >= right or top >= bottom:
            raise ValueError(f"whole holds nothing: left {left}, top {top}, right {right}, bottom {bottom}")
        return self
