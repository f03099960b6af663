"""Reports: of a run, and of a grid of runs. One HTML file that needs nothing else, and no torch."""

from vipriors.report.grid_page import write_grid_report
from vipriors.report.page import write_report

__all__ = ["write_grid_report", "write_report"]
