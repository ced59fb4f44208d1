"""Time the review page with many photos: until it is ready, and from a key to the next photo, in a real Chromium.

python bench/review.py --photos 10000
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "tests" / "review")]

from reviewed import ASKED, GALLERY, read_case, served, write_run  # noqa: E402
from webdriver import Browser  # noqa: E402

from finprint.review.case import Case  # noqa: E402


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=10_000, help="photos to identify, and as many in the gallery")
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    assert driver is not None
    assert chromium is not None
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_run(root)
        with served(many(root, given.photos)) as address:
            browser = Browser(driver, chromium, root / "profile")
            measure(browser, address, given.steps)
            browser.close()


def many(root: Path, count: int) -> Case:
    """The small run with its photos under many names: 5 of each individual, 8 in an encounter."""
    case = read_case(root)
    own = case.stored("g00.jpg")
    asked, gallery = {}, {}
    for number in range(count):
        name, photo = f"a{number:06}.jpg", case.photos[ASKED[number % 12]]
        asked[name] = replace(photo, image=name, encounter=f"E{number // 8}", date="2024-05-01")
        photo = case.photos[list(GALLERY)[number % 18]]
        other = f"b{number:06}.jpg"
        gallery[other] = replace(photo, image=other, identity=f"I{number // 5:05}", date="2024-05-01")
    answers = {
        name: [
            replace(answer, identity=f"I{(number + by) % (count // 5):05}", match=None, probability=0.9 / (by + 1))
            for by, answer in enumerate(case.answers[ASKED[number % 9]])
        ]
        for number, name in enumerate(asked)
    }
    grown = replace(case, photos=asked | gallery, answers=answers, proposed={})
    object.__setattr__(grown, "_places", dict.fromkeys(grown.photos, own))
    return grown


def measure(browser: Browser, address: str, steps: int) -> None:
    """Time opening, stepping, deciding, filtering and the catalogue."""
    times = []
    for _ in range(3):
        browser.open("about:blank")
        browser.open(address)
        browser.wait("document.body.dataset.ready", seconds=120)
        times.append(float(browser.run("return document.body.dataset.ready")))
    print(f"ready after {statistics.median(times):.0f} ms")
    shown = "document.querySelector('#asked .name').textContent"
    for key, what in (("Right", "to the next photo"), ("1", "from a decision to the next photo")):
        times = []
        for _ in range(steps):
            before = browser.run(f"return {shown}")
            start = time.perf_counter()
            browser.keys(key)
            browser.wait(f"{shown} !== '{before}'", seconds=30)
            times.append(1000 * (time.perf_counter() - start))
        print(f"{what}: median {statistics.median(times):.0f} ms, slowest {max(times):.0f} ms")
    script = """
      const start = performance.now(), field = document.querySelector('#filters').elements.search;
      field.value = 'a0001'; field.dispatchEvent(new Event('input', { bubbles: true }));
      return performance.now() - start"""
    print(f"a filter: {browser.run(script):.0f} ms")
    start = time.perf_counter()
    browser.keys("c")
    browser.wait("document.querySelectorAll('#rows .row b').length", seconds=30)
    print(f"the catalogue: {1000 * (time.perf_counter() - start):.0f} ms")


if __name__ == "__main__":
    main()
