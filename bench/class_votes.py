"""Several models of classes beside one: a model for each fold, several seeds, image sizes in turn, soft labels.

Run in the activated environment: python bench/class_votes.py FOLDER, as bench/classes.py takes it. The labels of one
fold are hidden: these are the photos to identify. The models learn from the other folds. Each way stands with what its
own folds promise (*left out*) and with what is true of the photos to identify (*hidden*): log loss and top-1 after the
vote, mean and standard deviation over `--repeats` hidden folds, and how far they are from one model's.

`--by-photo` deals the folds that models leave out by photo, so that photos of one group (an encounter, a boat) stand in
several folds. The hidden fold stays a whole one.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from classes import asking, given_crops, trained
from overrides import parsed

from finprint.base.cli import guard
from finprint.base.files import sha256_json
from finprint.base.params import changed
from finprint.classes.guesses import guess
from finprint.classes.labels import Labelled, labelled
from finprint.classes.params import PLAIN, Classes, Classify
from finprint.classes.task import scores
from finprint.classes.voting import Voted, vote
from finprint.learning.recipe import Recipe
from finprint.params import Params, load_params
from finprint.pictures.shards import Crops
from finprint.store.guesses import QUERY, Guesses, write_guesses
from finprint.store.tables import VALIDATION

Model = Callable[[int, int, Classify], Guesses]  # of a fold that is left out, a seed and the section


def hidden(labels: Labelled, fold: int) -> tuple[Labelled, pd.Series]:
    """The labels without those of a fold, and what they were, by image."""
    here = labels.table["fold"] == fold
    table = labels.table.assign(label=labels.table["label"].mask(here), fold=labels.table["fold"].mask(here, -1))
    return replace(labels, table=table), labels.table[here].set_index("image")["label"]


def by_photo(labels: Labelled) -> Labelled:
    """The same folds in number and length, dealt without regard to groups."""
    known = labels.table["fold"] >= 0
    dealt = np.random.default_rng(0).permutation(labels.table.loc[known, "fold"].to_numpy())
    table = labels.table.copy()
    table.loc[known, "fold"] = dealt
    return replace(labels, table=table)


def ways(
    model: Model, train: Classify, given: argparse.Namespace, scratch: Path, params: Params
) -> Iterator[tuple[str, Voted]]:
    """Each way with its name."""
    count = given.models
    alone = model(0, 0, train)
    yield "one model", vote([alone], params.vote)
    bag = vote([model(fold, 0, train) for fold in range(count)], params.vote)
    yield f"a model for each of {count} folds", bag
    yield f"{count} seeds", vote([model(0, seed, train) for seed in range(count)], params.vote)
    if given.second:
        sizes = train.model_copy(update={"sizes": [train.image_size, given.second]})
        each = [sizes.of_model(PLAIN, fold).model_copy(update={"sizes": []}) for fold in range(count)]
        turns = [model(fold, 0, section) for fold, section in enumerate(each)]
        yield (
            f"a model for each of {count} folds, {train.image_size} and {given.second} px in turn",
            vote(turns, params.vote),
        )
    if train.finetune.trainable > 0:
        soft = scratch / "soft"
        write_guesses(soft, bag.guesses)
        for share in given.soft:
            taught = train.model_copy(update={"soft": str(soft), "soft_share": share})
            yield f"one model, soft labels in {share:.0%} of each batch", vote([model(0, 0, taught)], params.vote)


def measured(voted: Voted, truth: pd.Series) -> dict[str, float]:
    """Log loss and top-1 of the folds that were left out, and of the hidden photos."""
    left, asked = voted.guesses.of(VALIDATION), voted.guesses.of(QUERY)
    codes = pd.Index(asked.classes).get_indexer(pd.Index(truth.reindex(asked.photos["image"])))
    known = codes >= 0
    of_left, of_hidden = scores(left.array, left.codes()), scores(asked.array[known], codes[known])
    return {
        f"{where} {metric}": values[metric]
        for where, values in (("left out", of_left), ("hidden", of_hidden))
        for metric in ("log_loss", "top1")
    }


def measure(
    labels: Labelled, crops: Crops, fold: int, given: argparse.Namespace, params: Params
) -> dict[str, dict[str, float]]:
    """All ways while the labels of one fold are hidden, by their names."""
    told, truth = hidden(labels, fold)
    told = by_photo(told) if given.by_photo else told
    known: dict[str, Guesses] = {}

    def model(fold: int, seed: int, train: Classify) -> Guesses:
        recipe = Recipe(train, train.epochs, train.lr, seed, params.engine.processes)
        key = sha256_json(recipe.settings() | {"fold": fold})
        if key not in known:
            known[key] = guess(trained(told, crops, recipe, fold), told, crops, fold, params.guess, train)
        return known[key]

    train = params.classify.of_model(PLAIN)
    with tempfile.TemporaryDirectory() as scratch:
        return {name: measured(voted, truth) for name, voted in ways(model, train, given, Path(scratch), params)}


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--models", type=int, default=4, help="that vote")
    parser.add_argument("--second", type=int, default=0, help="px of every second model's views in a way of its own")
    parser.add_argument("--soft", type=float, action="append", default=[], help="share of soft labels in a batch")
    parser.add_argument("--by-photo", action="store_true", help="deal the folds that are left out by photo")
    parser.add_argument("--repeats", type=int, default=3, help="folds that are hidden in turn: the last ones")
    given = parser.parse_args()
    params = changed(load_params(), parsed(given.set_))
    started, each = time.monotonic(), []
    with tempfile.TemporaryDirectory() as scratch:
        photos, crops = given_crops(given, params, Path(scratch))
        folds = list(range(given.models))
        labels = labelled(photos, crops, given.of, Classes(of=[given.of], folds=folds, members=[PLAIN], test=[]))
        last = int(labels.table["fold"].max())
        for fold in range(last, last - given.repeats, -1):
            each.append(measure(labels, crops, fold, given, params))
            print(f"fold {fold} hidden, {time.monotonic() - started:.0f} s", flush=True)
    first = pd.DataFrame([one["one model"] for one in each])
    for name in each[0]:
        table = pd.DataFrame([one[name] for one in each])
        print(f"{name}: {', '.join(told(table[metric], first[metric]) for metric in table)}")


def told(values: pd.Series, first: pd.Series) -> str:
    """Mean and spread of a metric, and its difference from the first way's."""
    apart = (values - first).mean()
    return f"{values.name} {values.mean():.3f} ± {values.std():.3f} ({apart:+.3f})"


if __name__ == "__main__":
    guard(main)
