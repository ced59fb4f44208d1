"""Batches: in order, ahead of the consumer but not far, the same whatever the threads do."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from finprint.model.loading import AHEAD, Remembered, batches, in_order, to_device


def _view(item: int) -> np.ndarray:
    return np.full((4, 4, 3), item, np.uint8) + np.arange(3, dtype=np.uint8)


def test_in_order() -> None:
    assert [part.tolist() for part in in_order(5, 2)] == [[0, 1], [2, 3], [4]]
    assert [part.tolist() for part in in_order(4, 2)] == [[0, 1], [2, 3]]
    assert [part.tolist() for part in in_order(3, 8)] == [[0, 1, 2]]
    assert in_order(0, 8) == []


def test_batches_keep_the_order_and_the_channels() -> None:
    order = [np.array([3, 1]), np.array([2]), np.array([7, 7, 0])]
    found = list(batches(_view, order))
    assert [tuple(views.shape) for views in found] == [(2, 3, 4, 4), (1, 3, 4, 4), (3, 3, 4, 4)]
    assert [views[:, 0, 0, 0].tolist() for views in found] == [[3, 1], [2], [7, 7, 0]]
    assert found[0][0, :, 2, 1].tolist() == [3, 4, 5]
    assert found[0].dtype == torch.uint8
    assert found[2].is_contiguous(memory_format=torch.channels_last)


def test_slow_views_do_not_change_the_order() -> None:
    def view(item: int) -> np.ndarray:
        time.sleep(0.002 * (item % 3))
        return _view(item)

    found = torch.cat(list(batches(view, in_order(20, 3))))
    assert found[:, 0, 0, 0].tolist() == list(range(20))


def test_crops_are_decoded_once_as_far_as_memory_goes() -> None:
    asked: list[int] = []

    def pixels(item: int) -> np.ndarray:
        asked.append(item)
        return _view(item)

    read = Remembered(pixels, limit=3 * _view(0).nbytes + 1)
    for _ in range(2):
        for item in range(4):
            np.testing.assert_array_equal(read(item), _view(item))
    assert asked == [0, 1, 2, 3, 3]  # three fit
    with pytest.raises(ValueError, match="read-only"):
        read(0)[0, 0, 0] = 9


def test_no_batches() -> None:
    assert list(batches(_view, [])) == []


def test_only_a_few_batches_are_made_ahead() -> None:
    asked: list[int] = []

    def order() -> Iterator[np.ndarray]:
        for k in range(100):
            asked.append(k)
            yield np.array([k])

    stream = batches(_view, order())
    next(stream)
    assert len(asked) == AHEAD + 1
    next(stream)
    assert len(asked) == AHEAD + 2
    stream.close()
    assert len(asked) == AHEAD + 2


def test_views_are_made_in_other_threads() -> None:
    names: set[int] = set()

    def view(item: int) -> np.ndarray:
        names.add(threading.get_ident())
        return _view(item)

    list(batches(view, in_order(8, 2)))
    assert names
    assert threading.get_ident() not in names


def test_an_error_in_a_view_reaches_the_consumer() -> None:
    def view(item: int) -> np.ndarray:
        if item == 5:
            raise OSError("crop 5 is gone")
        return _view(item)

    stream = batches(view, in_order(10, 2))
    assert next(stream)[:, 0, 0, 0].tolist() == [0, 1]
    next(stream)
    with pytest.raises(OSError, match=r"^crop 5 is gone$"):
        next(stream)


def test_to_device_scales_to_one_and_leaves_the_bytes_alone() -> None:
    views = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    found = to_device(views, torch.device("cpu"))
    assert found.flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert found.dtype == torch.float32
    assert views.flatten().tolist() == [0, 51, 255]
