"""Decisions enter the gallery of a bundle: at once, whole or not at all, and once however often they are enrolled."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import save_photo
from finished import Project, draw
from PIL import Image

from finprint.base.errors import UserError
from finprint.base.files import sha256_path
from finprint.bundle.bundle import Bundle
from finprint.bundle.enrol import enrol
from finprint.bundle.identified import Identified
from finprint.bundle.identify import identify, identify_one
from finprint.bundle.ledger import Ledger, Source, names_without
from finprint.bundle.manifest import Manifest
from finprint.store.decisions import Decision, Log
from finprint.store.tables import CROPS, read_table, write_table


class Month:
    """A bundle of one's own, photos identified by it, and a log of decisions on them."""

    def __init__(self, project: Project, june: Path, folder: Path) -> None:
        self.bundle = Path(shutil.copytree(project.bundle, folder / "whales"))
        self.photos = Path(shutil.copytree(project.queries, folder / "photos"))
        self.out = Path(shutil.copytree(june, folder / "june"))
        run = self.out / "review/run.json"
        run.write_text(run.read_text().replace(str(project.queries), str(self.photos)))
        self.log = Log(self.out / "decisions.jsonl")

    def decide(self, action: Any, photo: str = "", to: str = "", **more: Any) -> Decision:
        return self.log.append(Decision(action=action, photo=photo, to=to, **more))

    def enrol(self) -> dict[str, int]:
        return enrol(self.out, self.bundle)

    def shown(self) -> dict[str, str]:
        """The individual on each photo of the gallery."""
        table = Bundle.load(self.bundle).gallery.photos.dropna(subset="identity")
        return dict(zip(table["image"], table["identity"], strict=True))

    def refused(self) -> str:
        """Why enrolment is refused; the bundle is as it was."""
        before = sha256_path(self.bundle)
        with pytest.raises(UserError) as error:
            self.enrol()
        assert sha256_path(self.bundle) == before
        return str(error.value)


@pytest.fixture(scope="module")
def june(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The queries of the project, identified. Not to be written into."""
    out = tmp_path_factory.mktemp("identified") / "june"
    identify([project.queries], Bundle.load(project.bundle), out)
    return out


@pytest.fixture
def month(project: Project, june: Path, tmp_path: Path) -> Month:
    return Month(project, june, tmp_path)


def test_confirmed_photos_and_new_animals_are_known_the_next_time(month: Month, tmp_path: Path) -> None:
    before = month.shown()
    month.decide("confirm", "q03.jpg", "animal 03")
    month.decide("new", "q14.jpg", "Old Tom")
    month.decide("unsure", "q15.jpg")
    month.decide("unusable", "q16.jpg")
    counts = month.enrol()
    assert counts == {
        "came": 2, "left": 0, "renamed": 0, "new_individuals": 1, "photos": 72, "individuals": 15,
    }  # fmt: skip
    assert month.shown() == before | {"june/q03.jpg": "animal 03", "june/q14.jpg": "Old Tom"}
    with Image.open(month.photos / "q14.jpg") as seen:
        photo = save_photo(tmp_path / "july" / "p.jpg", np.asarray(seen), quality=80)
    bundle = Bundle.load(month.bundle)
    identified = identify([photo.parent], bundle, tmp_path / "july out")
    named = identified.answers.set_index("identity")["match"]
    assert named["Old Tom"] == "june/q14.jpg"
    again = identify([month.photos / "q14.jpg"], bundle, tmp_path / "same")
    assert again.photos["problem"].tolist() == [
        "is in the catalogue already: Old Tom (june/q14.jpg); compared with the others"
    ]
    picture = bundle.gallery.pictures
    rows = picture.rows(pd.Series(["june/q14.jpg", "03_1.jpg"]))
    crops = Identified.load(month.out).crops
    assert picture.jpeg(rows[0]) == crops.jpeg(crops.rows(pd.Series(["q14.jpg"]))[0])


def test_enrolled_twice_is_enrolled_once(month: Month) -> None:
    month.decide("confirm", "q03.jpg", "animal 03")
    month.decide("new", "q14.jpg")
    month.enrol()
    shown, gallery = month.shown(), Bundle.load(month.bundle).gallery
    assert shown["june/q14.jpg"] == "new_0001"
    whole = sha256_path(month.bundle)
    assert month.enrol()["came"] == 0
    assert sha256_path(month.bundle) == whole
    month.decide("unsure", "q15.jpg")  # another line, which changes no name
    assert month.enrol()["came"] == 0
    again = Bundle.load(month.bundle).gallery
    pd.testing.assert_frame_equal(again.photos, gallery.photos)
    for name in gallery.members:
        np.testing.assert_array_equal(again.members[name].array, gallery.members[name].array)
    assert month.shown() == shown


def test_what_is_undone_counts_no_more(month: Month) -> None:
    before = month.shown()
    line = month.decide("confirm", "q03.jpg", "animal 03")
    month.decide("rename", individual="animal 05", to="Notch")
    month.enrol()
    assert "Notch" in month.shown().values()
    month.decide("undo", of=line.id)
    assert month.enrol()["left"] == 1
    assert set(month.shown()) == set(before)


def test_individuals_are_merged_renamed_and_split(month: Month) -> None:
    month.decide("merge", individual="animal 01", to="animal 00")
    month.decide("rename", individual="animal 02", to="Scar Back")
    month.decide("split", individual="animal 04", to="Little One", photos=("04_0.jpg", "04_1.jpg"))
    month.decide("relabel", "05_0.jpg", "animal 06")
    month.decide("drop", "06_0.jpg")
    counts = month.enrol()
    assert counts["renamed"] == 5 + 5 + 2 + 1
    assert counts["left"] == 1
    assert counts["new_individuals"] == 2
    shown = month.shown()
    assert {shown[f"01_{n}.jpg"] for n in range(5)} == {"animal 00"}
    assert {shown[f"02_{n}.jpg"] for n in range(5)} == {"Scar Back"}
    assert [shown[f"04_{n}.jpg"] for n in range(5)] == ["Little One"] * 2 + ["animal 04"] * 3
    assert shown["05_0.jpg"] == "animal 06"
    assert "06_0.jpg" not in shown
    classes = Bundle.load(month.bundle).gallery.members["round1"].classes.tolist()
    assert classes[:3] == ["animal 00", "", "Scar Back"]  # a centre of its own goes with each name, and none twice


def test_answers_after_a_rename_are_the_same_under_the_new_name(month: Month, tmp_path: Path) -> None:
    before = Identified.load(month.out).answers
    month.decide("rename", individual="animal 03", to="animal 03 (Notch)")  # so that their order stays
    month.enrol()
    after = identify([month.photos], Bundle.load(month.bundle), tmp_path / "after").answers
    renamed = before["identity"].replace("animal 03", "animal 03 (Notch)")
    assert after["identity"].tolist() == renamed.tolist()
    np.testing.assert_allclose(after["probability"], before["probability"], atol=1e-9)


def test_a_photo_with_a_corrected_box_enters_as_it_was_corrected(month: Month) -> None:
    month.decide("box", "q03.jpg", box=(10, 10, 60, 50))
    month.decide("confirm", "q03.jpg", "animal 03")
    month.enrol()
    bundle = Bundle.load(month.bundle)
    one = identify_one(bundle, month.photos / "q03.jpg", (10, 10, 60, 50))
    row = bundle.gallery.photos["image"].tolist().index("june/q03.jpg")
    arrays = [members.array[row] for members in bundle.gallery.members.values()]
    np.testing.assert_allclose(np.concatenate(arrays), one.vectors[0], atol=1e-6)
    box = bundle.gallery.pictures.index.set_index("image").loc["june/q03.jpg", ["x_min", "y_min", "x_max", "y_max"]]
    assert box.tolist() == [10, 10, 60, 50]
    month.decide("box", "q04.jpg", box=(10, 10, 60, 50))
    month.decide("confirm", "q04.jpg", "animal 04")
    (month.photos / "q04.jpg").unlink()
    assert month.refused() == "q04.jpg with its corrected box cannot be enrolled: not on disk"


def test_two_months_with_photos_of_the_same_name(month: Month, project: Project, tmp_path: Path) -> None:
    month.decide("confirm", "q03.jpg", "animal 03")
    month.enrol()
    other = tmp_path / "july photos"
    draw(other / "q03.jpg", 9, 8)
    draw(other / "03_1.jpg", 9, 7)
    out = tmp_path / "july"
    identify([other], Bundle.load(month.bundle), out)
    log = Log(out / "decisions.jsonl")
    log.append(Decision(action="confirm", photo="q03.jpg", to="animal 09"))
    log.append(Decision(action="confirm", photo="03_1.jpg", to="animal 09"))
    log.append(Decision(action="merge", individual="animal 03", to="animal 09"))
    enrol(out, month.bundle)
    shown = month.shown()
    assert {shown[name] for name in ("june/q03.jpg", "july/q03.jpg", "july/03_1.jpg")} == {"animal 09"}
    month.decide("confirm", "q04.jpg", "animal 04")  # the first month goes on, under the names that it knew
    month.enrol()
    assert month.shown() == shown | {"june/q04.jpg": "animal 04"}


def test_two_months_are_applied_in_the_order_of_their_decisions(month: Month, tmp_path: Path) -> None:
    month.log.append(Decision(action="confirm", photo="q03.jpg", to="animal 03"))
    month.enrol()
    july = Path(shutil.copytree(month.out, tmp_path / "july"))
    (july / "decisions.jsonl").unlink()
    log = Log(july / "decisions.jsonl")
    log.append(Decision(action="new", photo="q14.jpg", to="Tom"))
    enrol(july, month.bundle)
    time.sleep(1.01)  # the log tells seconds
    month.decide("merge", individual="Tom", to="animal 04")
    month.enrol()
    assert month.shown()["july/q14.jpg"] == "animal 04"
    lenient = Ledger.read(Bundle.load(month.bundle)).applied(Bundle.load(month.bundle).gallery.photos, strict=False)
    assert lenient.shows["july/q14.jpg"] == "animal 04"


def test_decisions_keep_their_order_where_the_clock_was_set_back() -> None:
    decisions = [Decision(action="unsure", photo=photo, when=when) for photo, when in (("a", "2"), ("b", "1"))]
    assert [(when, one.photo) for when, one in Source("june", {}, decisions, []).timed()] == [("2", "a"), ("2", "b")]


def test_a_box_that_comes_too_late_is_told(month: Month, capsys: pytest.CaptureFixture[str]) -> None:
    month.decide("confirm", "q03.jpg", "animal 03")
    month.decide("box", "q04.jpg", box=(10, 10, 60, 50))
    month.decide("confirm", "q04.jpg", "animal 04")
    month.enrol()
    month.decide("box", "q03.jpg", box=(10, 10, 60, 50))
    capsys.readouterr()
    month.enrol()
    told = "boxes that were corrected after their photos were enrolled are not used: q03.jpg\n"
    assert capsys.readouterr().out == told


def _cases() -> Iterator[Any]:
    confirm, new = {"action": "confirm"}, {"action": "new"}
    yield (
        [confirm | {"photo": "gone.jpg", "to": "animal 03"}],
        (
            "confirm 'gone.jpg': there is no such photo any more, neither identified nor in the catalogue: "
            "undo the decision"
        ),
    )
    yield (
        [confirm | {"photo": "q03.jpg", "to": "animal 3"}],
        ("confirm 'q03.jpg': no individual is called 'animal 3'; did you mean 'animal 13'?"),
    )
    yield (
        [new | {"photo": "q13.jpg", "to": "Tom"}, new | {"photo": "q14.jpg", "to": "Tom"}],
        (
            "new 'q14.jpg': two decisions give the name 'Tom' to two new individuals, in 'june/q13.jpg' and "
            "'june/q14.jpg': give one of them another name"
        ),
    )
    yield (
        [new | {"photo": "q13.jpg", "to": "animal 03"}],
        ("new 'q13.jpg': 'animal 03' is in the catalogue already, so it is not new: write confirm"),
    )
    yield (
        [{"action": "rename", "individual": "animal 01", "to": "animal 03"}],
        ("rename 'animal 01': 'animal 03' is another individual already: to make them one, write merge"),
    )
    yield (
        [{"action": "split", "individual": "animal 01", "to": "B", "photos": ["02_0.jpg"]}],
        ("split 'animal 01': '02_0.jpg' shows 'animal 02' and not 'animal 01', so it cannot be split from it"),
    )
    yield (
        [{"action": "drop", "photo": "nothing.jpg"}],
        (
            "drop 'nothing.jpg': there is no such photo any more, neither identified nor in the catalogue: "
            "undo the decision"
        ),
    )


@pytest.mark.parametrize(("lines", "message"), list(_cases()))
def test_a_decision_that_cannot_be_applied_is_named(month: Month, lines: list[dict[str, Any]], message: str) -> None:
    for line in lines:
        month.log.append(Decision.model_validate(line))
    assert month.refused() == f"june/decisions.jsonl: {message}"


def test_one_decision_on_several_photos_is_one_new_animal(month: Month) -> None:
    month.log.append(Decision(action="new", photos=("q14.jpg", "q15.jpg"), to="Tom"))
    month.decide("confirm", "q16.jpg", "Tom")
    month.enrol()
    assert [month.shown()[f"june/q{n}.jpg"] for n in (14, 15, 16)] == ["Tom"] * 3


def test_a_bundle_that_grows_while_it_is_read(month: Month, monkeypatch: pytest.MonkeyPatch) -> None:
    month.decide("confirm", "q03.jpg", "animal 03")
    real, grown = Manifest.check, []

    def check(manifest: Manifest, folder: Path) -> None:
        if not grown:
            grown.append(folder)
            month.enrol()  # the folder of the gallery that the manifest names is gone now
        real(manifest, folder)

    monkeypatch.setattr(Manifest, "check", check)
    assert len(Bundle.load(month.bundle).gallery.photos) == 71


def test_copies_of_one_photo_enter_once(month: Month, tmp_path: Path) -> None:
    month.photos = tmp_path / "copies"
    for name in ("a.jpg", "b.jpg"):
        draw(month.photos / name, 3, 8)
    identify([month.photos], Bundle.load(month.bundle), month.out)
    month.decide("confirm", "b.jpg", "animal 03")
    month.decide("confirm", "a.jpg", "animal 03")
    assert month.enrol()["came"] == 1
    assert month.shown()["june/b.jpg"] == "animal 03"
    month.decide("confirm", "a.jpg", "animal 04")
    assert month.refused() == (
        "june/decisions.jsonl: confirm 'a.jpg': 'june/b.jpg' is labelled as 'animal 03' already: write relabel"
    )


def test_a_new_animal_that_is_decided_again_is_there_for_those_confirmed_before(month: Month) -> None:
    month.decide("new", "q14.jpg", "Tom")
    month.decide("confirm", "q16.jpg", "Tom")
    month.decide("new", "q14.jpg", "Tom")  # this line stands now, and it is the last one
    month.decide("rename", individual="Tom", to="Old Tom")
    month.enrol()
    assert [month.shown()[f"june/q{n}.jpg"] for n in (14, 16)] == ["Old Tom"] * 2


def test_nothing_to_enrol(month: Month, tmp_path: Path) -> None:
    log = month.out / "decisions.jsonl"
    assert month.refused() == f"{log} holds no decision: `finprint review {month.out}` is the page to decide on"
    month.out = tmp_path / "nowhere"
    assert month.refused() == (
        f"{tmp_path}/nowhere holds no identified photos: `finprint identify PHOTOS --out {tmp_path}/nowhere` first"
    )


def test_photos_that_another_system_identified_are_refused(month: Month) -> None:
    month.decide("confirm", "q03.jpg", "animal 03")
    run = month.out / "review/run.json"
    run.write_text(run.read_text().replace(Bundle.load(month.bundle).manifest.system, "0" * 64))
    assert month.refused().startswith(f"{month.out} was identified by another system than {month.bundle}: run")


def test_photos_that_an_older_finprint_identified_are_told_so(month: Month) -> None:
    month.decide("confirm", "q03.jpg", "animal 03")
    (month.out / "review/gallery.parquet").unlink()
    assert month.refused() == (
        f"{month.out}/review is damaged or of an older version: run `finprint identify` again with --out {month.out}; "
        "the decisions are kept"
    )


def test_crops_and_vectors_of_two_runs_are_refused(month: Month) -> None:
    """As a run leaves them that is stopped after the crops were cut anew."""
    month.decide("confirm", "q03.jpg", "animal 03")
    index = month.out / "review/crops/index.parquet"
    whole = read_table(index, CROPS)
    for crops in (whole.iloc[1:], whole.assign(confidence=0.5)):  # other photos; the same names
        write_table(index, crops.reset_index(drop=True), CROPS)
        assert month.refused().startswith(f"{month.out}/review is damaged or of an older version: run")
    write_table(index, whole.iloc[1:].reset_index(drop=True), CROPS)
    run = month.out / "review/run.json"
    run.write_text(json.dumps({key: value for key, value in json.loads(run.read_text()).items() if key != "crops"}))
    assert month.refused().startswith(f"{month.out}/review is damaged")  # an older version's, by the names
    write_table(index, whole, CROPS)
    assert month.enrol()["came"] == 1


def test_the_page_begins_with_the_names_without_its_own_decisions(month: Month) -> None:
    """What is enrolled already is not applied again: an animal may have got a name that another one had."""
    month.decide("new", "q14.jpg", "Tom")
    month.decide("merge", individual="animal 01", to="animal 00")
    month.decide("rename", individual="animal 02", to="animal 01")
    before = names_without(Bundle.load(month.bundle), month.log.path)
    month.enrol()
    assert month.shown()["02_0.jpg"] == "animal 01"
    assert names_without(Bundle.load(month.bundle), month.log.path) == before
    assert "june/q14.jpg" not in before


@pytest.mark.parametrize("place", ["finprint.bundle.enrol.hashes", "finprint.bundle.enrol.write_pictures"])
def test_a_kill_in_the_middle_loses_nothing(month: Month, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    month.decide("confirm", "q03.jpg", "animal 03")
    before = month.shown()

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, killed)
        with pytest.raises(KeyboardInterrupt):
            month.enrol()
    assert month.shown() == before
    month.enrol()
    assert month.shown() == before | {"june/q03.jpg": "animal 03"}
    assert [path.name for path in month.bundle.glob("*gallery*")] == [Bundle.load(month.bundle).manifest.gallery]


def test_a_full_disk_loses_nothing(month: Month, small_disk: Path) -> None:
    for path in month.bundle.iterdir():  # but the models, which do not fit on it and are not written
        if path.name != "models":
            (shutil.copytree if path.is_dir() else shutil.copy)(path, small_disk / path.name)
    (small_disk / "models").symlink_to(month.bundle / "models")
    month.bundle = small_disk
    month.decide("confirm", "q03.jpg", "animal 03")
    before = month.shown()
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(b"\1" * (free - 8192))
    with pytest.raises(OSError, match="No space left on device"):
        month.enrol()
    assert month.shown() == before
    (small_disk / "filler").unlink()
    assert month.enrol()["came"] == 1
