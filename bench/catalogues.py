"""What `finprint start` chooses for each catalogue, beside params.yaml as it is and beside one other choice at a time.

Each run goes through both rounds, the second look and the search, by the library's own functions, and is measured on
validation. The photos must show one animal each and have no boxes. In the activated environment:
python bench/catalogues.py data/raw/right_whale data/raw/nyala [--minutes 10] [--seeds 3] [--only "the whole photo"]
"""

import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from overrides import parsed
from trainings import Cropped, Row, of_jobs, picked, run_missing

from finprint.answers.search import search
from finprint.base.checkpoint import Checkpoint
from finprint.base.cli import run
from finprint.base.errors import UserError
from finprint.base.files import sha256_json
from finprint.base.params import changed
from finprint.evaluation.judging import judged_validation
from finprint.individuals.mining import mine
from finprint.individuals.rounds import Earlier, Later, later_rounds
from finprint.individuals.task import Individuals
from finprint.keypoints.look import second_look
from finprint.keypoints.tables import local_scores
from finprint.learning.recipe import Recipe
from finprint.learning.round import train_round
from finprint.matching.catalogue import build_catalogue
from finprint.model.embedding import embed_crops
from finprint.params import Params, load_params
from finprint.pictures.shards import Crops
from finprint.start.cost import Work
from finprint.start.facts import facts_of
from finprint.start.probe import probe
from finprint.start.recipe import WHOLE, plan, within
from finprint.start.rungs import SIDES
from finprint.start.window import window_of
from finprint.store.tables import TEST
from finprint.survey.look import look
from finprint.survey.prepare import survey

METRICS = ("map5", "top1_known", "auroc_new")
ALONE = "map5_alone"  # without the second look
DEFAULTS, START = "params.yaml as it is", "start"


def _scaled(params: Params, factor: float) -> dict[str, Any]:
    """So many times the epochs."""
    first, second = (max(1, round(factor * epochs)) for epochs in (params.train.epochs, params.retrain.epochs))
    return {"train.epochs": first, "retrain.epochs": second}


def _sized(side: int) -> dict[str, Any]:
    return {"train.image_size": side, "train.first_size": round(0.7 * side / 16) * 16}


def _one_round(params: Params) -> dict[str, Any]:
    """Views of the next larger size in the same time: nearly all of it for round 1, which round 2 goes on from."""
    side = params.train.image_size
    larger = min([one for one in SIDES if one > side], default=side)
    epochs = (params.train.epochs + params.retrain.epochs) * (side / larger) ** 2
    second = max(3, round(epochs / 7))
    rounds = {"train.epochs": round(epochs) - second, "retrain.epochs": second}
    return _sized(larger) | rounds | {"retrain.start": "round1", "retrain.lr_scale": 0.5}


# What each alternative changes in the recipe that `start` has chosen.
ALTERNATIVES: dict[str, Callable[[Params], dict[str, Any]]] = {
    START: lambda params: {},
    "the whole photo": lambda params: {"crop.whole": list(WHOLE), "train.augment.shift": 0.1},
    "mirror images otherwise": lambda params: {
        "train.augment.mirror": "same" if params.train.augment.mirror == "other" else "other"
    },
    "half the epochs": lambda params: _scaled(params, 0.5),
    "twice the epochs": lambda params: _scaled(params, 2),
    "views of 96 px": lambda params: _sized(96),
    "views of 160 px": lambda params: _sized(160),
    "views of 224 px": lambda params: _sized(224) | {"crop.image_size": 224},
    "viewpoints as classes": lambda params: {"train.viewpoints": "together" if params.train.apart else "apart"},
    "lite1 as backbone": lambda params: {"train.backbone": "tf_efficientnet_lite1"},
    "two centres": lambda params: {"train.margin.centres": 2},
    "round 2 from round 1": lambda params: {"retrain.start": "round1", "retrain.epochs": 5, "retrain.lr_scale": 0.5},
    "one long round of larger views": _one_round,
    "a head alone": lambda params: {
        "train.finetune.trainable": 0.0, "train.epochs": 60, "retrain.start": "round1", "retrain.epochs": 1,
        "train.augment.mixup": 0.0,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One run; `key` names all that it depends on."""

    catalogue: str
    name: str
    seed: int
    params: Params
    photos: pd.DataFrame
    crops: Path
    key: str


def main(
    folders: list[Path],
    minutes: Annotated[float, typer.Option(help="that `start` plans for")] = 10,
    seeds: Annotated[int, typer.Option(help="trainings of each recipe")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="recipes; else all")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of params.yaml, for every run")] = None,
    out: Annotated[Path, typer.Option(help="CSV of the finished runs")] = Path("build/catalogues.csv"),
) -> None:
    names = picked(only, [DEFAULTS, *ALTERNATIVES])
    with TemporaryDirectory() as scratch:
        wanted = [
            job for folder in folders for job in _jobs(folder, names, minutes, parsed(set_), Path(scratch), seeds)
        ]
        print(table(run_missing(_run, wanted, out, _said), wanted))


def _said(row: Row, done: pd.DataFrame) -> str:
    told = ", ".join(f"{name} {row.get(name, np.nan):.3f}" for name in METRICS)
    return f"{row['catalogue']}, {row['name']}, seed {row['seed']}: {told}"


def _jobs(
    folder: Path, names: list[str], minutes: float, changes: dict[str, Any], scratch: Path, seeds: int
) -> Iterator[Job]:
    """Every recipe for a catalogue, with every seed."""
    base = load_params()
    looked = look(folder, base.prepare.model_copy(update={"source": "sample"}))
    facts = facts_of(looked)
    if facts.boxed:
        raise UserError(f"{folder} has boxes: this bench takes photos that show the animal alone")
    base = changed(base, {"prepare": looked.params.model_dump(), "detector.enabled": False} | changes)
    photos = survey(looked.source, base.prepare, base.seed).photos
    paths = [Path(path) for path in photos["path"]]
    window = window_of(facts, paths, base)
    chosen = plan(Work(facts, probe(paths, within(base, window))), base, minutes, window)
    told = {choice.key: choice.value for choice in chosen.choices if not choice.key.startswith("prepare.")}
    print(f"{folder.name}: " + ", ".join(f"{key} {value}" for key, value in told.items()), flush=True)
    recipe = changed(changed(base, told), changes)
    place = scratch / sha256_json(str(folder))[:8]
    place.mkdir()
    cropped = Cropped(photos, place)
    sides = photos["viewpoint"].notna().any()  # else there are no classes by viewpoint
    for name in names:
        params = base if name == DEFAULTS else changed(recipe, ALTERNATIVES[name](recipe))
        params = params if sides else changed(params, {"train.viewpoints": "together"})
        crops, looks = cropped.of(params.crop)
        for seed in range(seeds):
            key = sha256_json([folder.name, params.model_dump(exclude={"prepare", "crop"}), seed, looks])[:16]
            yield Job(folder.name, name, seed, params, photos, crops, key)


def _run(job: Job) -> dict[str, Any]:
    """Both rounds, the second look and the search, measured on validation with the look and without it.

    Local features are kept for the runs that follow; so the first run of a catalogue's crops is the slowest.
    """
    params, crops = job.params, Crops(job.crops)
    models = [job.crops.parent / f"{job.key}_{number}" for number in (1, 2)]
    places = [
        Checkpoint(f"catalogues{number}", {"key": job.key}, [], []) for number in range(1 + params.retrain.rounds)
    ]
    began = time.process_time()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # the loop's own lines would bury the bench's
        recipe = Recipe(params.train, params.train.epochs, params.lr, job.seed)
        train_round(Individuals.of(job.photos, crops, params.train), crops, recipe, places[0]).save(models[0])
        first = embed_crops(models[0], crops, params.embed, quiet=True)
        labels = mine(build_catalogue(job.photos, first), params.mine).labels
        later = Later(job.seed, params.lr, params.train, params.embed, params.mine, params.retrain)
        later_rounds(job.photos, crops, later, Earlier(models[0], labels), places[1:]).save(models[1])
        second = embed_crops(models[1], crops, params.embed, quiet=True)
        catalogue = build_catalogue(job.photos[job.photos["split"] != TEST], first, second)
        alone = judged_validation(catalogue, search(catalogue, params.search).validation)
        looked = second_look(catalogue.photos, catalogue.blend(), crops, params.match)
        catalogue = replace(catalogue, local_scores=local_scores(looked.pairs, looked.compared))
        judged = judged_validation(catalogue, search(catalogue, params.search).validation)
    for place in places:
        place.clear()
    told = {"key": job.key, "catalogue": job.catalogue, "name": job.name, "seed": job.seed}
    return told | judged.metrics() | {ALONE: alone.metrics()["map5"], "cpu_s": time.process_time() - began}


def table(done: pd.DataFrame, wanted: list[Job]) -> str:
    """Each catalogue and recipe, the mean over the seeds: a table in Markdown."""
    runs = of_jobs(done, wanted).reindex(columns=[*METRICS, ALONE, "cpu_s"])
    runs.index = pd.MultiIndex.from_tuples([(job.catalogue, job.name) for job in wanted])
    lines = [
        "| catalogue | recipe | MAP@5 | without the second look | top-1 of known animals | AUROC of new "
        "| minutes of processor time |",
        "|---|---|---|---|---|---|---|",
    ]
    for catalogue, name in runs.index.unique():
        rows = runs.loc[[(catalogue, name)]]
        spread = f" ± {rows['map5'].std():.3f}" if len(rows) > 1 else ""
        mean = rows.mean()
        lines.append(
            f"| {catalogue} | {name} | {mean['map5']:.3f}{spread} | {mean[ALONE]:.3f} | {mean['top1_known']:.3f} "
            f"| {mean['auroc_new']:.3f} | {mean['cpu_s'] / 60:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
