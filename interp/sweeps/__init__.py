"""Many runs of a recipe, over its fields and seeds, trained and analysed on Ray, in one table."""

from interp.sweeps.analyses import ANALYSES
from interp.sweeps.lock import TakenError
from interp.sweeps.plan import PlannedRun, Sweep
from interp.sweeps.read import load_sweep, make_sweep
from interp.sweeps.run import SweepResult, run_sweep

__all__ = [
    "ANALYSES",
    "PlannedRun",
    "Sweep",
    "SweepResult",
    "TakenError",
    "load_sweep",
    "make_sweep",
    "run_sweep",
]
