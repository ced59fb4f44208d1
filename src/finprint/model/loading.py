"""Batches of views of crops, decoded in threads ahead of the network that eats them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import torch

AHEAD = 3  # batches in the making
MEMORY = 2 * 2**30  # bytes of decoded crops that are remembered

View = Callable[[int], np.ndarray]  # item number -> (side, side, 3) uint8


def remembered(pixels: View, limit: int = MEMORY) -> View:
    """The same crops, decoded once: as many as `limit` bytes hold, first come first kept, the others every time.

    Nothing is thrown out: an epoch looks at every crop once, so the oldest one is the next to be wanted.
    """
    kept: dict[int, np.ndarray] = {}
    held = 0

    def read(item: int) -> np.ndarray:
        nonlocal held
        found = kept.get(item)
        if found is None:
            found = pixels(item)
            found.flags.writeable = False
            if held + found.nbytes <= limit:
                kept[item] = found
                held += found.nbytes
        return found

    return read


def batches(view: View, order: Iterable[np.ndarray]) -> Iterator[torch.Tensor]:
    """Stack views into batches, a few of them ahead of the consumer.

    Threads, not processes: decoding and resampling release the interpreter lock, and nothing is copied.

    Args:
        view: makes item i; called in threads, so it must depend on i alone.
        order: the item numbers of each batch, `(B,)`.

    Yields:
        (B, 3, side, side) uint8, channels last in memory; of views that are features (L,), (B, L).
    """
    cv2.setNumThreads(0)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        making: deque[list[Future[np.ndarray]]] = deque()
        for items in order:
            making.append([pool.submit(view, int(item)) for item in items])
            if len(making) > AHEAD:
                yield _stack(making.popleft())
        while making:
            yield _stack(making.popleft())


def _stack(views: list["Future[np.ndarray]"]) -> torch.Tensor:
    stacked = torch.from_numpy(np.stack([view.result() for view in views]))
    return stacked.permute(0, 3, 1, 2) if stacked.ndim == 4 else stacked


def in_order(count: int, batch: int) -> list[np.ndarray]:
    """Item numbers 0 to `count` - 1 in batches."""
    return np.split(np.arange(count), range(batch, count, batch)) if count else []


def to_device(views: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Views on `device` as float32: uint8 as values 0 to 1, channels last in memory; features as they are."""
    moved = views.to(device, non_blocking=True).float()
    return moved.div_(255) if views.dtype == torch.uint8 else moved
