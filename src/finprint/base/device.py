"""Where torch computes, how repeatably, and how many cores there are for the rest."""

import os

import torch

_cores: list[int] = []  # of this process, for `limit_cores`


def best_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Is bfloat16 faster than float32 on this device? Of CPUs, on those with AVX-512 BF16."""
    return device.type == "cuda" or cpu_has_bfloat16(device)


def cpu_has_bfloat16(device: torch.device) -> bool:
    """Is it a CPU on which bfloat16 is faster than float32?"""
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def cores() -> int:
    """How many threads decode photos: as many as the machine has cores, or as this process was given."""
    return _cores[-1] if _cores else os.cpu_count() or 1


def limit_cores(count: int) -> None:
    """From now on `cores` is so many, because other processes use the others."""
    _cores[:] = [count]


def repeatable() -> None:
    """Have torch give the same bits each time on a CPU. Fresh memory is not filled first: that is slow, and
    nothing here reads it before it is written."""
    # The same as torch.use_deterministic_algorithms, which would also import torch's compiler, for almost two seconds.
    torch.set_deterministic_debug_mode("error" if best_device().type == "cpu" else "default")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
