"""What a prompt is: distributions over in-context problems, and how their points become tokens."""

from interp.tasks.any_task import AnyTask
from interp.tasks.covariance import ConditionNumber, Covariance, Eigenvalues, Isotropic
from interp.tasks.functions import AbstractFunctions
from interp.tasks.garg import garg_shifts
from interp.tasks.laws import InputLaw
from interp.tasks.linear import LinearRegression
from interp.tasks.networks import ReluNetworks
from interp.tasks.prompts import Prompts
from interp.tasks.queries import QueryLaw
from interp.tasks.repeated_tokens import RepeatedTokens, TokenSequences
from interp.tasks.sine import SineWaves
from interp.tasks.stream import PromptSource, PromptStream
from interp.tasks.task import Task
from interp.tasks.tokens import TokenLayout
from interp.tasks.trees import DecisionTrees

__all__ = [
    "AbstractFunctions",
    "AnyTask",
    "ConditionNumber",
    "Covariance",
    "DecisionTrees",
    "Eigenvalues",
    "InputLaw",
    "Isotropic",
    "LinearRegression",
    "PromptSource",
    "PromptStream",
    "Prompts",
    "QueryLaw",
    "ReluNetworks",
    "RepeatedTokens",
    "SineWaves",
    "Task",
    "TokenLayout",
    "TokenSequences",
    "garg_shifts",
]
