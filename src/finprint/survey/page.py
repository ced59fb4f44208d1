"""The page on a collection: what needs a decision first, its counts, its long tail, and what looks wrong in it."""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from finprint.base.files import write_text
from finprint.paper.pages import template
from finprint.pictures.images import BadPhoto, decode, thumbnail
from finprint.store.tables import TEST, TRAIN, VALIDATION
from finprint.survey import hygiene
from finprint.survey.plots import tail_plot
from finprint.survey.prepare import Survey
from finprint.survey.sources.decisions import decision

SHOWN = 60  # cards a section
REASONS, EXAMPLES = 20, 6  # kinds of reasons that rejects are grouped by, and cards of each
LONG = 300  # letters of a text, at most
HEIGHT, WIDTH = 110, 180  # px at most, of a thumbnail
# What of a reason differs from photo to photo: what stands in brackets or quotes, numbers, and names behind words.
VARIES = re.compile(r"\([^)]*\)|'[^']*'|(?<=did you mean ).*|(?<= as )[^,:]+|\d[\d.,x ]*\d|\d|^.*(?= is a link)")
SECTIONS = {  # by the kind of finding: what it means, and what to do
    hygiene.COPY_TWO_NAMES: "One photo stands in the catalogue under two names. None of its copies is used until you "
    "drop the wrong one.",
    hygiene.ALIKE_TWO_NAMES: "These photos look the same, but have two names. If one name is wrong, relabel that "
    "photo. Until then both are used, and they never stand on both sides of a split.",
    hygiene.IDENTITIES: "Two names that may be one individual, written in two ways. They count as two until you merge "
    "them.",
    hygiene.NOBODY_PERHAPS: "Does this name mean an individual? If it means nobody, add it to prepare.nobody in "
    "params.yaml. If it is a side, a year or a species, look at the folders or the table.",
    hygiene.LONG_ENCOUNTER: "The photos of an encounter stay together, so a long one leaves little to validate with.",
    hygiene.SPECIES: "Two species that may be one, written in two ways. Correct the table, or add the line to "
    "prepare.species_typos in params.yaml.",
    hygiene.SIZE: f"Less than {hygiene.SMALL} px high or wide, or more than {hygiene.LONG} times as long as wide. They "
    "are used until you drop them.",
    hygiene.QUERY_COPY: "These photos to identify are in the catalogue already. They are answered all the same.",
    hygiene.QUERY_ALIKE: "These photos to identify look the same as one of the catalogue. They are answered all the "
    "same.",
    hygiene.COPY: "The same photo again. The first one is used.",
    hygiene.ALIKE: "These photos look the same: a burst, or a photo saved again. They are used, and never stand on "
    "both sides of a split.",
    hygiene.NOBODY: "These names mean nobody (prepare.nobody in params.yaml). Their photos are used without a name.",
}
NEEDS_DECISION = (
    hygiene.COPY_TWO_NAMES,
    hygiene.ALIKE_TWO_NAMES,
    hygiene.IDENTITIES,
    hygiene.NOBODY_PERHAPS,
    hygiene.LONG_ENCOUNTER,
    hygiene.SPECIES,
)


@dataclass(frozen=True)
class Card:
    """One finding: a text, photos (name, base64 of a thumbnail or nothing), and lines that would settle it."""

    text: str
    photos: list[tuple[str, str]]
    lines: list[str]


@dataclass(frozen=True)
class Section:
    """Findings of one kind; `count` of them in all, in `file`."""

    title: str
    text: str
    count: int
    cards: list[Card]
    file: str


def write_data_page(
    path: Path, collection: Survey, paths: Mapping[str, str], boxes: Mapping[str, Mapping[str, int]]
) -> None:
    """Write the page, atomically.

    Args:
        path: to write.
        collection: what `prepare` knows.
        paths: where each photo lies, by its name; rejected ones, too.
        boxes: counts of each table of boxes.
    """
    photos = collection.photos
    named = photos.loc[photos["split"] != TEST, "identity"].value_counts()
    page = template(__file__).render(
        first=list(_first(collection)),
        counts=_counts(collection, named),
        plot=base64.b64encode(tail_plot(named.to_numpy())).decode() if len(named) else "",
        boxes=list(boxes.items()),
        reasons=_reasons(collection.rejects).head(REASONS).items(),
        sections=[_rejects(collection.rejects, paths), *_findings(collection, paths)],
    )
    write_text(path, page)


def _first(collection: Survey) -> Iterator[str]:
    """What needs a decision before the results mean anything, the gravest first."""
    photos, findings = collection.photos, collection.findings["kind"].value_counts()
    validation = photos[photos["split"] == VALIDATION]
    train = set(photos.loc[photos["split"] == TRAIN, "identity"].dropna())
    if not len(validation):
        yield (
            "No photo validates, so nothing can be measured and no threshold fitted. Some individuals need photos "
            "of two encounters. Does prepare.encounter_gap join too many photos?"
        )
    elif validation["identity"].dropna().isin(train).all():
        yield (
            "No new animal in validation: the threshold that tells new animals from known ones cannot be fitted. Raise "
            "prepare.new_share, or add individuals with few photos."
        )
    elif not validation["identity"].isin(train).any():
        yield "No known animal in validation: what the model knows cannot be measured. Add photos of other encounters."
    if not (photos["split"] == TEST).any():
        yield "There is no photo to identify. docs/sources.md says where they lie."
    if count := len(collection.rejects):
        yield f"{_many(count, 'entry cannot be used as it is', 'entries cannot be used as they are')}: see Rejects."
    for kind in NEEDS_DECISION:
        if count := findings.get(kind, 0):
            yield f"{kind.capitalize()}: {_many(count, 'case', 'cases')} to decide, see below."


def _counts(collection: Survey, named: pd.Series) -> list[tuple[str, str]]:
    """Names and values, without what there is none of."""
    photos = collection.photos
    split = photos["split"].value_counts()
    counts = [
        ("individuals", len(named)), ("with one photo", int((named == 1).sum())),
        ("species", photos["species"].nunique()), ("photos for training", split.get(TRAIN, 0)),
        ("for validation", split.get(VALIDATION, 0)), ("to identify", split.get(TEST, 0)),
        ("boxes", int(collection.boxes["part"].notna().sum())),
        ("photos without an animal", int(collection.boxes["part"].isna().sum())),
    ]  # fmt: skip
    return [(name, f"{value:,}") for name, value in counts if value]


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _reasons(rejects: pd.DataFrame) -> pd.Series:
    """How many rejects there are of each kind of reason, the most first."""
    return rejects["reason"].map(_kind_of).value_counts()


def _kind_of(reason: str) -> str:
    """A reason without what differs from photo to photo."""
    return VARIES.sub("…", reason)[:LONG]


def _rejects(rejects: pd.DataFrame, paths: Mapping[str, str]) -> Section:
    kinds = rejects["reason"].map(_kind_of)
    often = _reasons(rejects).index[:REASONS]
    shown = pd.concat([rejects[kinds == kind].head(EXAMPLES) for kind in often] or [rejects]).head(SHOWN)
    cards = [
        Card(_short(reason if image in paths else f"{image}: {reason}"), _photos(paths, image), [])
        for image, reason in shown[["image", "reason"]].itertuples(index=False, name=None)
    ]
    text = "Photos, rows and boxes that cannot be used as they are, by their reason, with examples."
    return Section("Rejects", text, len(rejects), cards, "data/rejects.csv")


def _findings(collection: Survey, paths: Mapping[str, str]) -> Iterator[Section]:
    identities = collection.photos.set_index("image")["identity"]
    often = collection.photos["identity"].value_counts()
    species = collection.photos["species"].value_counts()
    present = collection.findings["kind"].unique().tolist()
    for kind in [*(kind for kind in SECTIONS if kind in present), *(kind for kind in present if kind not in SECTIONS)]:
        rows = collection.findings[collection.findings["kind"] == kind]
        cards = []
        for name, other, detail in rows[["name", "other", "detail"]].head(SHOWN).itertuples(index=False, name=None):
            second = None if pd.isna(other) else str(other)
            counts = species if kind == hygiene.SPECIES else often
            lines = _lines(kind, name, second, identities, counts)
            cards.append(_card(paths, name, second, None if pd.isna(detail) else str(detail), lines))
        yield Section(kind.capitalize(), SECTIONS.get(kind, ""), len(rows), cards, "data/findings.csv")


def _lines(kind: str, name: str, other: str | None, identities: pd.Series, often: pd.Series) -> list[str]:
    """Lines that would settle a finding: of decisions.csv, or of prepare.species_typos."""
    if kind == hygiene.SIZE:
        return [decision("drop", name)]
    if other is None:
        return []
    if kind == hygiene.COPY_TWO_NAMES:
        return [decision("drop", name), decision("drop", other)]
    if kind == hygiene.ALIKE_TWO_NAMES:
        return [
            decision("relabel", one, str(identities[two]))
            for one, two in ((name, other), (other, name))
            if two in identities.index and not pd.isna(identities[two])
        ]
    rarer, common = sorted((name, other), key=lambda one: (often.get(one, 0), one))
    if kind == hygiene.IDENTITIES:
        return [decision("merge", rarer, common)]
    return [yaml.safe_dump({rarer: common}, allow_unicode=True).strip()] if kind == hygiene.SPECIES else []


def _card(paths: Mapping[str, str], name: str, other: str | None, detail: str | None, lines: list[str]) -> Card:
    photos = _photos(paths, name, other)
    text = "" if photos else " and ".join(one for one in (name, other) if one)
    return Card(_short(": ".join(piece for piece in (text, detail) if piece)), photos, lines)


def _short(text: str) -> str:
    return text if len(text) <= LONG else f"{text[:LONG]}…"


def _photos(paths: Mapping[str, str], *names: str | None) -> list[tuple[str, str]]:
    return [(name, _thumbnail(Path(paths[name]))) for name in names if name and name in paths]


def _thumbnail(path: Path) -> str:
    try:
        pixels, _ = decode(path, shorter_side=HEIGHT)
    except BadPhoto:
        return ""
    return base64.b64encode(thumbnail(pixels, WIDTH, HEIGHT)).decode()
