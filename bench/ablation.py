"""What each technique of the training adds: MAP@5 on validation with it and without, same budget, several seeds.

FOLDER is in the layout of `prepare.source=happywhale`, its photos cropped already (right whales: heads). A share of
the individuals is trained on; the splits stay, the training's seed changes. Finished runs are kept in --out, so that a
bench that was interrupted, or is given more seeds, goes on; delete it when the code has changed. In the environment:
python bench/ablation.py data/raw/right_whale [--only mixup --only dolg] [--set train.epochs=24]
"""

import os
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from overrides import changed, parsed

from finprint.checkpoint import Checkpoint
from finprint.crop_cache import CropCache
from finprint.cropping import crop_key, crop_photos
from finprint.detector import save_no_detector
from finprint.files import sha256_json, write_csv
from finprint.params import Params, load_params
from finprint.prepare import survey
from finprint.rounds import fingerprint, train_round
from finprint.shards import Crops
from finprint.sources import read_source
from finprint.tables import BOXES
from finprint.training import Recipe

# The budget: small views and few epochs, so that a run takes a minute or two on 2 cores.
BASE = {
    "prepare.source": "happywhale", "crop.image_size": 128,
    "train.image_size": 96, "train.first_size": 96, "train.epochs": 12, "train.score_every": 100,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    # what of the backbone learns
    "half the backbone": {"train.finetune.trainable": 0.5},
    "half of it, 20 epochs": {"train.finetune.trainable": 0.5, "train.epochs": 20},
    "none of it (a head alone), 60 epochs": {"train.finetune.trainable": 0.0, "train.epochs": 60},
    "norms held": {"train.finetune.hold_norms": True},
    "layer decay 0.8": {"train.finetune.layer_decay": 0.8},
    "unfreezing by stages": {"train.finetune.unfreeze": [1, 2, 3]},
    # augmentation
    "mirror: same": {"train.augment.mirror": "same"},
    "mirror: other": {"train.augment.mirror": "other"},
    "no mirror images": {"train.augment.flip": 0.0},
    "mixup 0.2": {"train.augment.mixup": 0.2},
    "mixup 0.2 of vectors": {"train.augment.mixup": 0.2, "train.augment.mixed": "vectors"},
    "wider affine": {"train.augment.rotate": 25, "train.augment.zoom": 0.25, "train.augment.shear": 10},
    "colour 0.5": {"train.augment.colour": 0.5},
    "erased half the time": {"train.augment.erase": 0.5},
    "noise 0.2": {"train.augment.noise": 0.2},
    "augmentation grows": {"train.augment.grow": 0.5},
    "views grow from 64 px": {"train.first_size": 64},
    # schedule and averages
    "batch 16": {"train.batch": 16},
    "lr halved": {"lr": 0.001},
    "lr doubled": {"lr": 0.004},
    "head lr x 30": {"train.head_lr": 30.0},
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
    "equal margins 0.3": {"train.margin.scale": 0.0, "train.margin.floor": 0.3},
    "margin ramp 0.5": {"train.margin.ramp": 0.5},
    "species head (several species)": {"train.species.share": 0.563},
    "cyclic pooling": {"train.cyclic": True},
    # backbones of other kinds; no wheel brings their weights, so beside the default one without its own
    "untrained": {"train.weights": "none"},
    "untrained ResNet-18": {"train.weights": "none", "train.backbone": "resnet18"},
    "untrained ConvNeXt atto": {"train.weights": "none", "train.backbone": "convnext_atto"},
    "untrained ViT tiny": {"train.weights": "none", "train.backbone": "vit_tiny_patch16_224"},
}


def main(
    folder: Path,
    seeds: Annotated[int, typer.Option(help="trainings of each variant")] = 3,
    share: Annotated[float, typer.Option(help="of the individuals")] = 1 / 3,
    only: Annotated[list[str] | None, typer.Option(help="variants; else all")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of params.yaml, for every run")] = None,
    out: Annotated[Path, typer.Option(help="CSV of the finished runs")] = Path("build/ablation.csv"),
) -> None:
    base = changed(load_params(), BASE | parsed(set_))
    photos = chosen(folder, base, share)
    told = photos["split"].value_counts()
    print(
        f"{told['train']} photos of {photos['identity'].nunique()} individuals, {told['validation']} validate",
        flush=True,
    )
    with TemporaryDirectory() as scratch:
        os.environ["DVC_ROOT"] = scratch  # or the project's own cache would be tidied
        crops = cropped(photos, base, Path(scratch))
        looked = fingerprint(photos, crops)
        done = pd.read_csv(out) if out.exists() else pd.DataFrame()
        for seed in range(seeds):
            for name in ["as it is", *(one for one in only or VARIANTS if one != "as it is")]:
                params = changed(base, VARIANTS[name])
                key = run_key(params, seed, looked)
                if len(done) and key in set(done["key"]):
                    continue
                row = {"key": key, "variant": name, "seed": seed} | run(photos, crops, params, seed)
                done = pd.concat([done, pd.DataFrame([row])], ignore_index=True)
                write_csv(out, done)
                print(
                    f"{name}, seed {seed}: MAP@5 {row['map5']:.3f}, {row['cpu_s']:.0f} s of processor time", flush=True
                )
    print(table(done, base, looked))


def chosen(folder: Path, params: Params, share: float) -> pd.DataFrame:
    """The labelled photos of a share of the individuals, split as `prepare` splits them."""
    source, _ = read_source(params.prepare, folder)
    photos = survey(source, params.prepare, params.seed).photos
    photos = photos[photos["identity"].notna()]
    names = np.unique(photos["identity"].to_numpy(str))
    kept = np.random.default_rng(params.seed).permutation(names)[: round(share * len(names))]
    return photos[photos["identity"].isin(kept)].reset_index(drop=True)


def cropped(photos: pd.DataFrame, params: Params, folder: Path) -> Crops:
    """Each photo as a whole, in the stored size."""
    none = pd.DataFrame(columns=list(BOXES.columns))
    save_no_detector(folder / "detector")
    with CropCache(crop_key(params.crop, folder / "detector")) as cache:
        crop_photos(photos, none, None, params.crop, cache, folder / "crops")
    return Crops(folder / "crops")


def run(photos: pd.DataFrame, crops: Crops, params: Params, seed: int) -> dict[str, float]:
    """Train once; the figures after the last epoch: nearest photo, best threshold, plain views."""
    recipe = Recipe(params.train, params.train.epochs, params.lr, seed)
    checkpoint = Checkpoint("ablation", {"seed": seed, "params": params.model_dump()}, [])
    started = time.process_time()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # the loop's own lines would bury the bench's
        _, _, history = train_round(photos, crops, recipe, checkpoint)
    checkpoint.clear()
    return {**history[-1], "cpu_s": time.process_time() - started}


def run_key(params: Params, seed: int, looked: str) -> str:
    """Names a run by all that its training depends on."""
    return sha256_json([params.lr, params.train.model_dump(), seed, looked])[:16]


def table(done: pd.DataFrame, base: Params, looked: str) -> str:
    """Each variant beside the recipe as it is, by the same seeds: a table in Markdown."""
    keys = {
        run_key(changed(base, VARIANTS[name]), seed, looked)
        for name in done["variant"].unique().tolist()
        for seed in done["seed"].unique().tolist()
    }
    mine = done[done["key"].isin(keys)].set_index(["variant", "seed"])
    plain = mine.loc["as it is"]
    lines = ["| variant | MAP@5 | difference | by seed | AUROC of new | time |", "|---|---|---|---|---|---|"]
    for name in mine.index.get_level_values(0).unique():
        rows = mine.loc[name]
        gain = (rows["map5"] - plain["map5"]).dropna()
        each = " ".join(f"{value:+.3f}" for value in gain)
        if name == "as it is":
            each = f"± {rows['map5'].std():.3f}" if len(rows) > 1 else ""
        lines.append(
            f"| {name} | {rows['map5'].mean():.3f} | {gain.mean():+.3f} | {each} | {rows['auroc_new'].mean():.3f} "
            f"| {rows['cpu_s'].mean() / plain['cpu_s'].mean():.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
