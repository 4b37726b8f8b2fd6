"""The architecture: imports point one way, and what is light stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {
    "probes": set(),
    "tasks": set(),
    "solvers": {"tasks"},
    "models": {"tasks"},
    "training": {"tasks", "models"},
    "matching": {"tasks", "solvers", "models", "training", "probes"},
    "attribution": {"tasks", "models", "training", "matching", "probes"},
    "report": {"tasks", "solvers", "models", "training", "matching", "attribution", "probes"},
    "reproduce": {"tasks", "solvers", "models", "training", "matching", "attribution", "report", "probes"},
    "sweeps": {"tasks", "models", "training", "matching", "attribution", "report", "probes"},
    "bench": {"tasks", "solvers", "models", "training", "matching", "attribution", "report", "probes"},
    "commands": {
        "tasks",
        "solvers",
        "models",
        "training",
        "matching",
        "attribution",
        "report",
        "reproduce",
        "sweeps",
        "bench",
        "probes",
    },
    "cli": set(),  # finds its commands by name, so that it starts at once
}
"""The parts, and which of them each may import. Every part may import the private helpers interp/_*.py."""
HELPERS = {path.stem for path in (ROOT / "interp").glob("_*.py")} - {"__init__", "__main__"}
MODULES = sorted([*(ROOT / "interp").rglob("*.py"), *(ROOT / "probes").rglob("*.py")])


def part_of(parts: tuple[str, ...]) -> str:
    """The part that a module belongs to, from the parts of its dotted name."""
    return "probes" if parts[0] == "probes" else parts[1]


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of ours that a module imports anywhere in it, for type checkers or not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in ("interp", "probes"))


def imported_parts(path: Path) -> set[str]:
    return {part_of(tuple(name.split("."))) for name in imports_of(path)} - HELPERS - {"__version__"}


def test_every_part_is_known():
    parts = {part_of(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES}
    assert parts - HELPERS - {"__init__", "__main__"} == set(BELOW)


def test_the_parts_form_no_circle():
    placed: set[str] = set()
    while placed != set(BELOW):
        ready = {part for part, below in BELOW.items() if below <= placed} - placed
        assert ready, f"{set(BELOW) - placed} import each other"
        placed |= ready


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_parts_below_its_own(path):
    part = part_of(path.relative_to(ROOT).with_suffix("").parts)
    if part in ("__init__", "__main__"):
        return  # interp/__init__.py names everything, for type checkers; interp/__main__.py starts the command
    allowed = set() if part in HELPERS else BELOW[part] | {part}
    assert imported_parts(path) <= allowed


def test_probes_know_nothing_of_interp():
    for path in (ROOT / "probes").rglob("*.py"):
        assert not [name for name in imports_of(path) if name.startswith("interp")]


def test_modules_print_nothing():
    """What is shown goes through the command line's own output."""
    for path in MODULES:
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"], path


def test_every_module_says_what_it_is_for():
    silent = [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


@pytest.mark.parametrize(
    "statement",
    ["import interp", "import interp; dir(interp)", "import interp.cli; interp.cli.main(['--help'])"],
)
def test_what_is_light_loads_nothing_heavy(statement):
    """In a process of its own, since this one has loaded everything."""
    heavy = ["torch", "transformer_lens", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "rich", "tyro"]
    code = f"import sys; {statement}; sys.exit(' '.join(set({heavy}) & set(sys.modules)) or 0)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_name_that_interp_lacks_is_answered_with_those_it_has():
    import interp

    with pytest.raises(AttributeError) as caught:
        interp.reports  # noqa: B018
    assert str(caught.value) == f"module 'interp' has no attribute 'reports'; it has {interp.__all__}"


def test_every_package_that_users_import_is_an_attribute_of_interp():
    import interp

    packages = {path.parent.name for path in (ROOT / "interp").glob("*/__init__.py")} - {"commands"}
    assert set(interp.__all__) == {*packages, "load"}
    for name in packages:
        assert getattr(interp, name).__name__ == f"interp.{name}"
