"""The sections `train`, `mine` and `retrain` of params.yaml."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from finprint.base.params import Count, Positive, Section, Share
from finprint.learning.params import Training
from finprint.model.params import Augment


class Margin(Section):
    renamed: ClassVar = {"scale": "one_photo", "floor": "least"}

    centres: Count
    logit_scale: Positive
    one_photo: Annotated[float, Field(ge=0)]
    power: Annotated[float, Field(le=0)]
    least: Annotated[float, Field(ge=0, lt=1.5)]
    ramp: Share


class SpeciesHead(Section):
    renamed: ClassVar = {"scale": "one_photo"}

    share: Annotated[float, Field(ge=0, lt=1)]
    logit_scale: Positive
    one_photo: Annotated[float, Field(ge=0)]
    power: Annotated[float, Field(le=0)]


class AnimalAugment(Augment):
    mirror: Literal["same", "other"]


class Train(Training):
    viewpoints: Literal["together", "apart"]
    embedding: Count
    margin: Margin
    species: SpeciesHead
    augment: AnimalAugment

    @property
    def apart(self) -> bool:
        """Is each viewpoint of an individual a class of its own?"""
        return self.viewpoints == "apart"


class Mine(Section):
    precision: Annotated[float, Field(gt=0, le=1)]
    targets: Literal["hard", "weighted", "soft"]


class Retrain(Section):
    start: Literal["round1", "pretrained"]
    rounds: Count
    epochs: Count
    lr_scale: Positive
