"""How params.yaml is read: a typed class for each section, unknown keys forbidden, every mistake named.

A loader of YAML 1.2 is used on purpose: `dvc exp run -S lr=1e-5` writes `lr: 1e-05`, which PyYAML
(YAML 1.1) reads as a string.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from finprint.base.errors import UserError

PARAMS = Path("params.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A section of params.yaml; immutable, no unknown keys, no silent conversion of text to numbers.

    Attributes:
        renamed: keys as they were called once, and as they are called now.
        renamed_values: the same of the values of a key.
        counts: does any result depend on the section? If not, it may change while a stage runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    renamed: ClassVar[dict[str, str]] = {}
    renamed_values: ClassVar[dict[str, dict[str, str]]] = {}
    counts: ClassVar[bool] = True


WANTED = {  # pydantic's kinds of mistakes
    "bool_type": "true or false",
    "dict_type": "a section with keys of its own",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a section with keys of its own",
    "multiple_of": "a multiple of {multiple_of:g}",
    "string_too_short": "some text",
    "string_type": "text",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
}

S = TypeVar("S", bound=Section)
_read: list[tuple[Path, dict[str, Any]]] = []  # of this process, for `read_so_far`


def changed(section: S, values: Mapping[str, Any]) -> S:
    """A section of params, or all of them, with some values changed, each named by its dotted key.

    Raises:
        UserError: there is no such key, or the value is none of its.
    """
    tree = section.model_dump()
    for key, value in values.items():
        place, last = section_at(tree, key)
        place[last] = value
    return checked(type(section), tree, PARAMS)


def load_sections(path: Path = PARAMS, **sections: Any) -> Any:
    """Read some sections of params.yaml: `load_sections(seed=Seed, crop=Crop).crop`.

    A stage reads its own sections alone, so that it need not run again when the code of another section changes.
    The stage `check` reads all of them before any other stage works.

    Args:
        path: of params.yaml.
        sections: the type of each key that is wanted.

    Raises:
        UserError: the file is missing or not YAML, or a key of these sections is unknown, missing or out of range.
    """
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in sections.items()}
    wanted = create_model("Params", __base__=Section, **fields)
    tree = read_yaml(path)
    mine = {key: tree[key] for key in sections if key in tree}
    _read.append((path, {key: value for key, value in mine.items() if getattr(sections[key], "counts", True)}))
    return checked(wanted, mine, path)


def read_so_far() -> list[tuple[Path, dict[str, Any]]]:
    """The sections that count and that this process has read with `load_sections`, as they stood in the file."""
    return list(_read)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read params.yaml, unchecked.

    Raises:
        UserError: the file is missing or not YAML.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's root") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: the whole file must be a list of keys and values")
    return tree


def checked(model: type[S], tree: dict[str, Any], path: Path) -> S:
    """`tree` in its typed form.

    Raises:
        UserError: names every key that is unknown, missing or out of range, in one line.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems = _by_key(error.errors()).items()
        raise UserError("; ".join(f"{path}: {_explain(model, *problem)}" for problem in problems)) from None


def _by_key(errors: list[Any]) -> dict[tuple[Any, ...], list[Any]]:
    """Problems by their key; where a key may be of several kinds, what was wrong with each kind it could have been."""
    problems: dict[tuple[Any, ...], list[Any]] = {}
    for error in errors:
        # Where there are several kinds, pydantic puts the kind's name, such as list[float], among the keys.
        keys = tuple(key for key in error["loc"] if not (isinstance(key, str) and re.search(r"\W", key)))
        problems.setdefault(keys, []).append(error)
    lists = {
        key[:-1] for key in problems if key
    }  # where an item is wrong, it is of no use to say that it need be no list
    return {key: listed for key, listed in problems.items() if key not in lists}


def _explain(model: type[Section], keys: tuple[Any, ...], problems: list[Any]) -> str:
    key, first = ".".join(map(str, keys)), problems[0]
    if first["type"] == "extra_forbidden":
        return _unknown(model, keys, key)
    if first["type"] == "missing":
        return f"{key} is missing"
    if first["type"] == "value_error":  # of a validator of ours
        message = first["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    wanted = ", or ".join(_wanted(problem) for problem in problems)
    value = first["input"]
    if isinstance(value, str) and (now := _section(model, keys).renamed_values.get(keys[-1], {}).get(value)):
        return f"{key}: the value {value!r} is called {now!r} now"
    if first["type"] in ("too_long", "too_short"):
        return f"{key} must be {wanted}, not of {len(value)}"
    return f"{key or 'the whole file'} must be {wanted}, not " + ("empty" if value is None else repr(value))


def _wanted(problem: Any) -> str:
    """What a value must be, in plain words."""
    return WANTED.get(problem["type"], problem["msg"]).format(**problem.get("ctx", {}))


def section_at(tree: Any, key: str) -> tuple[Any, str]:
    """The section of nested mappings in which a dotted key stands, and the key's last name.

    Raises:
        UserError: there is no such key.
    """
    *sections, last = key.split(".")
    place = tree
    for name in sections:
        place = place.get(name, {})
    if last not in place:
        raise UserError(f"unknown key {key} (the keys are: {', '.join(place or tree)})")
    return place, last


def _section(model: Any, loc: tuple[Any, ...]) -> Any:
    """The section in which a key stands; that of a list for a place in it."""
    for name in loc[:-1]:
        inner = model.model_fields[name].annotation if name in model.model_fields else None
        model = inner if isinstance(inner, type) and issubclass(inner, Section) else model
    return model


def _unknown(model: Any, loc: tuple[Any, ...], key: str) -> str:
    """What to say of a key that its section does not know."""
    *sections, last = loc
    model = _section(model, loc)
    if last in model.renamed:
        now = model.renamed[last]
        return f"{key} is called {'.'.join([*map(str, sections), now])} now"
    keys = list(model.model_fields)
    close = [key for key in keys if key.lower() == str(last).lower()] or difflib.get_close_matches(str(last), keys, n=1)
    return f"unknown key {key} " + (f"(did you mean {close[0]}?)" if close else f"(the keys are: {', '.join(keys)})")
