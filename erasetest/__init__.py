"""Privacy regression tests for code language models.

The packages, in the order in which data flows through them: `scanning` finds secrets in a training
corpus, `samples` reads and masks them, `clm` and `endpoint` ask a model, `probes` measure what it
remembers, `verdict` judges that, `erasing` unlearns it, `utility` compares pass@k, `reports` writes
the result; `commands` and the pytest plugin stand on top.

Importing this package imports neither torch nor transformers.
"""

from typing import TYPE_CHECKING

from erasetest.errors import BadInput, ErasetestError
from erasetest.support.lazy_exports import lazy_exports
from erasetest.version import __version__

if TYPE_CHECKING:
    from erasetest.api import (
        ScanResult,
        calibrate,
        compare,
        erase,
        evaluate,
        judge,
        load,
        probe,
        read_samples,
        scan,
    )
    from erasetest.reports.leakage_report import Report
    from erasetest.utility.problems import read_problems
    from erasetest.verdict.thresholds import read_thresholds

__all__ = [
    "BadInput",
    "ErasetestError",
    "Report",
    "ScanResult",
    "__version__",
    "calibrate",
    "compare",
    "erase",
    "evaluate",
    "judge",
    "load",
    "probe",
    "read_problems",
    "read_samples",
    "read_thresholds",
    "scan",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Report": "reports.leakage_report",
        "ScanResult": "api",
        "calibrate": "api",
        "compare": "api",
        "erase": "api",
        "evaluate": "api",
        "judge": "api",
        "load": "api",
        "probe": "api",
        "read_problems": "utility.problems",
        "read_samples": "api",
        "read_thresholds": "verdict.thresholds",
        "scan": "api",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
