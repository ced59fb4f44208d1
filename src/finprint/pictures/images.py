"""Reading photographs: every failure becomes a `BadPhoto`, with a reason that a person understands."""

import io
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from PIL import Image, UnidentifiedImageError

from finprint.base.errors import UserError
from finprint.base.files import sha256_bytes

pillow_heif.register_heif_opener()  # telephones' photos
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".tif", ".tiff", ".webp", ".bmp", ".heic", ".heif", ".hif",
    ".gif", ".ppm", ".pgm", ".pnm",
}  # fmt: skip
RAW = {
    ".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mef", ".mos", ".nef",
    ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw",
}  # fmt: skip
TINY = 64  # px of the longer side
MAX_PIXELS = 400_000_000  # stitched panoramas are real; a bomb of more than 400 MP is not
MAX_BYTES = 4 * 2**30  # a file of more is no photo; all of a file is read into the memory
TOO_LARGE = "too large for the memory of this machine"
Image.MAX_IMAGE_PIXELS = None  # Pillow only warns up to twice its limit
# What undoes each EXIF orientation. ImageOps.exif_transpose does the same, but it writes the EXIF anew, which
# fails for photos with a damaged one.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of the hash: the 256 frequencies of fewest half waves across and down, without the mean; ENOUGH px tell them.
WAVES = 23
LOWEST = tuple(np.array(sorted(np.ndindex(WAVES, WAVES), key=lambda wave: (sum(wave), wave))[1:257]).T)
ENOUGH = 128
FAINT = 0.2  # grey levels of amplitude: a weaker wave is rather noise, which another quality changes
ACROSS = (5, 6, 7, 8)  # the orientations in which width and height change places


class BadPhoto(Exception):
    """A photo that cannot be used; the message is the reason, for the table of rejects."""


class ChangedPhoto(UserError):
    """A photo whose file is no longer the one that the stage `prepare` has read."""


def read_photo(path: Path, sha256: str = "") -> bytes:
    """The content of a photo's file.

    Args:
        path: the photo.
        sha256: the hash that the content must have, from the table of photos. "": any content will do.

    Raises:
        BadPhoto: there is no such file, or it cannot be read.
        ChangedPhoto: where a hash is given, the file is missing or has other content.
    """
    try:
        if not path.is_file():
            raise BadPhoto("not a file" if path.exists() else "not on disk")
        if path.stat().st_size > MAX_BYTES:
            raise BadPhoto(f"a file of more than {MAX_BYTES // 2**30} GiB")
        content = path.read_bytes()
    except BadPhoto as bad:
        if sha256:
            raise ChangedPhoto(_changed(path, str(bad))) from None
        raise
    except OSError as error:
        raise BadPhoto(f"cannot be read: {error.strerror}") from None
    except MemoryError:
        raise BadPhoto(TOO_LARGE) from None
    if sha256 and sha256_bytes(content) != sha256:
        raise ChangedPhoto(_changed(path, "its content is another"))
    return content


def carried(path: Path, sha256: str = "") -> bytes | BadPhoto | ChangedPhoto:
    """What another process needs in place of a photo's file: its content, or what `read_photo` raises."""
    try:
        return read_photo(path, sha256)
    except (BadPhoto, ChangedPhoto) as failure:
        return failure


def content_of(path: Path, sha256: str, brought: bytes | BadPhoto | ChangedPhoto | None) -> bytes:
    """The content of a photo's file: what `carried` has brought, else as `read_photo`, which says what is raised."""
    if brought is None:
        return read_photo(path, sha256)
    if isinstance(brought, bytes):
        return brought
    raise brought


def _changed(path: Path, how: str) -> str:
    return f"run `dvc repro prepare` again: {path} has changed since ({how})"


def decode(path: Path, shorter_side: int = 0, content: bytes | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode a photo, upright by its EXIF orientation.

    Args:
        path: the photo.
        shorter_side: pixels that the result's shorter side must at least have, where the photo has
            them. A JPEG is then decoded at the smallest of the scales 1, 1/2, 1/4, 1/8 that serves
            (the DCT does the scaling). 0 decodes at full size.
        content: of the photo's file, if it was read before.

    Returns:
        The pixels as RGB, `(H, W, 3)` uint8, and the photo's full upright size (width, height).

    Raises:
        BadPhoto: missing, empty, truncated, or not an image.
    """
    try:
        if path.suffix.lower() in RAW and path.exists():  # Pillow would take the small preview in it for the photo
            raise BadPhoto(f"camera raw ({path.suffix}): export it as JPEG")
        content = read_photo(path) if content is None else content
        with Image.open(io.BytesIO(content)) as image:
            full = image.size
            if image.width * image.height > MAX_PIXELS:
                raise BadPhoto(f"{image.width} x {image.height} px: more than {MAX_PIXELS // 10**6} megapixels")
            if image.mode[0] in "IF":  # 16 or 32 bits of grey, which Pillow would clip to white
                raise BadPhoto("more than 8 bits a pixel of grey: save it with 8")
            if shorter_side and not _lossless(content):
                scale = max(1, min(image.size) // shorter_side)
                image.draft("RGB", (image.width // scale, image.height // scale))
            image.load()
            orientation = image.getexif().get(0x0112)  # loading turns a TIFF upright, and forgets this
            # By RGBA, or a palette's transparency would be lost with a warning.
            upright = (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")
            if orientation in UPRIGHT:
                upright = upright.transpose(UPRIGHT[orientation])
            return np.asarray(upright), full[::-1] if orientation in ACROSS else full
    except BadPhoto:
        raise
    # ultralytics, once imported, makes PIL ask for its HEIF plugin where a file is no image.
    except (UnidentifiedImageError, ModuleNotFoundError):
        raise BadPhoto("not an image" if content else "empty file") from None
    except MemoryError:
        raise BadPhoto(TOO_LARGE) from None
    except Exception as error:  # damaged files make Pillow's parsers raise whatever comes: struct.error, TypeError
        raise BadPhoto(f"cannot be decoded: {str(error) or type(error).__name__}") from None


def _lossless(content: bytes) -> bool:
    """Is it a lossless JPEG? At a reduced scale Pillow would write beyond its memory, and the process would end."""
    file = io.BytesIO(content)
    if file.read(2) != b"\xff\xd8":
        return False
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] not in (0xC0, 0xC2, 0xDA):
        if head[1] == 0xC3:
            return True
        file.seek(int.from_bytes(head[2:]) - 2, io.SEEK_CUR)
    return False


def date_taken(photo: Path | bytes) -> datetime | None:
    """When a photo was taken, by its EXIF and the camera's own clock; None where that is unknown or unreadable.

    Args:
        photo: its file, or the content of it.
    """
    try:
        with Image.open(io.BytesIO(photo) if isinstance(photo, bytes) else photo) as image:
            exif = image.getexif()
        written = exif.get_ifd(0x8769).get(0x9003) or exif.get(0x0132)  # DateTimeOriginal, DateTime
        return datetime.strptime(str(written).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except Exception:  # damaged ones make Pillow's parsers raise whatever comes; what counts is that there is no date
        return None


def resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize `(H, W, 3)` uint8 pixels; area averaging when shrinking, bilinear when growing."""
    shrinks = width * height < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def encode_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """Encode `(H, W, 3)` RGB uint8 pixels as JPEG; the same pixels give the same bytes. Tiny ones keep all of their
    colour, of which a JPEG usually keeps one pixel in four."""
    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if max(pixels.shape[:2]) <= TINY:
        how += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, buffer = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), how)
    assert done
    return buffer.tobytes()


def decode_jpeg(content: bytes) -> np.ndarray:
    """Decode JPEG bytes that finprint wrote into `(H, W, 3)` RGB uint8.

    Raises:
        BadPhoto: they are damaged.
    """
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if pixels is None:
        raise BadPhoto("not an image")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def thumbnail(pixels: np.ndarray, width: int, height: int, quality: int = 75) -> bytes:
    """A JPEG of `(H, W, 3)` RGB uint8 pixels that fits into width x height px; never enlarged."""
    scale = min(1.0, height / pixels.shape[0], width / pixels.shape[1])
    small = resize(pixels, *(max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0])))
    return encode_jpeg(small, quality)


def perceptual_hash(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A 256-bit hash of what a photo looks like: the signs of its 256 lowest frequencies (pHash, Zauner 2010).

    A bit is set where the amplitude of its wave is above `FAINT`. A copy of another size or quality differs in few
    bits, an unrelated photo in about 128 (bench/duplicates.py).

    Args:
        pixels: `(H, W, 3)` RGB uint8, at whatever scale `decode` gave them.
        size: width and height of the full photo. At a reduced scale the last row and column of pixels may reach
            beyond the photo; what lies beyond does not count.

    Returns:
        `(32,)` uint8, the packed bits.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    step = round(size[0] / grey.shape[1])  # pixels of the photo a pixel
    height, width = (side / (step * decoded) for side, decoded in zip(size[::-1], grey.shape, strict=True))
    if min(grey.shape) > 2 * ENOUGH:
        factor = ENOUGH / min(grey.shape)
        small = (max(1, round(side * factor)) for side in grey.shape[::-1])
        grey = cv2.resize(grey, tuple(small), interpolation=cv2.INTER_AREA)
    level = grey - np.float32(grey.mean())
    waves = _cosines(grey.shape[0], height) @ level @ _cosines(grey.shape[1], width).T
    return np.packbits(waves[LOWEST] > FAINT)


@lru_cache(256)
def _cosines(pixels: int, share: float) -> np.ndarray:
    """`(WAVES, pixels)` float32: 0, 1, 2, ... half waves along a side, of which a `share` belongs to the photo.

    Scaled so that their product with a wave is its amplitude.
    """
    inside = np.clip(pixels * share - np.arange(pixels), 0, 1)  # of each pixel
    places = (np.arange(pixels) + 0.5) / (pixels * share)
    return (np.cos(np.pi * np.arange(WAVES)[:, None] * places) * inside * 2 / (pixels * share)).astype(np.float32)
