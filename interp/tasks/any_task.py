"""The tasks that a run folder can hold."""

from typing import Annotated

from pydantic import Field

from interp.tasks.linear import LinearRegression
from interp.tasks.sine import SineWaves

AnyTask = Annotated[LinearRegression | SineWaves, Field(discriminator="kind")]
"""Every task of ours, told apart by its field ``kind`` when it is read back from JSON."""
