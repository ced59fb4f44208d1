"""What a script imports of the package, read from the source: DVC does not follow imports."""

import ast
from collections.abc import Iterable
from pathlib import Path


def modules(script: Path, src: Path) -> set[Path]:
    """All the package's modules that `script` imports, directly or through others."""
    seen: set[Path] = set()
    todo = [script]
    while todo:
        for path in imported(todo.pop(), src):
            if path not in seen:
                seen.add(path)
                todo.append(path)
    return seen


def rooms(paths: Iterable[Path], src: Path) -> set[str]:
    """The deps that stand for modules: a module's room, its folder in the package; of one beside the rooms its file."""
    package = src / "finprint"
    deps = set()
    for path in paths:
        inside = path.relative_to(package).parts
        deps.add(f"src/finprint/{inside[0]}")
    return deps


def imported(script: Path, src: Path) -> set[Path]:
    """The package's modules that one file imports, wherever in the file it does."""
    paths = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{script}: relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):  # a module's packages run as well
                base = src.joinpath(*parts[:end])
                paths |= {p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()}
    return paths
