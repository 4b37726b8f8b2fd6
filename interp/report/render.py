"""From a report to one self-contained HTML file."""

import io
import math
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from interp.report.notes import NOTES

if TYPE_CHECKING:
    from interp.report.document import Report

GENERATOR = "interp report"
INK = "#010203"
"""A colour that drawings use for text and axes, replaced by the page's own so that they read in the dark too."""
ROWS_SHOWN = 400
"""Longest table written out in the page; report.json has all rows."""
ROWS_OPEN = 30
"""Longest table that is not folded."""


def render_html(report: "Report") -> str:
    """The whole page. Text from outside is escaped; nothing is fetched from anywhere."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        css=Markup(_read("report.css")),
        generator=GENERATOR,
        notes=NOTES,
        rows_shown=ROWS_SHOWN,
        rows_open=ROWS_OPEN,
    )


def to_svg(drawing: Drawing) -> str:
    """A drawing as inline SVG whose text is text and whose ink is the page's colour."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "interp"}):  # read on saving, not on drawing
        drawing.savefig(buffer, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return svg.replace(INK, "currentColor")


def show(value: Any) -> str:
    """A number as text: four significant digits, six near 1, a dash for numbers that do not exist."""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        if not math.isfinite(value):
            return "\u2013"
        # Near 1 the distance from 1 is what matters: 0.99997 must not read as 1.
        digits = f"{value:.6g}" if 0.99 < abs(value) < 1 else f"{value:.4g}"
        return digits if value == 0 or 1e-3 <= abs(value) < 1e5 or "e" in digits else f"{value:.2e}"
    return str(value)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["show"] = show
    environment.filters["svg"] = Markup
    return environment


def _read(name: str) -> str:
    return (files("interp.report") / "templates" / name).read_text(encoding="utf-8")
