"""The sections `classes`, `imagine`, `classify`, `guess`, `vote` and `judge` of params.yaml."""

import re
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from finprint.base.errors import UserError
from finprint.base.params import PARAMS, Count, Positive, Section, Share, checked
from finprint.learning.params import Training

Fold = Annotated[int, Field(ge=0)]
PLAIN = "plain"  # the member that changes nothing


class Classes(Section):
    of: list[Literal["identity", "species"]]
    folds: list[Fold]
    members: list[str]
    test: list[Fold]

    @property
    def models(self) -> list[str]:
        """The names of all models' folders."""
        return [f"{fold}-{member}" for fold in self.folds for member in self.members]

    @model_validator(mode="after")
    def _folds_that_make_sense(self) -> Self:
        for name in ("of", "folds", "members", "test"):
            listed = getattr(self, name)
            if len(set(listed)) < len(listed):
                raise ValueError(f"{name} is {listed}, which names something twice")
        if self.of and not self.folds:
            raise ValueError("folds is empty: it must list the folds that a model leaves out, at least one")
        if self.of and not self.members:
            raise ValueError(f"members is empty: it must name a model for each fold, such as {PLAIN}")
        if both := set(self.folds) & set(self.test):
            raise ValueError(f"test has {min(both)}, which folds has, too: a fold is judged once")
        return self

    @model_validator(mode="after")
    def _members_whose_names_a_file_can_have(self) -> Self:
        for name in self.members:
            if not re.fullmatch(r"[A-Za-z0-9_]+", name):
                raise ValueError(f"members has {name!r}, but a name has letters of English, digits and _ alone")
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
    fitted: list[Literal["regression", "discriminant", "hidden"]]
    start_share: Annotated[float, Field(ge=0, lt=1)]
    smoothing: Annotated[float, Field(ge=0, lt=1)]
    stages: Literal["all", "fit"]
    sizes: list[Annotated[int, Field(ge=32)]]
    extras: Literal["none", "size", "all"]
    soft: str
    soft_share: Annotated[float, Field(gt=0, lt=1)]
    members: dict[str, dict[str, Any]]

    def of_model(self, member: str, fold: int = 0) -> "Classify":
        """The section as one model uses it: with the member's changes, and the image size of the fold that it leaves
        out, if `sizes` has several.

        Raises:
            UserError: the member is not told, or its changes do not fit.
        """
        if member != PLAIN and member not in self.members:
            told = ", ".join([PLAIN, *sorted(self.members)])
            raise UserError(f"classes.members has {member!r}, but classify.members tells {told} alone")
        section = _of_member(self, "classify", member)
        if not section.sizes:
            return section
        size = section.sizes[fold % len(section.sizes)]
        first = size if section.first_size == section.image_size else min(section.first_size, size)
        return section.model_copy(update={"image_size": size, "first_size": first})

    @model_validator(mode="after")
    def _plain_changes_nothing(self) -> Self:
        if PLAIN in self.members:
            raise ValueError(f"members has {PLAIN}, which is the section as it stands: give these changes another name")
        return self

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
    def _something_is_fitted(self) -> Self:
        if len(set(self.fitted)) < len(self.fitted):
            raise ValueError(f"fitted is {self.fitted}, which names something twice")
        if not self.fitted:
            raise ValueError("fitted is empty: it must name what is fitted to the features, such as regression")
        if self.finetune.trainable > 0 and self.head == "fitted" and self.fitted == ["hidden"]:
            raise ValueError("fitted names hidden alone, but a network that learns begins without it: add regression")
        return self

    @model_validator(mode="after")
    def _begins_with_what_is_worth_keeping(self) -> Self:
        if self.start_share and self.head == "random":
            raise ValueError("start_share must be 0 where head is random: such a beginning tells nothing")
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
    rotate: Annotated[float, Field(ge=0, le=180)]
    members: dict[str, dict[str, Any]]

    def of_model(self, member: str) -> "Guess":
        """The section as one model uses it: with the member's changes, if it has any.

        Raises:
            UserError: the changes do not fit.
        """
        return _of_member(self, "guess", member)


S = TypeVar("S", Classify, Guess)


def _of_member(section: S, name: str, member: str) -> S:
    """The section of this name with what a member changes, which then has no members.

    Raises:
        UserError: the changes do not fit.
    """
    tree = _changed(section.model_dump(), section.members.get(member, {})) | {"members": {}}
    try:
        return checked(type(section), tree, PARAMS)
    except UserError as error:
        raise UserError(f"{name}.members.{member}: {error}") from None


def _changed(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A section with some values changed, those of its sub-sections one by one."""
    sections = {key for key, value in changes.items() if isinstance(value, dict) and isinstance(tree.get(key), dict)}
    return tree | changes | {key: _changed(tree[key], changes[key]) for key in sections}


class Vote(Section):
    by: Literal["mean", "geometric", "majority"]
    shares: Literal["equal", "fit"] | list[Share]
    temperature: Literal["fit"] | Positive
    clip: Literal["fit"] | Share

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if isinstance(self.shares, list) and abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares are {self.shares}, which add up to {sum(self.shares):g} and not to 1")
        return self


class Judge(Section):
    bootstrap: Count
    pairs: Count
