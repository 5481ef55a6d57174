"""The HTML report of a build: one file, made from its manifest alone."""

from ofa_edge.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
