"""A photo at a reduced scale, or a part of it: the pixels that there are, whatever of them is decoded."""

import platform
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ORIENTATION, save_photo, scenery
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from finprint.pictures import decoding
from finprint.pictures.decoding import Window, decode_at, decode_window, decoder, library
from finprint.pictures.images import BadPhoto, decode

SHARES = st.tuples(*[st.floats(0, 1)] * 4)


def _difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left.astype(float) - right.astype(float)).mean())


def _window(shares: tuple[float, ...], width: int, height: int) -> Window:
    """Some part, never empty, of a picture."""
    (left, right), (top, bottom) = (
        sorted((round(one * (side - 1)), round(other * (side - 1))))
        for one, other, side in ((shares[0], shares[1], width), (shares[2], shares[3], height))
    )
    return left, top, right + 1, bottom + 1


def _grainy(width: int, height: int) -> np.ndarray:
    """No pixel's colour can be told from its neighbours'."""
    noise = np.random.default_rng(3).integers(-60, 60, (height, width, 3))
    return np.clip(scenery(6, width, height) + noise, 0, 255).astype(np.uint8)


CARRIED = sys.version_info < (3, 14) and platform.system() == "Linux" and platform.machine() == "x86_64"
partly = pytest.mark.skipif(not CARRIED, reason="there is no wheel of libturbojpeg here: photos are decoded whole")


def test_the_library_is_there_where_its_wheel_is() -> None:
    assert (library() is not None) == CARRIED
    assert decoder().split()[0] == ("turbojpeg" if CARRIED else "Pillow")


def test_a_library_that_cannot_be_loaded_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaged:
        name = "libturbojpeg.so.0"

        def locate(self) -> Path:
            (tmp_path / self.name).write_bytes(b"cut")
            return tmp_path / self.name

    for listed in ([], None, [Damaged()]):
        monkeypatch.setattr(decoding, "files", lambda _, listed=listed: listed)
        assert library.__wrapped__() is None


@given(
    width=st.integers(8, 300),
    height=st.integers(8, 300),
    orientation=st.integers(0, 9),
    quality=st.integers(30, 98),
    chroma=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    progressive=st.booleans(),
)
def test_a_step_gives_the_pixels_of_decode(
    tmp_path_factory: pytest.TempPathFactory,
    width: int,
    height: int,
    orientation: int,
    quality: int,
    chroma: str,
    progressive: bool,
) -> None:
    path = tmp_path_factory.mktemp("step") / "a.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(scenery(6, width, height))
    image.save(path, exif=exif, quality=quality, subsampling=chroma, progressive=progressive)
    for step in (1, 2, 4, 8):
        pixels, full = decode_at(path, step)
        wanted, wanted_full = decode(path, min(width, height) // step)
        assert full == wanted_full
        assert np.array_equal(pixels, wanted)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "png"), ("CMYK", "jpg"), ("CMYK", "tif"), ("RGB", "jpg"), ("RGB", "png"), ("RGB", "tif")],
)
def test_a_step_of_other_kinds(tmp_path: Path, mode: str, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    Image.fromarray(scenery(7, 158, 117)).convert(mode).save(path)
    whole = decode(path)[0]
    for step in (1, 2, 4, 8):
        pixels, full = decode_at(path, step)
        assert full == (158, 117)
        assert pixels.shape == (-(-117 // step), -(-158 // step), 3)
        inner = whole[: 117 // step * step, : 158 // step * step].astype(float)
        blocks = inner.reshape(117 // step, step, 158 // step, step, 3).mean(axis=(1, 3))
        assert _difference(pixels[: 117 // step, : 158 // step], blocks) < 1.5


@given(cut=st.one_of(st.floats(0.0, 0.999), st.just(1.0)), ahead=st.sampled_from([1, 2, 3]))
def test_a_step_of_a_jpeg_cut_anywhere_is_refused_as_by_decode(
    tmp_path_factory: pytest.TempPathFactory, cut: float, ahead: int
) -> None:
    path = save_photo(tmp_path_factory.mktemp("cut") / "a.jpg", scenery(1, 160, 120))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * (len(whole) - ahead))])
    with pytest.raises(BadPhoto) as caught:
        decode_at(path, 2)
    with pytest.raises(BadPhoto) as wanted:
        decode(path, 60)
    assert str(caught.value) == str(wanted.value)


@partly
def test_what_a_camera_writes_behind_a_photo_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_photo(tmp_path / "a.jpg", _grainy(160, 120))
    wanted = decode(path)[0]
    path.write_bytes(path.read_bytes() + b"SEFT" + bytes(100))
    monkeypatch.setattr(decoding, "decode", None)  # which would do it, too, but more slowly
    assert np.array_equal(decode_at(path, 1)[0], wanted)


def test_a_step_of_what_is_no_photo(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no photo")
    for path, reason in ((tmp_path / "a.jpg", "not an image"), (tmp_path / "b.jpg", "not on disk")):
        with pytest.raises(BadPhoto) as caught:
            decode_at(path, 2)
        assert str(caught.value) == reason


@pytest.mark.filterwarnings("ignore")
@given(changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=12))
def test_a_step_of_damaged_bytes_is_pixels_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    path = save_photo(tmp_path_factory.mktemp("bad") / "a.jpg", scenery(2, 48, 40), orientation=6)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % (len(content) - 2)] = value
    path.write_bytes(content)
    try:
        pixels, (width, height) = decode_at(path, 2)
    except BadPhoto:
        return
    assert pixels.shape == (-(-height // 2), -(-width // 2), 3)


@given(
    width=st.integers(8, 300),
    height=st.integers(8, 300),
    orientation=st.integers(0, 9),
    chroma=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    progressive=st.booleans(),
    shares=SHARES,
)
def test_a_part_has_the_pixels_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    width: int,
    height: int,
    orientation: int,
    chroma: str,
    progressive: bool,
    shares: tuple[float, ...],
) -> None:
    path = tmp_path_factory.mktemp("part") / "a.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(_grainy(width, height))
    image.save(path, exif=exif, quality=60, subsampling=chroma, progressive=progressive)
    for step in (1, 2, 4, 8):
        whole, full = decode_at(path, step)
        left, top, right, bottom = window = _window(shares, *whole.shape[1::-1])
        part, told = decode_at(path, step, window)
        assert told == full
        assert np.array_equal(part, whole[top:bottom, left:right])


@partly
@pytest.mark.parametrize("chroma", [411, 420, 422, 440, 444])
@given(width=st.integers(8, 300), height=st.integers(8, 300), shares=SHARES)
def test_a_part_of_any_chroma_subsampling(chroma: int, width: int, height: int, shares: tuple[float, ...]) -> None:
    options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{chroma}")]
    content = cv2.imencode(".jpg", _grainy(width, height), options)[1].tobytes()
    reduced = {1: 0, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4}
    for step, flag in reduced.items():
        whole = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB | flag)
        left, top, right, bottom = window = _window(shares, *whole.shape[1::-1])
        part = decode_window(content, (width, height), step, window)
        assert part is not None
        assert np.array_equal(part, whole[top:bottom, left:right])


@partly
def test_what_lies_below_a_part_is_not_read(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", _grainy(320, 640))
    content, parts = path.read_bytes(), [(20, 30, 100, 60), (20, 200, 100, 300)]
    above, below = (decode_at(path, 2, part)[0] for part in parts)
    path.write_bytes(content[: len(content) // 2] + bytes(500) + b"\xff\xd9")
    assert np.array_equal(decode_at(path, 2, parts[0])[0], above)
    assert not np.array_equal(decode_at(path, 2, parts[1])[0], below)


@pytest.mark.parametrize("window", [(0, 0, 80, 60), (11, 12, 50, 59)])
def test_without_the_library_the_pixels_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: Window
) -> None:
    path = save_photo(tmp_path / "a.jpg", _grainy(160, 120))
    wanted, full = decode_at(path, 2, window)
    monkeypatch.setattr(decoding, "library", lambda: None)
    pixels, told = decode_at(path, 2, window)
    assert told == full
    assert np.array_equal(pixels, wanted)


@pytest.mark.parametrize("window", [(500, 0, 600, 60), (0, 500, 80, 600), (60, 40, 161, 120), (60, 50, 90, 50)])
def test_no_part_that_is_not_within_the_photo(window: Window) -> None:
    content = cv2.imencode(".jpg", _grainy(160, 120))[1].tobytes()
    assert decode_window(content, (160, 120), 1, window) is None
    assert decode_window(content, (1600, 1200), 1, window) is None  # where the header tells another size


def test_a_photo_too_large_for_the_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_photo(tmp_path / "a.jpg", scenery(1))

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoding, "decode_window", full)
    assert np.array_equal(decode_at(path, 1)[0], decode(path)[0])  # perhaps Pillow finds room
    monkeypatch.setattr(Image.Image, "convert", full)
    with pytest.raises(BadPhoto):
        decode_at(path, 1)
