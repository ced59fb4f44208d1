"""The rooms of the library: arrows go down, from the floors that docs/architecture.md lists, and never in a circle."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from closure import imported

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
PACKAGE = SRC / "finprint"


def floors() -> dict[str, int]:
    """Room to floor, the topmost being 1, as docs/architecture.md has them."""
    text = (ROOT / "docs" / "architecture.md").read_text().split("## The rooms")[1].split("\n## ")[0]
    lines = re.findall(r"(?m)^(\d+)\. (.*)$", text)
    return {room: int(number) for number, line in lines for room in re.findall(r"`(\w+)`:", line)}


def room(path: Path) -> str:
    """The room of a module; one beside the rooms is a room by itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def arrows(package: Path = PACKAGE) -> Iterator[tuple[Path, Path]]:
    """(module, module that it imports), without the packages' own `__init__`, which hold no code."""
    for module in sorted(package.rglob("*.py")):
        for other in sorted(imported(module, package.parent)):
            if other != module and other.name != "__init__.py":
                yield module, other


def upward(found: list[tuple[Path, Path]], levels: dict[str, int]) -> list[str]:
    """The arrows that do not go down, as text."""
    return [
        f"{one.relative_to(PACKAGE)} imports {other.relative_to(PACKAGE)}"
        for one, other in found
        if room(one) != room(other) and levels[room(one)] >= levels[room(other)]
    ]


def test_every_room_stands_on_a_floor() -> None:
    there = {room(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert set(floors()) == there


def test_arrows_go_down() -> None:
    assert upward(list(arrows()), floors()) == []


def test_an_arrow_that_goes_up_or_across_is_seen() -> None:
    levels = {"top": 1, "left": 2, "right": 2, "base": 3}
    fine = [("top", "left"), ("left", "base"), ("left", "left")]
    wrong = [("base", "top"), ("left", "right"), ("right", "left")]
    as_paths = [(PACKAGE / a / "a.py", PACKAGE / b / "b.py") for a, b in fine + wrong]
    assert upward(as_paths, levels) == [f"{a}/a.py imports {b}/b.py" for a, b in wrong]


def test_no_circle_of_modules() -> None:
    after: dict[Path, set[Path]] = {}
    for one, other in arrows():
        after.setdefault(one, set()).add(other)
    done: set[Path] = set()

    def walk(module: Path, way: tuple[Path, ...]) -> None:
        assert module not in way, " -> ".join(path.stem for path in (*way, module))
        if module not in done:
            for other in after.get(module, ()):
                walk(other, (*way, module))
            done.add(module)

    for module in list(after):
        walk(module, ())


@pytest.mark.parametrize("package", sorted(path for path in PACKAGE.rglob("__init__.py")))
def test_packages_say_what_they_are(package: Path) -> None:
    assert package.read_text().startswith('"""')


def test_tests_mirror_the_rooms() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    tested = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.rglob("test_*.py"))}
    assert tested <= rooms
    assert rooms - tested <= {"paper"}  # its figures and templates are tested where they are filled


def test_matching_needs_no_torch() -> None:
    loaded = [
        path
        for path in (PACKAGE / "matching").rglob("*.py")
        if re.search(r"^(import|from) torch", path.read_text(), re.M)
    ]
    assert loaded == []


def test_slow_imports_are_made_in_one_place() -> None:
    """Whoever imports timm or torchvision first imports torch's compiler, too, but for base/vision.py."""
    direct = re.compile(r"(?m)^\s*(?:import|from) (?:timm|torchvision)\b")
    assert [path.name for path in sorted(PACKAGE.rglob("*.py")) if direct.search(path.read_text())] == ["vision.py"]


def _functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """(file and name, the function) of all code but the tests'."""
    for folder in ("src", "stages", "bench"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    yield f"{path.relative_to(ROOT)} {node.name}", node


def test_functions_are_short_and_take_little() -> None:
    long, wide = [], []
    for name, function in _functions():
        given = function.args
        names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        if function.end_lineno is not None and function.end_lineno - function.lineno >= 60:
            long.append(name)
        if len(names) - (names[:1] in (["self"], ["cls"])) > 6 and not name.startswith(
            "bench/"
        ):  # a bench takes options
            wide.append(name)
    assert long == []
    assert wide == []
