"""What a prompt is: distributions over in-context problems, and how their points become tokens."""

from interp.tasks.any_task import AnyTask
from interp.tasks.covariance import ConditionNumber, Covariance, Eigenvalues, Isotropic
from interp.tasks.laws import InputLaw
from interp.tasks.linear import LinearRegression
from interp.tasks.prompts import Prompts
from interp.tasks.sine import SineWaves
from interp.tasks.task import Task
from interp.tasks.tokens import TokenLayout

__all__ = [
    "AnyTask",
    "ConditionNumber",
    "Covariance",
    "Eigenvalues",
    "InputLaw",
    "Isotropic",
    "LinearRegression",
    "Prompts",
    "SineWaves",
    "Task",
    "TokenLayout",
]
