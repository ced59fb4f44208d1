"""The task of telling individuals apart: its network, what mirror images show, how it is validated."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from finprint.base.errors import UserError
from finprint.individuals.heads import IndividualHeads, photo_counts, species_loss
from finprint.individuals.lessons import IndividualLessons, labelled, lessons
from finprint.individuals.params import Train
from finprint.learning.inputs import Inputs
from finprint.learning.lessons import Targets
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder
from finprint.learning.schedules import grown
from finprint.learning.task import Task
from finprint.matching.catalogue import build_catalogue
from finprint.matching.metrics import Outcomes, measure
from finprint.matching.openset import Checked, best_answers
from finprint.matching.ranking import Gallery, rank
from finprint.model.embedder import load_model
from finprint.model.heads import SubCentreArcFace, dynamic_margins
from finprint.pictures.shards import Crops
from finprint.store.vectors import Vectors

METRICS = ("map5", "top1", "top5", "auroc_new")  # what is measured after an epoch


@dataclass(frozen=True)
class Validation:
    """What a model is scored on: the labelled photos, searched among themselves as their splits say.

    Attributes:
        photos: table `PHOTOS` of the N labelled photos that have a crop.
        rows: (N,) rows of their crops.
    """

    photos: pd.DataFrame
    rows: np.ndarray

    def metrics(self, array: np.ndarray) -> dict[str, float]:
        """Of the nearest photo and the best threshold; none where no photo validates.

        Args:
            array: (N, D) unit vectors of the photos.
        """
        catalogue = build_catalogue(self.photos, Vectors(self.photos["image"], array))
        gallery, queries, codes = catalogue.train, catalogue.validation, catalogue.codes
        if not len(queries):
            return {}
        truth, new = catalogue.truth(queries, gallery)
        ranking = rank(array[queries], Gallery(array[gallery], codes[gallery]))
        place, says_new = best_answers(Checked(ranking, truth, new, np.ones(len(new))))
        every = measure(Outcomes(place, new, says_new, ranking.best, np.full(len(new), np.nan), codes[queries]))
        return {name: every[name] for name in METRICS if name in every}


@dataclass(frozen=True)
class Individuals(Task):
    """Telling individuals apart by sub-centre ArcFace, and species beside them where that is wanted.

    Attributes:
        lessons: what is learned from.
        train: the section `train`.
        validation: what is scored; None: nothing.
        start: the model folder of an earlier round, whose weights to begin with; None: those that `train` names.
    """

    lessons: IndividualLessons
    train: Train
    validation: Validation | None = None
    start: Path | None = None

    @classmethod
    def of(
        cls,
        photos: pd.DataFrame,
        crops: Crops,
        train: Train,
        pseudo_labels: pd.DataFrame | None = None,
        start: Path | None = None,
        left_out: int | None = None,
    ) -> "Individuals":
        """The task of a round.

        Args:
            photos: table `PHOTOS`.
            crops: of these photos.
            train: the section.
            pseudo_labels: table `LABELS` of test photos to learn from as well.
            start: as in the class.
            left_out: the fold whose photos are not learned from.

        Raises:
            UserError: as `lessons`.
        """
        some = photos if left_out is None else photos[photos["fold"] != left_out]
        learn = lessons(some, crops, pseudo_labels, train.apart)
        scored = labelled(photos, crops)
        classes = f", {len(learn.classes)} classes by their viewpoints" if train.apart else ""
        print(f"{len(learn)} photos of {len(set(learn.classes))} individuals{classes}", flush=True)
        return cls(learn, train, Validation(scored, crops.rows(scored["image"])), start)

    def new_network(self, recipe: Recipe) -> Network:
        """From pretrained weights, or from the model folder of an earlier round.

        Raises:
            UserError: as `new_embedder`; or the earlier round knew other individuals.
        """
        train, mirror = self.train, self.train.augment.mirror
        twice = 2 if mirror == "other" else 1  # the second half of the classes are the mirror images
        counts = photo_counts(self.lessons.targets)
        margin = train.margin
        margins = dynamic_margins(counts, margin.one_photo, margin.power, margin.least).repeat(twice)
        embedder = new_embedder(recipe, mirror, self.start)
        head = SubCentreArcFace(train.embedding, margins, margin.centres, margin.logit_scale)
        species = species_loss(torch.from_numpy(self.lessons.species), counts, train, twice)
        network = Network(embedder, IndividualHeads(head, species), train.augment.mixed)
        if self.start is not None:
            earlier, weights, classes = load_model(self.start)
            if classes != self.lessons.classes:
                raise UserError(f"{self.start} was trained on other individuals: set retrain.start to pretrained")
            network.embedder.load_state_dict(earlier.state_dict())
            network.head.load_state_dict(weights | {"margins": margins})  # the counts have changed
        return network

    def mirrored(self, targets: Targets, mirrored: torch.Tensor) -> Targets:
        """Where a mirror image is another individual, its labels are higher by the number of classes."""
        if self.train.augment.mirror == "same":
            return targets
        further = mirrored[:, None] * len(self.lessons.classes)
        return Targets(targets.labels + further, targets.weights)

    def at_step(self, network: Network, step: int, steps: int) -> None:
        """Margins grow from a fifth to their full size."""
        network.head.strength = grown(step, steps, self.train.margin.ramp, 0.2)

    def merit(self, row: Mapping[str, float]) -> float:
        """MAP@5."""
        return row.get("map5", -math.inf)

    def validate(self, network: Network, inputs: Inputs) -> dict[str, float]:
        """MAP@5 and the like on validation, without mirror images."""
        if self.validation is None:
            return {}
        return self.validation.metrics(inputs.vectors(network.embedder, self.validation.rows))
