"""The way data flows is the way imports flow, and a foreign library is touched in one place."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In the direction of the arrows: a package imports itself and what stands before it.
ORDER = ("swin2mcu.common", "pytorch_side", "tinyml", "host_tools", "swin2mcu")
# Foreign library, or its part → the one file that imports it.
BORDERS = {
    "ai_edge_litert.interpreter": "tinyml/runtimes/litert.py",
    "ai_edge_litert.schema_py_generated": "tinyml/format/writer.py",
    "flatbuffers": "tinyml/format/writer.py",
    "onnxruntime": "tinyml/runtimes/onnx.py",
    "tflite_micro": "tinyml/runtimes/tflite_micro.py",
    "timm": "pytorch_side/nets/models.py",
    "safetensors": "pytorch_side/nets/weights.py",
    "huggingface_hub": "pytorch_side/nets/hub.py",
    "accelerate": "pytorch_side/train.py",
    "cryptography": "host_tools/phone/tls.py",
    "onnx2tf": "tinyml/convert/__main__.py",
    "platformio": "host_tools/boards/build.py",
    "serial": "host_tools/link/line.py",
    "segno": "host_tools/bench_phone.py",
    "filelock": "swin2mcu/common/lock.py",
}
# What the root of a package may hold: the packages and commands that a newcomer sees first.
ENTRIES_MAX = {"pytorch_side": 17, "tinyml": 8}


def package_of(module: str) -> str | None:
    """The member of ORDER that a module belongs to; None for a foreign one."""
    found = [name for name in ORDER if module == name or module.startswith(name + ".")]
    return max(found, key=len) if found else None


def module_of(path: Path) -> str:
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


def imported_modules(path: Path) -> set[str]:
    """Every module a file imports, anywhere in it, with `from a import b` as both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: write imports from the top"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources() -> list[Path]:
    tops = sorted({name.split(".")[0] for name in ORDER})
    files = [f for top in tops for f in sorted((ROOT / top).rglob("*.py"))]
    assert len(files) > 100
    return [f for f in files if "node_modules" not in f.parts]


def test_imports_follow_the_arrows() -> None:
    wrong = []
    for path in sources():
        own = package_of(module_of(path))
        assert own
        for module in imported_modules(path):
            other = package_of(module)
            if other and ORDER.index(other) > ORDER.index(own) and module != "swin2mcu":
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_no_two_files_import_each_other_in_a_circle() -> None:
    modules = {module_of(path): path for path in sources()}
    imports = {
        name: {m for m in imported_modules(path) if m in modules and m != name}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above[above.index(name) :], name))
        if name not in done:
            for other in sorted(imports[name]):
                visit(other, (*above, name))
            done.add(name)

    for name in imports:
        visit(name, ())


def test_common_imports_nothing_heavy() -> None:
    for path in (ROOT / "swin2mcu" / "common").rglob("*.py"):
        tops = {m.split(".")[0] for m in imported_modules(path)}
        assert not tops & {"torch", "tensorflow", "timm"}, path


def test_a_foreign_library_is_touched_in_one_place() -> None:
    wrong = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        imported = imported_modules(path)
        for foreign, only in BORDERS.items():
            there = any(m == foreign or m.startswith(foreign + ".") for m in imported)
            wrong += [f"{name} imports {foreign}"] if there and name != only else []
    assert not wrong, "\n".join(wrong)


def test_what_a_command_starts_ends_with_it() -> None:
    """Workers that wait for work, and programs that run on, would outlive a command that is killed.

    An emulated board is meant to: `flash.py --stop` ends it.
    """
    apart = {"swin2mcu/common/bound.py", "host_tools/boards/emulator.py"}
    pools, wrong = 0, []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            function = node.func if isinstance(node, ast.Call) else None
            called = getattr(function, "attr", getattr(function, "id", ""))
            if called == "Popen" and name not in apart:
                wrong.append(f"{name}:{node.lineno}: use swin2mcu.common.bound")
            if called == "ProcessPoolExecutor":
                pools += 1
                if "end_with_parent" not in path.read_text(encoding="utf-8"):
                    wrong.append(f"{name}:{node.lineno}: its workers do not end_with_parent")
        if any(m.startswith("multiprocessing.pool") for m in imported_modules(path)):
            wrong.append(f"{name}: use ProcessPoolExecutor")
    assert pools >= 2
    assert not wrong, "\n".join(wrong)


def test_everything_is_printed_by_consoles_that_take_text_as_it_is() -> None:
    """Rich's own consoles, and the one that its progress bars make, would obey `[x]` in a path."""
    bars, wrong = 0, []
    for path in sources():
        if path.name == "cli.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            called = name.rpartition(".")[2] if name.startswith("rich.") else name
            bar = called in ("Progress", "track")
            bars += bar
            own = called == "Console" or name == "rich.print"
            if own or (bar and "console" not in {k.arg for k in node.keywords}):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert bars > 10
    assert not wrong, "\n".join(wrong)


def test_a_newcomer_sees_few_entries_at_the_top() -> None:
    for package, most in ENTRIES_MAX.items():
        entries = [e.name for e in (ROOT / package).iterdir() if e.name != "__pycache__"]
        assert len(entries) <= most, sorted(entries)
