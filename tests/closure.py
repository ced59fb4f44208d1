"""The import closure of a stage's script inside the package, read from the source: DVC does not follow imports."""

import ast
from pathlib import Path


def modules(script: Path, src: Path) -> set[str]:
    """Paths, from the parent of `src`, of all the package's modules that `script` imports, directly or through others.

    A module's page templates and the like (same name, another suffix) count as well.
    """
    found: set[Path] = set()
    todo = [script]
    while todo:
        for name in _imported(todo.pop(), src):
            if name not in found:
                found.add(name)
                todo.append(name)
    beside = {other for path in found for other in path.parent.glob(f"{path.stem}.*") if other.suffix != ".pyc"}
    return {path.relative_to(src.parent).as_posix() for path in found | beside}


def _imported(script: Path, src: Path) -> set[Path]:
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
