"""What a worker does with one run: train it, analyse it, write down both."""

import platform
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from interp._precision import Precision
from interp.sweeps.analyses import AbstractAnalysis
from interp.sweeps.folder import Outcome, SweepFolder
from interp.sweeps.lock import locked
from interp.sweeps.plan import PlannedRun
from interp.training import DivergedError, train

PATIENCE = 60.0
"""Seconds to wait for an earlier worker of the same run to be gone."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How runs are trained."""

    device: str = "cpu"
    threads: int = 1
    precision: Precision = "fp32"
    compile: bool = False


def do_run(run: PlannedRun, analyses: Sequence[AbstractAnalysis], folder: SweepFolder, manner: Manner) -> None:
    """Bring a run to its end from wherever it is.

    A run that diverges or raises leaves an `Outcome`. Raises ValueError where the folder is not there, TakenError where
    another process works on the run.
    """
    torch.set_num_threads(manner.threads)
    place = folder.run(run)
    if not folder.path.is_dir():
        raise ValueError(
            f"The machine {platform.node()} does not see the sweep's folder {folder.path}; give an --out that all "
            "machines of the cluster see under the same path."
        )
    with locked(folder.lock(run), f"The run {run.name}", patience=PATIENCE):
        folder.write_outcome(run, None)
        try:
            model = train(
                run.recipe,
                place,
                seed=run.seed,
                device=manner.device,
                precision=manner.precision,
                compile=manner.compile,
                resume=True,
            )
            for analysis in analyses:
                if folder.read_analysis(run, analysis) is None:
                    folder.write_analysis(run, analysis, analysis.measure(model))
        except DivergedError as error:
            folder.write_outcome(run, Outcome("diverged", _said(error, run, folder)))
        except Exception as error:
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            outcome = Outcome("failed", kind + _said(error, run, folder))
            folder.write_outcome(run, outcome, trace=traceback.format_exc())


def _said(error: Exception, run: PlannedRun, folder: SweepFolder) -> str:
    """The message, with the folder named as within the sweep: a table must not depend on where it was made."""
    return str(error).replace(str(folder.run(run)), f"runs/{run.name}")
