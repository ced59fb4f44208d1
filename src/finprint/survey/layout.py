"""Folder names understood over the whole tree: which folder names the animal, and what the others tell of a photo."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from finprint.base.errors import UserError
from finprint.survey.dates import MONTHS
from finprint.survey.names import Nobody, side, whole_name, words

KNOB = "prepare.folders.identity"
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
    "sorted", "backup", "copy", "copies", "duplicates", "catalogue", "catalog", "database", "data", "train", "val",
    "valid", "validation", "individuals", "body", "fin", "fins", "dorsal", "fluke", "flukes", "tail", "head",
    "face", "belly", "ventral", "back", "front", "top", "eye", "scars", "new", "untitled",
})  # fmt: skip
CAMERA = re.compile(r"[1-9]\d\d(?=\w*[A-Z_])\w{5}")  # as every camera numbers them: 100CANON, 101MSDCF
SPECIES = re.compile(
    r"(?i)(?:\D+seal|\D*(?:whale|dolphin|porpoise|orca|beluga|narwhal|vaquita|dugong|manatee|shark|turtle|manta|"
    r"sea ?lion|otter)s?|(?:tursiops|megaptera|balaenoptera|eubalaena|physeter|orcinus|delphin\w+|stenella|grampus|"
    r"globicephala|sousa|sotalia|lagenorhynchus|orcaella|eschrichtius|monodon|ziphius|phoca|halichoerus|zalophus)\b\D*)"
)


class Kind(StrEnum):
    """What the name of a folder tells by itself."""

    NAME = "a name"
    SIDE = "a side"
    TIME = "a year or date"
    SORT = "no animal"  # a camera's folder, encounter 3, best
    DOUBT = "a year with a name"  # 2019 Moray: of a place, or an animal's code?
    NOBODY = "nobody"


FORM = {Kind.SIDE: "side", Kind.TIME: "date"}
DETAILS = (Kind.SIDE, Kind.TIME, Kind.SORT)  # never an animal's folder where another one can be it


@dataclass(frozen=True)
class Place:
    """What the folder of a photo tells; `reason` says why nothing can be told."""

    identity: str | None = None
    species: str | None = None
    viewpoint: str | None = None
    encounter: str | None = None
    reason: str = ""
    form: str = ""  # NAME/side/photo, for people


def understand(folders: Iterable[str], identity: str | int, nobody: Nobody, root: Path) -> dict[str, Place]:
    """What each folder with photos tells of them.

    Args:
        folders: paths of the folders that hold photos themselves, from `root`; "" is `root`.
        identity: `prepare.folders.identity`. auto: decided over the whole tree. last: the last folder that is no side,
            date or the like. A number: that of the folder counted from `root`; 1 is the outermost.
        nobody: names that mean nobody.
        root: for messages.

    Raises:
        UserError: it cannot be told which folder names the animal, or one animal has two folders.
    """
    chains = {folder: tuple(folder.split("/")) if folder else () for folder in sorted(set(folders))}
    kinds = {chain: kinds_of(chain, nobody) for chain in chains.values()}
    auto = identity == "auto"
    cores = _decide(kinds, root) if auto else _as_told(kinds, identity)
    places = {folder: _place(chain, kinds[chain], cores[chain]) for folder, chain in chains.items()}
    species = {place.species for place in places.values() if place.identity and place.identity not in nobody}
    for folder, place in places.items():
        if place.species not in species:  # of A17/unknown nobody says that A17 is one
            places[folder] = replace(place, species=None)
    _refuse_one_name_twice(chains, cores, places, nobody, root)
    return places


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
    told, outer = words(name), words(above)
    if told and told == outer:
        return Kind.SORT  # A17/A17, as unpacked
    told = _without(told, outer)
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


def _without(told: tuple[str, ...], outer: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a folder's name without those of the folder around it: of A17/A17_left that is left."""
    return told[len(outer) :] if outer and told[: len(outer)] == outer and told != outer else told


def reads_like_species(name: str) -> bool:
    """Is a name a species' in English or Latin, or of its genus? Names with numbers are not."""
    return bool(SPECIES.fullmatch(name.replace("_", " ").replace("-", " ").strip()))


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


def _meets(name: str) -> bool:
    """Is what a folder holds one encounter: `encounter 3`, or a day?"""
    told = words(name)
    return _day(told) or bool(MEETINGS & set(told) and any(word.isdigit() or len(word) == 1 for word in told))


def _decide(kinds: dict[tuple[str, ...], list[Kind]], root: Path) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The levels of each chain that name species and animal, by what stands at each level of the whole tree."""
    levels = _levels(kinds)
    naming = [level for level, at in levels.items() if not at or not set(at) <= set(DETAILS)]
    if levels and not naming:
        first = next(iter(levels[0].items()))
        raise UserError(
            f"{root}: no folder names an animal: {first[1][0]} reads like {first[0]}; set {KNOB} to the level that "
            "does (1 is the outermost)"
        )
    for level in naming:
        details = [names[0] for kind, names in levels[level].items() if kind in (Kind.SIDE, Kind.TIME)]
        others = [names[0] for kind, names in levels[level].items() if kind in (Kind.NAME, Kind.DOUBT)]
        if details and others and len(naming) > 1:
            raise _unclear(root, others[0], details[0], "one reads like a name, one like a side or a date")
        species = all(reads_like_species(chain[naming[0]]) for chain in kinds if len(chain) > level)
        if others and Kind.NAME not in levels[level] and len(naming) > 1 and not species:
            raise UserError(
                f"{root}: is {others[0]} an animal, or does it sort the photos of one by years? Set {KNOB} to the "
                "level of the animals' folders (1 is the outermost)"
            )
    cores = {chain: _core(of, naming) for chain, of in kinds.items()}
    _refuse_mixtures(kinds, cores, root)
    return cores


def _levels(kinds: dict[tuple[str, ...], list[Kind]]) -> dict[int, dict[Kind, list[str]]]:
    """For each level the folders of each kind; what a name means among its neighbours is settled here, in `kinds`.

    The right whale 1968 stands among 1107 and 3530, the pod L among J and K; `fluke` among names is one as well.
    """
    levels: dict[int, dict[Kind, list[str]]] = {}
    for level in range(max(map(len, kinds), default=0)):
        at = {chain: of for chain, of in kinds.items() if len(chain) > level and Kind.NOBODY not in of[:level]}
        names = {chain[level] for chain, of in at.items() if of[level] == Kind.NAME}
        numbers = bool(names) and all(name.isdigit() and len(name) > 2 for name in names)
        single = any(len(name) == 1 for name in names)
        folders: dict[Kind, list[str]] = defaultdict(list)
        for chain, of in at.items():
            name, kind = chain[level], of[level]
            if (
                (kind == Kind.TIME and numbers and name.isdigit())
                or (kind == Kind.SIDE and single and len(name) == 1)
                or (kind == Kind.SORT and names)
            ):
                of[level] = Kind.NAME
            if of[level] != Kind.NOBODY:
                folders[of[level]].append("/".join(chain[: level + 1]))
        levels[level] = dict(folders)
    return levels


def _core(of: list[Kind], naming: list[int]) -> tuple[int, ...]:
    named = (level for level in naming if level < len(of))
    return tuple(level for level in named if of[level] not in (Kind.SIDE, Kind.TIME))


def _refuse_mixtures(
    kinds: dict[tuple[str, ...], list[Kind]], cores: dict[tuple[str, ...], tuple[int, ...]], root: Path
) -> None:
    """Refuse folders that hold photos and animals, and trees where some animals have a species' folder and some not."""
    homes = {tuple(chain[level] for level in core): chain for chain, core in cores.items() if core}
    for home, chain in homes.items():
        for depth in range(1, len(home)):
            if outer := homes.get(home[:depth]):
                raise UserError(
                    f"{root}: {'/'.join(outer)} holds photos and a folder of photos, {'/'.join(chain)}: is "
                    f"{outer[-1]} an animal or a species? Set {KNOB} to the level of the animals' folders (1 is the "
                    "outermost), or move the photos"
                )
    sure = [chain for chain, of in kinds.items() if cores[chain] and Kind.NOBODY not in of]
    single = [chain for chain in sure if len(cores[chain]) == 1]
    double = [chain for chain in sure if len(cores[chain]) == 2]
    deep = [chain for chain in sure if len(cores[chain]) > 2]
    if deep and not single and not double:
        raise UserError(
            f"{root}: {'/'.join(deep[0])} has {len(cores[deep[0]])} folders that could be the animal's: set {KNOB} to "
            "the level that is (1 is the outermost)"
        )
    if single and not double and all(reads_like_species(chain[cores[chain][0]]) for chain in single):
        raise UserError(
            f"{root}: {single[0][cores[single[0]][0]]} reads like a species, and no folder in it like an animal: set "
            f"{KNOB} to the level of the animals' folders (1 is the outermost)"
        )
    species = {chain[cores[chain][0]] for chain in double}
    plain = [name for name in species if not reads_like_species(name)]
    if single and double and (plain or any(reads_like_species(chain[cores[chain][0]]) for chain in single)):
        raise _unclear(root, "/".join(single[0]), "/".join(double[0]), "some animals would have a species, some not")
    animals = {tuple(chain[level] for level in cores[chain]) for chain in double}
    if len(plain) > 3 and not single and len(animals) < 2 * len(species):
        raise _unclear(root, "/".join(double[0]), "/".join(double[-1]), f"{len(species)} species of one animal each?")


def _unclear(root: Path, one: str, other: str, why: str) -> UserError:
    return UserError(
        f"{root}: which folder names the animal? {one} and {other} do not fit ({why}): set {KNOB} to the level that "
        "does (1 is the outermost), or to last"
    )


def _as_told(kinds: dict[tuple[str, ...], list[Kind]], identity: str | int) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The levels of species and animal where the param tells that of the animal.

    If one animal then lies in two outer folders, these are places or the like and no species, unless both read so.
    """
    cores = {chain: _told(of, identity) for chain, of in kinds.items()}
    around = defaultdict(set)  # of each animal
    for chain, core in cores.items():
        if len(core) == 2 and Kind.NOBODY not in kinds[chain]:
            around[whole_name(chain[core[1]])].add(chain[core[0]])
    if all(len(names) == 1 or all(map(reads_like_species, names)) for names in around.values()):
        return cores
    species = {chain for chain, core in cores.items() if len(core) == 2 and reads_like_species(chain[core[0]])}
    return {chain: core if chain in species else core[-1:] for chain, core in cores.items()}


def _told(of: list[Kind], identity: str | int) -> tuple[int, ...]:
    """The levels of species and animal where the param tells that of the animal."""
    named = [level for level, kind in enumerate(of) if kind not in DETAILS]
    mine = identity - 1 if isinstance(identity, int) else max(named, default=-1)
    if not 0 <= mine < len(of):
        return ()
    return (*[level for level, kind in enumerate(of[:mine]) if kind == Kind.NAME][-1:], mine)


def _place(chain: tuple[str, ...], of: list[Kind], core: tuple[int, ...]) -> Place:
    """What the folder of a photo tells, from the levels that name its species and its animal."""
    if len(core) > 2:
        return Place(reason="lies deeper than SPECIES/INDIVIDUAL/photo")
    if not core:
        why = ""
        if chain and of[-1] in DETAILS:
            why = f": {chain[-1]} reads like {of[-1]}; if an animal is called so, set {KNOB} to {len(chain)}"
        return Place(reason=f"lies in no individual's folder{why}")
    others = [level for level in range(len(chain)) if level not in core]
    unknown = [level for level in core if of[level] == Kind.NOBODY]
    form = {level: FORM.get(of[level], "folder") for level in others}
    form |= dict(zip(core, ("SPECIES", "NAME")[-len(core) :], strict=True))
    told = loose(chain, others)
    return Place(
        identity=chain[(unknown or core)[-1]],
        species=chain[core[0]] if len(core) == 2 and of[core[0]] != Kind.NOBODY else None,
        viewpoint=told.viewpoint,
        encounter=told.encounter,
        form="/".join([*(form[level] for level in range(len(chain))), "photo"]),
    )


def loose(chain: Sequence[str], levels: Iterable[int] | None = None) -> Place:
    """What nested folders tell where none names an animal: the side and the encounter, the innermost counting.

    Args:
        chain: their names.
        levels: those to look at; None: all.
    """
    view = met = None
    for level in range(len(chain)) if levels is None else levels:
        own = " ".join(_without(words(chain[level]), words(chain[level - 1]) if level else ()))
        view = side(own) or view
        met = level if _meets(own) else met
    return Place(
        viewpoint=None if view == "both" else view,
        encounter=None if met is None else "/".join(chain[: met + 1]),
    )


def _refuse_one_name_twice(
    chains: dict[str, tuple[str, ...]],
    cores: dict[tuple[str, ...], tuple[int, ...]],
    places: dict[str, Place],
    nobody: Nobody,
    root: Path,
) -> None:
    of: dict[str, tuple[str, ...]] = {}  # individual -> its folders, without sides and dates
    for folder, chain in chains.items():
        identity = places[folder].identity
        if identity is None or identity in nobody:
            continue
        called, home = whole_name(identity), tuple(chain[level] for level in cores[chain])
        if of.setdefault(called, home) != home:
            raise UserError(
                f"{root}: {'/'.join(of[called])} and {'/'.join(home)} are both individual {called}: rename one of them"
                f", or set {KNOB} to the level of the animals' folders (1 is the outermost)"
            )


def forms(places: dict[str, Place], photos: Counter[str]) -> Counter[str]:
    """How many photos lie in each form of folders: `NAME/side/photo`."""
    counts: Counter[str] = Counter()
    for folder, place in places.items():
        counts[place.form or "elsewhere"] += photos[folder]
    return counts
