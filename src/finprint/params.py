"""All of params.yaml, gathered from the rooms that use it."""

import itertools
from pathlib import Path

from pydantic import model_validator

from finprint.answers.params import Search
from finprint.base.params import PARAMS, Positive, Section, Seed, checked, read_yaml
from finprint.classes.params import Classes, Classify, Guess, Imagine, Judge, Vote
from finprint.crops.params import Crop
from finprint.detector.params import Detector
from finprint.engine.params import Engine
from finprint.evaluation.params import Evaluate
from finprint.individuals.params import Mine, Retrain, Train
from finprint.keypoints.params import Match
from finprint.matching.params import Fold
from finprint.model.params import Embed
from finprint.survey.params import Prepare


class Params(Section):
    """All of params.yaml."""

    seed: Seed
    lr: Positive
    engine: Engine
    prepare: Prepare
    detector: Detector
    crop: Crop
    train: Train
    embed: Embed
    fold: Fold
    mine: Mine
    retrain: Retrain
    match: Match
    classes: Classes
    imagine: Imagine
    classify: Classify
    guess: Guess
    vote: Vote
    judge: Judge
    search: Search
    evaluate: Evaluate

    @property
    def class_models(self) -> list[tuple[str, Classify]]:
        """The section `classify` as each member uses it, at each of its image sizes, by the member; if classes are
        told."""
        models: list[tuple[str, Classify]] = []
        for member, fold in itertools.product(self.classes.members, self.classes.folds) if self.classes.of else ():
            model = (member, self.classify.of_model(member, fold))
            models += [model] if model not in models else []
        return models

    @model_validator(mode="after")
    def _unfreezes_in_time_again(self) -> "Params":
        late = [epoch for epoch in self.train.finetune.unfreeze if epoch >= self.retrain.epochs]
        if late and self.retrain.start == "pretrained":
            raise ValueError(
                f"train.finetune.unfreeze has {late[0]}, but round 2 starts from pretrained weights (retrain.start), "
                f"and with retrain.epochs: {self.retrain.epochs} its last epoch is {self.retrain.epochs - 1}"
            )
        return self

    @model_validator(mode="after")
    def _members_that_are_told(self) -> "Params":
        for member in self.guess.members:
            if member not in self.classify.members:
                told = ", ".join(sorted(self.classify.members))
                raise ValueError(f"guess.members has {member!r}, but classify.members tells {told or 'none'}")
            self.guess.of_model(member)
        return self

    @model_validator(mode="after")
    def _processes_that_share_each_step(self) -> "Params":
        asked = self.engine.processes
        for name, section in (("train", self.train), *(("classify", model) for _, model in self.class_models)):
            if section.finetune.trainable and section.parts % asked:
                raise ValueError(
                    f"engine.processes is {asked}, which does not divide {name}.parts: {section.parts}; "
                    "each process takes as many parts of a step"
                )
        return self

    @model_validator(mode="after")
    def _a_detector_where_one_is_needed(self) -> "Params":
        if self.detector.enabled:
            return self
        for key, wanted in (("slices", self.crop.slices > 1), ("animals", self.crop.animals == "each")):
            if wanted and not (key == "animals" and self.crop.boxes_from == "given"):
                raise ValueError(
                    f"crop.{key} is {getattr(self.crop, key)}, which needs a detector, and detector.enabled is false"
                )
        return self

    @model_validator(mode="after")
    def _classes_of_folds_that_exist(self) -> "Params":
        for name, listed in (("folds", self.classes.folds), ("test", self.classes.test)):
            for fold in listed:
                if fold >= self.prepare.folds:
                    raise ValueError(f"classes.{name} has {fold}, but the folds are 0 to {self.prepare.folds - 1}")
        if self.classes.of and len(self.classes.test) >= self.prepare.folds - 1:
            raise ValueError("classes.test leaves no fold to learn from")
        return self

    @model_validator(mode="after")
    def _a_share_for_each_member(self) -> "Params":
        shares, members = self.vote.shares, len(self.classes.members)
        if isinstance(shares, list) and len(shares) != members:
            raise ValueError(f"vote.shares has {len(shares)} shares for the {members} models of classes.members")
        return self

    @model_validator(mode="after")
    def _made_images_have_no_true_size(self) -> "Params":
        extras = {section.extras for section in (self.classify, *(model for _, model in self.class_models))}
        if self.imagine.per_class and extras != {"none"}:
            raise ValueError(
                f"imagine.per_class is {self.imagine.per_class}, which needs classify.extras: none; "
                "a made image has no true size"
            )
        return self

    @model_validator(mode="after")
    def _models_that_fit(self) -> "Params":
        for fold in self.fold.left_out:
            if fold >= self.prepare.folds:
                raise ValueError(f"fold.left_out has {fold}, but the folds are 0 to {self.prepare.folds - 1}")
            if fold == self.prepare.fold:
                raise ValueError(f"fold.left_out has {fold}, which is prepare.fold: this fold validates already")
        if self.fold.left_out and self.train.continue_from:
            raise ValueError(
                "fold.left_out must be empty, because the model in train.continue_from may have learned from the folds"
            )
        models = 2 + len(self.fold.left_out)
        if isinstance(self.search.shares, list) and len(self.search.shares) != models:
            raise ValueError(
                f"search.shares has {len(self.search.shares)} weights for {models} models: "
                "round 1, round 2 and those of fold.left_out"
            )
        return self


def load_params(path: Path = PARAMS) -> Params:
    """Read and check all of params.yaml.

    Raises:
        UserError: the file is missing or not YAML, a key is unknown, missing or out of range, or two sections
            contradict each other.
    """
    return checked(Params, read_yaml(path), path)
