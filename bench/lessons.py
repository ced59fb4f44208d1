"""How well it is learned which matched features tell animals apart, judged by animals that nothing was learned from.

A fifth of the animals of a finished run with training photos is taken away in turn. What is learned from the others
(`match.learn_epochs`) is judged by the lessons of this fifth: how often the photo that agrees best shows the same
animal, and the loss. The table has all matches alike, the networks one by one, and all together, as `match` uses them.
With --few, some photos of a few animals are all that there is to learn from. In the activated environment, in the
folder of the run:
python bench/lessons.py [--few 25] [--set match.keypoints=512]
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from overrides import parsed
from rules import finished

from finprint.base.cli import run
from finprint.base.errors import UserError
from finprint.base.params import changed
from finprint.keypoints.descriptors import describe
from finprint.keypoints.features import opened
from finprint.keypoints.lessons import PART, Lessons, learn_worth, match_lessons, sharpest, told_right
from finprint.keypoints.params import Match
from finprint.keypoints.worth import NETWORKS, Described, Worth
from finprint.params import load_params
from finprint.pictures.shards import Crops

FIFTHS = 5
EACH = 8  # photos of an animal with --few, at most


def main(
    data: Annotated[Path, typer.Argument(help="of the run")] = Path("data"),
    few: Annotated[int, typer.Option(help="animals to learn from; 0: all")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of params.yaml")] = None,
) -> None:
    table = pd.DataFrame(learned(data, changed(load_params(), parsed(set_)).match, few))
    for way, rows in table.groupby("way", sort=False):
        mean = rows[["right", "loss"]].mul(rows["lessons"], axis=0).sum() / rows["lessons"].sum()
        share, loss = (f"{mean[name]:.3f} ({' '.join(map('{:.3f}'.format, rows[name]))})" for name in mean.index)
        print(f"{way}: right {share}, loss {loss}; {rows['lessons'].sum()} lessons")


def learned(folder: Path, params: Match, few: int) -> list[dict[str, float | str]]:
    """How each fifth of the animals judges what the others teach: a row for each way.

    Raises:
        UserError: there are too few animals, or a photo has no crop or cannot be read.
    """
    catalogue = finished(folder)
    rows = catalogue.train
    with opened(catalogue.photos, Crops(folder / "crops"), params) as bench:
        described = describe(bench, rows).described
    photos, vectors, numbers = catalogue.photos.iloc[rows], catalogue.blend()[rows], np.arange(len(rows))
    codes = photos["code"].to_numpy()
    every = match_lessons(photos, vectors, described, numbers)
    if every is None:
        raise UserError(f"{folder} has too few animals to learn from")
    told = []
    for fifth in range(FIFTHS):
        draw = np.random.default_rng(fifth)
        gone = np.isin(codes, np.random.default_rng(5).permutation(np.unique(codes))[fifth::FIFTHS])
        there = some_photos(codes, ~gone, few, draw) if few else np.flatnonzero(~gone)
        worth = learn_worth(photos.iloc[there], vectors[there], described, numbers[there], params.learn_epochs).worth
        judged = torch.from_numpy(np.flatnonzero(gone[every.photos[:, 0]]))
        told += [row | {"lessons": len(judged)} for row in ways(every, judged, described, worth)]
    return told


def some_photos(codes: np.ndarray, there: np.ndarray, few: int, draw: np.random.Generator) -> np.ndarray:
    """Rows of the first photos of a few animals that have at least three."""
    counts = np.bincount(codes[there], minlength=codes.max() + 1)
    drawn = draw.permutation(np.flatnonzero(counts >= 3))[:few]
    return np.sort(np.concatenate([np.flatnonzero(there & (codes == one))[:EACH] for one in drawn]))


@torch.inference_mode()
def ways(
    lessons: Lessons, judged: torch.Tensor, described: Described, worth: Worth | None
) -> list[dict[str, float | str]]:
    """What some lessons say of all matches alike, of each network, and of their mean."""
    told = []
    for part in torch.split(judged, PART):
        matches = lessons.matches(part, described)
        plain = matches.plain()
        each = plain.expand(NETWORKS, -1, -1) if worth is None else worth.each(matches)
        agreements = matches.agreement(torch.stack([plain, *each, each.mean(dim=0)]))
        told.append(agreements.unflatten(1, (len(part), -1)).cpu())
    rows = [{"right": told_right(one), "loss": sharpest(one)[1]} for one in torch.cat(told, dim=1)]
    return [
        {"way": "all matches alike", **rows[0]},
        {"way": f"one network, mean of {NETWORKS}", **pd.DataFrame(rows[1:-1]).mean()},
        {"way": f"{NETWORKS} networks together", **rows[-1]},
    ]


if __name__ == "__main__":
    run(main)
