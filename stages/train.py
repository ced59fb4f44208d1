"""train and fold: round 1, learn to tell individuals apart from the labelled photos."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from finprint.base.checkpoint import Checkpoint
from finprint.base.cli import Input, Output, run
from finprint.base.files import atomic, write_metrics
from finprint.base.params import Positive, Seed, load_sections
from finprint.individuals.rounds import CODE, fingerprint, train_round
from finprint.learning.loop import Recipe
from finprint.learning.params import Train
from finprint.model.embedder import save_model
from finprint.pictures.shards import Crops
from finprint.store.tables import PHOTOS, read_table


def main(
    photos: Input, crops: Input, model: Output, metrics: Output, epochs: Output, fold: int | None = None
) -> Callable[[], None]:
    params = load_sections(seed=Seed, lr=Positive, train=Train)
    table, stored = read_table(photos, PHOTOS), Crops(crops)
    settings = {"seed": params.seed, "lr": params.lr, **params.train.model_dump(), "photos": fingerprint(table, stored)}
    inputs = [Path(name) for name in (params.train.weights, params.train.continue_from) if name and Path(name).exists()]
    checkpoint = Checkpoint("train" if fold is None else f"fold{fold}", settings, inputs, CODE)
    recipe = Recipe(params.train, params.train.epochs, params.lr, params.seed + (fold or 0))
    network, classes, history = train_round(table, stored, recipe, checkpoint, left_out=fold)
    save_model(model, network.embedder, network.head, classes)
    with atomic(epochs) as part:
        pd.DataFrame(history).to_csv(part, index=False, lineterminator="\n")
    write_metrics(metrics, {name: value for name, value in history[-1].items() if name not in ("epoch", "lr")})
    return checkpoint.finish


if __name__ == "__main__":
    run(main)
