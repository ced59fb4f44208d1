"""Reading photographs: every failure becomes a `BadPhoto` with a reason a person understands."""

import io
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from PIL import Image, UnidentifiedImageError

pillow_heif.register_heif_opener()  # telephones' photos
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".heic", ".heif"}
MAX_PIXELS = 400_000_000  # stitched panoramas are real; a bomb of more than 400 MP is not
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
AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
REDUCED = {  # OpenCV's flags by step; its own names for 1/2 to 1/8 in colour mean BGR
    1: AS_STORED,
    2: AS_STORED | cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: AS_STORED | cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: AS_STORED | cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


class BadPhoto(Exception):
    """A photo that cannot be used; the message is the reason, for the table of rejects."""


def decode(path: Path, shorter_side: int = 0) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode a photo, upright by its EXIF orientation.

    Args:
        path: the photo.
        shorter_side: pixels that the result's shorter side must at least have, where the photo has
            them. A JPEG is then decoded at the smallest of the scales 1, 1/2, 1/4, 1/8 that serves
            (the DCT does the scaling). 0 decodes at full size.

    Returns:
        The pixels as RGB, `(H, W, 3)` uint8, and the photo's full upright size (width, height).

    Raises:
        BadPhoto: missing, empty, truncated, or not an image.
    """
    try:
        with Image.open(path) as image:
            full = image.size
            if image.width * image.height > MAX_PIXELS:
                raise BadPhoto(f"{image.width} x {image.height} px: more than {MAX_PIXELS // 10**6} megapixels")
            if image.mode[0] in "IF":  # 16 or 32 bits of grey, which Pillow would clip to white
                raise BadPhoto("more than 8 bits a pixel of grey: save it with 8")
            if shorter_side:
                scale = max(1, min(image.size) // shorter_side)
                image.draft("RGB", (image.width // scale, image.height // scale))
            image.load()
            orientation = image.getexif().get(0x0112)  # loading turns a TIFF upright, and forgets this
            # By RGBA, or a palette's transparency would be lost with a warning.
            upright = (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")
            if orientation in UPRIGHT:
                upright = upright.transpose(UPRIGHT[orientation])
            return np.asarray(upright), full[::-1] if orientation in (5, 6, 7, 8) else full
    except FileNotFoundError:
        raise BadPhoto("not on disk") from None
    # ultralytics, once imported, makes PIL ask for its HEIF plugin where a file is no image.
    except (UnidentifiedImageError, ModuleNotFoundError):
        reason = "empty file" if path.stat().st_size == 0 else "not an image"
        raise BadPhoto(reason) from None
    except BadPhoto:
        raise
    except Exception as error:  # damaged files make Pillow's parsers raise whatever comes: struct.error, TypeError
        raise BadPhoto(f"cannot be decoded: {error}") from None


def date_taken(path: Path) -> datetime | None:
    """When a photo was taken, by its EXIF and the camera's own clock; None where that is unknown or unreadable."""
    try:
        with Image.open(path) as image:
            exif = image.getexif()
        written = exif.get_ifd(0x8769).get(0x9003) or exif.get(0x0132)  # DateTimeOriginal, DateTime
        return datetime.strptime(str(written).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except Exception:  # damaged ones make Pillow's parsers raise whatever comes; what counts is that there is no date
        return None


def decode_at(path: Path, step: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode a photo, upright, at 1/`step` of its size (1, 2, 4 or 8), rounded up.

    A plain JPEG is decoded by OpenCV: the same pixels as `decode`'s, for both have libjpeg-turbo, but at full size in
    half the time, since Pillow copies them twice. OpenCV would fill up what is missing of a truncated file; so a JPEG
    without its end marker is left to `decode`. Formats that know no scales are decoded in full and averaged.

    Returns, raises: as `decode`.
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            size, orientation, kind = image.size, image.getexif().get(0x0112), (image.format, image.mode)
    except Exception:  # `decode` meets it too, and names it
        return _averaged(*decode(path), step)
    plain = kind in (("JPEG", "RGB"), ("MPO", "RGB")) and content.endswith(b"\xff\xd9")
    if plain and size[0] * size[1] <= MAX_PIXELS:
        try:
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), REDUCED[step])
        except cv2.error:
            pixels = None
        if pixels is not None and pixels.shape[:2] == (-(-size[1] // step), -(-size[0] // step)):
            if orientation not in UPRIGHT:
                return pixels, size
            turned = np.asarray(Image.fromarray(pixels).transpose(UPRIGHT[orientation]))
            return turned, size[::-1] if orientation in (5, 6, 7, 8) else size
    return _averaged(*decode(path, max(1, min(size) // step)), step)


def _averaged(pixels: np.ndarray, full: tuple[int, int], step: int) -> tuple[np.ndarray, tuple[int, int]]:
    """A photo whose blocks of `step` pixels are averaged, if its decode at that scale came in full."""
    width, height = full
    if step == 1 or pixels.shape[:2] != (height, width):
        return pixels, full
    padded = cv2.copyMakeBorder(pixels, 0, -height % step, 0, -width % step, cv2.BORDER_REPLICATE)
    return resize(padded, padded.shape[1] // step, padded.shape[0] // step), full


def resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize `(H, W, 3)` uint8 pixels; area averaging when shrinking, bilinear when growing."""
    shrinks = width * height < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def encode_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """Encode `(H, W, 3)` RGB uint8 pixels as JPEG; the same pixels give the same bytes."""
    done, buffer = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return buffer.tobytes()


def decode_jpeg(content: bytes) -> np.ndarray:
    """Decode JPEG bytes that finprint wrote into `(H, W, 3)` RGB uint8."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def thumbnail(pixels: np.ndarray, width: int, height: int, quality: int = 75) -> bytes:
    """A JPEG of `(H, W, 3)` RGB uint8 pixels that fits into width x height px; never enlarged."""
    scale = min(1.0, height / pixels.shape[0], width / pixels.shape[1])
    small = resize(pixels, *(max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0])))
    return encode_jpeg(small, quality)


def difference_hash(pixels: np.ndarray) -> np.ndarray:
    """A 256-bit difference hash of a photo: is each cell of a 16 x 16 grid brighter than its right neighbour?

    Photos of one burst or re-saved copies differ in few bits; unrelated ones in about 128.

    Args:
        pixels: `(H, W, 3)` RGB uint8.

    Returns:
        `(32,)` uint8, the packed bits.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (17, 16), interpolation=cv2.INTER_AREA).astype(np.int16)  # (16, 17)
    return np.packbits(small[:, :-1] > small[:, 1:])
