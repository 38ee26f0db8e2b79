"""The way data flows is the way imports flow, and a foreign library is touched in one place."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("pytorch_side", "tinyml", "host_tools")  # in the direction of the arrows
LEAVES = {"tinyml.card", "tinyml.pixels", "tinyml.cli"}
# Foreign library → the files that may import it.
BORDERS = {
    "onnx2tf": {"tinyml/convert.py"},
    "platformio": {"host_tools/boards/build.py"},
    "serial": {"host_tools/link/line.py"},
    "segno": {"host_tools/bench_phone.py"},
}


def imported_modules(path: Path) -> set[str]:
    """Every module a file imports, anywhere in it, with `from a import b` as both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(folder: str) -> list[Path]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"no Python files in {folder}"
    return [f for f in files if "node_modules" not in f.parts]


def test_imports_follow_the_arrows() -> None:
    wrong = []
    for place, folder in enumerate(FOLDERS):
        for path in sources(folder):
            for module in imported_modules(path):
                top = module.split(".")[0]
                allowed = top not in FOLDERS[place + 1 :] or any(
                    module == leaf or module.startswith(leaf + ".") for leaf in LEAVES
                )
                if not allowed and module != "tinyml":  # `from tinyml import card` names the leaf
                    wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_leaves_import_nothing_heavy() -> None:
    for leaf in LEAVES:
        modules = imported_modules(ROOT / (leaf.replace(".", "/") + ".py"))
        tops = {m.split(".")[0] for m in modules}
        assert not tops & {"torch", "tensorflow", "timm", "host_tools", "pytorch_side"}, leaf


def test_a_foreign_library_is_touched_in_one_place() -> None:
    wrong = []
    for folder in FOLDERS:
        for path in sources(folder):
            name = path.relative_to(ROOT).as_posix()
            tops = {m.split(".")[0] for m in imported_modules(path)}
            wrong += [f"{name} imports {t}" for t in tops & set(BORDERS) if name not in BORDERS[t]]
    assert not wrong, "\n".join(wrong)
