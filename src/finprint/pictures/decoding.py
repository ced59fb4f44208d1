"""Photos decoded at a reduced scale, and no more of them than is needed.

A baseline JPEG must be decoded down to the last row of the window that is needed, but what lies beside and above the
window need not be transformed or coloured. Pillow, OpenCV, torchvision and PyTurboJPEG decode only whole photos. So
this module calls libjpeg-turbo itself, from the wheel `turbojpeg`. Where there is no such wheel, Pillow decodes photos
whole.
"""

import ctypes
import io
from functools import cache
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from finprint.pictures.images import ACROSS, MAX_PIXELS, UPRIGHT, decode, read_photo, resize

Window = tuple[int, int, int, int]  # left, top, right, bottom of a region of a picture, px
BLOCK = 32  # px, the widest block of the chroma subsamplings that libjpeg-turbo names; it decodes no windows of others
DECOMPRESS, RGB = 1, 0  # TJINIT_DECOMPRESS, TJPF_RGB of turbojpeg.h


class _Scale(ctypes.Structure):
    _fields_ = (("numerator", ctypes.c_int), ("denominator", ctypes.c_int))


class _Region(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_int), ("w", ctypes.c_int), ("h", ctypes.c_int))


def decode_at(
    path: Path, step: int, window: Window | None = None, content: bytes | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode a photo, upright, at 1/`step` of its size (1, 2, 4 or 8), rounded up.

    Of a baseline JPEG only the window is decoded; its pixels are those of `decode`. Other photos, and those that are
    damaged above the window's end, are left to `decode`. Formats without scales are decoded in full and averaged.

    Args:
        path: the photo.
        step: pixels of the photo a pixel.
        window: what is needed, in pixels of the decoded, upright photo. None: all of it.
        content: of the photo's file, if it was read before.

    Returns:
        The window's pixels as RGB, `(H, W, 3)` uint8, and the photo's full upright size (width, height).

    Raises:
        BadPhoto: as `decode`.
    """
    content = read_photo(path) if content is None else content
    try:
        with Image.open(io.BytesIO(content)) as image:
            size, orientation = image.size, image.getexif().get(0x0112)
            # Versions of libjpeg-turbo make different pixels of a progressive photo that lacks some of its scans.
            plain = image.format in ("JPEG", "MPO") and image.mode == "RGB" and not image.info.get("progressive")
    except Exception:  # `decode` meets it too, and names it
        pixels, full = _averaged(*decode(path, content=content), step)
    else:
        if plain and size[0] * size[1] <= MAX_PIXELS:
            try:
                there = decode_window(content, size, step, _as_stored(window, size, step, orientation))
                if there is not None:
                    if orientation in UPRIGHT:
                        there = np.asarray(Image.fromarray(there).transpose(UPRIGHT[orientation]))
                    return there, size[::-1] if orientation in ACROSS else size
            except MemoryError:  # `decode` meets it too, and names it
                pass
        pixels, full = _averaged(*decode(path, max(1, min(size) // step), content), step)
    left, top, right, bottom = window or (0, 0, *pixels.shape[1::-1])
    return pixels[top:bottom, left:right], full


def _as_stored(window: Window | None, size: tuple[int, int], step: int, orientation: int | None) -> Window:
    """Where a window of the upright photo lies in the photo as it is stored, `size` px, decoded at 1/`step`."""
    width, height = (-(-side // step) for side in size)
    if window is None:
        return 0, 0, width, height
    left, top, right, bottom = window
    if orientation in ACROSS:
        left, top, right, bottom = top, left, bottom, right
    if orientation in (2, 3, 7, 8):  # its right side is the scene's left one
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def _averaged(pixels: np.ndarray, full: tuple[int, int], step: int) -> tuple[np.ndarray, tuple[int, int]]:
    """A photo whose blocks of `step` pixels are averaged, if its decode at that scale came in full."""
    width, height = full
    if step == 1 or pixels.shape[:2] != (height, width):
        return pixels, full
    padded = cv2.copyMakeBorder(pixels, 0, -height % step, 0, -width % step, cv2.BORDER_REPLICATE)
    return resize(padded, padded.shape[1] // step, padded.shape[0] // step), full


def decode_window(content: bytes, size: tuple[int, int], step: int, window: Window) -> np.ndarray | None:
    """The pixels that a decode of the whole photo has in a window.

    Args:
        content: a baseline JPEG of three colours.
        size: its width and height, px.
        step: decode at 1/`step` of the size: 1, 2, 4 or 8.
        window: in pixels of the decoded photo, whose sides are `size` / `step`, rounded up.

    Returns:
        `(bottom - top, right - left, 3)` uint8, RGB. None if the window is not within the photo, if libjpeg-turbo
        warns of damage or does not know the chroma subsampling, or if it is not installed.
    """
    turbo = library()
    if turbo is None:
        return None
    # A block more on each side: chroma is interpolated from its neighbours.
    block = BLOCK // step
    left, top = (max(0, (edge // block - 1) * block) for edge in window[:2])
    right, bottom = (
        min(-(-side // step), (-(-edge // block) + 1) * block) for side, edge in zip(size, window[2:], strict=True)
    )
    if not (left <= window[0] < window[2] <= right and top <= window[1] < window[3] <= bottom):
        return None  # a side of 0 would mean the rest of the photo
    pixels = np.empty((bottom - top, right - left, 3), np.uint8)
    handle = turbo.tj3Init(DECOMPRESS)
    try:
        failed = (
            turbo.tj3DecompressHeader(handle, content, len(content))
            or turbo.tj3SetScalingFactor(handle, _Scale(1, step))
            or turbo.tj3SetCroppingRegion(handle, _Region(left, top, right - left, bottom - top))
            or turbo.tj3Decompress8(handle, content, len(content), pixels.ctypes.data, pixels.strides[0], RGB)
        )
    finally:
        turbo.tj3Destroy(handle)
    return None if failed else pixels[window[1] - top : window[3] - top, window[0] - left : window[2] - left]


def decoder() -> str:
    """The library that decodes windows of photos: name and version, for the keys of what is made with it."""
    return f"turbojpeg {version('turbojpeg')}" if library() else "Pillow"


@cache
def library() -> ctypes.CDLL | None:
    """The wheel's libturbojpeg. None if there is none that can be loaded and that decodes windows."""
    try:
        path = next(str(file.locate()) for file in files("turbojpeg") or () if file.name.startswith("libturbojpeg"))
        turbo = ctypes.CDLL(path)
    except (PackageNotFoundError, StopIteration, OSError):
        return None
    if not hasattr(turbo, "tj3SetCroppingRegion"):
        return None
    pointer, number, length = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    turbo.tj3Init.restype = pointer
    turbo.tj3Destroy.argtypes, turbo.tj3Destroy.restype = (pointer,), None
    turbo.tj3DecompressHeader.argtypes = (pointer, pointer, length)
    turbo.tj3SetScalingFactor.argtypes = (pointer, _Scale)
    turbo.tj3SetCroppingRegion.argtypes = (pointer, _Region)
    turbo.tj3Decompress8.argtypes = (pointer, pointer, length, pointer, number, number)
    return turbo
