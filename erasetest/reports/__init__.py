"""The leakage report and its file formats, and the protocol of `erasetest gate`."""

from erasetest.reports.leakage_report import SCHEMA, Report, environment
from erasetest.reports.write import FORMATS, write_report

__all__ = ["FORMATS", "SCHEMA", "Report", "environment", "write_report"]
