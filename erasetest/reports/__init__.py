"""The leakage report and its file formats, and the protocol of `erasetest gate`.

Everything is imported on first use: every run of pytest imports `gate_result`.
"""

from typing import TYPE_CHECKING

from erasetest.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from erasetest.reports.leakage_report import SCHEMA, Report, environment
    from erasetest.reports.write import FORMATS, write_report

__all__ = ["FORMATS", "SCHEMA", "Report", "environment", "write_report"]

__getattr__ = lazy_exports(
    __name__,
    {
        "SCHEMA": "leakage_report",
        "Report": "leakage_report",
        "environment": "leakage_report",
        "FORMATS": "write",
        "write_report": "write",
    },
)
