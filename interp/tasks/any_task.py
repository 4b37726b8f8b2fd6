"""The tasks that a run folder can hold."""

from typing import Annotated

from pydantic import Field

from interp.tasks.linear import LinearRegression
from interp.tasks.networks import ReluNetworks
from interp.tasks.sine import SineWaves
from interp.tasks.trees import DecisionTrees

AnyTask = Annotated[LinearRegression | SineWaves | ReluNetworks | DecisionTrees, Field(discriminator="kind")]
"""Every task of ours, told apart by its field ``kind`` when it is read back from JSON."""
