"""What the name of one folder tells by itself: an animal, a side, a date, an encounter, or no animal."""

import re
from collections.abc import Sequence
from enum import StrEnum

from finprint.survey.dates import MONTHS
from finprint.survey.names import Nobody, side, words

YEAR = re.compile(r"(?:18[5-9]|19\d|20\d)\d")
DAY = re.compile(r"(?:18[5-9]|19\d|20\d)\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")  # 20190512
MONTH = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])")  # 201905
SEASONS = frozenset(["summer", "winter", "spring", "autumn", "fall", "season"])
WITH_YEAR = MONTHS.keys() | SEASONS | frozenset(["survey", "year", "field", "fieldwork", "cruise", "to", "and", "q"])
# Folders of one meeting with animals: what they hold is one encounter.
MEETINGS = frozenset({
    "encounter", "enc", "sighting", "sight", "meeting", "event", "observation", "obs", "occasion",
})  # fmt: skip
NUMBERED = MEETINGS | frozenset({
    "day", "trip", "survey", "session", "visit", "leg", "transect", "dive", "week", "camera", "cam", "card", "roll",
    "batch", "folder",
})  # fmt: skip
# Folders that sort photos, by what made them, what was done to them or what they show; no animal is meant.
SORTS = NUMBERED | frozenset({
    "dcim", "canon", "nikon", "sony", "olympus", "gopro", "drone", "dji", "iphone", "phone", "photo", "photos",
    "image", "images", "img", "imgs", "picture", "pictures", "pic", "pics", "jpg", "jpeg", "jpegs", "raw", "tif",
    "tiff", "edited", "edits", "edit", "original", "originals", "crop", "crops", "cropped", "best", "good", "bad",
    "poor", "selected", "selection", "misc", "miscellaneous", "other", "others", "extra", "extras", "unsorted",
    "sorted", "backup", "copy", "copies", "duplicates", "catalogue", "catalog", "database", "data", "dataset", "train",
    "training", "gallery", "reference", "set", "val", "valid", "validation", "individuals", "body", "fin", "fins",
    "dorsal", "fluke", "flukes", "tail", "head", "face", "belly", "ventral", "back", "front", "top", "eye", "scars",
    "new", "untitled",
})  # fmt: skip
CAMERA = re.compile(r"[1-9]\d\d(?=\w*[A-Z_])\w{5}")  # as every camera numbers them: 100CANON, 101MSDCF
SPECIES = re.compile(
    r"(?i)(?:\D+seal|\D*(?:whale|dolphin|porpoise|orca|beluga|narwhal|vaquita|dugong|manatee|shark|turtle|manta|"
    r"sea ?lion|otter)s?|"
    r"(?:\D*\b)?(?:humpback|minke|bottlenose|ray|bear|wolf|wolves|tiger|leopard|jaguar|cheetah|zebra|giraffe|elephant|"
    r"macaque|chimpanzee|gorilla|lemur|antelope|nyala|deer|salamander|newt|toad|frog|lizard|penguin|delfin|delfín|"
    r"delphin|dauphin|golfinho|baleine|ballena|baleia|orque|cachalote?|marsouin|marsopa|tonina|\w+swal|robbe|phoque|"
    r"foca|tiburón|requin|tortue|tortuga|raie|raya|nutria|кит|дельфин|белуха|косатка|нерпа|тюлень)(?:s|es|e|n)?|"
    r"(?:tursiops|megaptera|balaenoptera|eubalaena|physeter|orcinus|delphin\w+|stenella|grampus|globicephala|sousa|"
    r"sotalia|lagenorhynchus|orcaella|eschrichtius|monodon|ziphius|phoca|halichoerus|zalophus|steno|pseudorca|inia|"
    r"lissodelphis|cephalorhynchus|phocoen\w+|balaena|kogia|mesoplodon|hyperoodon|mirounga|panthera|ursus|"
    r"delf[ií]n|golfinho|dauphin|ballena|baleine|baleia|foca|phoque|tortuga|tortue|tiburón|requin|"
    r"tragelaphus|chelonia|caretta|rhincodon|carcharodon)\b\D*)"
)


class Kind(StrEnum):
    """What the name of a folder tells by itself."""

    NAME = "a name"
    SIDE = "a side"
    TIME = "a year or date"
    SORT = "no animal"  # a camera's folder, encounter 3, best
    DOUBT = "a year with a name"  # 2019 Moray: of a place, or an animal's code?
    NOBODY = "nobody"


def kinds_of(chain: Sequence[str], nobody: Nobody) -> list[Kind]:
    """What the names of nested folders tell, the first being the outermost."""
    kinds: list[Kind] = []
    for number, name in enumerate(chain):
        above = chain[number - 1] if number else ""
        kinds.append(Kind.NOBODY if name in nobody else kind_of(name, above, bool(kinds) and kinds[-1] == Kind.TIME))
    return kinds


def kind_of(name: str, above: str = "", in_time: bool = False) -> Kind:
    """What the name of one folder tells.

    Args:
        name: the name.
        above: the name of the folder around it; `A17/A17_left` is a side.
        in_time: that one is a year or a month: then a number is a month or a day.
    """
    if words(name) and words(name) == words(above):
        return Kind.SORT  # A17/A17, as unpacked
    told = own_words(name, above)
    if side(" ".join(told)):
        return Kind.SIDE
    numbers = [word for word in told if word.isdigit()]
    years = [word for word in numbers if YEAR.fullmatch(word) or DAY.fullmatch(word) or MONTH.fullmatch(word)]
    small = [word for word in numbers if len(word) <= 2 and int(word) <= 31]
    rest = [word for word in told if not word.isdigit() and word not in WITH_YEAR | MEETINGS]
    dated = not rest and len(years) + len(small) == len(numbers)
    if _day(told) or (dated and (years or (in_time and told))):
        return Kind.TIME
    if CAMERA.fullmatch(name) or _sorts(told) or (dated and (MONTHS.keys() | SEASONS) & set(told)):
        return Kind.SORT
    return Kind.DOUBT if years and rest else Kind.NAME


def reads_like_species(name: str) -> bool:
    """Is a name a species' in English or Latin, or of its genus? Names with numbers are not."""
    return bool(SPECIES.fullmatch(name.replace("_", " ").replace("-", " ").strip()))


def is_encounter(name: str) -> bool:
    """Is what a folder holds one encounter: `encounter 3`, or a day?"""
    told = words(name)
    return _day(told) or bool(MEETINGS & set(told) and any(word.isdigit() or len(word) == 1 for word in told))


def own_words(name: str, above: str) -> tuple[str, ...]:
    """The words of a folder's name without those of the folder around it: of A17/A17_left that is left."""
    told, outer = words(name), words(above)
    return told[len(outer) :] if outer and told[: len(outer)] == outer and told != outer else told


def _sorts(told: Sequence[str]) -> bool:
    """Do all words tell that a folder sorts photos? `Trip 12` does, but `Fin 12` is an animal."""
    plain = [word for word in told if not word.isdigit() and len(word) > 1]
    counted = any(word in NUMBERED for word in plain) or not any(word.isdigit() for word in told)
    return bool(plain) and counted and all(word in SORTS for word in plain)


def _day(told: Sequence[str]) -> bool:
    """Does a name begin with a whole date: 2019 05 12, 20190512, 12 05 2019, 12 may 2019?"""
    if told and DAY.fullmatch(told[0]):
        return True
    if len(told) < 3:
        return False
    year, (one, other) = (told[0], told[1:3]) if YEAR.fullmatch(told[0]) else (told[2], told[:2])
    if not YEAR.fullmatch(year):
        return False
    return all((word.isdigit() and len(word) <= 2 and 1 <= int(word) <= 31) or word in MONTHS for word in (one, other))
