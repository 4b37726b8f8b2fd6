import inspect
from importlib import import_module

import pytest
import torch

from interp._names import UnknownNameError
from interp.bench import PARTS, BenchOptions, Comparison, run_bench, to_table
from tests.errors import raises_exactly


@pytest.fixture
def comparison():
    return Comparison(
        part="solvers",
        unit="heat map",
        reference_name="plain",
        ours_runs=(2.0, 9.0, 1.0),
        reference_runs=(500.0, 100.0, 600.0),
        required_ratio=100.0,
        largest_difference=1e-12,
        device="cpu",
        n_threads=1,
        note="all of it",
    )


@pytest.fixture
def two_parts(monkeypatch, comparison):
    """Parts that measure nothing and note what they were told."""
    told = []

    class Module:
        @staticmethod
        def compare(options):
            told.append(options)
            return [comparison]

    monkeypatch.setattr("interp.bench.run.import_module", lambda name: Module)
    return told


def test_the_ratio_is_the_median_of_the_reference_over_that_of_ours(comparison):
    assert comparison.ours_s == 2.0
    assert comparison.reference_s == 500.0
    assert comparison.ratio == 250.0


def test_the_table_has_a_row_for_each_comparison(comparison):
    table = to_table([comparison, comparison])
    assert len(table) == 2
    row = table.iloc[0]
    assert (row["ours_s"], row["reference_s"], row["ratio"]) == (2.0, 500.0, 250.0)
    assert (row["required_ratio"], row["n_runs"], row["note"]) == (100, 3, "all of it")


def test_an_empty_table_has_the_same_columns(comparison):
    assert list(to_table([]).columns) == list(to_table([comparison]).columns)


def test_all_parts_run_unless_some_are_named(two_parts, comparison):
    assert run_bench() == [comparison] * len(PARTS)
    assert run_bench(["training"], repeats=7) == [comparison]
    assert two_parts[-1] == BenchOptions(device=torch.device("cpu"), repeats=7)


def test_an_unknown_part_is_named_before_anything_runs(two_parts):
    message = (
        "Unknown part of the benchmark 'solver'; known are capture, dependency, ensemble, growth, readouts, report, "
        "solvers, training. Did you mean 'solvers'?"
    )
    with raises_exactly(UnknownNameError, message):
        run_bench(["training", "solver"])
    assert two_parts == []


def test_no_repetition_is_refused():
    with pytest.raises(ValueError, match=r"^`repeats` must be at least 1, got 0; 3 give a median"):
        run_bench(["solvers"], repeats=0)


@pytest.mark.parametrize("name", PARTS)
def test_every_part_compares_with_options_alone(name):
    first, *others = inspect.signature(import_module(PARTS[name]).compare).parameters.values()
    assert first.annotation is BenchOptions
    assert all(other.default is not inspect.Parameter.empty for other in others)
