"""What each technique of the training adds: MAP@5 on validation with it and without, same budget, several seeds.

A share of the individuals is trained on (see trainings.py); the splits stay, the training's seed changes. Finished runs
are kept in --out, so that a bench that was interrupted, or is given more seeds, goes on; delete it when the code has
changed. In the activated environment:
python bench/ablation.py data/raw/right_whale [--only "mixup 0.2" --only DOLG] [--set train.epochs=24]
"""

import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from overrides import parsed
from trainings import BUDGET, Cropped, Row, chosen, of_jobs, picked, run_missing

from finprint.base.checkpoint import Checkpoint
from finprint.base.cli import run
from finprint.base.files import sha256_json
from finprint.base.params import changed
from finprint.individuals.task import Individuals
from finprint.learning.recipe import Recipe
from finprint.learning.round import train_round
from finprint.params import Params, load_params
from finprint.pictures.shards import Crops

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "float32": {"train.amp": False},
    "the whole head": {"crop.whole": [0.0, 0.0, 1.0, 1.0]},
    # what of the backbone learns
    "all of the backbone": {"train.finetune.trainable": 1.0},
    "half the backbone": {"train.finetune.trainable": 0.5},
    "none of it (a head alone), 60 epochs": {"train.finetune.trainable": 0.0, "train.epochs": 60},
    "norms held": {"train.finetune.hold_norms": True},
    "layer decay 0.8": {"train.finetune.layer_decay": 0.8},
    "unfreezing by stages": {"train.finetune.unfreeze": [1, 2, 3]},
    # augmentation
    "mirror: same": {"train.augment.mirror": "same"},
    "no mirror images": {"train.augment.flip": 0.0},
    "any turn": {"train.augment.rotate": 180},
    "mixup 0.2": {"train.augment.mixup": 0.2},
    "mixup 0.2 of vectors": {"train.augment.mixup": 0.2, "train.augment.mixed": "vectors"},
    "wider shift": {"train.augment.shift": 0.1},
    "wider affine": {"train.augment.rotate": 25, "train.augment.zoom": 0.25, "train.augment.shear": 10},
    "colour 0.1": {"train.augment.colour": 0.1},
    "colour 0.5": {"train.augment.colour": 0.5},
    "erased half the time": {"train.augment.erase": 0.5},
    "noise 0.2": {"train.augment.noise": 0.2},
    "augmentation grows": {"train.augment.grow": 0.5},
    "views grow from 64 px": {"train.first_size": 64},
    "no blur": {"train.augment.blur": 0.0},
    # schedule and averages
    "no warm-up": {"train.schedule.warmup": 0.0},
    "batch 16": {"train.batch": 16},
    "lr halved": {"lr": 0.001},
    "lr doubled": {"lr": 0.004},
    "head lr x 30": {"train.head_lr_factor": 30.0},
    "one cycle": {"train.schedule.kind": "one_cycle"},
    "step decay": {"train.schedule.kind": "step"},
    "warm restarts": {"train.schedule.kind": "restarts"},
    "even average, last 30 %": {"train.swa": 0.3},
    "no average": {"train.ema": 0.0},
    # fusion and head
    "DOLG": {"train.fusion": "dolg"},
    "plain mean": {"train.fusion": "average"},
    "embedding 256": {"train.embedding": 256},
    "embedding 1024": {"train.embedding": 1024},
    "one centre": {"train.margin.centres": 1},
    "equal margins 0.3": {"train.margin.one_photo": 0.0, "train.margin.least": 0.3},
    "margin ramp 0.5": {"train.margin.ramp": 0.5},
    "species head (several species)": {"train.species.share": 0.563},
    "cyclic pooling": {"train.cyclic": True},
    # larger, and shorter by so much that all take about as long as 24 epochs of the default (--set train.epochs=24)
    "lite1, 17 epochs": {"train.backbone": "tf_efficientnet_lite1", "train.epochs": 17},
    "lite2, 12 epochs": {"train.backbone": "tf_efficientnet_lite2", "train.epochs": 12},
    "views of 128 px, 15 epochs": {"train.image_size": 128, "train.first_size": 128, "train.epochs": 15},
    "views of 160 px, 10 epochs": {"train.image_size": 160, "train.first_size": 160, "train.epochs": 10},
    "views of 224 px, 5 epochs": {"train.image_size": 224, "train.first_size": 224, "train.epochs": 5},
    "views that grow from 64 to 128 px, 20 epochs": {
        "train.image_size": 128,
        "train.first_size": 64,
        "train.epochs": 20,
    },
    # backbones of other kinds; no wheel brings their weights, so beside the default one without its own
    "untrained": {"train.weights": "none"},
    "untrained ResNet-18": {"train.weights": "none", "train.backbone": "resnet18"},
    "untrained ConvNeXt atto": {"train.weights": "none", "train.backbone": "convnext_atto"},
    "untrained ViT tiny": {"train.weights": "none", "train.backbone": "vit_tiny_patch16_224"},
}


@dataclass(frozen=True)
class Job:
    """One training; `key` names all that it depends on."""

    variant: str
    seed: int
    params: Params
    photos: pd.DataFrame
    crops: Path
    key: str


def main(
    folder: Path,
    seeds: Annotated[int, typer.Option(help="trainings of each variant")] = 3,
    share: Annotated[float, typer.Option(help="of the individuals")] = 1 / 3,
    only: Annotated[list[str] | None, typer.Option(help="variants; else all")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of params.yaml, for every run")] = None,
    out: Annotated[Path, typer.Option(help="CSV of the finished runs")] = Path("build/ablation.csv"),
) -> None:
    names = ["as it is", *(one for one in picked(only, VARIANTS) if one != "as it is")]
    base = changed(load_params(), BUDGET | parsed(set_))
    photos = chosen(folder, base, share)
    told = photos["split"].value_counts()
    print(
        f"{told['train']} photos of {photos['identity'].nunique()} individuals, {told['validation']} validate",
        flush=True,
    )
    with TemporaryDirectory() as scratch:
        cropped = Cropped(photos, Path(scratch))
        wanted = [job(name, seed, base, cropped) for seed in range(seeds) for name in names]

        def said(row: Row, done: pd.DataFrame) -> str:
            count = done["key"].isin([job.key for job in wanted]).sum()
            spent = f"{row['cpu_s']:.0f} s of processor time ({count} of {len(wanted)})"
            return f"{row['variant']}, seed {row['seed']}: MAP@5 {row['map5']:.3f}, {spent}"

        print(table(run_missing(train, wanted, out, said), wanted))


def job(variant: str, seed: int, base: Params, cropped: Cropped) -> Job:
    params = changed(base, VARIANTS[variant])
    crops, looked = cropped.of(params.crop)
    key = sha256_json([params.lr, params.train.model_dump(), seed, looked])[:16]
    return Job(variant, seed, params, cropped.photos, crops, key)


def train(job: Job) -> dict[str, Any]:
    """Train once; the metrics after the last epoch: nearest photo, best threshold, plain views."""
    params, crops = job.params, Crops(job.crops)
    recipe = Recipe(params.train, params.train.epochs, params.lr, job.seed)
    checkpoint = Checkpoint("ablation", {"key": job.key}, [], [])
    started = time.process_time()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # the loop's own lines would bury the bench's
        trained = train_round(Individuals.of(job.photos, crops, params.train), crops, recipe, checkpoint)
    checkpoint.clear()
    told = {"key": job.key, "variant": job.variant, "seed": job.seed}
    return told | trained.history[-1] | {"cpu_s": time.process_time() - started}


def table(done: pd.DataFrame, wanted: list[Job]) -> str:
    """Each variant beside the recipe as it is, by the same seeds: a table in Markdown."""
    runs = of_jobs(done, wanted)
    runs["auroc_new"] = runs.get("auroc_new", np.nan)  # of animals with many photos none may be held out as new
    runs.index = pd.MultiIndex.from_tuples([(job.variant, job.seed) for job in wanted])
    plain = runs.loc["as it is"]
    lines = ["| variant | MAP@5 | difference | by seed | AUROC of new | time |", "|---|---|---|---|---|---|"]
    for name in runs.index.unique(0):
        rows = runs.loc[name]
        gain = rows["map5"] - plain["map5"]
        each = " ".join(f"{value:+.3f}" for value in gain)
        if name == "as it is":
            each = f"± {rows['map5'].std():.3f}" if len(rows) > 1 else ""
        lines.append(
            f"| {name} | {rows['map5'].mean():.3f} | {gain.mean():+.3f} | {each} | {rows['auroc_new'].mean():.3f} "
            f"| {rows['cpu_s'].mean() / plain['cpu_s'].mean():.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
