"""The report: one page without a network, on which a person checks the answers by eye."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment

from finprint.evaluation import Judged
from finprint.images import encode_jpeg, resize
from finprint.shards import Crops
from finprint.tables import NEW

THUMBNAIL = 120  # px, height


@dataclass(frozen=True)
class Figures:
    """What stands at the head of the report: metrics as of evaluate.json, plots as (title, PNG), the threshold."""

    metrics: dict[str, dict[str, Any]]
    plots: list[tuple[str, bytes]]
    threshold: float


def write_report(
    path: Path,
    figures: Figures,
    test: Judged,
    validation: Judged,
    photos: pd.DataFrame,
    crops: Crops,
    sheets: int,
    seed: int,
) -> None:
    """Write the report.

    Args:
        path: to write.
        figures: the head of it.
        test: answers to the photos to identify, and their truth where it is known.
        validation: answers to the photos with which the threshold was fitted.
        photos: table `PHOTOS`.
        crops: for the thumbnails.
        sheets: at most so many queries of each kind.
        seed: of the choice among them.
    """
    species = photos.set_index("image")["species"]
    album = _Album(crops)
    parts = [
        {"title": title, "text": text, "sheets": _sheets(judged, species, album, sheets, seed)}
        for title, text, judged in (
            ("Photos to identify", "From the catalogue of all labelled photos.", test),
            ("Validation", "Labelled photos kept out of training, searched among the training photos.", validation),
        )
        if len(judged.answers)
    ]
    columns, rows = _rows(figures.metrics)
    template = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template).render(
        threshold=figures.threshold,
        columns=columns,
        rows=rows,
        plots=[(title, base64.b64encode(png).decode()) for title, png in figures.plots],
        parts=parts,
    )  # fmt: skip
    path.write_text(page, encoding="utf-8")


class _Album:
    """Thumbnails as base64 JPEG, each made once."""

    def __init__(self, crops: Crops) -> None:
        self._crops = crops
        self._rows = pd.Series(np.arange(len(crops)), index=crops.index["image"])
        self._made: dict[str, str] = {}

    def __getitem__(self, image: str) -> str:
        if image not in self._made:
            pixels = self._crops.pixels(int(self._rows[image]))
            scale = min(1.0, THUMBNAIL / len(pixels))
            small = resize(pixels, max(1, round(pixels.shape[1] * scale)), max(1, round(len(pixels) * scale)))
            self._made[image] = base64.b64encode(encode_jpeg(small, 80)).decode()
        return self._made[image]


def _sheets(judged: Judged, species: pd.Series, album: _Album, count: int, seed: int) -> list[dict[str, Any]]:
    """The wrongly answered queries first, up to half of the sheets; then others, both in random order."""
    rng = np.random.default_rng(seed)
    groups = {str(query): rows for query, rows in judged.answers.sort_values(["query", "rank"]).groupby("query")}
    queries = rng.permutation(sorted(groups)).tolist()
    truth = judged.truth.to_dict()

    def wrong(query: str) -> bool:
        return query in truth and groups[query]["identity"].iloc[0] != truth[query]

    mistakes = [query for query in queries if wrong(query)][: count // 2]
    rest = [query for query in queries if not wrong(query)][: count - len(mistakes)]
    return [_sheet(query, groups[query], truth.get(query), species, album) for query in mistakes + rest]


def _sheet(query: str, answers: pd.DataFrame, truth: str | None, species: pd.Series, album: _Album) -> dict[str, Any]:
    shown = []
    for answer in answers.itertuples():
        new = answer.identity == NEW
        shown.append(
            {
                "identity": "new" if new else answer.identity,
                "score": answer.score,
                "match": "" if new else answer.match,
                "picture": "" if new else album[str(answer.match)],
                "verdict": "right" if answer.identity == truth else "query",
            }
        )
    first = answers["identity"].iloc[0]
    kind = species.get(query)
    return {
        "image": query,
        "picture": album[query],
        "species": "" if pd.isna(kind) else str(kind).replace("_", " "),
        "truth": "" if truth is None else "new" if truth == NEW else truth,
        "verdict": "" if truth is None else "right" if first == truth else "wrong",
        "answers": shown,
    }


def _rows(metrics: dict[str, dict[str, Any]]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """evaluate.json as a table, a column for each round and split."""
    flat = {f"after round 1, {split}": values for split, values in metrics.get("round1", {}).items()}
    flat |= {f"after round 2, {split}": metrics[split] for split in ("validation", "test") if split in metrics}
    names = list(dict.fromkeys(name for values in flat.values() for name in values))
    return list(flat), [(name, [_number(values.get(name)) for values in flat.values()]) for name in names]


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"
