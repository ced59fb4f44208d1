"""The sections `classes`, `imagine`, `classify`, `guess`, `vote` and `judge` of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from finprint.base.params import Count, Positive, Section, Share
from finprint.learning.params import Training

Fold = Annotated[int, Field(ge=0)]


class Classes(Section):
    of: list[Literal["identity", "species"]]
    folds: list[Fold]
    test: list[Fold]

    @model_validator(mode="after")
    def _folds_that_make_sense(self) -> Self:
        for name, listed in (("of", self.of), ("folds", self.folds), ("test", self.test)):
            if len(set(listed)) < len(listed):
                raise ValueError(f"{name} is {listed}, which names something twice")
        if self.of and not self.folds:
            raise ValueError("folds is empty: it must list the folds that a model leaves out, at least one")
        if both := set(self.folds) & set(self.test):
            raise ValueError(f"test has {min(both)}, which folds has, too: a fold is judged once")
        return self


class Imagine(Section):
    per_class: Annotated[int, Field(ge=0)]
    image_size: Literal[32, 64, 128]
    padded: bool
    steps: Count
    batch: Annotated[int, Field(ge=2)]
    lr: Positive
    channels: Count
    noise: Count
    critic_steps: Count
    penalty: Positive


class Classify(Training):
    lr: Positive
    head: Literal["random", "fitted"]
    start_share: Annotated[float, Field(ge=0, lt=1)]
    smoothing: Annotated[float, Field(ge=0, lt=1)]
    stages: Literal["all", "fit"]
    sizes: list[Annotated[int, Field(ge=32)]]
    extras: Literal["none", "size", "all"]
    soft: str
    soft_share: Annotated[float, Field(gt=0, lt=1)]

    def of_fold(self, fold: int) -> "Classify":
        """The section as the model without `fold` uses it: with its image size, where `sizes` has several."""
        if not self.sizes:
            return self
        size = self.sizes[fold % len(self.sizes)]
        first = size if self.first_size == self.image_size else min(self.first_size, size)
        return self.model_copy(update={"image_size": size, "first_size": first})

    @model_validator(mode="after")
    def _a_fitted_head_is_plain(self) -> Self:
        if self.finetune.trainable > 0 and self.head == "random":
            return self
        where = "head is fitted" if self.finetune.trainable > 0 else "finetune.trainable is 0"
        if self.embedding:
            raise ValueError(f"embedding must be 0 where {where}: a head is fitted to features")
        if self.fusion == "dolg":
            raise ValueError(f"fusion cannot be dolg where {where}: dolg has to be trained")
        if self.stages == "fit" and self.fusion != "means":
            raise ValueError(f"stages must be all where fusion is {self.fusion}: only means has stages to choose from")
        return self

    @model_validator(mode="after")
    def _begins_with_what_is_worth_keeping(self) -> Self:
        if self.start_share and self.head == "random":
            raise ValueError("start_share must be 0 where head is random: such a beginning tells nothing")
        return self

    @model_validator(mode="after")
    def _extras_are_one_photo_s(self) -> Self:
        if self.extras != "none" and self.finetune.trainable > 0 and (self.augment.mixup or self.augment.cutmix):
            raise ValueError("extras must be none where augment.mixup or cutmix is on: measures are not mixed")
        return self

    @model_validator(mode="after")
    def _soft_labels_train_a_network(self) -> Self:
        if self.finetune.trainable == 0 and self.soft:
            raise ValueError("soft must be '' where finetune.trainable is 0: a head alone learns nothing from it")
        return self


class Guess(Section):
    batch: Count
    views: Literal["plain", "mirror", "turns", "halton", "ten_crop"]
    count: Count


class Vote(Section):
    by: Literal["mean", "geometric", "majority"]
    temperature: Literal["fit"] | Positive
    clip: Literal["fit"] | Share


class Judge(Section):
    bootstrap: Count
    pairs: Count
