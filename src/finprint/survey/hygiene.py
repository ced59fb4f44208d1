"""What looks wrong in a collection, for its owner to decide: copies, photos and names that are too much alike."""

import difflib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation

import pandas as pd

from finprint.store.tables import TEST

# The kinds of findings. In all but the last, `other` is the photo or name that it is about as well.
COPY = "copy"  # the same bytes, one individual or none
QUERY_COPY = "photo to identify is in the catalogue"  # the same bytes
COPY_TWO_NAMES = "copy under two names"
ALIKE = "alike"  # hashes hardly differ; one individual, or none
QUERY_ALIKE = "photo to identify is nearly in the catalogue"
ALIKE_TWO_NAMES = "alike under two names"
IDENTITIES = "individuals written alike"
SPECIES = "species written alike"
SIZE = "odd size"
KINDS = (COPY, QUERY_COPY, COPY_TWO_NAMES, ALIKE, QUERY_ALIKE, ALIKE_TWO_NAMES, IDENTITIES, SPECIES, SIZE)

Finding = tuple[str, str, str | None, str | None]  # a row of the table `FINDINGS`
SMALL, LONG = 64, 6  # px of the shorter side, and ratio of the sides, from which on a photo is odd
TYPO = 0.92  # difflib's ratio of two species; short- and long-finned pilot whales have 0.85
MANGLED = re.compile(r"\d(?:\.\d+)?[eE]\+\d+")  # a spreadsheet's way to write a long number


def copies(photos: pd.DataFrame) -> Iterator[Finding]:
    """Photos of the same bytes, each beside the first of them.

    Args:
        photos: table (image, path, sha256, identity, split). Rows of one path are animals of one photo, no copies.
    """
    files = photos.drop_duplicates("path")
    for _, same in files[files["sha256"].duplicated(keep=False)].groupby("sha256", sort=False):
        filed = same[same["split"] != TEST]
        asked = same.loc[same["split"] == TEST, "image"]
        yield from ((QUERY_COPY, image, first, None) for image in asked for first in filed["image"].iloc[:1])
        names = filed["identity"].dropna().unique()
        filed = filed.sort_values("identity", key=lambda named: named.isna(), kind="stable")  # one with a name first
        kind, detail = (COPY, None) if len(names) < 2 else (COPY_TWO_NAMES, " and ".join(names))
        yield from ((kind, image, filed["image"].iloc[0], detail) for image in filed["image"].iloc[1:])


def alike(photos: pd.DataFrame, pairs: Iterable[tuple[int, int]]) -> Iterator[Finding]:
    """Photos that are hardly to be told apart, but no copies: every two of two individuals; of others each once, beside
    one that it is like, so that a burst of n has n - 1 findings and not all its pairs.

    Args:
        photos: as for `copies`, those to identify last.
        pairs: rows (i, j) of photos whose hashes are near each other, i < j; ascending.
    """
    images, names, asked = photos["image"].tolist(), photos["identity"].tolist(), photos["split"].eq(TEST).tolist()
    paths, hashes = photos["path"].tolist(), photos["sha256"].tolist()
    told = set()
    for i, j in pairs:
        if paths[i] == paths[j] or hashes[i] == hashes[j] or asked[i]:
            continue
        if not pd.isna(names[i]) and not pd.isna(names[j]) and names[i] != names[j]:
            yield (ALIKE_TWO_NAMES, images[i], images[j], f"{names[i]} and {names[j]}")
            continue
        one, other = (i, j) if j in told and not asked[j] else (j, i)
        if one not in told:
            told.add(one)
            yield (QUERY_ALIKE if asked[one] else ALIKE, images[one], images[other], None)


def odd_sizes(photos: pd.DataFrame) -> Iterator[Finding]:
    """Photos that are very small or very long."""
    for image, width, height in photos[["image", "width", "height"]].itertuples(index=False):
        if min(width, height) < SMALL or max(width, height) > LONG * min(width, height):
            yield (SIZE, image, None, f"{width} x {height} px")


def identities_alike(names: Iterable[str]) -> Iterator[Finding]:
    """Individuals whose names differ by case, spaces and signs alone, or as a spreadsheet mangles numbers.

    `Whale-7` and `whale 7`; `00123` and `123` (leading zeros lost); `1.36215E+11` and `136215123456`.
    """
    ordered = sorted(set(names))
    same = defaultdict(list)
    for name in ordered:
        same[_plain(name)].append(name)
    yield from ((IDENTITIES, first, other, None) for first, *others in same.values() for other in others)
    numbers = {name: number for name in ordered if (number := _number(name)) is not None}
    for mangled in (name for name in numbers if MANGLED.fullmatch(name)):
        digits = len(mangled.partition("e")[0].partition("E")[0].replace(".", "")) - 1
        for name, number in numbers.items():
            if not MANGLED.fullmatch(name) and Decimal(f"{number:.{digits}E}") == numbers[mangled]:
                yield (IDENTITIES, mangled, name, "a spreadsheet has rounded the number")


def species_alike(names: Iterable[str]) -> Iterator[Finding]:
    """Species that look like typos of one another; the rarer ones stand first.

    Args:
        names: of all photos, so that they can be counted.
    """
    counts = pd.Series(list(names), dtype="string").value_counts()
    for one, other in itertools.combinations(sorted(counts.index, key=lambda name: (counts[name], name)), 2):
        if _plain(one) == _plain(other) or difflib.SequenceMatcher(None, one, other, False).ratio() >= TYPO:
            yield (SPECIES, one, other, f"{counts[one]} and {counts[other]} photos")


def _plain(name: str) -> str:
    """A name without case, spaces, signs and leading zeros."""
    letters = "".join(letter for letter in name.casefold() if letter.isalnum())
    return letters.lstrip("0") or letters[:1]


def _number(name: str) -> Decimal | None:
    try:
        number = Decimal(name) if name[:1].isdigit() else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None
