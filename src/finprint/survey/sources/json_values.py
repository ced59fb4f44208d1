"""JSON files as values, read and shown in messages."""

import json
from pathlib import Path
from typing import Any

from finprint.base.errors import UserError
from finprint.survey.sources.sheets import read_text


def read_json(path: Path) -> Any:
    """What a JSON file holds; a UserError where it is none."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from None


def dicts(value: Any) -> list[dict[str, Any]]:
    """The dicts in a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def looks(content: Any) -> str:
    """What a value looks like, for messages."""
    if isinstance(content, dict):
        return f"a dict of {', '.join(list(content)[:8]) or 'nothing'}"
    if isinstance(content, list) and content:
        first = content[0]
        return f"a list, and its first entry is {looks(first) if isinstance(first, dict) else repr(first)[:60]}"
    return "an empty list" if content == [] else repr(content)[:60]
