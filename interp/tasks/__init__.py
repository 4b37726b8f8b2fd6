"""What a prompt is: distributions over in-context problems, and how their points become tokens."""

from interp.tasks.covariance import ConditionNumber, Covariance, Eigenvalues, Isotropic
from interp.tasks.linear import LinearRegression
from interp.tasks.prompts import Prompts
from interp.tasks.task import Task
from interp.tasks.tokens import TokenLayout

__all__ = [
    "ConditionNumber",
    "Covariance",
    "Eigenvalues",
    "Isotropic",
    "LinearRegression",
    "Prompts",
    "Task",
    "TokenLayout",
]
