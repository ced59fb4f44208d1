"""What the report lists: the photos that were searched for, as the JSON that its scripts read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from finprint.evaluation.judging import Judged
from finprint.keypoints.tables import LINES, no_points
from finprint.pictures.shards import Crops
from finprint.report.notes import Given, note, placed_by_probability
from finprint.report.tables import SPLITS
from finprint.store.tables import NEW, SIDES

AROUND = 0.1  # of a box's sides, shown around it
Explained = Mapping[tuple[str, str], tuple[bytes, bytes]]


@dataclass(frozen=True)
class Listing:
    """The photos that were searched for, with their answers.

    Attributes:
        splits: answers beside their truth, where it is known, by "test" (the photos to identify) and "validation", in
            the order in which they are listed.
        photos: table `PHOTOS`.
        proposed: a new individual's id by image of query, for queries that were given one.
        explained: by (query, match), JPEGs of both under their heat maps.
        points: table `POINTS`, what the second look matched.
        target: `search.new.target`, by which the place of `new_individual` was chosen.
    """

    splits: dict[str, Judged]
    photos: pd.DataFrame
    proposed: pd.Series
    explained: Explained
    points: pd.DataFrame = field(default_factory=no_points)
    target: str = "map5"


def listed(listing: Listing, crops: Crops) -> tuple[dict[str, Any], list[str | bytes]]:
    """The JSON that page.js reads, and the pictures it numbers: names of photos, then the heat maps' JPEGs.

    Individuals and photos are numbers in the lists `individuals` and `photos`. The individual -1 is a new one. An
    answer is [individual, score, probability, photo], and each of the last three is null where it is missing; the score
    of a new individual is where its threshold did not decide its place. What the second look matched is, by
    "query,individual", [photo, [x, y, x and y in that photo, in thousandths] ...].
    """
    individuals, images = _Numbers(), _Numbers()
    ids = listing.proposed.dropna().to_dict()
    queries: list[dict[str, Any]] = []
    for split, judged in listing.splits.items():
        truth = judged.truth.to_dict()
        rows: dict[str, list[Any]] = {}
        for answer in judged.answers.sort_values(["query", "rank"]).to_dict("records"):
            rows.setdefault(answer["query"], []).append(answer)
        for name, answers in rows.items():
            given = [Given(answer["identity"], answer["score"], answer["probability"]) for answer in answers]
            free = placed_by_probability(given)
            query = {"split": split, "photo": images[name], "proposed": ids.get(name)}
            query["truth"] = individuals[truth[name]] if name in truth else None
            query["note"] = note(given, listing.target)
            query["answers"] = [
                [
                    individuals[answer["identity"]],
                    None if free and answer["identity"] == NEW else round(answer["score"], 4),
                    None if pd.isna(answer["probability"]) else round(answer["probability"], 4),
                    None if pd.isna(answer["match"]) else images[answer["match"]],
                ]
                for answer in answers
            ]
            queries.append(query)
    points = _matched_points(listing, individuals, images)
    pairs = sorted(pair for pair in listing.explained if all(image in images.places for image in pair))
    names = list(images.places)
    data = {
        "splits": SPLITS,
        "photos": names,
        **_described(names, listing.photos, crops),
        "individuals": list(individuals.places),
        "queries": queries,
        "points": points,
        "heat": {f"{images[q]},{images[m]}": len(names) + 2 * n for n, (q, m) in enumerate(pairs)},
    }
    return data, [*names, *(jpeg for pair in pairs for jpeg in listing.explained[pair])]


def _described(names: list[str], photos: pd.DataFrame, crops: Crops) -> dict[str, list[Any]]:
    """Of each photo its species and encounter, the path of its original from the project's root, and its place: what
    to show of the original [left, top, right, bottom], and its width and height, px. Null: unknown."""
    table = photos.set_index("image").reindex(names)
    boxes = crops.index.set_index("image").reindex(names)[SIDES]
    margin = {"x": AROUND * (boxes["x_max"] - boxes["x_min"]), "y": AROUND * (boxes["y_max"] - boxes["y_min"])}
    ends = {side: boxes[side] + (1 if side.endswith("max") else -1) * margin[side[0]] for side in SIDES}
    sizes = table.reindex(columns=["width", "height"]).astype("float64")
    longest = {"x": sizes["width"], "y": sizes["height"]}
    kept = pd.DataFrame({side: ends[side].clip(0, longest[side[0]]) for side in SIDES} | dict(sizes)).round()
    places = [None if np.isnan(row).any() else row.astype(int).tolist() for row in kept.to_numpy()]
    return {
        "species": [None if pd.isna(kind) else str(kind).replace("_", " ") for kind in table["species"]],
        **{
            f"{name}s": [None if pd.isna(text) else str(text) for text in table.reindex(columns=[name])[name]]
            for name in ("encounter", "path")
        },
        "places": places,
    }


def _matched_points(listing: Listing, individuals: "_Numbers", images: "_Numbers") -> dict[str, list[Any]]:
    """The surest points of the best pair of each answered individual, those that agree on one map first."""
    if listing.points.empty:
        return {}
    answers = pd.concat([judged.answers[["query", "identity"]] for judged in listing.splits.values()])
    asked = set(answers.itertuples(index=False, name=None))
    names = dict(zip(listing.photos["image"], listing.photos["identity"], strict=True))
    surest = listing.points.sort_values(["inlier", "score"], ascending=False, kind="stable")
    drawn: dict[str, list[Any]] = {}
    for pair, rows in surest.groupby(["query", "match"]):
        query, match = map(str, pair)
        if (query, names[match]) in asked:
            places = (rows[["x", "y", "match_x", "match_y"]][:LINES] * 1000).round().astype(int)
            drawn[f"{images[query]},{individuals[names[match]]}"] = [images[match], *places.to_numpy().tolist()]
    return drawn


class _Numbers:
    """Numbers for names, in the order in which they are first asked for; `NEW` is -1."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return -1 if name == NEW else self.places.setdefault(name, len(self.places))
