"""Names found in the spellings that people use."""

import difflib
from collections.abc import Iterable, Iterator

from finprint.base.errors import UserError
from finprint.survey.names import one_form, whole_name


class Spellings:
    """Names that there are, found in the spellings that people use: spaces or underscores, any Unicode form."""

    def __init__(self, names: Iterable[str], kind: str) -> None:
        self._kind = kind
        self._names: set[str] = set()
        self._spelled: dict[str, set[str]] = {}
        for name in names:
            self.learn(name)

    def learn(self, name: str) -> None:
        self._names.add(name)
        self.also(name, name)

    def also(self, spelling: str, name: str) -> None:
        """Find `name` by another spelling, too."""
        self._spelled.setdefault(_key(spelling), set()).add(name)

    def forget(self, name: str) -> None:
        self._names.discard(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names or bool(self._spelled.get(_key(name), set()) & self._names)

    def find(self, name: str) -> str:
        """The name as it is in the survey.

        Raises:
            UserError: nothing is called so, or several are.
        """
        if name in self._names:
            return name
        same = sorted(self._spelled.get(_key(name), set()) & self._names)
        if len(same) > 1:
            raise UserError(f"{len(same)} {self._kind}s are called {name!r}: write {same[0]!r} or {same[1]!r}")
        if same:
            return same[0]
        names, key = sorted(self._names), _key(name).casefold()
        near = [other for other in names if _key(other).casefold() == key or _key(other).casefold().endswith(f"/{key}")]
        near = near or difflib.get_close_matches(name, names, 1)
        raise UserError(f"no {self._kind} is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _key(name: str) -> str:
    return whole_name(one_form(name).replace("\\", "/"))
