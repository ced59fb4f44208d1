"""Where torch computes."""

import torch

from finprint.base.device import best_device, repeatable


def test_best_device_is_the_gpu_where_there_is_one() -> None:
    assert best_device() == torch.device("cuda" if torch.cuda.device_count() else "cpu")


def test_repeatable_leaves_fresh_memory_alone(training_state: None) -> None:
    repeatable()
    assert torch.are_deterministic_algorithms_enabled() == (best_device().type == "cpu")
    assert not torch.utils.deterministic.fill_uninitialized_memory
