"""Findings with evidence, and the report that shows them."""

from interp.report.build import ReportOptions, build
from interp.report.document import Report
from interp.report.finding import Finding

__all__ = ["Finding", "Report", "ReportOptions", "build"]
