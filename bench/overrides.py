"""Params with some values changed, for the benches' KEY=VALUE options. Not a bench itself."""

from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML


def parsed(options: Sequence[str] | None) -> dict[str, Any]:
    """The value of each KEY=VALUE by its key, read as YAML."""
    pairs = (option.partition("=") for option in options or ())
    return {key: YAML(typ="safe", pure=True).load(value) for key, _, value in pairs}
