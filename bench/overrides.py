"""Params with some values changed, for the benches' KEY=VALUE options. Not a bench itself."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML

from finprint.base.errors import UserError
from finprint.base.params import Section, section_at

S = TypeVar("S", bound=Section)


def parsed(options: Sequence[str] | None) -> dict[str, Any]:
    """The value of each KEY=VALUE by its key, read as YAML."""
    pairs = (option.partition("=") for option in options or ())
    return {key: YAML(typ="safe", pure=True).load(value) for key, _, value in pairs}


def changed(section: S, changes: Mapping[str, Any]) -> S:
    """A section of params, or all of them, with some values changed, each named by its dotted key.

    Raises:
        UserError: there is no such key, or the value is none of its.
    """
    raw = section.model_dump()
    for key, value in changes.items():
        place, last = section_at(raw, key)
        place[last] = value
    try:
        return type(section).model_validate(raw)
    except ValidationError as error:
        (problem, *_) = error.errors()
        key = ".".join(str(part) for part in problem["loc"])
        raise UserError(f"{key}: {problem['msg']}, not {problem['input']!r}") from None
