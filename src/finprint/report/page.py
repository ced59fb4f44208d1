"""The report: one page without a network, on which a person checks every answer by eye.

The queries stand in it as one JSON, their photos as blocks of base64 JPEGs that the browser keeps as text; report.js
makes cards of them as one scrolls, so that thousands of queries open at once.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from finprint.evaluation.judging import Judged
from finprint.paper.pages import template
from finprint.pictures.images import thumbnail
from finprint.pictures.shards import Crops
from finprint.report.figures import BY, SPLITS, by_group, overall
from finprint.store.tables import NEW, TEST, VALIDATION

HEIGHT, WIDTH = 100, 220  # px at most, of a thumbnail
BLOCK = 256  # thumbnails a block
Explained = dict[tuple[str, str], tuple[bytes, bytes]]


@dataclass(frozen=True)
class Figures:
    """What stands at the head of the report.

    Attributes:
        breakdown: a table (split: test or validation, by: all, species or gallery photos, group, metric, value, low,
            high: of the 95 % interval, missing where there is none, queries).
        plots: (title, PNG).
        threshold: the score below which an animal is new.
    """

    breakdown: pd.DataFrame
    plots: list[tuple[str, bytes]]
    threshold: float


def write_report(
    path: Path,
    figures: Figures,
    test: Judged,
    validation: Judged,
    photos: pd.DataFrame,
    crops: Crops,
    proposed: pd.Series | None,
    explained: Explained,
) -> None:
    """Write the report.

    Args:
        path: to write.
        figures: the head of it.
        test: answers to the photos to identify, and their truth where it is known.
        validation: answers to the photos with which the threshold was fitted.
        photos: table `PHOTOS`.
        crops: for the thumbnails.
        proposed: a new individual's id by image of query, for queries that were given one.
        explained: by (query, match), JPEGs of both under their heat maps.
    """
    data, album = page_data({TEST: test, VALIDATION: validation}, photos, proposed, explained)
    blocks = [album[start : start + BLOCK] for start in range(0, len(album), BLOCK)]
    page = template(__file__).generate(
        queries=len(data["queries"]),
        threshold=figures.threshold,
        overall=overall(figures.breakdown),
        details=[found for by in BY for found in by_group(figures.breakdown, by)],
        plots=[(title, base64.b64encode(png).decode()) for title, png in figures.plots],
        data=Markup(script_json(data | {"block": BLOCK})),
        blocks=("\n".join(_thumbnails(block, crops)) for block in blocks),
        script=Markup(Path(__file__).with_suffix(".js").read_text(encoding="utf-8")),
    )
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(page)


def page_data(
    parts: dict[str, Judged], photos: pd.DataFrame, proposed: pd.Series | None, explained: Explained
) -> tuple[dict[str, Any], list[str | bytes]]:
    """The JSON that report.js reads, and the pictures it numbers: names of photos, then the heat maps' JPEGs.

    Individuals and photos are numbers in the lists `individuals` and `photos`; an individual -1 is a new one, and an
    answer is [individual, score, probability, photo], each of the last two null where missing.
    """
    individuals, images = _Numbers(), _Numbers()
    ids = {} if proposed is None else proposed.dropna().to_dict()
    queries: list[dict[str, Any]] = []
    for split, judged in parts.items():
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
    pairs = sorted(pair for pair in explained if all(image in images.places for image in pair))
    names = list(images.places)
    species = photos.set_index("image")["species"].reindex(names)
    data = {
        "splits": SPLITS,
        "photos": names,
        "species": [None if pd.isna(kind) else str(kind).replace("_", " ") for kind in species],
        "individuals": list(individuals.places),
        "queries": queries,
        "heat": {f"{images[q]},{images[m]}": len(names) + 2 * n for n, (q, m) in enumerate(pairs)},
    }
    return data, [*names, *(jpeg for pair in pairs for jpeg in explained[pair])]


class _Numbers:
    """Numbers for names, in the order in which they are first asked for; `NEW` is -1."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return -1 if name == NEW else self.places.setdefault(name, len(self.places))


def script_json(value: Any) -> str:
    """JSON that can stand in a <script>: without <, > and &, which JSON can write otherwise."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _thumbnails(pictures: Iterable[str | bytes], crops: Crops) -> Iterable[str]:
    """Base64 of each picture, a photo's crop made small."""
    rows = dict(zip(crops.index["image"], range(len(crops)), strict=True))
    for picture in pictures:
        if isinstance(picture, str):
            picture = thumbnail(crops.pixels(rows[picture]), WIDTH, HEIGHT)
        yield base64.b64encode(picture).decode()
