"""Batches of views of crops, made in threads ahead of the network that they are for."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import torch

from finprint.base.device import cores

AHEAD = 3  # batches in the making
MEMORY = 2 * 2**30  # bytes of decoded crops that are remembered

View = Callable[[int], np.ndarray]  # item number -> (side, side, 3) uint8


class Remembered:
    """The same crops, decoded once: as many as `limit` bytes hold, first come first kept, the others every time.

    Nothing is thrown out: an epoch looks at every crop once, so the oldest one is the next to be wanted. What is
    remembered stays in this process.
    """

    def __init__(self, pixels: View, limit: int = MEMORY) -> None:
        self._pixels, self._limit = pixels, limit
        self._kept: dict[int, np.ndarray] = {}
        self._held = 0

    def __call__(self, item: int) -> np.ndarray:
        """The crop of an item; not to be written into."""
        crop = self._kept.get(item)
        if crop is None:
            crop = self._pixels(item)
            crop.flags.writeable = False
            if self._held + crop.nbytes <= self._limit:
                self._kept[item] = crop
                self._held += crop.nbytes
        return crop

    def __reduce__(self) -> tuple[Any, ...]:
        return Remembered, (self._pixels, self._limit)


def batches(view: View, order: Iterable[np.ndarray]) -> Iterator[torch.Tensor]:
    """Stack views into batches, as `stacks` does.

    Yields:
        (B, 3, side, side) uint8, channels last in memory.
    """
    return (views.permute(0, 3, 1, 2) for views in stacks(view, order))


def stacks(item: Callable[[int], np.ndarray], order: Iterable[np.ndarray]) -> Iterator[torch.Tensor]:
    """Stack arrays of one shape into batches, a few of them ahead of the consumer.

    Threads, not processes: decoding and resampling release the interpreter lock, and nothing is copied.

    Args:
        item: makes the array of item i. Threads call it, so it must depend on i alone.
        order: the item numbers of each batch, `(B,)`.

    Yields:
        (B, ...) of the arrays' dtype.
    """
    cv2.setNumThreads(0)
    with ThreadPoolExecutor(cores()) as pool:
        making: deque[list[Future[np.ndarray]]] = deque()
        for items in order:
            making.append([pool.submit(item, int(number)) for number in items])
            if len(making) > AHEAD:
                yield _stack(making.popleft())
        while making:
            yield _stack(making.popleft())


def _stack(arrays: list["Future[np.ndarray]"]) -> torch.Tensor:
    return torch.from_numpy(np.stack([array.result() for array in arrays]))


def in_order(count: int, batch: int) -> list[np.ndarray]:
    """Item numbers 0 to `count` - 1 in batches."""
    return np.split(np.arange(count), range(batch, count, batch)) if count else []


def to_device(views: torch.Tensor, device: torch.device) -> torch.Tensor:
    """uint8 views on `device`, as float32 from 0 to 1, in the same memory layout."""
    return views.to(device, non_blocking=True).float().div_(255)
