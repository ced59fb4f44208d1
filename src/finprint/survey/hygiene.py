"""What looks wrong in a collection, for its owner to decide: copies, names and photos that are too much alike."""

import difflib
import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation

import numpy as np
import pandas as pd

from finprint.store.tables import TEST
from finprint.survey.folder_names import YEAR, Kind, kind_of, reads_like_species
from finprint.survey.names import BESIDE, LEFT, SIDES, Nobody, one_form, words

# The kinds of findings. `other` is the photo or name that a finding is about as well, if there is one.
COPY = "copy"  # the same bytes, one individual or none
QUERY_COPY = "photo to identify is in the catalogue"  # the same bytes
COPY_TWO_NAMES = "copy under two names"
ALIKE = "alike"  # hashes hardly differ; one individual, or none
QUERY_ALIKE = "photo to identify is nearly in the catalogue"
ALIKE_TWO_NAMES = "alike under two names"
IDENTITIES = "individuals written alike"
SPECIES = "species written alike"
SIZE = "odd size"
NOBODY = "name that means nobody"  # and so names no individual
NOBODY_PERHAPS = "name that may mean nobody"  # or a side, a year, a species: but it names an individual
LONG_ENCOUNTER = "long encounter"
KINDS = (
    COPY, QUERY_COPY, COPY_TWO_NAMES, ALIKE, QUERY_ALIKE, ALIKE_TWO_NAMES, IDENTITIES, SPECIES, SIZE, NOBODY,
    NOBODY_PERHAPS, LONG_ENCOUNTER,
)  # fmt: skip

Finding = tuple[str, str, str | None, str | None]  # a row of the table `FINDINGS`
CROWD = 20  # later photos that a photo is compared with, at most
SMALL, LONG = 64, 6  # px of the shorter side, and ratio of the sides, from which on a photo is odd
FEW, USUAL = 20, 0.1  # photos, and share of all photos, beyond which an odd size is a usual one
TYPO = 0.92  # difflib's ratio of two species; short- and long-finned pilot whales have 0.85
DOUBTS = frozenset(["possible", "possibly", "probable", "probably", "perhaps", "maybe", "likely"])
LIKE = "cf"  # short for the same, if signs or nothing stand around it: hexadecimal names are full of it
YOUNG = frozenset(["calf", "calves", "pup", "pups", "cub", "cubs", "juvenile", "baby", "young"])
LISTED = re.compile(r"\s*(?:[/;,&+|]|\b(?:or|and|vs)\b)\s*", re.IGNORECASE)  # what stands between several names
SIGNS = re.compile(r"[\W_]+")
WHOLE = re.compile(r"(\d+)[.,]0+")  # a spreadsheet's way to write a whole number
COPIED = re.compile(r"[ _]*(?:\(\d+\)|-?[ _]*cop(?:y|ie)(?:[ _]*\d+)?)$", re.IGNORECASE)
# Letters of other scripts that nobody can tell from Latin ones, in small letters.
LOOKALIKES = str.maketrans("авекмнорстухіјѕԁɡαεικνορτυχ", "abekmhopctyxijsdgaeikvoptux")
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


def alike(photos: pd.DataFrame, pairs: np.ndarray) -> Iterator[Finding]:
    """Photos that are hardly to be told apart, but no copies: every two of two individuals; of others each once, beside
    one that it is like, so that a burst of n has n - 1 findings and not all its pairs.

    Of a photo that is like a crowd, only the first ones are looked at.

    Args:
        photos: as for `copies`, those to identify last.
        pairs: (P, 2) rows (i, j) of photos whose hashes are near each other, i < j; ascending.
    """
    images, names, asked = photos["image"].tolist(), photos["identity"].tolist(), photos["split"].eq(TEST).tolist()
    paths, hashes = photos["path"].tolist(), photos["sha256"].tolist()
    told = set()
    place = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
    for i, j in pairs[place < CROWD].tolist():
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
    """Photos that are very small or very long; where they are usual, as of plankton, the first one stands for all."""
    short, long = photos[["width", "height"]].min(axis=1), photos[["width", "height"]].max(axis=1)
    odd = photos[(short < SMALL) | (long > LONG * short)]
    usual = len(odd) > max(FEW, USUAL * len(photos))
    more = f"; {len(odd)} of {len(photos)} photos are that small or long" if usual else ""
    for image, width, height in odd[["image", "width", "height"]][: 1 if usual else None].itertuples(index=False):
        yield (SIZE, image, None, f"{width} x {height} px{more}")


def nobodies(photos: Mapping[str, int], nobody: Nobody) -> Iterator[Finding]:
    """Names that were taken for nobody's, and names of individuals that look as if they meant none.

    Args:
        photos: how many there are by each name, as it is written.
        nobody: names that mean nobody.
    """
    numbers = any(
        name.isdigit() and kind_of(name) == Kind.NAME for name in photos
    )  # right whales are called 1107, 1968
    for name, number in sorted(photos.items()):
        count = f"{number} photo{'' if number == 1 else 's'}"
        if name in nobody:
            yield (NOBODY, name, None, f"{count}; if it is an individual's name, remove it from prepare.nobody")
        elif nobody.like(name):
            yield (NOBODY_PERHAPS, name, None, f"{count}; if nobody is meant, add it to prepare.nobody")
        elif (kind := kind_of(name)) in (Kind.SIDE, Kind.TIME, Kind.SORT) and not (numbers and name.isdigit()):
            if len(name) > 1:
                yield (NOBODY_PERHAPS, name, None, f"{count}; it reads like {kind}")
        elif reads_like_species(name):
            yield (NOBODY_PERHAPS, name, None, f"{count}; it reads like a species")
        elif several := _several(name, photos):
            yield (NOBODY_PERHAPS, name, None, f"{count}; it reads like several individuals: {', '.join(several)}")
        elif "?" in name or DOUBTS & set(words(name)) or LIKE in SIGNS.split(name.casefold()):
            advice = "if nobody is meant, add it to prepare.nobody"
            yield (NOBODY_PERHAPS, name, None, f"{count}; it reads like a doubt; {advice}")
        elif YOUNG & set(words(name)) and "of" in words(name):
            yield (NOBODY_PERHAPS, name, None, f"{count}; it reads like the young of another individual")


def _several(name: str, names: Collection[str]) -> list[str]:
    """The individuals in a name that lists some: A12/A13, A12 or A13; none where a part of it is nobody's name."""
    parts = [part for part in LISTED.split(name) if part]
    return parts if len(parts) > 1 and all(part in names for part in parts) else []


def identities_alike(names: Iterable[str]) -> Iterator[Finding]:
    """Individuals whose names differ by case, accents, spaces or signs alone, or as a spreadsheet
    mangles numbers; or by a side or a year.

    `Whale-7` and `whale 7`; `Zoë` and `Zoe`; `00123` and `123` (leading zeros lost); `12.0` and `12`; `1.36215E+11` and
    `136215123456`.
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
    yield from _two_sides(ordered)
    yield from _two_years(ordered)
    yield from ((IDENTITIES, name, own, "a copy of its folder?") for name, own in _copied(ordered))


def _two_sides(names: list[str]) -> Iterator[Finding]:
    """`A17_left` and `A17_right`, `12L` and `12R`."""
    of: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        told = words(name)
        sides = {"left" if word in LEFT else "right" for word in told if word in SIDES}
        rest = tuple(word for word in told if word not in SIDES and word not in BESIDE)
        if len(sides) == 1 and rest:
            of[rest].setdefault(sides.pop(), name)
    for pair in of.values():
        if len(pair) == 2:
            yield (IDENTITIES, pair["left"], pair["right"], "one animal from two sides?")


def _two_years(names: list[str]) -> Iterator[Finding]:
    """`A17 2019` and `A17 2020`: a year before or behind a name. BW-2019-01 numbers animals by years."""
    of: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        told = words(name)
        for rest, year in ((told[:-1], told[-1:]), (told[1:], told[:1])):
            if year and YEAR.fullmatch(year[0]) and not all(word.isdigit() for word in rest):
                of[rest].append(name)
                break
    for first, *others in of.values():
        yield from ((IDENTITIES, first, other, "one animal in two years?") for other in others)


def _copied(names: list[str]) -> Iterator[tuple[str, str]]:
    """`A17 (2)` and `A17 - Copy` beside `A17`, as Windows and Macs call the second one."""
    for name in names:
        own = COPIED.sub("", name)
        if own != name and own in names:
            yield name, own


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
    """A name without case, accents, spaces, signs, leading zeros and a whole number's decimals.

    Any sign between digits separates numbers: 12-1 is like 12_1, but not like 121.
    """
    signs = unicodedata.normalize("NFKD", one_form(name).casefold())
    plain = "".join(sign for sign in signs if not unicodedata.combining(sign)).strip()
    if any("a" <= sign <= "z" or sign.isdigit() for sign in plain):  # one script: no letter is a lookalike
        plain = plain.translate(LOOKALIKES)
    if whole := WHOLE.fullmatch(plain):
        plain = whole[1]
    letters = SIGNS.sub(lambda signs: "." if _between_digits(plain, *signs.span()) else "", plain)
    return letters.lstrip("0") or letters[:1]


def _between_digits(text: str, start: int, end: int) -> bool:
    return text[max(start - 1, 0) : start].isdigit() and text[end : end + 1].isdigit()


def _number(name: str) -> Decimal | None:
    try:
        number = Decimal(name) if name[:1].isdigit() else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None
