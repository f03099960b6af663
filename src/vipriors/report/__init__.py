"""The report of a run: one HTML file that needs nothing else, and no torch to write."""

from vipriors.report.page import write_report

__all__ = ["write_report"]
