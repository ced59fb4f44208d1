"""Classes with and without made images beside the photos, on the same folds.

Run in the activated environment: python bench/imagine.py FOLDER, a folder with a sub-folder for each class. For each
fold a generator learns once, from the photos that the fold's model learns from; `--made` says how many of its images
of each class that model gets, and may be given several times. `--set` changes params, such as imagine.steps=500; with
`classify.finetune.trainable=1.0` a whole network learns.
"""

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
from classes import given_photos
from overrides import parsed
from trainings import Cropped

from finprint.base.cli import guard
from finprint.base.params import changed
from finprint.classes.imagined import beside_made
from finprint.classes.imagining import Asked, imagine
from finprint.classes.labels import labelled
from finprint.classes.params import PLAIN, Classes
from finprint.classes.training import class_checkpoint, train_model
from finprint.learning.recipe import Recipe
from finprint.params import load_params
from finprint.pictures.shards import Crops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--made", action="append", type=int, default=[], help="made images of each class")
    parser.add_argument("--share", type=float, default=1.0, help="share of each class's photos that is used")
    parser.add_argument("--classes", type=int, default=0, help="about so many of the classes; 0: all")
    parser.add_argument("--repeats", type=int, default=1, help="folds left out in turn, each with its own seed")
    parser.add_argument("--set", action="append", default=[], dest="set_", help="KEY=VALUE of params.yaml")
    parser.add_argument("--keep", type=Path, help="a folder for the made images, to look at")
    given = parser.parse_args()
    params = changed(load_params(), parsed(given.set_))
    photos = given_photos(given, params)
    with tempfile.TemporaryDirectory() as scratch:
        crops = Crops(Cropped(photos, Path(scratch)).of(params.crop)[0])
        labels = labelled(
            photos,
            crops,
            "identity",
            Classes(of=["identity"], folds=list(range(given.repeats)), members=[PLAIN], test=[]),
        )
        learned, judged = len(labels.learns(0)), len(labels.left_out(0))
        print(f"{learned} photos of {len(labels.classes)} classes to learn from, {judged} to judge")
        rows = []
        for fold in range(given.repeats):
            recipe = Recipe(params.classify, params.classify.epochs, params.classify.lr, fold)
            for count in (0, *given.made):
                started = time.monotonic()
                asked = Asked("bench", fold, params.imagine.model_copy(update={"per_class": count}), fold)
                folder = (given.keep or Path(scratch)) / f"{fold}-{count}"
                imagine(labels, crops, asked, folder)
                with_made = beside_made(labels, crops, folder)
                checkpoint = class_checkpoint(f"bench{fold}", recipe, with_made[0].fingerprint(with_made[1]))
                metrics = train_model(*with_made, recipe, fold, checkpoint).metrics()
                rows.append((count, metrics["log_loss"], metrics["top1"], time.monotonic() - started))
        table = pd.DataFrame(rows, columns=["made", "log loss", "top-1", "seconds"]).groupby("made")
        for made, mean in table.mean().iterrows():
            spread = table.std().fillna(0).loc[made]
            metrics = ", ".join(f"{name} {mean[name]:.3f} ± {spread[name]:.3f}" for name in ("log loss", "top-1"))
            print(f"{made} made images a class: {metrics}, {mean['seconds']:.0f} s a fold", flush=True)


if __name__ == "__main__":
    guard(main)
