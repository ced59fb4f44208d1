"""train and retrain: learn to tell individuals apart; with pseudo-labels it is the second round."""

from pathlib import Path

import pandas as pd

from finprint.checkpoint import Checkpoint
from finprint.cli import Place, run
from finprint.files import atomic, write_metrics
from finprint.model import save_model
from finprint.params import load_params
from finprint.rounds import fingerprint, train_round
from finprint.shards import Crops
from finprint.tables import LABELS, PHOTOS, read_table
from finprint.training import Recipe


def main(
    photos: Place,
    crops: Place,
    model: Place,
    metrics: Place,
    epochs: Place,
    labels: Place | None = None,
    start: Place | None = None,
) -> None:
    params = load_params()
    recipe = Recipe(params.train, params.train.epochs, params.lr, params.seed)
    table, stored = read_table(photos, PHOTOS), Crops(crops)
    settings = {"seed": params.seed, "lr": params.lr, **params.train.model_dump(), "photos": fingerprint(table, stored)}
    inputs = [Path(name) for name in (params.train.weights, params.train.start) if name and Path(name).exists()]
    if labels is not None and start is not None:
        again = params.retrain
        recipe = Recipe(params.train, again.epochs, params.lr * again.lr_scale, params.seed)
        inputs, settings = [*inputs, crops, labels, start], settings | {"retrain": again.model_dump()}
    checkpoint = Checkpoint("train" if labels is None else "retrain", settings, inputs)
    network, classes, history = train_round(
        table,
        stored,
        recipe,
        checkpoint,
        pseudo_labels=None if labels is None else read_table(labels, LABELS),
        start=start if params.retrain.start == "round1" else None,
    )
    save_model(model, network.embedder, network.head, classes)
    with atomic(epochs) as part:
        pd.DataFrame(history).to_csv(part, index=False, lineterminator="\n")
    write_metrics(metrics, {name: value for name, value in history[-1].items() if name not in ("epoch", "lr")})
    checkpoint.finish()


if __name__ == "__main__":
    run(main)
