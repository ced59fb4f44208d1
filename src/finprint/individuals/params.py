"""The section `mine` and `retrain` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from finprint.base.params import Count, Positive, Section


class Mine(Section):
    precision: Annotated[float, Field(gt=0, le=1)]
    targets: Literal["hard", "weighted", "soft"]


class Retrain(Section):
    start: Literal["round1", "pretrained"]
    rounds: Count
    epochs: Count
    lr_scale: Positive
