"""Checkpoints of other projects, read without running any of their code."""

import pickle
from collections import OrderedDict
from typing import Any

import torch

# All that tensors are made of; whatever else stands beside them (args, schedulers, numbers of NumPy) becomes a `Blank`.
TENSORS = frozenset({"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_parameter_with_state"})


class Blank:
    """Stands for an object of a class that is not known; it keeps nothing and does nothing."""

    def __init__(self, *args: Any, **named: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __call__(self, *args: Any, **named: Any) -> "Blank":
        return self

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...


class Unpickler(pickle.Unpickler):
    """Makes tensors, dicts and lists, and a `Blank` of everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of a name: torch's own of tensors, else `Blank`."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        storage = module in ("torch", "torch.storage") and (name.endswith("Storage") or name == "Size")
        if storage or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return getattr(torch.storage if module == "torch.storage" else torch, name)
        if module == "torch._utils" and name in TENSORS:
            return getattr(torch._utils, name)
        return Blank


def load(file: Any, **options: Any) -> Any:
    """What a pickle file holds; torch calls this for files of its old form."""
    return Unpickler(file, **options).load()
