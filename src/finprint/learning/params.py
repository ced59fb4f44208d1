"""What params.yaml says of any training: the network, its size, schedules, fine-tuning, averages."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from finprint.base.params import Count, Positive, Section, Share
from finprint.model.params import Augment


class Schedule(Section):
    kind: Literal["cosine", "one_cycle", "step", "restarts"]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    drops: list[Share]
    cycles: Annotated[int, Field(ge=1, le=10)]
    cycle_decay: Annotated[float, Field(gt=0, le=1)]


class Finetune(Section):
    trainable: Share
    unfreeze: list[Annotated[int, Field(ge=0)]]
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    hold_norms: bool

    @model_validator(mode="after")
    def _from_the_head_backwards(self) -> Self:
        if self.unfreeze != sorted(self.unfreeze):
            raise ValueError(f"unfreeze is {self.unfreeze}: the epochs go up, from the last stage to the first")
        return self


class Training(Section):
    """A section that trains a network; each task adds what it alone needs."""

    renamed: ClassVar = {"head_lr": "head_lr_factor", "start": "continue_from"}

    backbone: str
    weights: str
    fusion: Literal["gem", "dolg", "average", "means"]
    embedding: Annotated[int, Field(ge=0)]
    image_size: Annotated[int, Field(ge=32)]
    padded: bool
    first_size: Annotated[int, Field(ge=32)]
    epochs: Count
    batch: Annotated[int, Field(ge=2)]
    parts: Count
    score_every: Count
    head_lr_factor: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Schedule
    finetune: Finetune
    continue_from: str
    cyclic: Literal[False, True, "rms"]
    ema: Annotated[float, Field(ge=0, lt=1)]
    swa: Share
    keep: Literal["last", "best"]
    amp: bool
    augment: Augment

    @model_validator(mode="after")
    def _cuts_photos_and_not_features(self) -> Self:
        if self.augment.cutmix and self.finetune.trainable == 0:
            raise ValueError("augment.cutmix must be 0 where finetune.trainable is 0: features cannot be cut")
        return self

    @model_validator(mode="after")
    def _micro_batches_are_of_one_length(self) -> Self:
        if self.batch % self.parts:
            raise ValueError(f"parts is {self.parts}, which does not divide batch: {self.batch}")
        if self.batch < 2 * self.parts:
            raise ValueError(f"parts is {self.parts}, but with batch: {self.batch} it is at most {self.batch // 2}")
        return self

    @model_validator(mode="after")
    def _grows_where_the_rate_restarts(self) -> Self:
        if self.augment.grow == "restarts" and (self.schedule.kind != "restarts" or self.schedule.cycles < 2):
            raise ValueError("augment.grow is restarts, which needs schedule.kind: restarts, with cycles of at least 2")
        return self

    @model_validator(mode="after")
    def _unfreezes_in_time(self) -> Self:
        late = [epoch for epoch in self.finetune.unfreeze if epoch >= self.epochs]
        if late:
            raise ValueError(
                f"finetune.unfreeze has {late[0]}, but with epochs: {self.epochs} the last one is {self.epochs - 1}"
            )
        return self
