"""What takes seconds to import and is not used here is left out: torch's compiler, and pandera's use of hypothesis."""

import gc
import sys
from collections.abc import Iterator
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
    gc.disable()
    with standing_for("hypothesis", None):
        import pandera.pandas
        import pandera.strategies.pandas_strategies  # noqa: F401
    gc.enable()


@contextmanager
def standing_for(name: str, other: ModuleType | None) -> Iterator[None]:
    """In the block another module has this name, unless the real one is there already; None: there is none."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = other  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
