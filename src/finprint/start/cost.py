"""What a run will take: seconds of each stage, from the speed of this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from finprint.individuals.params import Train
from finprint.keypoints.params import DRAWN, LESSONS, TIMES, Match
from finprint.learning.recipe import Recipe, side_at
from finprint.start.facts import HELD, Facts

# Seconds that a stage takes whatever the photos are: Python, torch, writing, and DVC around it.
BEGIN = {
    "check": 7.0, "prepare": 4.0, "detector": 5.0, "crop": 5.0, "train": 6.0, "embed": 6.0, "mine": 5.0,
    "retrain": 6.0, "reembed": 6.0, "match": 5.0, "search": 6.0, "bundle": 6.0, "evaluate": 12.0,
}  # fmt: skip
SURE = 0.2  # share of the queries that are matched with one photo (`match.sure`): of right whales 0.3, of antelopes 0
PSEUDO = 0.3  # share of the photos to identify that round 2 learns as well, about: of right whales 0.4, of antelopes 0
HEAD = 0.0005  # seconds of one pass of a head over the frozen features of a photo
ANSWERED = 0.004  # seconds of search and report for a photo
HEATED = 0.25  # seconds of the heat maps of one answer
DESCRIBED = 0.0002  # seconds of two photos compared by descriptors
POINTED = 0.003  # seconds of the points to draw of two photos
LESSON = 0.006  # seconds of one lesson in which the second look learns, each time
# px of the longer side and local features of a crop, with which the second look was timed
LOOK_SIDE, KEYPOINTS = 480, 256

LEAST = 1e-6  # seconds a photo
Seconds = tuple[float, float]  # a and b of a + b side^2


@dataclass(frozen=True)
class Speed:
    """Seconds a photo.

    Attributes:
        read: of reading it and all that is noted of it.
        crop: of cutting one crop out.
        learn: a and b of a + b side^2, one pass of the training at `side` px.
        embed: the same of one plain view embedded.
        points: of the `KEYPOINTS` local features of one crop of `LOOK_SIDE` px; infinite without their networks.
        pair: of matching one pair with so many; infinite if there can be no second look, as of tiny photos.
        detected: one pass of the detector's training, as a multiple of one of the training at the same size.
    """

    read: float
    crop: float
    learn: Seconds
    embed: Seconds
    points: float
    pair: float
    detected: float = 1.0

    def learning(self, side: float) -> float:
        """Seconds of one pass over one photo."""
        return max(LEAST, self.learn[0] + self.learn[1] * side**2)

    def embedding(self, side: float) -> float:
        """Seconds of one view."""
        return max(LEAST, self.embed[0] + self.embed[1] * side**2)

    def training(self, recipe: Recipe) -> float:
        """Seconds of all passes of a training over one photo."""
        return sum(self.learning(side_at(epoch, recipe)) for epoch in range(recipe.epochs))


@dataclass(frozen=True)
class Work:
    """What is to be done, and how fast this machine does it."""

    facts: Facts
    speed: Speed

    def seconds(self, params: Any) -> dict[str, float]:
        """Seconds of each stage by its name.

        Args:
            params: all of params.yaml, as `finprint.params.Params`.
        """
        facts, speed, train = self.facts, self.speed, params.train
        learned = facts.named * (1 - HELD)
        views = facts.crops * (2 if params.embed.mirror else 1)
        embedding = views * speed.embedding(train.image_size)
        frozen = train.finetune.trainable == 0
        features = 2 * facts.crops * speed.embedding(train.image_size) if frozen else 0.0  # round 2 takes them over
        own = self.up_to_crops(params) | {
            "train": self._learning(train, train.epochs, learned) + features,
            "embed": embedding,
            "retrain": self._learning(
                train, params.retrain.epochs * params.retrain.rounds, learned + PSEUDO * facts.queries
            ),
            "reembed": embedding,
            "match": self._matching(params.match) if params.match.enabled else 0.0,
            "search": facts.photos * ANSWERED / 2,
            "evaluate": facts.photos * ANSWERED + min(params.evaluate.explained, facts.queries) * HEATED,
        }
        own |= {f"fold {n}": own["train"] * (1 - 1 / params.prepare.folds) + embedding for n in params.fold.left_out}
        return {
            name: BEGIN.get(name, BEGIN["train"] + BEGIN["embed"]) + own.get(name, 0.0) for name in {**BEGIN, **own}
        }

    def up_to_crops(self, params: Any) -> dict[str, float]:
        """Seconds of the stages that make the crops, beyond what they take whatever the photos are."""
        facts, speed, detector = self.facts, self.speed, params.detector
        boxed = facts.boxed * (1 - detector.holdout) * detector.epochs if detector.enabled else 0
        return {
            "prepare": facts.photos * speed.read,
            "detector": boxed * speed.detected * speed.learning(detector.image_size),
            "crop": facts.crops * (speed.crop + (speed.embedding(detector.image_size) if detector.enabled else 0)),
        }

    def _matching(self, match: Match) -> float:
        """Seconds of the second look at the photos to identify and those that validate."""
        facts = self.facts
        each = min(match.individuals, len(facts.each)) * min(match.photos, float(np.mean(facts.each)))
        pairs = facts.asked * (SURE * min(1, each) + (1 - SURE) * each)
        points = facts.crops * self.speed.points * (match.image_size / LOOK_SIDE) ** 2
        described = facts.asked * min(match.compared, facts.comparable) * DESCRIBED
        lessons = min(LESSONS, TIMES * facts.named * (1 - HELD)) if match.compared and facts.teaching else 0.0
        learned = lessons * match.learn_epochs * LESSON
        matched = pairs * self.speed.pair if pairs else facts.asked * min(DRAWN, len(facts.each)) * POINTED
        return points + match.keypoints / KEYPOINTS * (matched + described) + learned  # from the best matches alone

    def _learning(self, train: Train, epochs: int, photos: float) -> float:
        """Seconds of a round, with its scores on validation."""
        named = self.facts.named
        if train.finetune.trainable == 0:
            return epochs * photos * HEAD
        passes = self.speed.training(Recipe(train, epochs, 1.0, 0))
        scored = -(-epochs // train.score_every) * named * self.speed.embedding(train.image_size)
        return photos * passes + scored


def minutes(seconds: Mapping[str, float]) -> float:
    """The minutes of all stages."""
    return sum(seconds.values()) / 60
