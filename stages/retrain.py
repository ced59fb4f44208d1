"""retrain: round 2, learn again from the labelled photos and the pseudo-labels."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from finprint.base.checkpoint import Checkpoint
from finprint.base.cli import Input, Output, run
from finprint.base.files import atomic, write_metrics
from finprint.base.params import Positive, Seed, load_sections
from finprint.individuals.params import Mine, Retrain
from finprint.individuals.rounds import CODE, fingerprint, later_rounds
from finprint.learning.loop import Recipe
from finprint.learning.params import Train
from finprint.model.embedder import save_model
from finprint.model.params import Embed
from finprint.pictures.shards import Crops
from finprint.store.tables import LABELS, PHOTOS, read_table


def main(
    photos: Input, crops: Input, labels: Input, start: Input, model: Output, metrics: Output, epochs: Output
) -> Callable[[], None]:
    params = load_sections(seed=Seed, lr=Positive, train=Train, embed=Embed, mine=Mine, retrain=Retrain)
    table, stored, again = read_table(photos, PHOTOS), Crops(crops), params.retrain
    settings = {"seed": params.seed, "lr": params.lr, **params.train.model_dump(), "photos": fingerprint(table, stored)}
    settings |= {"retrain": again.model_dump(exclude={"rounds"})}
    inputs = [Path(name) for name in (params.train.weights, params.train.continue_from) if name and Path(name).exists()]
    inputs += [crops, labels, start]
    places = [Checkpoint("retrain", settings, inputs, CODE)]
    for number in range(3, again.rounds + 2):
        named = {"mine": params.mine.model_dump(), "embed": params.embed.model_dump()}
        places.append(Checkpoint(f"retrain{number}", settings | named, inputs, CODE))
    recipe = Recipe(params.train, again.epochs, params.lr * again.lr_scale, params.seed)
    network, classes, history, numbers = later_rounds(
        table, stored, recipe, places, read_table(labels, LABELS), start, again, params.mine, params.embed
    )
    save_model(model, network.embedder, network.head, classes)
    with atomic(epochs) as part:
        pd.DataFrame(history).to_csv(part, index=False, lineterminator="\n")
    scores = {name: value for name, value in history[-1].items() if name not in ("epoch", "lr")}
    write_metrics(metrics, scores | ({"named_for_round": numbers} if numbers else {}))
    return places[-1].finish


if __name__ == "__main__":
    run(main)
