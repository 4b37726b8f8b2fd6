"""What we show runs: the examples, and the Python of the README."""

import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest

from interp.commands import train as train_command

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TRAININGS = sorted(
    {
        command
        for page in PAGES
        for command in re.findall(r"^\$ .*?interp train (.+?)(?:\s+#.*)?$", page.read_text(), flags=re.MULTILINE)
    }
)
"""Arguments of every training that a page shows."""


@pytest.mark.slow  # they train and match: 40 seconds
@pytest.mark.usefixtures("unchecked")  # as a reader runs them
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip(), "an example shows something"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_a_title_and_cells_that_say_what_they_do(path):
    text = path.read_text()
    title, underline = text.splitlines()[1:3]
    assert re.fullmatch("=+", underline)
    assert len(underline) >= len(title)
    cells = re.split(r"^# %%\n", text, flags=re.MULTILINE)[1:]
    assert len(cells) >= 3
    assert all(cell.startswith("# ") for cell in cells)


@pytest.mark.usefixtures("unchecked")
def test_the_readmes_python_runs_block_after_block(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    namespace: dict[str, Any] = {}
    first, *others = blocks
    exec(first, namespace)
    # The README's model has three GD steps built in; the block prints a line for each layer.
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(layer, solver, step, verdict) for layer, solver, step, _, verdict in lines] == [
        (str(layer), "gd", str(layer), "supported") for layer in (1, 2, 3)
    ]
    for block in others:
        exec(block, namespace)


class WouldTrainError(Exception):
    """The arguments are good and a training would begin."""


@pytest.mark.parametrize("command", TRAININGS)
def test_every_training_that_a_page_shows_is_one_that_can_be_had(command, monkeypatch):
    def begin(*_: Any, **__: Any) -> None:
        raise WouldTrainError

    monkeypatch.setattr(train_command, "train", begin)
    monkeypatch.setattr(train_command, "train_seeds", begin)
    monkeypatch.setattr(train_command, "resolve_device", lambda name: name)  # a page may speak of a GPU
    with pytest.raises(WouldTrainError):
        train_command.run(shlex.split(command))


def test_the_pages_show_trainings():
    assert len(TRAININGS) >= 5


def test_what_the_readme_links_to_is_there():
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
