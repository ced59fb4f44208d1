"""Photos: read upright at any scale, or refused with a reason."""

import base64
import io
import os
import struct
import zlib
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ORIENTATION, save_photo, scenery
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy.fft import dctn

from finprint.base.files import sha256_path
from finprint.pictures.images import (
    BadPhoto,
    ChangedPhoto,
    date_taken,
    decode,
    decode_jpeg,
    encode_jpeg,
    perceptual_hash,
    read_photo,
    resize,
    thumbnail,
)

# A lossless JPEG of 64 x 48 px, its left half black and its right half of grey 200: base64 of its zlib stream.
LOSSLESS = (
    "eNr7f+P/OwY+x5T8pFSGFAYQ+H+YQZCDwYDBgTlIkMFdkMFJkOH/EQZRBkZGBlTA8f8WAw9zEIM7gxMDUG7+859/kGTFXCemMGAH"
    "TCc26TTgkIsUc52AQ4pb6cQmHFKMKZFiDjjkdLqVTuCQYp2YEolDimGTTrcCDqlRr416bdRro14jw2vy/28CANKDWz4="
)


def _difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left.astype(float) - right.astype(float)).mean())


def _decibels(left: np.ndarray, right: np.ndarray) -> float:
    """Peak signal-to-noise ratio."""
    return float(10 * np.log10(255**2 / ((left.astype(float) - right.astype(float)) ** 2).mean()))


def _png_header(width: int, height: int) -> bytes:
    """The start of a PNG of grey pixels: signature, IHDR, an empty IDAT (the PNG specification, 5.3 and 11.2)."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", b""))
    packed = (struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.fixture
def jpeg(tmp_path: Path) -> bytes:
    return save_photo(tmp_path / "good.jpg", scenery(1, 320, 240)).read_bytes()


def _reason(path: Path, shorter_side: int = 0) -> str:
    with pytest.raises(BadPhoto) as caught:
        decode(path, shorter_side)
    return str(caught.value)


@pytest.mark.parametrize("shorter_side", [0, 64])
def test_reasons(tmp_path: Path, jpeg: bytes, shorter_side: int) -> None:
    path = tmp_path / "photo.jpg"
    assert _reason(path, shorter_side) == "not on disk"
    path.write_bytes(b"")
    assert _reason(path, shorter_side) == "empty file"
    path.write_bytes(b"this is a note\n" * 50)
    assert _reason(path, shorter_side) == "not an image"
    path.write_bytes(jpeg[: len(jpeg) * 2 // 3])
    assert _reason(path, shorter_side).startswith("cannot be decoded: image file is truncated")
    assert _reason(tmp_path, shorter_side) == "not a file"


def test_a_photo_too_large_for_the_memory_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PNG of 20,000 px a side within the limit of megapixels, on a small machine."""

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    path = save_photo(tmp_path / "a.png", scenery(1))
    for kind, method in ((Image.Image, "convert"), (Path, "read_bytes")):
        with monkeypatch.context() as patch:
            patch.setattr(kind, method, full)
            assert _reason(path) == "too large for the memory of this machine"


def test_no_reason_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> None:
        raise ValueError

    path = save_photo(tmp_path / "a.png", scenery(1))
    monkeypatch.setattr(Image.Image, "convert", silent)
    assert _reason(path) == "cannot be decoded: ValueError"


def test_what_is_no_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    assert _reason(tmp_path / "a.jpg") == "not a file"
    assert _reason(tmp_path / "loop.jpg") == "not on disk"


def test_a_file_that_no_memory_holds_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(5 * 2**30)  # of no blocks on the disk
    assert _reason(path) == "a file of more than 4 GiB"


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(save_photo(tmp_path / "a.jpg", scenery(1)).read_bytes())
    assert decode(path)[1] == (96, 64)
    path.write_bytes(b"no photo")
    assert _reason(path) == "not an image"


def test_only_the_content_that_was_prepared_is_read(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", scenery(1))
    digest = sha256_path(path)
    assert read_photo(path, digest) == read_photo(path) == path.read_bytes()
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ChangedPhoto) as caught:
        read_photo(path, digest)
    assert str(caught.value) == f"run `dvc repro prepare` again: {path} has changed since (its content is another)"
    path.unlink()
    with pytest.raises(ChangedPhoto) as caught:
        read_photo(path, digest)
    assert str(caught.value) == f"run `dvc repro prepare` again: {path} has changed since (not on disk)"


@given(cut=st.floats(0.0, 0.97))
def test_a_jpeg_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    path = save_photo(tmp_path_factory.mktemp("cut") / "a.jpg", scenery(1, 160, 120))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * len(whole))])
    for shorter_side in (0, 40):
        assert _reason(path, shorter_side)


@pytest.mark.filterwarnings("ignore")  # Pillow's remarks on damaged EXIF: what counts is how it ends
@given(
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=12),
    kind=st.sampled_from(["jpg", "png", "tif"]),
)
def test_damaged_bytes_are_pixels_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], kind: str
) -> None:
    """Nothing but `BadPhoto` ever comes out, whichever bytes of the headers are wrong."""
    path = save_photo(tmp_path_factory.mktemp("bad") / f"a.{kind}", scenery(2, 48, 40), orientation=6)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(content)
    try:
        pixels, (width, height) = decode(path, 16)
    except BadPhoto:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (3,)
    assert width > 0
    assert height > 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shorter_side", [0, 40])
def test_every_exif_orientation_comes_upright(tmp_path: Path, orientation: int, shorter_side: int) -> None:
    """The camera's sensor lay as EXIF 2.3 says, table "Orientation": written so, it must come back upright."""
    upright = scenery(3, 160, 240)  # taller than wide
    lying = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),  # its row 0 is the scene's right side
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation](upright)
    path = save_photo(tmp_path / "a.jpg", np.ascontiguousarray(lying), orientation, quality=95)
    pixels, full = decode(path, shorter_side)
    assert full == (160, 240)
    wanted = upright if not shorter_side else resize(upright, 40, 60)
    assert pixels.shape == wanted.shape
    assert _difference(pixels, wanted) < 3


@given(width=st.integers(30, 400), height=st.integers(30, 400), shorter_side=st.integers(8, 200))
def test_a_reduced_decode_is_small_enough_and_large_enough(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, shorter_side: int
) -> None:
    path = save_photo(tmp_path_factory.mktemp("scale") / "a.jpg", scenery(4, width, height))
    pixels, full = decode(path, shorter_side)
    assert full == (width, height)
    scale = max(s for s in (1, 2, 4, 8) if s == 1 or min(width, height) // s >= shorter_side)
    assert pixels.shape == (-(-height // scale), -(-width // scale), 3)
    assert min(pixels.shape[:2]) >= min(shorter_side, width, height)


def test_a_reduced_decode_shows_the_same(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", scenery(5, 640, 480))
    whole, _ = decode(path)
    eighth, _ = decode(path, 60)
    assert eighth.shape == (60, 80, 3)
    assert _decibels(eighth, resize(whole, 80, 60)) > 35


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_all_kinds_of_pixels_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    grey = Image.fromarray(scenery(6)).convert("L")
    (grey.convert("RGB") if mode == "CMYK" else grey).convert(mode).save(path)
    pixels, full = decode(path, 32)
    assert pixels.shape == (64, 96, 3)
    assert full == (96, 64)
    if mode != "1":
        assert _difference(pixels, np.asarray(grey.convert("RGB"))) < 2


def test_a_lossless_jpeg_is_decoded_at_no_scale(tmp_path: Path) -> None:
    """Asked for a smaller one Pillow writes beyond its memory, and the process ends without a word."""
    path = tmp_path / "a.jpg"
    path.write_bytes(zlib.decompress(base64.b64decode(LOSSLESS)))
    for shorter_side in (0, 8, 16):
        pixels, full = decode(path, shorter_side)
        assert full == (64, 48)
        assert pixels.shape == (48, 64, 3)
        assert set(np.unique(pixels[:, :32])) == {0}
        assert set(np.unique(pixels[:, 32:])) == {200}
    for short in (b"\xff\xd8", b"\xff\xd8\xff\xc3", b"\xff\xd8\xff"):
        path.write_bytes(short)
        assert _reason(path, 8)


def test_deep_grey_is_refused_rather_than_clipped_to_white(tmp_path: Path) -> None:
    Image.fromarray(scenery(6)[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert _reason(tmp_path / "a.png") == "more than 8 bits a pixel of grey: save it with 8"


def test_transparency_does_not_warn(tmp_path: Path) -> None:
    palette = Image.fromarray(scenery(6)).convert("P")
    palette.save(tmp_path / "a.png", transparency=bytes(range(256)))
    assert decode(tmp_path / "a.png")[0].shape == (64, 96, 3)


def test_a_silly_orientation_is_none(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 77
    Image.fromarray(scenery(1)).save(tmp_path / "a.jpg", exif=exif)
    pixels, full = decode(tmp_path / "a.jpg")
    assert full == (96, 64) == pixels.shape[1::-1]


def test_a_damaged_exif_spoils_no_photo(tmp_path: Path) -> None:
    """A camera's clock that wrote a wrong type: the pixels and the orientation are good."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x0100] = 96
    path = tmp_path / "a.jpg"
    Image.fromarray(scenery(1)).save(path, exif=exif)
    content = path.read_bytes()
    entry = struct.pack(">HHI", 0x0100, 4, 1)  # the width, one 32-bit number
    assert content.count(entry) == 1
    path.write_bytes(content.replace(entry, struct.pack(">HHI", 0x0100, 2, 1)))  # now it is text
    with Image.open(path) as image, pytest.raises(struct.error):
        ImageOps.exif_transpose(image)  # the control: Pillow's own way fails here
    pixels, full = decode(path)
    assert full == (64, 96) == pixels.shape[1::-1]


def test_more_than_400_megapixels_is_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_header(20_001, 20_000))
    assert _reason(path) == "20001 x 20000 px: more than 400 megapixels"
    path.write_bytes(_png_header(20_000, 20_000))
    assert _reason(path).startswith("cannot be decoded: ")  # allowed, but there is nothing behind its header


@pytest.mark.parametrize("name", ["IMG_1.NEF", "IMG_2.dng"])
def test_a_camera_s_raw_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """They are TIFFs within, and what Pillow would read of one is its small preview."""
    path = tmp_path / name
    assert _reason(path) == "not on disk"
    Image.new("RGB", (160, 120)).save(path, "TIFF")
    assert _reason(path) == f"camera raw ({path.suffix}): export it as JPEG"


def test_shrinking_averages_areas() -> None:
    """By hand: each 2 x 2 block becomes its mean."""
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, 2) * 4
    wanted = pixels.astype(float).reshape(2, 2, 2, 2, 3).mean((1, 3))
    assert np.array_equal(resize(pixels, 2, 2), wanted.astype(np.uint8))
    assert resize(pixels, 9, 5).shape == (5, 9, 3)


def test_growing_stays_within_the_colours() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[:, 1] = 200
    grown = resize(pixels, 8, 8)
    assert grown.max() == 200
    assert (np.diff(grown[0, :, 0].astype(int)) >= 0).all()


def test_jpeg_there_and_back() -> None:
    pixels = scenery(7, 160, 120)
    content = encode_jpeg(pixels, 95)
    assert content == encode_jpeg(pixels.copy(), 95)
    assert len(encode_jpeg(pixels, 40)) < len(content)
    assert _decibels(decode_jpeg(content), pixels) > 35
    by_pillow = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))  # red is red for others, too
    assert _decibels(by_pillow, pixels) > 35


def _bits(pixels: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    return np.unpackbits(perceptual_hash(pixels, size or (pixels.shape[1], pixels.shape[0])))


def test_the_hash_by_hand() -> None:
    """Bits stand by their half waves down and across: (0, 1), (1, 0), (0, 2), (1, 1), (2, 0), ..."""
    rows, columns = np.mgrid[0.5:120, 0.5:160]
    across, down = np.cos(np.pi * columns / 160), np.cos(np.pi * rows / 120)
    for waves, places in (
        (0 * across, set()),
        (across, {0}),
        (-across, set()),
        (down, {1}),
        (np.cos(2 * np.pi * columns / 160), {2}),
        (np.cos(2 * np.pi * rows / 120), {4}),
        (across + np.cos(2 * np.pi * rows / 120), {0, 4}),
    ):
        bits = _bits((128 + 60 * waves).round().astype(np.uint8)[..., None].repeat(3, 2))
        assert set(np.flatnonzero(bits[:5]).tolist()) == places
    assert not _bits(np.full((70, 50, 3), 77, np.uint8)).any()


@given(seed=st.integers(0, 50), width=st.integers(64, 250), height=st.integers(64, 250))
def test_the_hash_is_of_the_signs_of_a_cosine_transform(seed: int, width: int, height: int) -> None:
    pixels = scenery(seed, width, height)
    waves = dctn(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(float), type=2) / (width * height)
    places = sorted(((u, v) for u in range(23) for v in range(23)), key=lambda place: (sum(place), place))[1:257]
    amplitudes = np.array([waves[place] for place in places])
    clear = abs(amplitudes - 0.2) > 0.01
    assert clear.sum() > 200
    assert np.array_equal(_bits(pixels)[clear], amplitudes[clear] > 0.2)


@pytest.mark.parametrize("size", [(961, 641), (224, 224), (149, 149), (500, 90)])
def test_the_hash_is_the_same_at_a_reduced_scale(tmp_path: Path, size: tuple[int, int]) -> None:
    path = save_photo(tmp_path / "a.jpg", scenery(3, *size))
    full, reduced = decode(path), decode(path, shorter_side=64)
    assert (_bits(*full) != _bits(*reduced)).sum() <= 8


def test_the_hash_knows_a_copy_from_another_photo(tmp_path: Path) -> None:
    photos = [scenery(seed, 480, 360) for seed in range(6)]
    hashes = [_bits(photo) for photo in photos]
    for photo, bits in zip(photos, hashes, strict=True):
        for copy in (
            decode_jpeg(encode_jpeg(photo, 30)),
            cv2.resize(photo, (200, 150)),
            cv2.resize(photo, (321, 240)),
            np.clip(photo * 0.9 + 8, 0, 255).astype(np.uint8),
        ):
            saved = tmp_path / "copy.jpg"
            saved.write_bytes(encode_jpeg(copy, 60))
            assert (_bits(*decode(saved, shorter_side=64)) != bits).sum() <= 24
    apart = [(a != b).sum() for place, a in enumerate(hashes) for b in hashes[:place]]
    assert min(apart) > 50


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "bmp", "heic"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    pixels, full = decode(save_photo(tmp_path / f"a.{suffix}", scenery(1, 96, 64), orientation=6))
    turned = suffix not in ("bmp", "heic")  # the one has no EXIF, the other is saved as it is to be seen
    assert full == ((64, 96) if turned else (96, 64))
    wanted = np.rot90(scenery(1, 96, 64), -1) if turned else scenery(1, 96, 64)
    assert np.array_equal(pixels, wanted) or _decibels(pixels, wanted) > 30


def test_sixteen_bits(tmp_path: Path) -> None:
    """Colour comes down to 8 bits; grey, of which cameras use an unknown part, is refused by name."""
    colour = scenery(1).astype(np.uint16)[..., ::-1] * 257
    for name in ("a.png", "a.tif"):
        cv2.imwrite(str(tmp_path / name), colour)
        cv2.imwrite(str(tmp_path / f"grey_{name}"), colour[..., 0])
        assert _reason(tmp_path / f"grey_{name}") == "more than 8 bits a pixel of grey: save it with 8"
        assert np.array_equal(decode(tmp_path / name)[0], scenery(1))


def test_when_it_was_taken(tmp_path: Path) -> None:
    def written(tag: int, date: str) -> Path:
        exif = Image.Exif()
        (exif.get_ifd(0x8769) if tag == 0x9003 else exif)[tag] = date
        Image.fromarray(scenery(1)).save(tmp_path / "a.jpg", exif=exif)
        return tmp_path / "a.jpg"

    assert date_taken(written(0x9003, "2021:07:03 10:00:01")) == datetime(2021, 7, 3, 10, 0, 1)
    assert date_taken(written(0x0132, "2021:07:03 10:00:01")) == datetime(2021, 7, 3, 10, 0, 1)
    for nonsense in ("0000:00:00 00:00:00", "2021:07:03", "", "soon"):
        assert date_taken(written(0x9003, nonsense)) is None
    assert date_taken(save_photo(tmp_path / "b.png", scenery(1))) is None
    assert date_taken(tmp_path / "gone.jpg") is None


@pytest.mark.parametrize(("size", "small"), [((300, 100), (90, 30)), ((100, 300), (20, 60)), ((80, 50), (80, 50))])
def test_thumbnails_fit(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert decode_jpeg(thumbnail(scenery(1, *size), 90, 60)).shape[:2] == small[::-1]
