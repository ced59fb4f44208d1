"""Folder names understood over the whole tree: which folder names the animal, and what the others tell of a photo."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from finprint.base.errors import UserError
from finprint.survey.folder_names import Kind, is_encounter, kinds_of, own_words, reads_like_species
from finprint.survey.names import Nobody, side, whole_name
from finprint.survey.params import Folders

KNOB = "prepare.folders.identity"
FORM = {Kind.SIDE: "side", Kind.TIME: "date"}
COUNTED = 10  # animals whose names are numbers, from which on 1968 is one of them, though others are called 7
SIDED = re.compile(r"(?P<name>.+?)[\s._-]+(?P<side>[^\W\d_]+)")
NUMBERED_FILE = re.compile(r"(?P<name>.*?)[\s._-]*\(?\d+\)?")
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


def understand(
    folders: Iterable[str], identity: str | int, nobody: Nobody, root: Path, around: str = "auto"
) -> dict[str, Place]:
    """What each folder with photos tells of them.

    Args:
        folders: paths of the folders that hold photos themselves, from `root`; "" is `root`.
        identity: `prepare.folders.identity`. auto: decided over the whole tree. last: the last folder that is no side,
            date or the like. first: the first of these that holds photos itself, else the last. A number: that of the
            folder counted from `root`; 1 is the outermost.
        nobody: names that mean nobody.
        root: for messages.
        around: `prepare.folders.around`, what the folders around the animals' are. auto: species, if one of them reads
            like one. species | group: of a place or a pod, which tells nothing.

    Raises:
        UserError: it cannot be told which folder names the animal, or one animal has two folders.
    """
    chains = {folder: tuple(folder.split("/")) if folder else () for folder in sorted(set(folders))}
    kinds = {chain: kinds_of(chain, nobody) for chain in chains.values()}
    auto = identity == "auto"
    cores = _decide(kinds, root) if auto else _as_told(kinds, identity)
    if around == "group":
        cores = {chain: core[-1:] for chain, core in cores.items()}
    places = {folder: _place(chain, kinds[chain], cores[chain]) for folder, chain in chains.items()}
    species = {place.species for place in places.values() if place.identity and place.identity not in nobody}
    grouped = around == "auto" and not any(reads_like_species(name) for name in species if name)
    for folder, place in places.items():
        if grouped and place.species:
            places[folder] = replace(place, species=None, form=place.form.replace("SPECIES", "folder"))
        elif place.species not in species:  # of A17/unknown nobody says that A17 is one
            places[folder] = replace(place, species=None)
    _refuse_one_name_twice(chains, cores, places, nobody, root)
    return _sides_apart(places) if auto else places


def _sides_apart(places: dict[str, Place]) -> dict[str, Place]:
    """The same where animals have a folder for each side, `A17_left` beside `A17_right`: one animal from two sides."""
    told = {place.identity: match for place in places.values() if (match := SIDED.fullmatch(place.identity or ""))}
    views = {name: view for name, match in told.items() if (view := side(match["side"])) in ("left", "right")}
    stems = defaultdict(set)
    for name, view in views.items():
        stems[told[name]["name"]].add(view)
    both = sum(len(seen) == 2 for seen in stems.values())
    if both < 2 or 2 * len(views) < len({place.identity for place in places.values() if place.identity}):
        return places
    return {
        folder: replace(place, identity=told[place.identity]["name"], viewpoint=views[place.identity])
        if place.identity in views
        else place
        for folder, place in places.items()
    }


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
        numbers = bool(names) and all(name.isdigit() for name in names)
        numbers &= len(names) >= COUNTED or all(len(name) > 2 for name in names)
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
    cores = {chain: _told(chain, of, identity, kinds.keys()) for chain, of in kinds.items()}
    around = defaultdict(set)  # of each animal
    for chain, core in cores.items():
        if len(core) == 2 and Kind.NOBODY not in kinds[chain]:
            around[whole_name(chain[core[1]])].add(chain[core[0]])
    if all(len(names) == 1 or all(map(reads_like_species, names)) for names in around.values()):
        return cores
    species = {chain for chain, core in cores.items() if len(core) == 2 and reads_like_species(chain[core[0]])}
    return {chain: core if chain in species else core[-1:] for chain, core in cores.items()}


def _told(
    chain: tuple[str, ...], of: list[Kind], identity: str | int, holding: Collection[tuple[str, ...]]
) -> tuple[int, ...]:
    """The levels of species and animal where the param tells that of the animal; `holding`: folders with photos."""
    named = [level for level, kind in enumerate(of) if kind not in DETAILS]
    own = [level for level in named if identity == "first" and chain[: level + 1] in holding]
    mine = identity - 1 if isinstance(identity, int) else min(own, default=max(named, default=-1))
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
        own = " ".join(own_words(chain[level], chain[level - 1] if level else ""))
        view = side(own) or view
        met = level if is_encounter(own) else met
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
                f"{_one_animal(of[called], home)}"
            )


def _one_animal(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """What to do if two folders of one name are one animal's, each in a folder of a place or a pod."""
    places = len(one) == len(other) == 2 and not (reads_like_species(one[0]) and reads_like_species(other[0]))
    return "; if they are one animal, set prepare.folders.around to group" if places else ""


def placed(names: Sequence[str], folders: Folders, nobody: Nobody, root: Path) -> list[Place]:
    """What the path of each photo tells of it.

    Args:
        names: paths of photos from `root`.
        folders: the section `prepare.folders`.
        nobody: names that mean nobody.
        root: for messages.

    Raises:
        UserError: as `understand`.
    """
    if folders.identity == "file":
        return [_named_file(posixpath.basename(name)) for name in names]
    held = [posixpath.dirname(name) for name in names]
    places = understand(held, folders.identity, nobody, root, folders.around)
    return [places[folder] for folder in held]


def _named_file(name: str) -> Place:
    """What the name of a file tells: `cat.12.jpg` and `Maine Coon_7.jpg` show a cat and a Maine Coon."""
    told = NUMBERED_FILE.fullmatch(posixpath.splitext(name)[0])
    if not told or not told["name"]:
        return Place(reason="its name is no name with a number behind it, such as A17_1")
    return Place(identity=told["name"], form="NAME and number")
