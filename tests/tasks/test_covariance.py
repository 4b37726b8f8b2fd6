import pytest
import torch
from torch.testing import assert_close

from interp.tasks import ConditionNumber, Covariance, Eigenvalues, LinearRegression
from interp.tasks.covariance import input_maps
from tests.errors import raises_exactly

VALUES = (8.0, 3.0, 1.0, 0.25)


def maps_of(covariance: Covariance, dim: int, n_prompts: int, seed: int) -> torch.Tensor:
    maps = input_maps(covariance, dim, n_prompts, seed)
    assert maps is not None  # only isotropic inputs need none
    return maps


def eigenvalues_of(maps: torch.Tensor) -> torch.Tensor:
    return torch.linalg.eigvalsh(maps.double() @ maps.double().mT)


def test_every_prompt_has_the_given_eigenvalues():
    maps = maps_of(Eigenvalues(values=VALUES), 4, n_prompts=20, seed=0)
    expected = torch.tensor(sorted(VALUES), dtype=torch.float64).expand(20, 4)
    assert_close(eigenvalues_of(maps), expected, rtol=1e-5, atol=0)  # maps are float32


def test_samples_have_the_given_eigenvalues():
    task = LinearRegression(
        dim=4, n_points=100, inputs="gaussian", covariance=Eigenvalues(values=VALUES, rotation="fixed")
    )
    xs = task.sample(1000, seed=0).xs.flatten(0, 1).double()
    empirical = torch.linalg.eigvalsh(xs.T @ xs / len(xs))
    # A sample variance of n normal values has relative error sqrt(2 / n); 5 of them.
    tolerance = 5 * (2 / len(xs)) ** 0.5
    assert_close(empirical, torch.tensor(sorted(VALUES), dtype=torch.float64), rtol=tolerance, atol=0)


@pytest.mark.parametrize("dim", [2, 5, 20])
@pytest.mark.parametrize("value", [1.0, 10.0, 100.0])
def test_a_condition_number_is_kept_with_trace_dim(dim, value):
    spectrum = eigenvalues_of(maps_of(ConditionNumber(value=value), dim, n_prompts=5, seed=0))
    assert_close(spectrum[:, -1] / spectrum[:, 0], torch.full((5,), value).double(), rtol=1e-4, atol=0)
    assert_close(spectrum.sum(1), torch.full((5,), float(dim)).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("dim", [4, 5])
def test_half_of_the_eigenvalues_are_large_and_an_odd_one_out_is_small(dim):
    spectrum = eigenvalues_of(maps_of(ConditionNumber(value=9.0), dim, n_prompts=3, seed=0))
    large = spectrum > spectrum[:, :1] * 3
    assert large.sum(1).tolist() == [dim // 2] * 3


def test_a_fixed_rotation_is_shared_by_all_prompts_of_all_samples():
    covariance = Eigenvalues(values=VALUES, rotation="fixed")
    here, there = (maps_of(covariance, 4, n_prompts=3, seed=seed) for seed in (0, 1))
    assert torch.equal(here[0], here[2])
    assert torch.equal(here, there)


def test_a_rotation_per_prompt_is_shared_by_none():
    covariance = Eigenvalues(values=VALUES, rotation="prompt")
    here, there = (maps_of(covariance, 4, n_prompts=2, seed=seed) for seed in (0, 1))
    assert (here[0] - here[1]).norm() > 0.1
    assert (here - there).norm() > 0.1


def test_a_rotation_per_batch_is_shared_by_the_prompts_of_one_sample_alone():
    covariance = Eigenvalues(values=VALUES, rotation="batch")
    here, again, there = (maps_of(covariance, 4, n_prompts=3, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(here[0], here[2])
    assert torch.equal(here, again)
    assert (here[0] - there[0]).norm() > 0.1
    assert_close(eigenvalues_of(there)[0], torch.tensor(sorted(VALUES), dtype=torch.float64), rtol=1e-5, atol=0)


def test_new_queries_of_a_batch_have_its_rotation_whatever_their_seed():
    task = LinearRegression(dim=3, n_points=4, covariance=ConditionNumber(value=100.0, rotation="batch"))
    asked = task.requery(task.sample(20, seed=0), n_queries=50, seed=1)
    assert asked.input_map is not None
    cube = asked.xs[:, asked.n_examples :] @ torch.linalg.inv(asked.input_map[7])
    assert 0.49 < cube.abs().max() <= 0.5 + 1e-4  # of any other rotation's inputs some would leave the cube


def test_rotations_favour_no_direction():
    """Over random rotations the mean covariance is isotropic, its trace that of the eigenvalues."""
    maps = maps_of(Eigenvalues(values=VALUES), 4, n_prompts=4000, seed=0).double()
    covariance = maps @ maps.mT
    expected = torch.eye(4, dtype=torch.float64) * sum(VALUES) / 4
    error = covariance.std(0) / len(maps) ** 0.5
    assert ((covariance.mean(0) - expected).abs() < 5 * error).all()


def test_isotropic_inputs_need_no_map():
    assert LinearRegression().sample(3).input_map is None


@pytest.mark.parametrize("values", [(), (1.0, 0.0), (1.0, -2.0)])
def test_eigenvalues_are_positive(values):
    with raises_exactly(
        ValueError, f"Covariance eigenvalues must be positive, one per input coordinate; got {values}."
    ):
        Eigenvalues(values=values)


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_a_condition_number_is_at_least_1(value):
    with raises_exactly(ValueError, f"A condition number is at least 1, got {value}."):
        ConditionNumber(value=value)


def test_there_is_one_eigenvalue_per_coordinate():
    with raises_exactly(
        ValueError,
        "The covariance has 4 eigenvalues, the inputs have 3 coordinates; give one eigenvalue per coordinate.",
    ):
        LinearRegression(dim=3, covariance=Eigenvalues(values=VALUES)).sample(2)
