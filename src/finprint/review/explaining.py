"""What made a photo and its match alike, computed when a person asks for it."""

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from finprint.base.errors import UserError
from finprint.pictures.images import encode_jpeg
from finprint.review.case import Case

if TYPE_CHECKING:
    from finprint.model.embedder import Embedder

QUALITY = 85
KEPT = 64  # pairs


class Explainer:
    """Heat maps of pairs; the model is loaded for the first one."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._lock = Lock()  # one at a time: each uses all cores
        self._embedder: Embedder | None = None
        self._kept: OrderedDict[tuple[str, str], tuple[bytes, bytes]] = OrderedDict()

    def heat(self, query: str, match: str) -> tuple[bytes, bytes]:
        """JPEGs of both stored crops under their heat maps.

        Raises:
            UserError: there is no model, or a photo has no stored crop.
        """
        with self._lock:
            pair = (query, match)
            if pair not in self._kept:
                self._kept[pair] = self._made(query, match)
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[pair]

    def _made(self, query: str, match: str) -> tuple[bytes, bytes]:
        from finprint.model.embedder import load_model  # torch takes seconds, which the page need not wait
        from finprint.report.explain import explain, overlay

        if self._case.model is None:
            raise UserError("there is no model here that could explain a match")
        pixels = []
        for image in (query, match):
            if (stored := self._case.stored(image)) is None:
                raise UserError(f"there is no crop of {image}")
            pixels.append(stored[0].pixels(stored[1]))
        if self._embedder is None:
            self._embedder = load_model(self._case.model)[0]
        heat = explain(self._embedder, [(pixels[0], pixels[1])])[0]
        return (
            encode_jpeg(overlay(pixels[0], heat.query), QUALITY),
            encode_jpeg(overlay(pixels[1], heat.match), QUALITY),
        )
