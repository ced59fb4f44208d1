"""A query and its match as one picture: both crops, and what made them alike."""

import difflib
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from finprint.answers.tables import ANSWERS
from finprint.base.errors import UserError
from finprint.base.files import atomic
from finprint.evaluation.run import read_rejects
from finprint.model.embedder import Embedder, load_model
from finprint.paper.figure import INK, png
from finprint.pictures.shards import Crops
from finprint.report.explain import explain, overlay
from finprint.store.tables import PHOTOS, read_table

WIDTH = 3.6  # inches of a photo


def explain_match(
    data: Path, model: Path, folder: Path, query: str, match: str | None = None, output: Path | None = None
) -> Path:
    """Write a picture of a query and its match, each beside its heat map.

    Args:
        data: where the stages put `photos.parquet`, `rejects.csv`, `crops` and `search`.
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
            _check_crop(photo, crops, data)
    answers = _answers(data / "search", query)
    chosen = match or _best_match(answers, query)
    embedder, _, _ = load_model(model)
    path = output or folder / f"{query.replace('/', '_')}.png"
    if path.suffix != ".png":
        raise UserError(f"{path}: the picture is a PNG, name it so")
    rows = crops.rows(pd.Series([query, chosen], dtype="string"))
    names = read_table(data / "photos.parquet", PHOTOS).set_index("image")["identity"]
    titles = [f"{photo}\n{names[photo]}" if pd.notna(names.get(photo)) else photo for photo in (query, chosen)]
    pixels = [crops.pixels(int(row)) for row in rows]
    with atomic(path) as draft:
        draft.write_bytes(png(_picture(embedder, pixels, titles, _said(answers, chosen))))
    return path


def _check_crop(photo: str, crops: Crops, data: Path) -> None:
    """Raise a UserError where a photo has no crop, which says what may have become of it."""
    names = crops.index["image"].tolist()
    if photo in names:
        return
    reasons = read_rejects(data).set_index("image")["reason"]
    moved = [name for name in names if Path(name).name == Path(photo).name]
    close = difflib.get_close_matches(Path(photo).name, names, n=1)
    if photo in reasons.index:
        hint = f"it was rejected, {reasons.loc[[photo]].iloc[0]}"
    elif moved:
        hint = f"a photo of this name is {' and '.join(moved[:3])} now"
    else:
        hint = f"did you mean {close[0]}?" if close else "data/queries.csv lists the photos to identify"
    raise UserError(f"there is no crop of {photo}: {hint}")


def _answers(search: Path, query: str) -> pd.DataFrame:
    """The answers to a query, best first; none where it was not searched for."""
    tables = [read_table(search / f"{name}.parquet", ANSWERS) for name in ("answers", "validation")]
    answers = pd.concat(tables, ignore_index=True)
    return answers[answers["query"] == query].sort_values("rank")


def _best_match(answers: pd.DataFrame, query: str) -> str:
    if answers.empty:
        raise UserError(f"{query} was not searched for: name a photo to compare it with, --match PHOTO")
    matches = answers["match"].dropna()
    if matches.empty:
        raise UserError(f"{query} was answered with no photo: name one to compare it with, --match PHOTO")
    return str(matches.iloc[0])


def _said(answers: pd.DataFrame, match: str) -> str:
    """What the report says of the answer that this match gave, if it gave one."""
    for answer in answers[answers["match"] == match].to_dict("records"):
        sure = "" if pd.isna(answer["probability"]) else f", {100 * answer['probability']:.0f} % sure"
        return f"answer {answer['rank']}: {answer['identity']}, score {answer['score']:.3f}{sure}"
    return "this match is none of the five answers"


def _picture(embedder: Embedder, pixels: list[np.ndarray], titles: list[str], said: str) -> Figure:
    """The query above the match, each beside its heat map."""
    pair = explain(embedder, [(pixels[0], pixels[1])])[0]
    heights = [WIDTH * image.shape[0] / image.shape[1] for image in pixels]
    figure = Figure(figsize=(2 * WIDTH + 1.2, sum(heights) + 2.0), dpi=110, layout="constrained")
    axes = figure.subplots(2, 2, height_ratios=heights)
    heads = ("what made it like the match", "what made it like the query")
    for row, image, heat, title, head in zip(axes, pixels, (pair.query, pair.match), titles, heads, strict=True):
        for axis, shown, text in zip(row, (image, overlay(image, heat)), (title, head), strict=True):
            axis.imshow(shown, interpolation="bilinear")
            axis.set_axis_off()
            axis.set_title(text, color=INK, fontsize=9, parse_math=False)  # a name may hold dollars
    heat = np.linspace(0, 1, 256)[None]
    scale = ListedColormap(overlay(np.full((1, 256, 3), 128, np.uint8), heat)[0] / 255)  # as it looks on grey
    bar = figure.colorbar(ScalarMappable(cmap=scale), ax=axes[:, 1], shrink=0.8)
    bar.set_label("what a place adds to the cosine,\nas a share of the most", color=INK, fontsize=8)
    bar.ax.tick_params(labelsize=7, colors=INK)
    cosine = f"cosine of these two crops by the second round alone: {pair.cosine:.3f}"
    blend = "(a score blends the cosines of all models, of mirror images and of the classifier)"
    figure.suptitle(f"{said}\n{cosine}\n{blend}", color=INK, fontsize=9, parse_math=False)
    return figure
