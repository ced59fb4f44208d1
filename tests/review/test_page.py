"""The page in a real browser, driven by chromedriver: each action, its line in the log, the page after a reload."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reviewed import ASKED, NASTY, read_case, served, write_model, write_run
from webdriver import Browser

from finprint.review.case import Case

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium and chromedriver are not installed: the page is not tried"
)
ACTED = "document.querySelector('#asked .name').textContent"  # the photo that is shown
STANDS = "document.querySelector('#stands').textContent"
PROGRESS = "document.querySelector('#progress span').textContent"
PICTURES = "[...document.querySelectorAll('#pair .layer img:first-child')]"
TOAST = "document.querySelector('#toast').textContent"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    root = tmp_path_factory.mktemp("run")
    write_run(root)
    write_model(root)
    return read_case(root)


@pytest.fixture(scope="module")
def address(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("kept")))
        with served(case) as address:
            yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    assert DRIVER is not None
    browser = Browser(DRIVER, CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser, address: str, case: Case) -> Iterator[Browser]:
    """The page with an empty log and a browser that remembers nothing; no test may leave an error in its console."""
    case.log.unlink(missing_ok=True)
    origin = "/".join(address.split("/")[:3])
    browser.open("about:blank")
    browser.command("Storage.clearDataForOrigin", origin=origin, storageTypes="local_storage")
    opened(browser, address)
    yield browser
    assert browser.complaints() == []


def opened(browser: Browser, address: str) -> None:
    """Open the page and wait until its first photo is there."""
    browser.open("about:blank")
    browser.open(address)
    browser.wait("document.body.dataset.ready")


def reloaded(browser: Browser) -> None:
    browser.reload()
    browser.wait("document.body.dataset.ready")


def lines(case: Case) -> list[dict[str, Any]]:
    """The lines of the log."""
    return [json.loads(line) for line in case.log.read_text().splitlines()] if case.log.exists() else []


def lines_of(browser: Browser, case: Case, count: int) -> list[dict[str, Any]]:
    """The log once it has that many lines."""
    browser.wait(lambda: len(lines(case)) >= count)
    return lines(case)


def told(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what differs from run to run, and without the answer."""
    return {key: value for key, value in line.items() if key not in ("id", "when", "answer") and value}


def shows(browser: Browser, image: str) -> None:
    browser.wait(f"{ACTED} === {json.dumps(image)}")
    browser.wait("document.querySelectorAll('#answers button').length")


def goes_to(browser: Browser, image: str) -> None:
    browser.run("location.hash = '#' + new URLSearchParams({ photo: arguments[0] })", image)
    shows(browser, image)


def test_keys_decide_and_the_page_says_so_after_a_reload(page: Browser, case: Case) -> None:
    shows(page, "q00.jpg")  # the surest first
    page.keys("1")
    shows(page, "q01.jpg")
    page.keys("3")  # the second is a new individual
    shows(page, "q02.jpg")
    page.keys("n")
    shows(page, "q03.jpg")
    page.keys("u")
    shows(page, "q04.jpg")
    page.keys("j")
    shows(page, "q05.jpg")
    who = {"who": "ann"}
    written = lines_of(page, case, 5)
    assert [told(line) for line in written] == [
        {"action": "confirm", "photo": "q00.jpg", "to": "Ada"} | who,
        {"action": "confirm", "photo": "q01.jpg", "to": "Cleo"} | who,
        {"action": "new", "photo": "q02.jpg", "to": "new_0002"} | who,  # new_0001 is proposed
        {"action": "unsure", "photo": "q03.jpg"} | who,
        {"action": "unusable", "photo": "q04.jpg"} | who,
    ]
    assert written[0]["answer"]["run"] == case.run
    assert written[0]["answer"]["answers"][0] == {"identity": "Ada", "probability": 0.95}
    page.wait(f"{PROGRESS} === '5 of 13'")
    reloaded(page)
    assert page.run(f"return {PROGRESS}") == "5 of 13"
    verdicts = {"q00.jpg": "confirmed as Ada", "q02.jpg": "new individual new_0002", "q03.jpg": "unsure"}
    for image, verdict in verdicts.items():
        goes_to(page, image)
        page.wait(f"{STANDS}.startsWith({json.dumps(verdict + ' by ann')})")
    assert page.text("#list [data-index='4'] .verdict") == "not usable"


def test_buttons_confirm_the_candidate_that_is_shown_and_z_undoes_it(page: Browser, case: Case) -> None:
    page.keys("Down", "Down")  # past the new individual
    page.wait("document.querySelector('#confirm').textContent === 'Confirm Bo'")
    page.click("#confirm")
    shows(page, "q01.jpg")
    page.keys("z")
    shows(page, "q00.jpg")  # back to it
    confirmed, undone = lines_of(page, case, 2)
    assert told(confirmed) == {"action": "confirm", "photo": "q00.jpg", "to": "Bo", "who": "ann"}
    assert told(undone) == {"action": "undo", "of": confirmed["id"], "who": "ann"}
    page.wait(f"{STANDS}.startsWith('Undecided')")
    reloaded(page)
    page.wait(f"{STANDS}.startsWith('Undecided')")
    assert page.run(f"return {PROGRESS}") == "0 of 13"
    page.keys("z")
    page.wait(f"{TOAST}.includes('no decision of ann is left to undo')")
    page.complaints()  # the browser has logged the refusal


def test_any_individual_is_searched_and_confirmed(page: Browser, case: Case) -> None:
    page.keys("/")
    page.keys(*"fin")
    page.wait("document.querySelectorAll('#names li').length === 1")
    page.keys("Enter")
    page.wait("document.querySelector('#candidate .name').textContent === 'Finn'")
    assert page.text("#answers li:last-child button").startswith("Finn")
    page.keys("Enter")
    shows(page, "q01.jpg")
    assert told(lines_of(page, case, 1)[0]) == {"action": "confirm", "photo": "q00.jpg", "to": "Finn", "who": "ann"}


def test_all_photos_of_a_candidate_and_of_the_encounter(page: Browser) -> None:
    page.wait("document.querySelectorAll('#candidate .strip button').length === 3")
    about = "document.querySelector('#candidate .about').textContent"
    assert page.run(f"return {about}") == "g00.jpg · 2024-05-01 10:00 · left · encounter E4 · blue whale"
    others = page.run("return [...document.querySelectorAll('#candidate .strip button')].map((one) => one.title)")
    assert [title.split("\n")[0] for title in others] == ["g06.jpg", "g12.jpg", "g00.jpg"]  # the latest first
    page.keys(".")
    page.wait(f"{about}.startsWith('g06.jpg')")
    page.keys(",")
    page.wait(f"{about}.startsWith('g00.jpg')")
    titles = page.run("return [...document.querySelectorAll('#asked .strip button')].map((one) => one.title)")
    assert [title.split("\n")[:2] for title in titles] == [[f"q0{n}.jpg", "undecided"] for n in range(3)]
    page.click("#asked .strip button:last-child")
    shows(page, "q02.jpg")


def test_the_picture_is_cut_from_the_original(page: Browser) -> None:
    page.wait("!document.querySelector('#asked .stage').hasAttribute('aria-busy')")
    sizes = "return ['#asked', '#candidate'].map((one) => document.querySelector(one + ' .layer img').naturalWidth)"
    page.wait("!document.querySelector('#candidate .stage').hasAttribute('aria-busy')")
    assert page.run(sizes) == [288, 288]  # 240 px of the box and its border; the stored crop has 144
    page.keys("w")
    page.wait("document.querySelector('#asked .layer img').naturalWidth === 360")
    page.keys("w")
    page.wait("document.querySelector('#asked .layer img').naturalWidth === 288")


def test_both_are_enlarged_and_moved_in_step_and_one_is_mirrored(page: Browser) -> None:
    layers = "return [...document.querySelectorAll('#pair .layer')].map((one) => one.style.transform)"
    page.keys("+", "+")
    left, right = page.run(layers)
    assert left == right
    assert "scale(1.96)" in left
    x, y = page.run(
        "const { x, y, width, height } = document.querySelector('#candidate .stage').getBoundingClientRect();"
        "return [x + width / 2, y + height / 2]"
    )
    page.drag((x, y), (x + 40, y - 20))
    moved = page.run(layers)
    assert moved[0] == moved[1] != left
    assert moved[0].startswith("translate(40px, -20px)")
    page.keys("0")
    assert page.run(layers) == ["translate(0px, 0px) scale(1)"] * 2
    mirrored = f"return {PICTURES}.map((one) => one.style.transform)"
    page.keys("f")
    assert ["scaleX(-1)" in one for one in page.run(mirrored)] == [True, False]
    page.keys("Shift+F")
    assert ["scaleX(-1)" in one for one in page.run(mirrored)] == [True, True]
    page.click("#asked .light summary")
    page.run("const one = document.querySelector('#asked [aria-label=brightness]'); one.value = 1.5;"
             "one.dispatchEvent(new Event('input'))")  # fmt: skip
    light = page.run(
        "return [...document.querySelectorAll('#pair .layer img:first-child')].map((one) => one.style.filter)"
    )
    assert light == ["brightness(1.5) contrast(1)", "brightness(1) contrast(1)"]


def test_what_matched_is_shown_on_a_key(page: Browser) -> None:
    page.wait("!document.querySelector('#candidate .stage').hasAttribute('aria-busy')")
    page.keys("m")
    page.wait("document.querySelectorAll('#lines circle').length === 4")
    assert page.run("return document.querySelectorAll('#lines line').length") == 2
    # The first point lies at a quarter of the crop's width, and half of its height.
    place = page.run(
        "const image = document.querySelector('#asked .layer img').getBoundingClientRect(),"
        " dot = document.querySelector('#lines circle').getBoundingClientRect();"
        "return [(dot.x + dot.width / 2 - image.x) / image.width, (dot.y + dot.height / 2 - image.y) / image.height]"
    )
    assert place == pytest.approx([0.25, 0.5], abs=0.01)
    page.keys("m")
    page.wait("!document.querySelector('#lines line')")
    page.keys("h")
    page.wait(
        "!document.querySelector('#asked .heat').hidden && !document.querySelector('#candidate .heat').hidden",
        seconds=60,
    )
    page.keys("h")
    page.wait("document.querySelector('#asked .heat').hidden")


def test_a_box_is_drawn_by_mouse_and_by_keys(page: Browser, case: Case) -> None:
    page.keys("b")
    page.wait(
        "!document.querySelector('.box').hidden && document.querySelector('#asked .layer img').naturalWidth === 360"
    )
    x, y, width, height = page.run(
        "const { x, y, width, height } = document.querySelector('#asked .layer img').getBoundingClientRect();"
        "return [x, y, width, height]"
    )
    page.drag((x + 0.5 * width, y + 0.5 * height), (x + 0.75 * width, y + 0.9 * height))
    page.keys("Enter")
    line = lines_of(page, case, 1)[0]
    assert told(line) | {"box": None} == {"action": "box", "photo": "q00.jpg", "who": "ann", "box": None}
    assert line["box"] == pytest.approx([180, 120, 270, 216], abs=2)
    page.wait(f"{TOAST}.includes('The next run of the pipeline uses it')")
    # 90 px and a border of 9 px on each side, here and after a reload
    page.wait("Math.abs(document.querySelector('#asked .layer img').naturalWidth - 108) <= 3")
    reloaded(page)
    page.wait("Math.abs(document.querySelector('#asked .layer img').naturalWidth - 108) <= 3")
    page.keys("b")
    page.wait("!document.querySelector('.box').hidden")
    page.keys("Right", "Shift+Down", "Enter")
    moved = np.array(lines_of(page, case, 2)[1]["box"]) - line["box"]
    assert moved == pytest.approx([3.6, 0, 3.6, 2.4], abs=0.2)
    page.keys("b", "Escape")
    page.wait("document.querySelector('.box').hidden")
    assert len(lines(case)) == 2


def listed(browser: Browser) -> list[str]:
    return browser.run("""
      const list = document.querySelector('#list'), names = new Map();
      for (let top = 0; top <= list.scrollHeight; top += 200) {
        list.scrollTop = top;
        await new Promise((drawn) => setTimeout(drawn, 40));
        const rows = list.querySelectorAll('.row');
        for (const row of rows) names.set(+row.dataset.index, row.querySelector('b').textContent);
      }
      return [...names.keys()].sort((a, b) => a - b).map((index) => names.get(index))""")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("search", "q1", ["q10.jpg", "q11.jpg"]),
        ("search", "BO", ["q01.jpg", "q07.jpg"]),
        ("encounter", "E1", ["q03.jpg", "q04.jpg", "q05.jpg"]),
        ("viewpoint", "right", ASKED[1::2]),
        ("species", "blue whale", [*ASKED[::2], NASTY]),
        ("min", "80", ASKED[:4]),
        ("max", "45", ["q10.jpg", "q11.jpg", NASTY]),
        ("order", "unsure", [NASTY, *ASKED[::-1]]),
        ("status", "undecided", [*ASKED[1:], NASTY]),
        ("status", "confirmed", ["q00.jpg"]),
    ],
)
def test_filters(page: Browser, name: str, value: str, expected: list[str]) -> None:
    page.keys("1")
    shows(page, "q01.jpg")
    page.run(
        "document.querySelector('#filters details').open = true;"
        "const field = document.querySelector('#filters').elements[arguments[0]];"
        "field.value = arguments[1]; field.dispatchEvent(new Event('input', { bubbles: true }))",
        name, value,
    )  # fmt: skip
    assert listed(page) == expected
    left = len(set(expected) - {"q00.jpg"})
    assert page.text("#count") == f"{len(expected)} of 13 photos listed, {left} undecided"
    reloaded(page)
    assert listed(page) == expected  # it stands in the address


def test_two_tabs_and_two_reviewers_see_each_other(page: Browser, address: str, case: Case) -> None:
    first = page.tabs()[0]
    second = page.tab()
    try:
        opened(page, address)
        page.write("#who", "ben")
        page.keys("Enter")
        page.click("#asked .stage")
        page.keys("2", "1")
        shows(page, "q02.jpg")
        page.tab(first)
        page.wait(f"{PROGRESS} === '2 of 13'")
        page.wait(f"{STANDS}.startsWith('new individual new_0002 by ben')")
        page.keys("1")  # the second decision on the same photo stands; both are in the log
        page.wait(f"{ACTED} === 'q02.jpg'")
        goes_to(page, "q00.jpg")
        page.wait(f"{STANDS}.startsWith('confirmed as Ada by')")
        assert page.run(f"return {STANDS}").endswith("also looked at by ben")
        page.tab(second)
        page.wait("document.querySelector('#list [data-index=\"0\"] .verdict').textContent === 'Ada'")
        page.keys("z")  # ben's last decision, not the last one
        page.wait(f"{ACTED} === 'q01.jpg'")
    finally:
        page.tab(second)
        page.close_tab()
        page.tab(first)
    assert [(line["action"], line["who"], line.get("photo", "")) for line in lines(case)] == [
        ("new", "ben", "q00.jpg"), ("confirm", "ben", "q01.jpg"), ("confirm", "ann", "q00.jpg"), ("undo", "ben", ""),
    ]  # fmt: skip


def test_a_proposed_group_is_confirmed_at_once(page: Browser, case: Case) -> None:
    page.keys("p")
    page.wait("document.querySelectorAll('#groups .tile').length === 3")
    page.click("#groups .tile:nth-child(2) input")
    page.write("#groups footer input", "Gus")
    page.click("#groups footer button")
    line = lines_of(page, case, 1)[0]
    assert told(line) == {"action": "new", "photos": ["q09.jpg", "q11.jpg"], "to": "Gus", "who": "ann"}
    page.wait("document.querySelectorAll('#groups .tile').length === 1")
    page.wait(f"{PROGRESS} === '2 of 13'")
    reloaded(page)
    page.wait("document.querySelectorAll('#groups .tile').length === 1")  # the view stands in the address
    page.keys("z")
    page.wait(
        "document.querySelector('#photos').hidden === false || document.querySelectorAll('#groups .tile').length === 3"
    )
    page.wait(f"{PROGRESS} === '0 of 13'")


SELECTED = "document.querySelector('#selection:not([hidden]) b')?.textContent"
STRIP = "#asked .strip [data-image='{}']"


def test_an_encounter_is_decided_at_once_and_undone_at_once(page: Browser, case: Case) -> None:
    page.keys("e")
    page.wait(f"{SELECTED} === '3 photos selected'")
    page.wait("document.querySelector('#confirm').textContent === 'Confirm Ada for 3 photos'")
    page.click(STRIP.format("q02.jpg"))
    page.wait(f"{SELECTED} === '2 photos selected'")
    page.keys("1")
    shows(page, "q02.jpg")
    who = {"who": "ann"}
    written = lines_of(page, case, 2)
    assert [told(line) for line in written] == [
        {"action": "confirm", "photo": "q00.jpg", "to": "Ada"} | who,
        {"action": "confirm", "photo": "q01.jpg", "to": "Ada"} | who,
    ]
    assert [line["answer"]["answers"][0]["identity"] for line in written] == ["Ada", "Bo"]  # what each was answered
    page.keys("z")
    page.wait(f"{TOAST} === 'Undone: confirm of 2 photos'")
    page.wait(f"{PROGRESS} === '0 of 13'")
    assert [line.get("of") for line in lines_of(page, case, 4)[2:]] == [written[1]["id"], written[0]["id"]]
    goes_to(page, "q00.jpg")
    page.keys("e", "j")
    shows(page, "q03.jpg")
    page.keys("e")
    page.wait(f"{SELECTED} === '3 photos selected'")
    page.keys("n")
    shows(page, "q06.jpg")
    assert [told(line) for line in lines_of(page, case, 8)[4:]] == [
        *({"action": "unusable", "photo": f"q0{n}.jpg"} | who for n in range(3)),
        {"action": "new", "photos": ["q03.jpg", "q04.jpg", "q05.jpg"], "to": "new_0002"} | who,
    ]
    reloaded(page)
    page.wait(f"{PROGRESS} === '6 of 13'")
    goes_to(page, "q02.jpg")
    page.wait(f"{STANDS}.startsWith('not usable by ann')")
    goes_to(page, "q05.jpg")
    page.wait(f"{STANDS}.startsWith('new individual new_0002 by ann')")


def test_photos_of_the_list_and_of_the_catalogue_are_selected_by_a_click(page: Browser, case: Case) -> None:
    """A catalogue photo among them is relabelled; going on to another photo selects none."""
    goes_to(page, NASTY)
    page.keys("e")
    page.wait(f"{SELECTED} === '1 photo selected'")
    page.click("#list [data-index='0']")
    page.click(STRIP.format("g00.jpg"))
    page.wait(f"{SELECTED} === '3 photos selected'")
    page.wait("document.querySelector('#list [data-index=\"0\"]').classList.contains('picked')")
    page.keys("u")
    page.wait(f"{TOAST} === 'g00.jpg is a catalogue photo: only photos to identify can be unsure.'")
    page.keys("1")
    written = lines_of(page, case, 3)
    to = written[0]["to"]
    assert [(line["action"], line["photo"], line["to"]) for line in written] == [
        ("confirm", NASTY, to), ("confirm", "q00.jpg", to), ("relabel", "g00.jpg", to),
    ]  # fmt: skip
    page.wait(f"{SELECTED} === undefined")
    shows(page, "q01.jpg")
    page.keys("e", "Right")  # to another one that is selected
    shows(page, "q02.jpg")
    page.wait(f"{SELECTED} === '2 photos selected'")
    goes_to(page, "q09.jpg")
    page.wait(f"{SELECTED} === undefined")
    page.keys("e")
    page.wait(f"{SELECTED} !== undefined")
    page.keys("Escape")
    page.wait(f"{SELECTED} === undefined")
    reloaded(page)
    page.wait(f"{PROGRESS} === '2 of 13'")


def test_a_catalogue_photo_is_not_used_any_more(page: Browser, case: Case) -> None:
    page.keys("c")
    assert catalogue(page)["Ada"] == "3 photos, 3 encounters"
    opens_individual(page, "Ada")
    page.click("#individual [aria-label='choose g00.jpg']")
    page.click("#drop")
    page.wait("document.querySelectorAll('#individual .tile').length === 2")
    assert told(lines_of(page, case, 1)[0]) == {"action": "drop", "photo": "g00.jpg", "who": "ann"}
    page.click("#individual .tile button")  # in the dialog of one photo
    page.click("#drop-one")
    page.wait("document.querySelectorAll('#individual .tile').length === 1")
    reloaded(page)
    assert catalogue(page)["Ada"] == "1 photo, 1 encounter"
    opens_individual(page, "Bo")
    page.keys("a", "x")  # all of them, by keys
    page.wait("document.querySelector('#individual').textContent.includes('there is no individual Bo')")
    assert [line["action"] for line in lines_of(page, case, 5)] == ["drop"] * 5
    page.keys("z")
    page.wait("document.querySelector('#individuals').textContent === '6 individuals'")
    page.complaints()  # the browser has logged that Bo was not found


def catalogue(browser: Browser) -> dict[str, str]:
    """The rows of the catalogue: the individual's name and its numbers."""
    browser.wait("document.querySelectorAll('#rows .row b').length")
    rows = """return [...document.querySelectorAll('#rows .row')].map((one) => [one.querySelector('b').textContent,
      [...one.querySelectorAll('.verdict div')].map((line) => line.textContent).join(', ')])"""
    return dict(browser.run(rows))


def opens_individual(browser: Browser, name: str) -> None:
    rows = "[...document.querySelectorAll('#rows .row')]"
    browser.run(f"{rows}.find((one) => one.querySelector('b').textContent === arguments[0]).click()", name)
    browser.wait(f"document.querySelector('#individual h2')?.textContent === {json.dumps(name)}")


def answers(browser: Browser, text: str, search: bool = False) -> None:
    """Fill the dialog that asks for a name."""
    browser.wait("document.querySelector('#ask').open")
    browser.write("#ask input", text)
    if search:
        browser.wait(f"document.querySelector('#ask li b')?.textContent === {json.dumps(text)}")
        browser.keys("Enter")
    browser.keys("Enter")
    browser.wait("!document.querySelector('#ask').open")


def test_the_catalogue_is_mended(page: Browser, case: Case) -> None:
    page.keys("1")  # q00 is Ada's now
    shows(page, "q01.jpg")
    page.keys("c")
    assert catalogue(page)["Ada"] == "4 photos, 4 encounters"
    assert catalogue(page)["Bo"] == "3 photos, 3 encounters"
    assert "2024-05-01 to 2024-05-07" in page.run("return document.querySelector('#rows small').textContent")
    opens_individual(page, "Ada")
    page.click("#rename")
    answers(page, "Adele")
    page.wait("document.querySelector('#individual h2').textContent === 'Adele'")
    page.click("#merge")
    answers(page, "Bo", search=True)
    page.wait("document.querySelector('#individual h2').textContent === 'Bo'")
    page.wait("document.querySelectorAll('#individual .tile').length === 7")
    page.click("#individual [aria-label='choose g00.jpg']")
    page.click("#individual [aria-label='choose q00.jpg']")
    page.click("#split")
    answers(page, "Hal")
    page.wait("document.querySelector('#individual h2').textContent === 'Hal'")
    page.wait("document.querySelectorAll('#individual .tile').length === 2")
    page.click("#individual [aria-label='choose g00.jpg']")
    page.click("#move")
    answers(page, "Dot", search=True)
    written = lines_of(page, case, 5)
    assert [told(line) for line in written[1:]] == [
        {"action": "rename", "individual": "Ada", "to": "Adele", "who": "ann"},
        {"action": "merge", "individual": "Adele", "to": "Bo", "who": "ann"},
        {"action": "split", "individual": "Bo", "photos": ["g00.jpg", "q00.jpg"], "to": "Hal", "who": "ann"},
        {"action": "relabel", "photo": "g00.jpg", "to": "Dot", "who": "ann"},
    ]
    reloaded(page)
    mended = catalogue(page)
    assert mended == {
        "Bo": "5 photos, 3 encounters", "Cleo": "3 photos, 3 encounters", "Dot": "4 photos, 4 encounters",
        "Eve": "3 photos, 3 encounters", "Finn": "3 photos, 3 encounters", "Hal": "1 photo, 1 encounter",
    }  # fmt: skip
    page.keys("Escape")
    goes_to(page, "q06.jpg")
    assert page.text("#answers li:first-child b") == "Bo"  # it was answered Ada


def test_a_name_that_is_taken_is_refused(page: Browser, case: Case) -> None:
    page.keys("c")
    catalogue(page)
    opens_individual(page, "Ada")
    page.click("#rename")
    answers(page, "Bo")
    page.wait(f"{TOAST} === 'Bo is the name of another individual'")
    assert lines(case) == []
    page.complaints()  # the browser has logged the refusal


def test_grades_by_keys_and_by_click(page: Browser, case: Case) -> None:
    page.keys("d", "3")
    lines_of(page, case, 1)
    page.click("#decide [data-grade=quality] input[value='2']")
    graded = [told(line) for line in lines_of(page, case, 2)]
    common = {"action": "grade", "photo": "q00.jpg", "who": "ann"}
    assert graded == [common | {"distinctiveness": 3}, common | {"distinctiveness": 3, "quality": 2}]
    reloaded(page)
    checked = "return [...document.querySelectorAll('#decide input:checked')].map((one) => one.name + one.value)"
    assert page.run(checked) == ["distinctiveness3", "quality2"]
    assert page.run(f"return {PROGRESS}") == "0 of 13"  # a grade decides nothing


def test_a_photo_that_is_gone_or_changed(page: Browser, case: Case) -> None:
    gone, changed = case.photos["q03.jpg"].path, case.photos["q04.jpg"].path
    before = {path: path.read_bytes() for path in (gone, changed)}
    try:
        gone.unlink()
        changed.write_bytes(before[changed] + b"0")
        note = "document.querySelector('#asked .note').textContent"
        goes_to(page, "q03.jpg")
        page.wait(f"{note} === {json.dumps(f'The original is gone. This is the stored crop: {gone}')}")
        assert page.run("return document.querySelector('#asked .layer img').naturalWidth") == 144
        goes_to(page, "q04.jpg")
        page.wait(f"{note}.startsWith('The original has changed since it was read.')")
        page.keys("1")
        assert told(lines_of(page, case, 1)[0])["photo"] == "q04.jpg"
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def test_a_nasty_name_is_text(page: Browser, case: Case) -> None:
    goes_to(page, NASTY)
    assert page.run("return document.querySelectorAll('#asked figcaption b').length") == 1
    page.keys("1")
    assert told(lines_of(page, case, 1)[0])["photo"] == NASTY


def test_the_pages_work_by_keyboard_and_bear_names(page: Browser) -> None:
    unnamed = """
      const named = (one) => one.getAttribute('aria-label') || one.getAttribute('aria-labelledby') || one.labels?.length
        || (one.matches('button, summary') && (one.textContent.trim() || one.querySelector('img[alt]')?.alt));
      const all = 'button, input, select, summary, [role=listbox], [role=toolbar], [role=group], dialog, section';
      return [...document.querySelectorAll(all)]
        .filter((one) => !named(one)).map((one) => one.outerHTML.slice(0, 80))"""
    for key in ("p", "c", "Escape"):
        assert page.run(unnamed) == []
        page.keys(key)
    pictures = "return [...document.querySelectorAll('img:not([alt])')].length"
    assert page.run(pictures) == 0
    page.keys("?")
    page.wait("document.querySelector('#keys').open")
    assert page.run("return document.querySelectorAll('#keys dt').length") > 15
    page.keys("1")  # decides nothing while a dialog is open
    page.keys("Escape")
    page.wait("!document.querySelector('#keys').open")
    shows(page, "q00.jpg")
    page.keys("Right")
    shows(page, "q01.jpg")
    page.keys("Left")
    shows(page, "q00.jpg")
    reached = set()
    for _ in range(60):
        page.keys("Tab")
        reached.add(
            page.run(
                "return document.activeElement.id || document.activeElement.name || document.activeElement.className"
            )
        )
    assert {"who", "search", "list", "confirm", "find", "distinctiveness", "quality"} <= reached


def test_a_phone_and_the_dark(page: Browser, address: str) -> None:
    page.command("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
    try:
        opened(page, address)
        for view in ("photos", "proposed", "catalogue"):
            page.click(f"[data-view={view}]")
            wide = page.run("return document.documentElement.scrollWidth")
            assert wide <= 390, view
        page.click("[data-view=photos]")
        page.click("#queue-toggle")
        page.wait("document.querySelectorAll('#list .row').length")
        page.click("#queue-toggle")
        page.click("#buttons button:nth-child(3)")
        page.wait(f"{PROGRESS} === '1 of 13'")
    finally:
        page.command("Emulation.clearDeviceMetricsOverride")
    ground = "return getComputedStyle(document.body).backgroundColor"
    before = page.run(ground)
    page.click("#theme")
    after = page.run(ground)
    assert after != before
    reloaded(page)
    assert page.run(ground) == after


def test_a_decision_made_while_the_server_is_down_is_not_lost(
    browser: Browser, tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    case.log.unlink(missing_ok=True)
    alarm = "document.querySelector('#alarm').textContent"
    with served(case) as address:
        opened(browser, address)
        port = int(address.split(":")[2].split("/")[0])
    browser.keys("1")
    browser.wait(f"{alarm}.startsWith('The server does not answer')")
    assert lines(case) == []
    browser.open("about:blank")  # the page is closed in mid-decision
    with served(case, port) as again:
        assert again == address  # the same token, so that open pages go on
        opened(browser, address)
        assert [told(line)["photo"] for line in lines_of(browser, case, 1)] == ["q00.jpg"]
        browser.wait(f"{PROGRESS} === '1 of 13'")
        time.sleep(0.2)
        assert len(lines(case)) == 1
    browser.complaints()
