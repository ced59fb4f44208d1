"""The section `match` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from finprint.base.params import Count, Section

# Of the networks that learn which matched features tell animals apart (`keypoints/lessons.py`)
LESSONS = 2500  # at most
TIMES = 3  # lessons of one photo, each with other photos of its animal, if there are fewer photos than lessons
FEWEST = 15  # individuals with several photos
DRAWN = 8  # individuals whose matched points are drawn, where no pairs are matched; five are answered


class Match(Section):
    enabled: bool
    extractor: Literal["aliked", "disk", "xfeat"]
    weights: Literal["package", "hub"]
    pixels: Literal["crops", "photos"]
    border: Annotated[float, Field(ge=0, le=1)]
    image_size: Annotated[int, Field(ge=64, le=4096)]
    keypoints: Annotated[int, Field(ge=8, le=4096)]
    compared: Annotated[int, Field(ge=0)]
    learn_epochs: Annotated[int, Field(ge=0, le=1000)]
    individuals: Annotated[int, Field(ge=0)]
    photos: Count
    sure: Annotated[float, Field(gt=0, le=2)]
