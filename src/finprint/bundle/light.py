"""timm and torchvision without torch's compiler, which takes almost two seconds to import and is not used here."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

COMPILER = ("torch._dynamo", "torch._dynamo.utils")


class _Later(ModuleType):
    """Stands for a module; a function of it is imported when it is called. `disable` marks what is never compiled."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "disable":
            return lambda function=None, *_, **__: function if function else lambda one: one
        return lambda *args, **options: getattr(import_module(self.__name__), name)(*args, **options)


def import_lightly() -> None:
    """Import timm and torchvision; whoever imports them or the compiler afterwards gets the real ones."""
    import torch  # noqa: F401

    absent = [name for name in COMPILER if name not in sys.modules]
    if len(absent) < len(COMPILER):
        return
    try:
        sys.modules.update({name: _Later(name) for name in COMPILER})
        sys.modules[COMPILER[0]].__path__ = []  # it is a package
        import timm  # noqa: F401
        import torchvision  # noqa: F401
    finally:
        for name in COMPILER:
            del sys.modules[name]
