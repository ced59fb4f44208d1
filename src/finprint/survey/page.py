"""The page on a collection: its counts, its long tail, and what looks wrong in it, with thumbnails."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from finprint.paper.pages import template
from finprint.pictures.images import BadPhoto, decode, thumbnail
from finprint.store.tables import TEST
from finprint.survey import hygiene
from finprint.survey.plots import tail_plot
from finprint.survey.prepare import Survey, summary

SHOWN = 120  # cards a section
HEIGHT, WIDTH = 110, 180  # px at most, of a thumbnail
SECTIONS = (  # kind of finding, and what it means
    (hygiene.COPY_TWO_NAMES, "One photo stands in the catalogue for two individuals: none of its copies is used."),
    (
        hygiene.ALIKE_TWO_NAMES,
        "Hardly to be told apart, but labelled as two individuals: one photo, or one moment? Used.",
    ),
    (hygiene.IDENTITIES, "One individual, written in two ways? They count as two; merge them if they are one."),
    (hygiene.SPECIES, "A typo? Correct it in the table, or in prepare.species_typos."),
    (
        hygiene.SIZE,
        f"Less than {hygiene.SMALL} px high or wide, or more than {hygiene.LONG} times as long as wide. Used.",
    ),
    (hygiene.QUERY_COPY, "Photos to identify that the catalogue has already. They are answered all the same."),
    (
        hygiene.QUERY_ALIKE,
        "Photos to identify that hardly differ from one of the catalogue. They are answered all the same.",
    ),
    (hygiene.COPY, "The same photo again: the first one is used."),
    (
        hygiene.ALIKE,
        "Hardly to be told apart: a burst, or a photo saved again? Used; they never stand on both sides of a split.",
    ),
)


@dataclass(frozen=True)
class Card:
    """One finding: a text, and photos (name, base64 of a thumbnail or nothing)."""

    text: str
    photos: list[tuple[str, str]]


@dataclass(frozen=True)
class Section:
    """Findings of one kind; `count` of them in all, in `file`."""

    title: str
    text: str
    count: int
    cards: list[Card]
    file: str


def write_data_page(
    path: Path, found: Survey, paths: Mapping[str, str], boxes: Mapping[str, Mapping[str, int]]
) -> None:
    """Write the page.

    Args:
        path: to write.
        found: what `prepare` knows.
        paths: where each photo lies, by its name; rejected ones, too.
        boxes: counts of each table of boxes.
    """
    named = found.photos.loc[found.photos["split"] != TEST, "identity"].value_counts()
    plot = base64.b64encode(tail_plot(named.to_numpy())).decode() if len(named) else ""
    counts = [(name.replace("_", " "), round(value, 3)) for name, value in summary(found).items()]
    sections = _sections(found, paths)
    page = template(__file__).render(counts=counts, plot=plot, boxes=list(boxes.items()), sections=sections)
    path.write_text(page, encoding="utf-8", newline="\n")


def _sections(found: Survey, paths: Mapping[str, str]) -> list[Section]:
    sections = []
    for kind, text in SECTIONS:
        rows = found.findings[found.findings["kind"] == kind]
        cards = [_card(paths, *row) for row in rows[["name", "other", "detail"]].head(SHOWN).to_numpy(object)]
        sections.append(Section(kind.capitalize(), text, len(rows), cards, "data/findings.csv"))
    rejects = found.rejects[["image", "reason"]].head(SHOWN).to_numpy(object)
    wrong = [_card(paths, image, None, reason) for image, reason in rejects]
    text = "Photos and rows that are not used as they stand, each with its reason."
    sections.insert(0, Section("Rejects", text, len(found.rejects), wrong, "data/rejects.csv"))
    return [section for section in sections if section.count]


def _card(paths: Mapping[str, str], name: str, other: str | None, detail: str | None) -> Card:
    photos = _photos(paths, name, other)
    text = "" if photos else " and ".join(one for one in (name, other) if one)
    return Card(": ".join(part for part in (text, "" if pd.isna(detail) else str(detail)) if part), photos)


def _photos(paths: Mapping[str, str], *names: str | None) -> list[tuple[str, str]]:
    return [(name, _thumbnail(Path(paths[name]))) for name in names if name and name in paths]


def _thumbnail(path: Path) -> str:
    try:
        pixels, _ = decode(path, shorter_side=HEIGHT)
    except BadPhoto:
        return ""
    return base64.b64encode(thumbnail(pixels, WIDTH, HEIGHT)).decode()
