"""Pairs of a query and its match: which ones to explain, their heat maps, and one pair as a picture."""

import difflib
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from finprint.answers.tables import ANSWERS
from finprint.base.errors import UserError
from finprint.base.files import atomic
from finprint.evaluation.judging import Judged
from finprint.model.embedder import Embedder, load_model
from finprint.paper.figure import INK
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import Crops
from finprint.report.explain import explain, overlay
from finprint.store.tables import PHOTOS, read_table

QUALITY = 75


def doubtful(judged: list[Judged], count: int) -> list[tuple[str, str]]:
    """The pairs (query, best match) of the queries most worth a look: wrong ones first, then the least sure.

    The first answer's probability says how sure it is, or its score where there is no probability. Queries without any
    match, because `new_individual` is their only answer, are left out.

    Args:
        judged: answers to several sets of queries.
        count: at most so many pairs.
    """
    rows = pd.concat([_first(answered) for answered in judged])
    rows = rows[rows["match"].notna()].sort_values(["right", "sure", "query"])[:count]
    return list(zip(rows["query"].astype(str), rows["match"].astype(str), strict=True))


def _first(judged: Judged) -> pd.DataFrame:
    """(query, match, right, sure), a row for each query; an unknown truth counts as right."""
    answers = judged.answers.sort_values(["query", "rank"])
    first = answers.groupby("query").first()  # the first value of each column that is not missing
    top = answers.drop_duplicates("query").set_index("query")
    truth = judged.truth.reindex(top.index)
    return pd.DataFrame(
        {
            "query": top.index,
            "match": first["match"],
            "right": (truth.isna() | (truth == top["identity"])).astype(bool),
            "sure": top["probability"].fillna(top["score"]),
        }
    ).reset_index(drop=True)


def heat_maps(
    embedder: Embedder, crops: Crops, pairs: list[tuple[str, str]]
) -> dict[tuple[str, str], tuple[bytes, bytes]]:
    """JPEG bytes of the query's and the match's crop under their heat maps, for each pair (query, match).

    Raises:
        UserError: a photo has no crop.
    """
    rows = [crops.rows(pd.Series([pair[side] for pair in pairs], dtype="string")) for side in (0, 1)]
    pixels = [(crops.pixels(int(query)), crops.pixels(int(match))) for query, match in zip(*rows, strict=True)]
    made = {}
    for pair, (query, match), explanation in zip(pairs, pixels, explain(embedder, pixels), strict=True):
        shown = [overlay(query, explanation.query), overlay(match, explanation.match)]
        made[pair] = (encode_jpeg(shown[0], QUALITY), encode_jpeg(shown[1], QUALITY))
    return made


def explain_match(
    data: Path, model: Path, folder: Path, query: str, match: str | None = None, output: Path | None = None
) -> Path:
    """Write a picture of a query and its match, each beside its heat map.

    Args:
        data: where the stages put `photos.parquet`, `crops` and `search`.
        model: a model's folder.
        folder: where the picture goes if `output` is missing.
        query: a photo's file name.
        match: the photo to compare it with; missing: the match of the query's best answer that has one.
        output: PNG to write.

    Returns:
        The path written.

    Raises:
        UserError: a photo is unknown, the query was answered with no photo, or the run is missing.
    """
    crops = Crops(data / "crops")
    for photo in (query, match):
        if photo is not None:
            _check_crop(photo, crops)
    chosen = match or _best_match(data / "search", query)
    embedder, _, _ = load_model(model)
    path = output or folder / f"{query.replace('/', '_')}.png"
    if path.suffix != ".png":
        raise UserError(f"{path}: the picture is a PNG, name it so")
    rows = crops.rows(pd.Series([query, chosen], dtype="string"))
    names = read_table(data / "photos.parquet", PHOTOS).set_index("image")["identity"]
    titles = [f"{photo}\n{names[photo]}" if pd.notna(names.get(photo)) else photo for photo in (query, chosen)]
    with atomic(path) as draft:
        _picture(embedder, [crops.pixels(int(row)) for row in rows], titles).savefig(
            draft, format="png", metadata={"Software": None}
        )
    return path


def _check_crop(photo: str, crops: Crops) -> None:
    names = crops.index["image"].tolist()
    if photo not in names:
        close = difflib.get_close_matches(Path(photo).name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else "data/queries.csv lists the photos to identify"
        raise UserError(f"there is no crop of {photo}: {hint}")


def _best_match(search: Path, query: str) -> str:
    answers = pd.concat(
        [read_table(search / f"{name}.parquet", ANSWERS) for name in ("answers", "validation")], ignore_index=True
    )
    answers = answers[answers["query"] == query].sort_values("rank")
    if answers.empty:
        raise UserError(f"{query} was not searched for: name a photo to compare it with, --match PHOTO")
    matches = answers["match"].dropna()
    if matches.empty:
        raise UserError(f"{query} was answered with no photo: name one to compare it with, --match PHOTO")
    return str(matches.iloc[0])


def _picture(embedder: Embedder, pixels: list[np.ndarray], titles: list[str]) -> Figure:
    """Query, its map, match, its map, in a row."""
    pair = explain(embedder, [(pixels[0], pixels[1])])[0]
    shown = [pixels[0], overlay(pixels[0], pair.query), pixels[1], overlay(pixels[1], pair.match)]
    widths = [image.shape[1] / image.shape[0] for image in shown]
    figure = Figure(figsize=(2.4 * sum(widths), 3.2), dpi=110, layout="constrained")
    heads = [titles[0], "what made it like the match", titles[1], "what made it like the query"]
    for axis, image, title in zip(figure.subplots(1, 4, width_ratios=widths), shown, heads, strict=True):
        axis.imshow(image, interpolation="bilinear")
        axis.set_axis_off()
        axis.set_title(title, color=INK, fontsize=9, parse_math=False)  # a name may hold dollars
    figure.suptitle(f"cosine of the two crops {pair.cosine:.3f}", color=INK, fontsize=10)
    return figure
