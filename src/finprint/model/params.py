"""How views are varied in a training, and the section `embed` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from finprint.base.params import Count, Section, Share


class Augment(Section):
    """A task may add what its views mean; what stands here says how they look."""

    rotate: Annotated[float, Field(ge=0, le=180)]
    shift: Share
    zoom: Annotated[float, Field(ge=0, lt=1)]
    zoom_by: Literal["difference", "ratio"]
    stretch: Annotated[float, Field(ge=0, lt=1)]
    shear: Annotated[float, Field(ge=0, lt=60)]
    flip: Share
    mixup: Annotated[float, Field(ge=0)]
    cutmix: Annotated[float, Field(ge=0)]
    mixed: Literal["photos", "vectors"]
    colour: Annotated[float, Field(ge=0, lt=1)]
    grey: Share
    blur: Share
    noise: Share
    erase: Share
    grow: Literal["restarts", "plateau"] | Share
    patience: Count


class Embed(Section):
    batch: Count
    mirror: bool
    amp: bool
