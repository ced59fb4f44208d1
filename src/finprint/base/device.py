"""Where torch computes, and how repeatably."""

import torch


def best_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def repeatable() -> None:
    """Have torch give the same bits each time on a CPU. Fresh memory is not filled first: that is slow, and
    nothing here reads it before it is written."""
    # The same as torch.use_deterministic_algorithms, which would also import torch's compiler, for almost two seconds.
    torch.set_deterministic_debug_mode("error" if best_device().type == "cpu" else "default")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
