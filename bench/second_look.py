"""The second look: how fast pairs are matched, and what it adds to a trained round's cosines on validation.

A share of the individuals is trained on for a few epochs (see trainings.py). For some of the validation photos, the
nearest individuals are matched, and ranked by cosine, by matched local features, and by both; the weights of both are a
conditional logit's that is fitted on the other half of the queries. In the activated environment:
python bench/second_look.py data/raw/right_whale [--only "ALIKED, 256"] [--set match.individuals=10]
"""

import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeVar

import numpy as np
import pandas as pd
import torch
import typer
from frozen import frozen_vectors
from overrides import parsed
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score
from trainings import BUDGET, Cropped, chosen, picked

from finprint.base.checkpoint import Checkpoint
from finprint.base.cli import run
from finprint.base.params import changed
from finprint.individuals.task import Individuals
from finprint.keypoints.features import extract, opened
from finprint.keypoints.networks import load_networks
from finprint.keypoints.pairs import match_pairs
from finprint.keypoints.params import Match
from finprint.keypoints.shortlist import shortlist
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.views import enlarged
from finprint.learning.recipe import Recipe
from finprint.learning.round import train_round
from finprint.model.embedding import embed
from finprint.params import Params, load_params
from finprint.pictures.shards import Crops
from finprint.store.tables import TRAIN, VALIDATION

VARIANTS: dict[str, dict[str, Any]] = {
    "ALIKED, 512": {},
    "ALIKED, 256": {"match.keypoints": 256},
    "ALIKED, 512, 480 px": {"match.image_size": 480},
    "ALIKED, 512, wider": {"crop.whole": [0.22, 0.32, 0.96, 0.68]},
    "ALIKED, 512, 480 px, wider": {"crop.whole": [0.22, 0.32, 0.96, 0.68], "match.image_size": 480},
    "DISK, 256": {"match.extractor": "disk", "match.keypoints": 256},
    "XFeat, 512": {"match.extractor": "xfeat"},
    "XFeat, 512, wider": {"match.extractor": "xfeat", "crop.whole": [0.22, 0.32, 0.96, 0.68]},
}
R = TypeVar("R")


def main(
    folder: Path,
    queries: Annotated[int, typer.Option(help="validation photos that are matched")] = 60,
    share: Annotated[float, typer.Option(help="of the individuals")] = 1 / 3,
    epochs: Annotated[int, typer.Option(help="of the training; 0: frozen features instead")] = 12,
    rate: Annotated[int, typer.Option(help="pairs by which the speed is measured; 0: it is not")] = 100,
    only: Annotated[list[str] | None, typer.Option(help="variants; else all")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of params.yaml, for every variant")] = None,
) -> None:
    base = changed(
        load_params(),
        BUDGET | {"match.enabled": True, "match.pixels": "crops", "train.epochs": max(epochs, 1)} | parsed(set_),
    )
    photos = chosen(folder, base, share)
    with TemporaryDirectory() as scratch:
        cropped = Cropped(photos, Path(scratch))
        crops = Crops(cropped.of(base.crop)[0])
        photos = photos[photos["image"].isin(crops.index["image"])].reset_index(drop=True)
        vectors = trained_vectors(photos, crops, base) if epochs else frozen_vectors(crops, 224)
        pairs = shortlisted(photos, vectors[crops.rows(photos["image"])], queries, base.match)
        told = pairs.drop_duplicates("query")
        print(
            f"{len(told)} queries, {(~told['new']).sum()} of animals in the gallery, {told['listed'].sum()} of them "
            f"among the {base.match.individuals} nearest individuals; {len(pairs)} pairs",
            flush=True,
        )
        print("| variant | top-1 | MAP@5 of the known | AUROC of new |\n|---|---|---|---|")
        candidates = gathered(pairs.assign(score=0.0))
        print(judged("cosine", candidates, candidates["cosine"].to_numpy()), flush=True)
        for name in picked(only, VARIANTS):
            params = changed(base, VARIANTS[name])
            own = Crops(cropped.of(params.crop)[0])
            with opened(photos, own, params.match) as bench:
                looked, seconds = timed(lambda bench=bench: match_pairs(bench, pairs))
            candidates = gathered(pairs.assign(score=looked.pairs["score"].to_numpy(float, na_value=0)))
            print(judged(f"{name} ({seconds:.0f} s)", candidates, candidates["local"].to_numpy()))
            print(judged(f"{name}, and cosine", candidates, fused(candidates)), flush=True)
        for name in picked(only, VARIANTS) if rate else []:
            params = changed(base, VARIANTS[name])
            print(speed(name, pairs.iloc[:rate], Crops(cropped.of(params.crop)[0]), params.match))


def trained_vectors(photos: pd.DataFrame, crops: Crops, params: Params) -> np.ndarray:
    """Unit vectors of all crops by a round of training."""
    recipe = Recipe(params.train, params.train.epochs, params.lr, params.seed)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        task = Individuals.of(photos, crops, params.train)
        trained = train_round(task, crops, recipe, Checkpoint("second look", {}, [], []))
    print(f"the training's MAP@5 on validation: {trained.history[-1]['map5']:.3f}", flush=True)
    return embed(trained.network.embedder, crops.pixels, np.arange(len(crops)), params.embed, quiet=True)


def shortlisted(photos: pd.DataFrame, vectors: np.ndarray, count: int, params: Match) -> pd.DataFrame:
    """The pairs of some validation photos, with: is the gallery photo `right`, the query `new`, its animal `listed`?"""
    codes = pd.factorize(photos["identity"])[0]
    split = photos["split"].to_numpy(str)
    gallery, validation = np.flatnonzero(split == TRAIN), np.flatnonzero(split == VALIDATION)
    asked = np.sort(np.random.default_rng(0).permutation(validation)[:count])
    pairs = shortlist(photos.assign(code=codes), vectors, asked, gallery, params)
    right = codes[pairs["query"]] == codes[pairs["match"]]
    new = ~np.isin(codes[pairs["query"]], codes[gallery])
    images = photos["image"].to_numpy(object)
    pairs = pairs.assign(identity=photos["identity"].to_numpy(object)[pairs["match"]], right=right, new=new)
    pairs = pairs.assign(query=images[pairs["query"]], match=images[pairs["match"]])
    return pairs.assign(listed=pairs.groupby("query")["right"].transform("max"))


def gathered(pairs: pd.DataFrame) -> pd.DataFrame:
    """A row for each query and individual: the best cosine, and log(1 + the best local score)."""
    best = pairs.groupby(["query", "identity"], sort=False).agg(
        cosine=("cosine", "max"), local=("score", "max"), right=("right", "max"), new=("new", "max")
    )
    return best.assign(local=np.log1p(best["local"])).reset_index()


def fused(candidates: pd.DataFrame) -> np.ndarray:
    """Cosine and local score by the weights that make the right individual likeliest; each half fitted on the other."""
    half = pd.factorize(candidates["query"])[0] % 2
    values = candidates[["cosine", "local"]].to_numpy()
    out = np.zeros(len(candidates))
    for part in (0, 1):
        rest = candidates[(half != part) & candidates.groupby("query")["right"].transform("max")]
        query = pd.factorize(rest["query"])[0]

        def loss(weights: np.ndarray, rest: pd.DataFrame = rest, query: np.ndarray = query) -> float:
            powers = np.exp(rest[["cosine", "local"]].to_numpy() @ weights)
            total = np.bincount(query, powers)
            return float(-np.log(powers[rest["right"]] / total[query[rest["right"]]]).sum() + 1e-3 * weights @ weights)

        weights = minimize(loss, np.array([10.0, 0.5])).x
        out[half == part] = values[half == part] @ weights
    return out


def judged(name: str, candidates: pd.DataFrame, scores: np.ndarray) -> str:
    """A row of the table: of the known, how often the first is right, MAP@5; how well the best score tells new ones."""
    table = candidates.assign(score=scores).sort_values(["query", "score"], ascending=[True, False], kind="stable")
    table["rank"] = table.groupby("query").cumcount() + 1
    known = table[~table["new"]]
    hits = known[known["right"] & (known["rank"] <= 5)]["rank"]
    count = known["query"].nunique()
    best = table[table["rank"] == 1]
    auroc = roc_auc_score(best["new"], -best["score"]) if best["new"].nunique() == 2 else float("nan")
    return f"| {name} | {(hits == 1).sum() / count:.3f} | {(1 / hits).sum() / count:.3f} | {auroc:.3f} |"


def timed(work: Callable[[], R]) -> tuple[R, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def speed(name: str, pairs: pd.DataFrame, crops: Crops, params: Match) -> str:
    """Crops and pairs a second, beside those of the bare networks on as many threads, whose inputs lie in memory."""
    rows = np.unique(crops.rows(pd.concat([pairs["query"], pairs["match"]])))
    networks = load_networks(params.extractor, params.weights, params.keypoints)
    pictures = [enlarged(crops.pixels(row), params.image_size) for row in rows.tolist()]
    features, bare_crops = timed(lambda: list(side_by_side(networks.features, pictures)))
    of = dict(zip(crops.index["image"].iloc[rows], features, strict=True))
    couples = [(of[one], of[other]) for one, other in zip(pairs["query"], pairs["match"], strict=True)]
    _, bare_pairs = timed(lambda: list(side_by_side(lambda couple: networks.match(*couple), couples)))
    # With one feature less, nothing of it is in the cache.
    params = params.model_copy(update={"keypoints": params.keypoints - 1, "compared": 0})
    with opened(pd.DataFrame(), crops, params) as bench:
        _, our_crops = timed(lambda: extract(bench, rows))
        _, our_pairs = timed(lambda: match_pairs(bench, pairs))
    told = [
        f"{count / ours:.1f} {unit}/s ({bare / ours:.2f} of the bare network's {count / bare:.1f})"
        for count, unit, ours, bare in (
            (len(rows), "crops", our_crops, bare_crops),
            (len(pairs), "pairs", our_pairs, bare_pairs),
        )
    ]
    return f"{name}: {', '.join(told)}; {torch.get_num_threads()} threads"


if __name__ == "__main__":
    run(main)
