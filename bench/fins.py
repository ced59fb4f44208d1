"""How good the detector gets on real photos: mAP by cross-validation, whole groups of photos held out in turn.

FOLDER is in the layout of `prepare.source=happywhale`; `train_images/` and `boxes.csv` suffice. The recipe is that of
params.yaml with what `-S` changes. In the activated environment:
python bench/fins.py FOLDER [--folds 5] [--fold 0 --fold 1] [--seed 7 --seed 8] [-S image_size=416 -S epochs=100]
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from overrides import parsed
from sklearn.model_selection import GroupKFold

from finprint.base.cli import run
from finprint.base.errors import UserError
from finprint.base.params import changed
from finprint.detector.training import train_detector
from finprint.params import load_params
from finprint.store.tables import BOXES
from finprint.survey.prepare import survey
from finprint.survey.sources import read_source

MEASURES = {"map50": "mAP50", "map50_95": "mAP50-95"}


def main(
    folder: Annotated[Path, typer.Argument(show_default=False)],
    folds: Annotated[int, typer.Option(min=2, help="so many shares of the photos, each held out once")] = 5,
    fold: Annotated[list[int] | None, typer.Option(min=0, help="train for this fold alone; repeatable")] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="of folds and training; repeatable; else that of params")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("-S", help="KEY=VALUE of section detector; repeatable")] = None,
) -> None:
    if max(fold or [0]) >= folds:
        raise UserError(f"--fold {max(fold or [0])}: the last of {folds} is {folds - 1}")
    params = load_params()
    recipe = changed(params.detector, parsed(set_))
    mine = params.prepare.model_copy(update={"source": "happywhale"})
    source, _ = read_source(mine, folder)
    boxes = BOXES.validate(survey(source, mine, params.seed).boxes[list(BOXES.columns)])
    print(f"{boxes['path'].nunique()} photos in {boxes['group'].nunique()} groups, {len(boxes)} boxes", flush=True)
    rows = []
    for each in seed or [params.seed]:
        dealt = deal(boxes, folds, each)
        for number in fold or range(folds):
            start = time.process_time()
            with tempfile.TemporaryDirectory() as scratch:
                scores = train_detector(
                    boxes, dealt[number], recipe, each, Path(scratch) / "run", Path(scratch) / "model"
                )
            spent = (time.process_time() - start) / 60
            photos = f"{scores['train_photos']} photos to train, {scores['held_out_photos']} to measure"
            told = ", ".join(f"{name} {scores[key]:.3f}" for key, name in MEASURES.items())
            print(f"seed {each}, fold {number}: {told} ({photos}, {spent:.1f} minutes of processor time)", flush=True)
            rows.append([scores[key] for key in MEASURES])
    means, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1 if len(rows) > 1 else 0)
    told = ", ".join(f"{name} {m:.3f} ({s:.3f})" for name, m, s in zip(MEASURES.values(), means, spread, strict=True))
    print(f"mean and standard deviation of {len(rows)} trainings: {told}")


def deal(boxes: pd.DataFrame, folds: int, seed: int) -> list[set[str]]:
    """The groups of each fold; folds have about as many photos each."""
    groups = boxes.drop_duplicates("path")["group"].to_numpy(str)
    dealt = GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)
    return [set(groups[held_out]) for _, held_out in dealt]


if __name__ == "__main__":
    run(main)
