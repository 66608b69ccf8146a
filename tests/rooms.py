"""Which room imports which: `make rooms`.

A room is a folder of the code; each file that lies directly in python/ltu is one, too. Data walks one way,
and so do imports: a room uses rooms of the rows above its own in ORDER. Any other import fails, and so does
every circle.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {"ltu": "python/ltu", "ltu.convert": "convert", "ltu.training": "training"}  # as in pyproject.toml

ORDER = """
cpp/support
cpp/kernels
cpp/device
cpp/file
cpp/tree
cpp/answer
cpp/compute
cpp/cuda
cpp/engine
cpp/bindings cpp/tests

ltu.errors ltu.version ltu._engine
ltu.checks ltu.text_files
ltu.sampling
ltu.defaults ltu.files ltu.show
ltu.database
ltu.front_end ltu.readings
ltu.audio
ltu.prompt
ltu.query
ltu.convert ltu.owner
ltu.embeddings ltu.submit ltu.demo_model ltu.hub
ltu.stream
ltu.model
ltu
ltu.demo
ltu.serve

ltu.shard
ltu.shard.spec
ltu.shard.run
ltu.shard.score ltu.shard.harness
ltu.shard.report

ltu.training.model
ltu.hf
ltu.training
ltu.training.items
ltu.training.run ltu.training.reformulate
ltu.training.demo

ltu.cli
ltu.cli.shard
ltu.training.study
ltu.__main__
"""


def rooms_of(order: str) -> dict[str, int]:
    """Each room's row."""
    return {room: row for row, line in enumerate(order.splitlines()) for room in line.split()}


def arrows(root: Path) -> dict[tuple[str, str], list[str]]:
    """(room, room that it uses) → the places (file:line) that say so, whole tree below `root`."""
    found: dict[tuple[str, str], list[str]] = {}
    for place, room, used in [*python_imports(root), *cpp_includes(root)]:
        if room != used:
            found.setdefault((room, used), []).append(place)
    return found


def cpp_includes(root: Path) -> Iterator[tuple[str, str, str]]:
    """(file:line, room, used room) of every `#include "room/file"`."""
    for file in sorted([*(root / "cpp").rglob("*.h"), *(root / "cpp").rglob("*.cpp")]):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if match := re.match(r'#include "(\w+)/', line):
                used = f"cpp/{match[1]}"
                if (root / used).is_dir():
                    path = file.relative_to(root)
                    yield f"{path}:{number}", f"cpp/{path.parts[1]}", used


def python_imports(root: Path) -> Iterator[tuple[str, str, str]]:
    """The same of Python, inside functions, too; what only a type checker imports is left out."""
    modules = dict(_modules(root))
    for module, file in modules.items():
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for node in _at_run_time(ast.parse(file.read_text())):
            for name in _imported(node, package):
                used = name if name in modules or name == "ltu._engine" else name.rpartition(".")[0]
                if used in modules or used == "ltu._engine":
                    place = f"{file.relative_to(root)}:{node.lineno}"
                    yield place, _room(module, modules), _room(used, modules)


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for file in sorted((root / folder).rglob("*.py")):
            parts = file.relative_to(root / folder).with_suffix("").parts
            yield ".".join((package, *parts)).removesuffix(".__init__"), file


def _room(module: str, modules: dict[str, Path]) -> str:
    """The folder that a module lies in; the module itself where that is python/ltu."""
    if module not in modules or modules[module].name == "__init__.py":
        return module
    package = module.rpartition(".")[0]
    return module if package == "ltu" else package


def _at_run_time(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node
    elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for other in node.orelse:
            yield from _at_run_time(other)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _at_run_time(child)


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> list[str]:
    """Full names, of which the last part may be a module or what it holds."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, base]).removesuffix(".")
    return [f"{base}.{alias.name}" for alias in node.names]


def violations(found: dict[tuple[str, str], list[str]], order: str) -> list[str]:
    """One line for each import against the order, and for each room that the order does not name."""
    rows = rooms_of(order)
    absent = sorted({room for arrow in found for room in arrow} - set(rows))
    return [f"{room}: the order in tests/rooms.py does not name this room" for room in absent] + [
        f"{place}: {room} imports {used}, which stands {'beside' if rows[room] == rows[used] else 'below'} it"
        for (room, used), places in sorted(found.items())
        if room in rows and used in rows and rows[room] <= rows[used]
        for place in places
    ]


def main() -> None:
    """Prints each room with the rooms that it uses; exit code 1 and the imports that may not be."""
    found, rows = arrows(ROOT), rooms_of(ORDER)
    for room in rows:
        used = sorted((used for user, used in found if user == room), key=lambda name: rows.get(name, -1))
        if used or any(room == used for _, used in found):
            print(f"{room:24} {' '.join(used)}".rstrip())
    wrong = violations(found, ORDER)
    print(*wrong, sep="\n", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
