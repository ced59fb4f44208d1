"""The report: one page that needs no network, on which a person checks every answer by eye.

The page holds the queries as one JSON, and their photos as blocks of base64 JPEGs that the browser keeps as text.
page.js makes cards of them as one scrolls, so that a page of thousands of queries opens at once.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from finprint.answers.rules import TOO_FEW
from finprint.base.files import atomic
from finprint.evaluation.judging import Judged
from finprint.keypoints.tables import no_points
from finprint.paper.pages import template
from finprint.pictures.images import thumbnail
from finprint.pictures.shards import Crops
from finprint.report.tables import BY, SPLITS, by_group, overall
from finprint.store.tables import NEW

HEIGHT, WIDTH = 100, 220  # px at most, of a thumbnail
BLOCK = 256  # thumbnails a block
LINES = 24  # matched points that are drawn of a pair, the surest ones
Explained = dict[tuple[str, str], tuple[bytes, bytes]]


@dataclass(frozen=True)
class Report:
    """What the report shows.

    Attributes:
        splits: answers beside their truth, where it is known, by "test" (the photos to identify) and "validation", in
            the order in which they are listed.
        breakdown: table of `judging.COLUMNS`.
        plots: PNGs by their titles.
        threshold: the score below which an animal is new.
        photos: table `PHOTOS`.
        proposed: a new individual's id by image of query, for queries that were given one.
        explained: by (query, match), JPEGs of both under their heat maps.
        points: table `POINTS`, what the second look matched.
        interval: 95 % interval of the threshold, where it was fitted.
        too_few: are there too few animals to tell new ones?
    """

    splits: dict[str, Judged]
    breakdown: pd.DataFrame
    plots: dict[str, bytes]
    threshold: float
    photos: pd.DataFrame
    proposed: pd.Series
    explained: Explained
    points: pd.DataFrame = field(default_factory=no_points)
    interval: tuple[float, float] | None = None
    too_few: bool = False


def write_report(path: Path, report: Report, crops: Crops) -> None:
    """Write the page, atomically; `crops` are for the thumbnails."""
    data, album = page_data(report)
    blocks = [album[start : start + BLOCK] for start in range(0, len(album), BLOCK)]
    page = template(__file__).generate(
        queries=len(data["queries"]),
        threshold=report.threshold,
        interval=report.interval,
        banner=TOO_FEW if report.too_few else "",
        overall=overall(report.breakdown),
        details=[table for by in BY for table in by_group(report.breakdown, by)],
        plots=[(title, base64.b64encode(png).decode()) for title, png in report.plots.items()],
        data=Markup(script_json(data | {"block": BLOCK})),
        blocks=("\n".join(_thumbnails(block, crops)) for block in blocks),
        script=Markup(Path(__file__).with_suffix(".js").read_text(encoding="utf-8")),
    )
    with atomic(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(page)


def page_data(report: Report) -> tuple[dict[str, Any], list[str | bytes]]:
    """The JSON that page.js reads, and the pictures it numbers: names of photos, then the heat maps' JPEGs.

    Individuals and photos are numbers in the lists `individuals` and `photos`. The individual -1 is a new one. An
    answer is [individual, score, probability, photo], and each of the last two is null where it is missing. What the
    second look matched is, by "query,individual", [photo, [x, y, x and y in that photo, in thousandths] ...].
    """
    individuals, images = _Numbers(), _Numbers()
    ids = report.proposed.dropna().to_dict()
    queries: list[dict[str, Any]] = []
    for split, judged in report.splits.items():
        truth = judged.truth.to_dict()
        rows: dict[str, list[Any]] = {}
        for answer in judged.answers.sort_values(["query", "rank"]).to_dict("records"):
            rows.setdefault(answer["query"], []).append(answer)
        for name, answers in rows.items():
            query = {"split": split, "photo": images[name], "proposed": ids.get(name)}
            query["truth"] = individuals[truth[name]] if name in truth else None
            query["answers"] = [
                [
                    individuals[answer["identity"]],
                    round(answer["score"], 4),
                    None if pd.isna(answer["probability"]) else round(answer["probability"], 4),
                    None if pd.isna(answer["match"]) else images[answer["match"]],
                ]
                for answer in answers
            ]
            queries.append(query)
    points = _matched_points(report, individuals, images)
    pairs = sorted(pair for pair in report.explained if all(image in images.places for image in pair))
    names = list(images.places)
    species = report.photos.set_index("image")["species"].reindex(names)
    data = {
        "splits": SPLITS,
        "photos": names,
        "species": [None if pd.isna(kind) else str(kind).replace("_", " ") for kind in species],
        "individuals": list(individuals.places),
        "queries": queries,
        "points": points,
        "heat": {f"{images[q]},{images[m]}": len(names) + 2 * n for n, (q, m) in enumerate(pairs)},
    }
    return data, [*names, *(jpeg for pair in pairs for jpeg in report.explained[pair])]


def _matched_points(report: Report, individuals: "_Numbers", images: "_Numbers") -> dict[str, list[Any]]:
    """The surest points of the best pair of each answered individual, those that agree on one map first."""
    if report.points.empty:
        return {}
    answers = pd.concat([judged.answers[["query", "identity"]] for judged in report.splits.values()])
    asked = set(answers.itertuples(index=False, name=None))
    names = dict(zip(report.photos["image"], report.photos["identity"], strict=True))
    surest = report.points.sort_values(["inlier", "score"], ascending=False, kind="stable")
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


def script_json(value: Any) -> str:
    """JSON that can stand in a <script>: <, > and & are escaped."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _thumbnails(pictures: Iterable[str | bytes], crops: Crops) -> Iterable[str]:
    """Base64 of each picture: of a named photo its crop as a thumbnail."""
    rows = dict(zip(crops.index["image"], range(len(crops)), strict=True))
    for picture in pictures:
        if isinstance(picture, str):
            picture = thumbnail(crops.pixels(rows[picture]), WIDTH, HEIGHT)
        yield base64.b64encode(picture).decode()
