"""Names as people write them: one form for equal ones, names that mean nobody, and words for the animal's sides."""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

# Zero-width spaces, soft hyphens, byte-order marks and marks of direction: nobody sees that two names differ in them.
INVISIBLE = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-Z])")
WORD = re.compile(r"[^\W\d_]+|\d+")
LEFT = frozenset({
    "left", "l", "lhs", "port", "gauche", "izquierda", "izquierdo", "izq", "links", "linke", "esquerda", "esquerdo",
    "sinistra", "sinistro", "venstre", "vänster", "izqda", "sx", "lt", "lft", "babord", "bâbord", "babor", "左",
})  # fmt: skip
RIGHT = frozenset({
    "right", "r", "rhs", "starboard", "droite", "droit", "derecha", "derecho", "rechts", "rechte", "direita",
    "direito", "destra", "destro", "høyre", "højre", "höger", "dcha", "dx",
    "rt", "rgt", "styrbord", "tribord", "estribor", "右",
})  # fmt: skip
SIDES = LEFT | RIGHT
# What may stand beside `left` or `right` in the name of a side: "left flank", "fin, right side", "R view".
BESIDE = frozenset({
    "side", "sides", "sided", "flank", "flanks", "view", "views", "viewpoint", "profile", "lateral", "facing",
    "aspect", "fin", "fins", "dorsal", "pectoral", "body", "head", "face", "fluke", "flukes", "ear", "eye", "of",
    "the", "only", "photo", "photos", "pic", "pics", "picture", "pictures", "image", "images", "img", "and", "hand",
    "lado", "seite", "flanke", "côté", "cote", "front", "back", "rear",
    "up", "down", "top", "bottom", "upfront", "upback", "downfront", "downback",
})  # fmt: skip
# Wild Me's words for views from an angle
OBLIQUE = re.compile("((?:up|down|top|bottom)?(?:front|back|rear)?)(left|right)")
BOTH = frozenset(["both", "sides", "side", "either", "left", "and", "right"])


def one_form(text: str) -> str:
    """`text` in the one form in which names, ids and paths are compared: Unicode's NFC, without invisible letters.

    A Mac writes the ë of "Zoë" as two code points, others as one; they look alike and are the same name.
    """
    return unicodedata.normalize("NFC", INVISIBLE.sub("", text))


def whole_name(name: str) -> str:
    """An individual's name as answers have it, which are separated by spaces: `Old Tom` is `Old_Tom`."""
    return "_".join(name.split())


@lru_cache(2**16)  # a folder of thousands of animals asks again and again
def words(text: str) -> tuple[str, ...]:
    """The words and numbers of a name, in small letters: `LeftSide_2` is left, side, 2."""
    whole = WORD.findall(_small(text))
    return tuple(whole if len(whole) == 1 and whole[0] in SIDES else WORD.findall(_small(CAMEL.sub(" ", text))))


def side(name: str) -> str | None:
    """The side of the animal that a name tells: `left`, `right`, `both`; None where it tells none.

    Whatever the case, in a few languages, by its first letter or as a boat's, and with words such as flank beside it.
    A letter with a number, as in `L1`, is no side: animals are called so. `frontleft` is left.
    """
    told = [part for word in words(name) for part in _parted(word)]
    sides = {"left" if word in LEFT else "right" for word in told if word in SIDES}
    if not sides:
        return "both" if "both" in told and set(told) <= BOTH else None
    spelled = any(word in SIDES and len(word) > 1 for word in told)
    rest = [word for word in told if word not in SIDES and word not in BESIDE]
    if any(not word.isdigit() or not spelled for word in rest):
        return None
    return "both" if len(sides) == 2 else sides.pop()


def _parted(word: str) -> list[str]:
    oblique = OBLIQUE.fullmatch(word)
    return [part for part in oblique.groups() if part] if oblique else [word]


class Nobody:
    """Names that mean nobody, whatever their case, spaces and signs. `?`: every name without a letter or a digit.

    Args:
        listed: such names. A number among them counts as it is written alone, because -1 is not 1.
    """

    def __init__(self, listed: Iterable[str]) -> None:
        listed = [name.strip() for name in listed if name.strip()]
        self._exact = {name.casefold() for name in listed}
        self._plain = {plain for name in listed if not (plain := letters(name)).isdigit()}

    def __contains__(self, name: str) -> bool:
        return name.strip().casefold() in self._exact or letters(name) in self._plain

    def like(self, name: str) -> bool:
        """Does a name that means somebody only look as if it meant nobody, as `unknown 3` does?"""
        listed = {word for word in self._plain if len(word) > 2}
        told = [word for word in words(name) if not word.isdigit()]
        return name not in self and any(word in listed or _typo(word, listed) for word in [*told, "".join(told)])


@lru_cache(2**16)
def letters(name: str) -> str:
    """The letters and digits of a name in small letters, without spaces and signs."""
    return "".join(letter for letter in _small(name) if letter.isalnum())


def _small(text: str) -> str:
    return unicodedata.normalize("NFKC", one_form(text)).casefold()


def _typo(word: str, listed: set[str]) -> bool:
    """Is a long word a listed one but for a letter or two?"""
    return len(word) > 5 and bool(difflib.get_close_matches(word, [one for one in listed if len(one) > 5], 1, 0.83))
