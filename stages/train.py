"""train, fold and retrain: learn to tell individuals apart; with pseudo-labels it is the second round."""

from pathlib import Path

import pandas as pd

from finprint.checkpoint import Checkpoint
from finprint.cli import Place, run
from finprint.files import atomic, write_metrics
from finprint.model import save_model
from finprint.params import load_params
from finprint.rounds import fingerprint, later_rounds, train_round
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
    fold: int | None = None,
) -> None:
    params = load_params()
    table, stored = read_table(photos, PHOTOS), Crops(crops)
    settings = {"seed": params.seed, "lr": params.lr, **params.train.model_dump(), "photos": fingerprint(table, stored)}
    inputs = [Path(name) for name in (params.train.weights, params.train.start) if name and Path(name).exists()]
    numbers: dict[str, dict[str, float]] = {}
    if labels is None or start is None:
        checkpoint = Checkpoint("train" if fold is None else f"fold{fold}", settings, inputs)
        recipe = Recipe(params.train, params.train.epochs, params.lr, params.seed + (fold or 0))
        network, classes, history = train_round(table, stored, recipe, checkpoint, left_out=fold)
    else:
        again, mining = params.retrain, params.mine
        settings |= {"retrain": again.model_dump(exclude={"rounds"})}
        inputs += [crops, labels, start]
        places = [Checkpoint("retrain", settings, inputs)]
        for number in range(3, again.rounds + 2):
            named = {"mine": mining.model_dump(), "embed": params.embed.model_dump()}
            places.append(Checkpoint(f"retrain{number}", settings | named, inputs))
        recipe = Recipe(params.train, again.epochs, params.lr * again.lr_scale, params.seed)
        network, classes, history, numbers = later_rounds(
            table, stored, recipe, places, read_table(labels, LABELS), start, again, mining, params.embed
        )
        checkpoint = places[-1]
    save_model(model, network.embedder, network.head, classes)
    with atomic(epochs) as part:
        pd.DataFrame(history).to_csv(part, index=False, lineterminator="\n")
    scores = {name: value for name, value in history[-1].items() if name not in ("epoch", "lr")}
    write_metrics(metrics, scores | ({"named_for_round": numbers} if numbers else {}))
    checkpoint.finish()


if __name__ == "__main__":
    run(main)
