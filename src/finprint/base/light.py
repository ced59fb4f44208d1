"""What takes seconds to import and is not used here is left out: torch's compiler, and pandera's use of hypothesis."""

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


class Later(ModuleType):
    """Stands for a module; a function of it is imported when it is called. `disable` marks what is never compiled."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []  # a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "disable":
            return lambda function=None, *_, **__: function if function else lambda one: one
        return lambda *args, **options: getattr(import_module(self.__name__), name)(*args, **options)


def import_pandera() -> None:
    """Import pandera without hypothesis; whoever imports hypothesis later gets the real one."""
    with standing_for({"hypothesis": None}):
        import pandera.pandas
        import pandera.strategies.pandas_strategies  # noqa: F401


@contextmanager
def standing_for(others: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """In the block other modules have these names, where the real ones are not there already; None: there is none.

    The garbage collector pauses: nothing of what is imported is garbage, and it would look at all of it time and again.
    """
    standing = {name: other for name, other in others.items() if name not in sys.modules}
    sys.modules.update(standing)  # type: ignore[arg-type]
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        for name in standing:
            del sys.modules[name]
