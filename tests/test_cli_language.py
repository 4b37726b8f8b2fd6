"""Language models on the command line: what takes regression alone says so."""

import jaxtyping
import pytest

import interp
from interp import cli
from interp.commands._common import load_language_on
from interp.matching import match_layers, probe_layers
from interp.models import TokenModelConfig, build_language_model, load_language, save_folder
from interp.models.folders import weights_checksum
from interp.tasks import LinearRegression, RepeatedTokens
from tests.errors import raises_exactly
from tests.models.language_folders import gpt2, write_folder


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A run folder and a Hugging Face folder."""
    place = tmp_path_factory.mktemp("models")
    cfg = TokenModelConfig(d_vocab=30, n_ctx=25, n_heads=2, d_model=12)
    task = RepeatedTokens(d_vocab=30, n_pos=25, shortest=3, longest=9)
    save_folder(place / "ours", build_language_model(cfg, task))
    return {"ours": place / "ours", "theirs": write_folder(place / "theirs", gpt2())}


@pytest.mark.parametrize("command", ["match", "probe"])
@pytest.mark.parametrize("kind", ["ours", "theirs"])
def test_commands_for_regression_refuse_language_models_in_one_line(places, command, kind, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        assert cli.main([command, str(places[kind])]) == 1
    assert capsys.readouterr() == (
        "",
        f"interp: {places[kind]} is a language model; this takes a model of in-context regression, such as "
        f"'lsa-1layer'. Study the heads of a language model with: interp heads {places[kind]}\n",
    )


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["heads", "--n-prompts", "4"], "--n-prompts"),
        (["report", "--n-queries", "4", "--solvers", "gd"], "--n-queries, --solvers"),
    ],
    ids=["heads", "report"],
)
def test_options_of_regression_are_refused(places, tmp_path, monkeypatch, arguments, options, capsys):
    monkeypatch.chdir(tmp_path)
    command, *given = arguments
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        assert cli.main([command, str(places["ours"]), *given]) == cli.BAD_USAGE
    assert capsys.readouterr() == (
        "",
        f"interp: Options that mean nothing to language models were given; leave out {options}.\n",
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("analyse", [match_layers, probe_layers], ids=["match", "probe"])
def test_analyses_of_regression_refuse_language_models(places, analyse):
    bridge = interp.load(places["ours"])
    with raises_exactly(
        ValueError,
        "TransformerBridge is no model of in-context regression: it has no predicted_points, tokens (see "
        "interp.models.HookedRegressor). Of a language model it is the heads that can be studied here: "
        "interp.attribution.score_heads, interp.report.build_language.",
    ):
        analyse(bridge, LinearRegression().sample(16))


def test_a_language_model_is_put_on_a_device_in_silence(places, capfd):
    bridge = load_language_on(str(places["theirs"]), "cpu")
    assert weights_checksum(bridge) == weights_checksum(load_language(places["theirs"]))
    assert capfd.readouterr() == ("", "")
    with raises_exactly(ValueError, "Unknown device 'cud'; known are auto, cpu, cuda. Did you mean 'cuda'?"):
        load_language_on(str(places["theirs"]), "cud")
