"""Findings with evidence, and the report that shows them."""

from typing import TYPE_CHECKING

from interp._lazy import lazy_attributes
from interp.report.build import ReportOptions, build
from interp.report.document import Report
from interp.report.finding import Finding
from interp.report.language.options import LanguageReportOptions

if TYPE_CHECKING:
    from interp.report.language.build import build_language

__all__ = ["Finding", "LanguageReportOptions", "Report", "ReportOptions", "build", "build_language"]

__getattr__ = lazy_attributes(__name__, {"build_language": "interp.report.language.build"})
