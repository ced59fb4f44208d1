"""The rounds after the first: each learns the photos to identify as well, by the names that the one before gives."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from finprint.base.checkpoint import Checkpoint
from finprint.base.files import cache, read_json, write_json
from finprint.base.unchanged import depend_on
from finprint.base.words import counted
from finprint.engine.params import LOCAL, Engine
from finprint.individuals.lessons import fingerprint
from finprint.individuals.mining import mine
from finprint.individuals.params import Mine, Retrain, Train
from finprint.individuals.task import Individuals
from finprint.learning.loop import History
from finprint.learning.recipe import Recipe
from finprint.learning.round import Trained, train_round
from finprint.matching.catalogue import build_catalogue
from finprint.model.embedding import embed_crops
from finprint.model.params import Embed
from finprint.pictures.shards import Crops
from finprint.store.tables import TEST

ASKED = "asked.json"  # beside the state of round 2: the photos to identify that there were
# The rooms that a round depends on, besides its params and inputs
CODE = ("base", "engine", "individuals", "learning", "matching", "model", "pictures", "store")


@dataclass(frozen=True)
class Later:
    """How the rounds after the first go, as params.yaml says."""

    seed: int
    lr: float
    train: Train
    embed: Embed
    mine: Mine
    retrain: Retrain
    engine: Engine = LOCAL

    def recipe(self) -> Recipe:
        """How each of them trains; what has learned before is not frozen again.

        Its seed is another than round 1's. Else a round that begins afresh, and finds no pseudo-label to learn from,
        would end with the same weights, and the two would answer no better than one.
        """
        lr, processes = self.lr * self.retrain.lr_scale, self.engine.processes
        recipe = Recipe(self.train, self.retrain.epochs, lr, self.seed + 1, processes)
        return recipe.thawed() if self.retrain.start == "round1" else recipe


@dataclass(frozen=True)
class Earlier:
    """What a round leaves to the next: its model folder, and the names that it gives, table `LABELS`."""

    model: Path
    labels: pd.DataFrame


def round_checkpoint(
    stage: str, recipe: Recipe, photos: str, more: Mapping[str, Any] | None = None, inputs: Iterable[Path] = ()
) -> Checkpoint:
    """Where a round goes on after it was killed.

    Args:
        stage: its name.
        recipe: how it trains.
        photos: their `fingerprint`.
        more: other params that it depends on.
        inputs: other files and folders that it depends on.
    """
    settings = recipe.settings() | {"photos": photos} | dict(more or {})
    for file in recipe.files():
        depend_on(file)
    return Checkpoint(stage, settings, [*recipe.files(), *inputs], CODE)


def later_checkpoints(
    params: Later, photos: str, inputs: Sequence[Path], named: Sequence[Path] = ()
) -> list[Checkpoint]:
    """One for each round after the first.

    Round 2 trains again when this changes: the labelled photos, the pseudo-labels or the crops of these photos, round
    1's model, the params, the code or the machine. New photos to identify change none of these (`settled`).

    Args:
        params: how the rounds go.
        photos: the `fingerprint` of what round 2 learns from, its pseudo-labels included.
        inputs: as for `round_checkpoint`.
        named: the files of the photos to which the rounds from the third on give names anew.
    """
    recipe, section = params.recipe(), {"retrain": params.retrain.model_dump(exclude={"rounds"})}
    naming = section | {"mine": params.mine.model_dump(), "embed": params.embed.model_dump()}
    first = round_checkpoint("retrain", recipe, photos, section, inputs)
    numbers = range(3, params.retrain.rounds + 2)
    return [
        first,
        *(round_checkpoint(f"retrain{number}", recipe, photos, naming, [*inputs, *named]) for number in numbers),
    ]


def settled(
    photos: pd.DataFrame, crops: Crops, params: Later, before: Earlier, named: Sequence[Path]
) -> tuple[Earlier, list[Checkpoint]]:
    """What round 2 learns from, and the checkpoints of the rounds after the first.

    New photos alone do not train round 2 again: where it was trained before they came, it goes without their
    pseudo-labels; of several such trainings the one of most epochs goes on. As soon as it is trained anew for another
    reason, it learns from all. What was trained before is known from `.cache`: without it, all are learned from.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos.
        params: how the rounds go.
        before: what round 1 leaves.
        named: as for `later_checkpoints`.
    """

    def checkpoints(labels: pd.DataFrame) -> list[Checkpoint]:
        return later_checkpoints(params, fingerprint(photos, crops, labels, params.train.apart), [before.model], named)

    labels, asked = before.labels, photos.loc[photos["split"] == TEST, "image"]
    own = checkpoints(labels)
    if not (own[0].folder / ASKED).exists():
        begun = []
        for file in sorted((cache() / "checkpoints" / "retrain").glob(f"*/{ASKED}")):
            earlier = labels[labels["image"].isin(read_json(file))]
            places = checkpoints(earlier)
            if places[0].folder == file.parent:
                begun.append((earlier, places))
        if begun:
            earlier, places = max(begun, key=lambda one: len((one[1][0].peek() or {"history": ()})["history"]))
            more = labels["image"].nunique() - earlier["image"].nunique()
            print(f"{counted(more, 'pseudo-label')} came after round 2 was trained: not trained again for new photos")
            return replace(before, labels=earlier), places
    write_json(own[0].folder / ASKED, asked.tolist())
    return before, own


def later_rounds(
    photos: pd.DataFrame, crops: Crops, params: Later, before: Earlier, checkpoints: Sequence[Checkpoint]
) -> Trained:
    """Train round 2, and more rounds where `params.retrain` asks for them.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos.
        params: how.
        before: what round 1 left.
        checkpoints: one for each round, as `later_checkpoints` gives them.

    Returns:
        What the last round has reached. Its epochs count on from round to round. The metrics `named_for_round` tell
        how good the names are that the rounds from the third on learn from, by the round's number.
    """
    history: History = []
    named: dict[str, dict[str, float]] = {}
    for number, checkpoint in enumerate(checkpoints, start=2):
        start = before.model if params.retrain.start == "round1" else None
        task = Individuals.of(photos, crops, params.train, before.labels, start)
        trained = train_round(task, crops, params.recipe(), checkpoint)
        history += [row | {"epoch": row["epoch"] + len(history)} for row in trained.history]
        if checkpoint is not checkpoints[-1]:
            model = checkpoint.folder / "model"
            trained.save(model)
            vectors = embed_crops(model, crops, params.embed, quiet=True, engine=params.engine)
            mined = mine(build_catalogue(photos, vectors), params.mine)
            before, metrics = Earlier(model, mined.labels), mined.metrics()
            named[str(number + 1)] = metrics
            print(
                f"round {number + 1}: {metrics['pseudo_labels']} photos named anew, "
                f"{metrics['precision_validation']:.3f} of such names right on validation",
                flush=True,
            )
            checkpoint.finish()
    epoch = trained.epoch if trained.epoch < 0 else len(history) - len(trained.history) + trained.epoch
    return replace(trained, history=history, epoch=epoch, more={"named_for_round": named} if named else {})
