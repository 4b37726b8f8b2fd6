"""A report of invented numbers."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from interp.report import Finding, Report
from interp.report.document import Figure, Section
from interp.report.render import to_svg


def finding(**fields) -> Finding:
    """A finding of which nothing but the given fields matters."""
    return Finding(
        **{
            "id": "layer.made_up",
            "claim": "It is made up",
            "statistic": "share",
            "estimate": 0.5,
            "ci": (0.25, 0.75),
            "verdict": "inconclusive",
            **fields,
        }
    )


def made_up_report(*, name: str = "made up", note: str = "as said", n_rows: int = 3, **fields) -> Report:
    """One finding, one section with a figure and a table; ``note`` stands wherever text may."""
    drawing = Drawing(figsize=(2, 2))
    drawing.subplots().set_title(note)
    table = pd.DataFrame({"thing": [note] * n_rows, "value": np.linspace(0, 1, n_rows)})
    return Report(
        **{
            "model": {
                "name": name,
                "summary": note,
                "source": "python",
                "checksum": None,
                "config": {"note": note},
                "task": None,
                "recipe": None,
            },
            "environment": {"command": note, "versions": {"python": "3", note: note}},
            "findings": (
                finding(claim=note, controls={note: 0.1}, alternatives=(note,), reason=note, details={note: note}),
            ),
            "tables": {"numbers": table, "more numbers": table},
            "sections": (
                Section(
                    title=note,
                    introduction=note,
                    figures=(Figure(title=note, caption=note, svg=to_svg(drawing), table="numbers"),),
                    tables=("more numbers",),
                ),
            ),
            **fields,
        }
    )
