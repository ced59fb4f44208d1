"""Params with some values changed, for the benches' KEY=VALUE options. Not a bench itself."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ruamel.yaml import YAML

from finprint.base.params import PARAMS, Section, checked, section_at

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
    return checked(type(section), raw, PARAMS)
