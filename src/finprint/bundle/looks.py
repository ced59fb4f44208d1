"""The second look of a bundle: its gallery's local features travel in it, and so none of the gallery's photos."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from finprint.bundle.bundle import ASKED, Bundle
from finprint.bundle.features import write_features
from finprint.keypoints.look import second_look
from finprint.keypoints.tables import local_scores
from finprint.pictures.shards import Crops


class Joined(Crops):
    """The pictures of a gallery, and behind them the crops of photos to identify, whose ids begin with `ASKED`."""

    def __init__(self, gallery: Crops, asked: Crops) -> None:
        queries = asked.index.assign(image=ASKED + asked.index["image"])
        self.index = pd.concat([gallery.index, queries], ignore_index=True)
        self._gallery, self._asked = gallery, asked
        self._rows = pd.Series(np.arange(len(self.index)), index=self.index["image"])

    def jpeg(self, row: int) -> bytes:
        """The JPEG bytes of the crop in `row`."""
        source, own = self._source(row)
        return source.jpeg(own)

    def digest(self, row: int) -> str:
        """Their SHA-256."""
        source, own = self._source(row)
        return source.digest(own)

    def _source(self, row: int) -> tuple[Crops, int]:
        before = len(self._gallery)
        return (self._gallery, row) if row < before else (self._asked, row - before)


@dataclass(frozen=True)
class Looked:
    """A second look at Q queries.

    Attributes:
        scores: as `Catalogue.local_scores`; the ids of the queries begin with `ASKED`.
        points: table `POINTS`.
    """

    scores: pd.DataFrame | None
    points: pd.DataFrame


def look_again(
    bundle: Bundle, photos: pd.DataFrame, crops: Crops, vectors: Sequence[np.ndarray], features: Path
) -> Looked | None:
    """Match queries with photos of their likeliest individuals; None where the bundle's rules use no second look.

    Args:
        bundle: the trained system.
        photos: columns image, path, sha256, width, height and viewpoint of Q queries.
        crops: of these photos.
        vectors: (Q, D) of each member.
        features: folder to write, for the queries' local features.

    Raises:
        UserError: the networks' weights cannot be had, or a photo cannot be read any more.
    """
    if not bundle.manifest.look:
        return None
    worth = bundle.worth  # first, because it may be damaged
    catalogue = bundle.catalogue(photos, vectors)
    places = [bundle.manifest.members.index(name) for name in bundle.manifest.look]
    compared = replace(catalogue, members=tuple(catalogue.members[place] for place in places))
    files = pd.concat([bundle.gallery.photos, photos], ignore_index=True)
    table = catalogue.photos.assign(**{name: files[name] for name in ("path", "width", "height", "viewpoint")})
    params = bundle.settings.match.model_copy(update={"learn_epochs": 0})  # what is known is not learned anew
    joined = Joined(bundle.gallery.pictures, crops)
    queries = joined.rows(ASKED + photos["image"])
    write_features(features, table, joined, params, queries, bundle.features)
    looked = second_look(table, compared.blend(), joined, params, worth=worth)
    contents = table.set_index("image")["sha256"]
    pairs = looked.pairs
    itself = pairs["query"].map(contents) == pairs["match"].map(contents)
    held = contents.index[contents.isin(bundle.gallery.photos["sha256"])]
    scores = local_scores(pairs[~itself], looked.compared[~looked.compared["query"].isin(held)])
    points = looked.points.assign(query=looked.points["query"].str.removeprefix(ASKED))
    return Looked(scores, points)
