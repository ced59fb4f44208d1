"""The report: one page that needs no network, on which a person checks every answer by eye.

The page holds the queries as one JSON, and their photos as blocks of small base64 JPEGs that the browser keeps as text.
page.js makes cards of them as one scrolls, so that a page of thousands of queries opens at once. photos.js shows the
originals, which the page finds by their paths from its own folder, and says so where they are not there.
"""

import base64
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from finprint.answers.rules import TOO_FEW
from finprint.base.files import atomic
from finprint.evaluation.judging import Judged
from finprint.keypoints.tables import no_points
from finprint.paper.figure import svg
from finprint.paper.pages import template
from finprint.pictures.images import thumbnail
from finprint.pictures.shards import Crops
from finprint.report.listing import Explained, Listing, listed
from finprint.report.plotted import Plot
from finprint.report.tables import BY, by_group, left_out, overall, summary
from finprint.store.tables import REJECTS

HEIGHT, WIDTH = 100, 220  # px at most, of a thumbnail
BLOCK = 256  # thumbnails a block
SCRIPTS = ("photos.js", "page.js")


@dataclass(frozen=True)
class Report:
    """What the report shows.

    Attributes:
        splits: answers beside their truth, where it is known, by "test" (the photos to identify) and "validation", in
            the order in which they are listed.
        breakdown: table of `judging.COLUMNS`.
        plots: those that are drawn, and those that are not, with the reason.
        threshold: the score below which an animal is new.
        photos: table `PHOTOS`.
        proposed: a new individual's id by image of query, for queries that were given one.
        explained: by (query, match), JPEGs of both under their heat maps.
        points: table `POINTS`, what the second look matched.
        interval: 95 % interval of the threshold, where it was fitted.
        too_few: are there too few animals to tell new ones?
        target: `search.new.target`, by which the place of `new_individual` was chosen.
        rejects: table `REJECTS`.
    """

    splits: dict[str, Judged]
    breakdown: pd.DataFrame
    plots: Sequence[Plot]
    threshold: float
    photos: pd.DataFrame
    proposed: pd.Series
    explained: Explained
    points: pd.DataFrame = field(default_factory=no_points)
    interval: tuple[float, float] | None = None
    too_few: bool = False
    target: str = "map5"
    rejects: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(REJECTS.columns)))

    @property
    def listing(self) -> Listing:
        return Listing(self.splits, self.photos, self.proposed, self.explained, self.points, self.target)


def write_report(path: Path, report: Report, crops: Crops) -> None:
    """Write the page, atomically; `crops` are for the thumbnails. Photos lie below the current folder."""
    data, album = listed(report.listing, crops)
    data |= {"block": BLOCK, "root": Path(os.path.relpath(Path(), path.parent)).as_posix()}
    blocks = [album[start : start + BLOCK] for start in range(0, len(album), BLOCK)]
    page = template(__file__).generate(
        queries=len(data["queries"]),
        threshold=report.threshold,
        interval=report.interval,
        banner=TOO_FEW if report.too_few else "",
        overall=overall(report.breakdown),
        details=[table for by in BY for table in by_group(report.breakdown, by)],
        summary=summary(report.splits, report.breakdown, report.proposed),
        left_out=left_out(report.rejects),
        plots=[(plot, _svg(plot)) for plot in report.plots],
        data=Markup(script_json(data)),
        blocks=("\n".join(_thumbnails(block, crops)) for block in blocks),
        script=Markup("\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in SCRIPTS)),
    )
    with atomic(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(page)


def _svg(plot: Plot) -> str:
    """Base64 of the plot's SVG; "" where it is not drawn."""
    return "" if plot.figure is None else base64.b64encode(svg(plot.figure, plot.title)).decode()


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
