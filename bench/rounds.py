"""What a second model adds to the first: by pseudo-labels of several kinds, without a fold, or just one more.

Of a share of the individuals (see trainings.py), a part of the training photos lose their names and become those to
identify: round 1 learns without them, and names them. Every way goes on from that same round 1, and is searched as
params.yaml says, by several seeds. In the activated environment:
python bench/rounds.py data/raw/right_whale [--only "soft, 0.8"] [--set train.epochs=24]
"""

import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer
from overrides import parsed
from trainings import BUDGET, Cropped, chosen, picked, side_by_side

from finprint.answers.search import search
from finprint.base.checkpoint import Checkpoint
from finprint.base.cli import run
from finprint.base.files import write_csv
from finprint.base.params import changed
from finprint.evaluation.judging import judged_test, judged_validation, label_precision
from finprint.individuals.mining import mine
from finprint.individuals.rounds import Earlier, Later, later_rounds
from finprint.individuals.task import Individuals
from finprint.learning.recipe import Recipe
from finprint.learning.round import train_round
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.model.embedding import embed_crops
from finprint.params import Params, load_params
from finprint.pictures.shards import Crops
from finprint.store.tables import TEST, TRAIN

# README's second round for right whales: afresh, as long as the first.
AGAIN = {"retrain.start": "pretrained", "retrain.lr_scale": 1.0, "mine.precision": 0.9}


@dataclass(frozen=True)
class Way:
    """What the second model learns from: `labels`, the photos to identify, too, named as `changes` say; `same`, what
    round 1 did; `fold`, that without a fold; `truth`, the photos to identify by their true names."""

    learns: Literal["labels", "same", "fold", "truth"]
    changes: dict[str, Any] = field(default_factory=dict)


FROM_ROUND1 = {"retrain.start": "round1", "retrain.epochs": 5, "retrain.lr_scale": 0.5}
WAYS = {
    "hard, 0.9": Way("labels"),
    "hard, 0.99": Way("labels", {"mine.precision": 0.99}),
    "hard, 0.8": Way("labels", {"mine.precision": 0.8}),
    "weighted, 0.8": Way("labels", {"mine.precision": 0.8, "mine.targets": "weighted"}),
    "soft, 0.9": Way("labels", {"mine.targets": "soft"}),
    "soft, 0.8": Way("labels", {"mine.precision": 0.8, "mine.targets": "soft"}),
    "hard, 0.9, from round 1's weights, 5 epochs": Way("labels", FROM_ROUND1),
    "hard, 0.9, twice": Way("labels", {"retrain.rounds": 2}),
    "no pseudo-labels": Way("same"),
    "no pseudo-labels, a fold left out": Way("fold"),
    "the true names": Way("truth"),
}


@dataclass(frozen=True)
class Job:
    """A way to train from `round1`, a model folder that the first round makes; `truth` is the table `TRUTH`."""

    name: str
    seed: int
    params: Params
    photos: pd.DataFrame
    truth: pd.DataFrame
    crops: Path
    round1: Path


def main(
    folder: Path,
    seeds: Annotated[int, typer.Option(help="first rounds, each with photos of its own to identify")] = 3,
    share: Annotated[float, typer.Option(help="of the individuals")] = 1 / 3,
    hidden: Annotated[float, typer.Option(help="share of the training photos that are to identify")] = 0.4,
    only: Annotated[list[str] | None, typer.Option(help="ways; else all")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of params.yaml, for every run")] = None,
    out: Annotated[Path, typer.Option(help="CSV of the runs")] = Path("build/rounds.csv"),
) -> None:
    names = picked(only, WAYS)
    base = changed(load_params(), BUDGET | AGAIN | parsed(set_))
    base = changed(base, {"retrain.epochs": base.train.epochs})
    photos = chosen(folder, base, share)
    rows = []
    with TemporaryDirectory() as scratch:
        crops, _ = Cropped(photos, Path(scratch)).of(base.crop)
        firsts = [
            Job("round 1", seed, base, *hide(photos, hidden, seed), crops, Path(scratch) / f"round1_{seed}")
            for seed in range(seeds)
        ]
        seconds = [
            replace(first, name=name, params=changed(base, WAYS[name].changes)) for first in firsts for name in names
        ]
        for work, jobs in ((first_round, firsts), (second_round, seconds)):
            for row in side_by_side(work, jobs):
                rows.append(row)
                write_csv(out, pd.DataFrame(rows))
                told = [f"{name} {value:.3f}" for name, value in row.items() if isinstance(value, float)]
                print(f"{row['way']}, seed {row['seed']}: {', '.join(told)} ({len(rows)})", flush=True)
    print(table(pd.DataFrame(rows), [job.name for job in firsts[:1] + seconds]))


def hide(photos: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table `PHOTOS` with a share of its training photos to identify, and the table `TRUTH` of these."""
    train = photos.loc[photos["split"] == TRAIN, ["image", "identity"]]
    truth = train.sample(frac=share, random_state=seed)
    asked = photos["image"].isin(truth["image"])
    nameless = photos["identity"].mask(asked, None)
    return photos.assign(split=photos["split"].mask(asked, TEST), identity=nameless), truth


def first_round(job: Job) -> dict[str, Any]:
    """Train round 1 and judge it."""
    started = time.process_time()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # the loop's own lines would bury the bench's
        one_more(job, job.round1, job.seed)
    spent = time.process_time() - started
    return {"way": job.name, "seed": job.seed, "cpu_s": spent} | judged(job, vectors(job, job.round1))


def second_round(job: Job) -> dict[str, Any]:
    """Train a model more in the job's way, and judge it alone and with round 1."""
    started = time.process_time()
    params, way = job.params, WAYS[job.name]
    model = job.round1 / str(list(WAYS).index(job.name))
    told: dict[str, Any] = {}
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        if way.learns == "labels":
            mined = mine(vectors(job, job.round1), params.mine)
            right = label_precision(mined.labels, job.truth).get("pseudo_labels", {"told": 0, "precision": np.nan})
            told = {"labels": float(right["told"]), "promised": mined.precision, "right": right["precision"]}
            later = Later(job.seed, params.lr, params.train, params.embed, params.mine, params.retrain)
            places = [Checkpoint(f"{model.name} {job.seed} {n}", {}, [], []) for n in range(params.retrain.rounds)]
            later_rounds(job.photos, Crops(job.crops), later, Earlier(job.round1, mined.labels), places).save(model)
        else:
            # Another seed, or it would be round 1 again.
            one_more(job, model, job.seed + 100, way.learns)
    spent = time.process_time() - started
    both = vectors(job, job.round1, model)
    alone = judged(job, replace(both, members=both.members[1:]))
    start = {"way": job.name, "seed": job.seed, "cpu_s": spent}
    return start | told | judged(job, both) | {f"{name}, alone": value for name, value in alone.items()}


def one_more(job: Job, model: Path, seed: int, learns: str = "same") -> None:
    """Train as round 1 is trained, and write the model folder."""
    params, crops = job.params, Crops(job.crops)
    recipe = Recipe(params.train, params.train.epochs, params.lr, seed)
    left_out = (params.prepare.fold + 1) % params.prepare.folds if learns == "fold" else None
    names = job.truth.assign(weight=1.0) if learns == "truth" else None
    task = Individuals.of(job.photos, crops, params.train, names, left_out=left_out)
    train_round(task, crops, recipe, Checkpoint(f"{learns} {seed}", {}, [], [])).save(model)


def vectors(job: Job, *models: Path) -> Catalogue:
    """All photos with their vectors by each model."""
    stored = Crops(job.crops)
    return build_catalogue(job.photos, *(embed_crops(model, stored, job.params.embed, quiet=True) for model in models))


def judged(job: Job, catalogue: Catalogue) -> dict[str, float]:
    """MAP@5 of validation and of the photos to identify, by the catalogue's models together."""
    answers = search(catalogue, job.params.search)
    return {
        "map5": judged_validation(catalogue, answers.validation).metrics()["map5"],
        "map5 of test": judged_test(catalogue, answers.test, job.truth).metrics()["map5"],
    }


def table(runs: pd.DataFrame, names: list[str]) -> str:
    """The means over the seeds in Markdown; the gain is that of MAP@5 on validation over round 1, by seed."""
    columns = ["map5", "map5 of test", "map5, alone", "labels", "right", "cpu_s"]
    runs = runs.reindex(columns=["way", "seed", *columns])
    runs["map5, alone"] = runs["map5, alone"].fillna(runs["map5"])
    first = runs[runs["way"] == names[0]].set_index("seed")
    lines = [
        "| second model | MAP@5 with round 1 | gain | by seed | alone | test, with round 1 | names | right | time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(names):
        rows = runs[runs["way"] == name].set_index("seed").sort_index()
        gain = rows["map5"] - first["map5"]
        mean = rows[columns].mean()
        labels = "" if np.isnan(mean["labels"]) else f"{mean['labels']:.0f}"
        right = "" if np.isnan(mean["right"]) else f"{mean['right']:.3f}"
        lines.append(
            f"| {name} | {mean['map5']:.3f} | {gain.mean():+.3f} | {' '.join(f'{g:+.3f}' for g in gain)} "
            f"| {mean['map5, alone']:.3f} | {mean['map5 of test']:.3f} | {labels} | {right} "
            f"| {mean['cpu_s'] / first['cpu_s'].mean():.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
