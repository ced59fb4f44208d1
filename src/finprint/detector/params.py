"""The section `detector` of params.yaml."""

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from finprint.base.params import Count, Positive, Section, Share


class Detector(Section):
    renamed: ClassVar = {"weights": "network", "scale": "zoom"}

    enabled: bool
    network: str
    image_size: Annotated[int, Field(ge=32, multiple_of=32)]
    epochs: Count
    batch: Count
    lr: Positive
    zoom: Share
    mosaic: Share
    holdout: Annotated[float, Field(gt=0, lt=1)]

    @field_validator("network")
    @classmethod
    def _is_a_network(cls, network: str) -> str:
        if not network.endswith((".pt", ".yaml", ".yml")):
            raise ValueError("must be weights (.pt) or an architecture (.yaml)")
        return network
