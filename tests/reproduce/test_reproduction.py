import json

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from interp.reproduce.claims import claim_range
from interp.reproduce.panels import Panel, draw_panels, joined, matrix_rows, rows
from interp.reproduce.reproduction import Reproduction

PANEL = Panel(name="loss", x="update", y="loss")


@pytest.fixture
def reproduction():
    frame = pd.DataFrame({"update": [1, 2, 1, 2], "seed": [0, 0, 1, 1], "series": "trained", "loss": [3.0, 1, 5, 1]})
    table = rows("loss", frame, x="update", y="loss")
    return Reproduction(
        name="fig",
        title="A figure",
        source="A paper",
        findings=(claim_range("fig.loss", "It falls", "loss", [1.0, 1.1], high=2.0, paper="1"),),
        table=table,
        drawing=draw_panels(table, [PANEL]),
        runs=({"recipe": {"name": "r"}, "seed": 0},),
        scale={"quick": True},
    )


def test_it_writes_a_drawing_twice_a_table_and_findings(reproduction, tmp_path):
    paths = reproduction.write(tmp_path / "new")
    assert [path.name for path in paths] == ["fig.svg", "fig.pdf", "fig.csv", "fig.json"]
    svg, pdf, _, record = (path.read_bytes() for path in paths)
    assert b"<svg" in svg and b">update<" in svg  # text stays text
    assert pdf.startswith(b"%PDF")
    assert pd.read_csv(paths[2]).to_dict("list") == reproduction.table.to_dict("list")
    content = json.loads(record)
    assert content["schema"] == "interp-reproduction/1" and content["figure"] == "fig"
    assert content["findings"][0]["details"]["paper"] == "1"
    assert content["runs"] == [{"recipe": {"name": "r"}, "seed": 0}]


def test_the_same_numbers_give_the_same_files(reproduction, tmp_path):
    one, other = reproduction.write(tmp_path / "a"), reproduction.write(tmp_path / "b")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_it_replaces_its_own_files_and_no_others(reproduction, tmp_path):
    reproduction.write(tmp_path)
    reproduction.write(tmp_path)
    (tmp_path / "fig.json").write_text("mine")
    with pytest.raises(FileExistsError, match="which `interp reproduce` did not write"):
        reproduction.write(tmp_path)
    assert (tmp_path / "fig.json").read_text() == "mine"
    reproduction.write(tmp_path, force=True)


def test_a_file_in_place_of_the_folder_is_refused(reproduction, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="is a file; give a folder"):
        reproduction.write(tmp_path / "file")


def test_a_line_is_the_mean_over_seeds_and_its_band_their_range(reproduction):
    (ax,) = reproduction.drawing.axes
    (line,) = ax.get_lines()
    assert list(line.get_ydata()) == [4.0, 1.0]
    (band,) = ax.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == 5.0 and heights.min() == 1.0


def test_a_matrix_is_drawn_as_it_stands():
    import torch

    matrix = torch.tensor([[1.0, -2.0], [0.5, 0.0]])
    table = matrix_rows("m", matrix)
    drawing = draw_panels(table, [Panel(name="m", x="read by", y="read of", matrix=True)])
    assert isinstance(drawing, Figure)
    (mesh,) = drawing.axes[0].collections
    entries = mesh.get_array()
    assert entries is not None and entries.ravel().tolist() == [1.0, -2.0, 0.5, 0.0]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (-2.0, 2.0)  # 0 is white


def test_a_heat_map_has_values_from_zero_to_one_and_a_box_at_the_rows_that_ask_for_one():
    cells = [(1, 0, 0.2, False), (64, 0, 0.9, True), (1, 1, 0.4, True), (64, 1, 0.3, False)]
    table = pd.DataFrame(cells, columns=["x", "y", "value", "boxed"]).assign(panel="h", series="gd", seed=0)
    drawing = draw_panels(table, [Panel(name="h", x="step", y="layer", heat=True)])
    (mesh,) = drawing.axes[0].collections
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0, 1)
    boxes = [box for box in drawing.axes[0].patches if isinstance(box, Rectangle)]
    assert sorted(box.get_xy() for box in boxes) == [(0, 1), (1, 0)]  # columns are places, not steps


def test_a_panel_with_nothing_in_it_is_drawn_empty():
    table = joined([pd.DataFrame(columns=["panel", "series", "seed", "x", "y"]), rows_of_loss()])
    assert table["y"].dtype == float
    drawing = draw_panels(table, [PANEL, Panel(name="steps", x="layer", y="step", y_scale="log")])
    assert [len(ax.get_lines()) for ax in drawing.axes[:2]] == [1, 0]


def rows_of_loss():
    return rows("loss", pd.DataFrame({"update": [1, 2], "series": "trained", "loss": [3.0, 1.0]}), x="update", y="loss")
