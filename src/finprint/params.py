"""The typed form of params.yaml: one class a section, unknown keys forbidden.

A loader of YAML 1.2 is used on purpose: `dvc exp run -S lr=1e-5` writes `lr: 1e-05`, which PyYAML
(YAML 1.1) reads as a string.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from finprint.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of params.yaml; immutable, no unknown keys, no silent conversion of text to numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Sample(Section):
    individuals: Annotated[int, Field(ge=6)]
    photos: Count
    test_photos: Count
    boxed_share: Share

    @model_validator(mode="after")
    def _enough_photos(self) -> "Sample":
        if self.photos < 2 * self.individuals:
            raise ValueError("photos must be at least twice individuals")
        return self


class Csv(Section):
    file: str
    image: Annotated[str, Field(min_length=1)]
    identity: str
    species: str
    encounter: str
    date: str
    split: str
    query: str
    unknown: str
    box: str
    box_form: Literal["corners", "size"]
    part: str

    @model_validator(mode="after")
    def _one_box_column_or_four(self) -> "Csv":
        if len(self.box.split()) not in (0, 1, 4):
            raise ValueError(f"box is {self.box!r}: it must name one column, or four with spaces between them")
        return self


class Prepare(Section):
    source: Literal["sample", "happywhale", "folder", "csv"]
    folder: str
    queries: Annotated[str, Field(min_length=1)]
    boxes: list[str]
    box_confidence: Share
    encounter_gap: Annotated[float, Field(ge=0)]
    fold: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=2)]
    new_share: Annotated[float, Field(ge=0, lt=1)]
    duplicate_bits: Annotated[int, Field(ge=-1, le=64)]
    species_typos: dict[str, str]
    csv: Csv
    sample: Sample

    @model_validator(mode="after")
    def _fold_exists(self) -> "Prepare":
        if self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}, but with folds: {self.folds} the last one is {self.folds - 1}")
        return self


class Detector(Section):
    enabled: bool
    weights: str
    image_size: Annotated[int, Field(ge=32, multiple_of=32)]
    epochs: Count
    batch: Count
    lr: Positive
    scale: Share
    mosaic: Share
    holdout: Annotated[float, Field(gt=0, lt=1)]


class Crop(Section):
    parts: Annotated[list[str], Field(min_length=1)]
    confidence: Share
    margin: Annotated[float, Field(ge=0, le=1)]
    whole: Annotated[list[Share], Field(min_length=4, max_length=4)]
    image_size: Annotated[int, Field(ge=16)]
    quality: Annotated[int, Field(ge=1, le=100)]
    shard_photos: Count
    boxes: Literal["found", "given"]
    animals: Literal["best", "each"]
    slices: Annotated[int, Field(ge=1, le=8)]

    @model_validator(mode="after")
    def _holds_something(self) -> "Crop":
        left, top, right, bottom = self.whole
        if left >= right or top >= bottom:
            raise ValueError(f"whole holds nothing: left {left}, top {top}, right {right}, bottom {bottom}")
        return self


class Margin(Section):
    centres: Count
    logit_scale: Positive
    scale: Annotated[float, Field(ge=0)]
    power: Annotated[float, Field(le=0)]
    floor: Annotated[float, Field(ge=0, lt=1.5)]
    ramp: Share


class Augment(Section):
    rotate: Annotated[float, Field(ge=0, le=180)]
    shift: Share
    zoom: Annotated[float, Field(ge=0, lt=1)]
    shear: Annotated[float, Field(ge=0, lt=60)]
    flip: Share
    mirror: Literal["same", "other"]
    mixup: Annotated[float, Field(ge=0)]
    mixed: Literal["photos", "vectors"]
    colour: Annotated[float, Field(ge=0, lt=1)]
    grey: Share
    blur: Share
    noise: Share
    erase: Share
    grow: Share


class Schedule(Section):
    kind: Literal["cosine", "one_cycle", "step", "restarts"]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    drops: list[Share]
    cycles: Annotated[int, Field(ge=1, le=10)]


class Finetune(Section):
    trainable: Share
    unfreeze: list[Annotated[int, Field(ge=0)]]
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    hold_norms: bool

    @model_validator(mode="after")
    def _from_the_head_backwards(self) -> "Finetune":
        if self.unfreeze != sorted(self.unfreeze):
            raise ValueError(f"unfreeze is {self.unfreeze}: the epochs go up, from the last stage to the first")
        return self


class SpeciesHead(Section):
    share: Annotated[float, Field(ge=0, lt=1)]
    logit_scale: Positive
    scale: Annotated[float, Field(ge=0)]
    power: Annotated[float, Field(le=0)]


class Train(Section):
    backbone: str
    weights: str
    fusion: Literal["gem", "dolg", "average"]
    embedding: Count
    image_size: Annotated[int, Field(ge=32)]
    first_size: Annotated[int, Field(ge=32)]
    epochs: Count
    batch: Annotated[int, Field(ge=2)]
    score_every: Count
    head_lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Schedule
    finetune: Finetune
    start: str
    cyclic: bool
    ema: Annotated[float, Field(ge=0, lt=1)]
    swa: Share
    amp: bool
    margin: Margin
    species: SpeciesHead
    augment: Augment

    @model_validator(mode="after")
    def _unfreezes_in_time(self) -> "Train":
        late = [epoch for epoch in self.finetune.unfreeze if epoch >= self.epochs]
        if late:
            raise ValueError(
                f"finetune.unfreeze has {late[0]}, but with epochs: {self.epochs} the last one is {self.epochs - 1}"
            )
        return self


class Fold(Section):
    left_out: list[Annotated[int, Field(ge=0)]]

    @model_validator(mode="after")
    def _once_each(self) -> "Fold":
        twice = sorted({fold for fold in self.left_out if self.left_out.count(fold) > 1})
        if twice:
            raise ValueError(f"left_out names {twice[0]} twice")
        return self


class Embed(Section):
    batch: Count
    mirror: bool
    amp: bool


class Mine(Section):
    precision: Annotated[float, Field(gt=0, le=1)]
    targets: Literal["hard", "weighted", "soft"]


class Retrain(Section):
    start: Literal["round1", "pretrained"]
    rounds: Count
    epochs: Count
    lr_scale: Positive


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
    shares: Literal["equal", "fit"] | list[Share]
    blend: Literal["fit", "nearest"]
    nearest: Count
    neighbours: Annotated[int, Field(ge=5)]
    shortlist: Annotated[int, Field(ge=5)]
    index: Literal["flat", "ivf", "hnsw"]
    expand: Annotated[int, Field(ge=0)]
    species: Literal["ignore", "same", "prior"]
    new: NewThreshold

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Search":
        if isinstance(self.shares, list) and abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares are {self.shares}, which add up to {sum(self.shares):g} and not to 1")
        return self


class Evaluate(Section):
    bootstrap: Count
    explained: Annotated[int, Field(ge=0)]


class Params(Section):
    """All of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    lr: Positive
    prepare: Prepare
    detector: Detector
    crop: Crop
    train: Train
    embed: Embed
    fold: Fold
    mine: Mine
    retrain: Retrain
    search: Search
    evaluate: Evaluate

    @model_validator(mode="after")
    def _unfreezes_in_time_again(self) -> "Params":
        late = [epoch for epoch in self.train.finetune.unfreeze if epoch >= self.retrain.epochs]
        if late and self.retrain.start == "pretrained":
            raise ValueError(
                f"train.finetune.unfreeze has {late[0]}, but round 2 starts afresh (retrain.start), and with "
                f"retrain.epochs: {self.retrain.epochs} its last epoch is {self.retrain.epochs - 1}"
            )
        return self

    @model_validator(mode="after")
    def _models_that_fit(self) -> "Params":
        for fold in self.fold.left_out:
            if fold >= self.prepare.folds:
                raise ValueError(f"fold.left_out has {fold}, but the folds are 0 to {self.prepare.folds - 1}")
            if fold == self.prepare.fold:
                raise ValueError(f"fold.left_out has {fold}, which validates already")
        if self.fold.left_out and self.train.start:
            raise ValueError("fold.left_out: what goes on from train.start may have learned from the fold")
        models = 2 + len(self.fold.left_out)
        if isinstance(self.search.shares, list) and len(self.search.shares) != models:
            raise ValueError(
                f"search.shares has {len(self.search.shares)} weights for {models} models: "
                "round 1, round 2 and those of fold.left_out"
            )
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Raises:
        UserError: the file is missing or not YAML, or a key is unknown, missing or out of range.
    """
    try:
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's root") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise UserError("; ".join(_explain(path, problem) for problem in error.errors())) from None


def _explain(path: Path, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "the whole file"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(problem["loc"][:-1])
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"{path}: unknown key {key}" + (
            f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(known)})"
        )
    if problem["type"] == "missing":
        return f"{path}: {key} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if not problem["loc"] and problem["type"] == "value_error":  # sections that do not fit each other
        return f"{path}: {message}"
    value = problem["input"]
    return f"{path}: {key}: {message}" + (f", not {value!r}" if isinstance(value, (str, int, float)) else "")


def _known_keys(section: tuple[Any, ...]) -> list[str]:
    model: Any = Params
    for part in section:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
