"""Leakage reports: one document, a file for each form it is written in."""

from erasetest.reports.leakage_report import SCHEMA, LeakageReport, environment, read_report
from erasetest.reports.write import FORMATS, write_report

__all__ = [
    "FORMATS",
    "SCHEMA",
    "LeakageReport",
    "environment",
    "read_report",
    "write_report",
]
