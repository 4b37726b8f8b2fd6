"""Reports in ten seconds."""

import jaxtyping
import pytest

import interp
from interp.report import Report, ReportOptions, build


def quick_report(name: str, **options) -> Report:
    """The report of a model from few prompts; annotations are not checked, which would double its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        return build(interp.load(name), options=ReportOptions(n_prompts=64, n_queries=8), **options)
