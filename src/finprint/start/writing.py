"""params.yaml rewritten: only the lines that change, with every comment kept."""

import io
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from finprint.base.errors import UserError
from finprint.base.files import atomic, cache, read_json, write_json
from finprint.base.params import read_yaml, section_at

WRITTEN = "start.json"  # in the cache: what was written, so that it is not taken for a person's own change
BEFORE = "before_start.json"  # ... and what stood there before


def refuse_unclean(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse to overwrite changes of params.yaml that git does not have.

    Args:
        path: of params.yaml.
        values: that would be written, by their dotted keys.

    Raises:
        UserError: a value that would be lost is neither committed nor written by an earlier `finprint start`.
    """
    committed = _committed(path)
    if committed is None:
        return
    earlier, now = _kept(WRITTEN), read_yaml(path)
    for key, value in values.items():
        mine = at(now, key)
        if mine not in (value, at(committed, key)) and (key not in earlier or mine != earlier[key]):
            raise UserError(
                f"{path}: {key} is {mine!r}, a change that is not committed and would be lost: run `git commit "
                f"{path}`, or `git checkout {path}` to give it up"
            )


def write_params(path: Path, values: Mapping[str, Any]) -> list[str]:
    """Set values in params.yaml. Lines of other values stay as they are to the last byte, and so do all comments.

    Args:
        path: of params.yaml.
        values: by their dotted keys.

    Returns:
        The keys whose values have changed.
    """
    yaml = YAML()
    yaml.width = 4096
    tree = yaml.load(path.read_text(encoding="utf-8"))
    changed, plain, earlier, before = [], read_yaml(path), _kept(WRITTEN), _kept(BEFORE)
    before |= {key: at(plain, key) for key in values if key not in before or at(plain, key) != earlier.get(key)}
    for key, value in values.items():
        place, last = section_at(tree, key)
        if place[last] == value and isinstance(place[last], bool) == isinstance(value, bool):
            continue
        changed.append(key)
        if isinstance(value, list):
            _set_items(place[last], value)  # in place: the list holds the comments behind it
        else:
            place[last] = value
    text = io.StringIO()
    yaml.dump(tree, text)
    if changed:
        with atomic(path) as draft:
            draft.write_text(text.getvalue(), encoding="utf-8")
    write_json(cache() / BEFORE, before)
    write_json(cache() / WRITTEN, earlier | dict(values))
    return changed


def unwritten(params: Any) -> dict[str, Any]:
    """What stood in params.yaml before `finprint start` wrote what stands there now.

    Args:
        params: all of params.yaml.

    Returns:
        The values of those keys, dotted, whose value is the last that was written.
    """
    earlier, before = _kept(WRITTEN), _kept(BEFORE)
    return {key: value for key, value in before.items() if at(params, key) == earlier.get(key)}


def stood_before(key: str) -> Any:
    """What stood at a key before `finprint start` wrote there; None if it never did."""
    return _kept(BEFORE).get(key)


def _kept(name: str) -> dict[str, Any]:
    """Values by their keys: with `WRITTEN` the last that `finprint start` wrote, with `BEFORE` what stood there."""
    place = cache() / name
    return read_json(place) if place.exists() else {}


def _set_items(items: Any, values: list[Any]) -> None:
    if not items:
        items.fa.set_flow_style()  # in one line: a block would begin behind the comments that follow
    for number, value in enumerate(values[: len(items)]):
        if items[number] != value:
            items[number] = value
    del items[len(values) :]
    items.extend(values[len(items) :])


def at(tree: Any, key: str) -> Any:
    """The value of a dotted key; None if there is none."""
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _committed(path: Path) -> Any:
    """params.yaml as git's last commit has it; None outside of git, or before the first commit."""
    shown = subprocess.run(["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True)
    if shown.returncode:
        return None
    return YAML(typ="safe", pure=True).load(shown.stdout.decode("utf-8"))
