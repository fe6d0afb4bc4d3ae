"""What is done before the first `conftest.py` is imported: from here on, output is masked."""

from __future__ import annotations

import pytest

from pytest_erasetest.options import early_values


def mask_output(early_config: pytest.Config) -> None:
    """Mask standard output and error where a CLM is given."""
    clm, manifests = early_values(early_config)
    if clm is not None:
        from pytest_erasetest.given import read_samples
        from pytest_erasetest.redaction import LazyRedactor
        from pytest_erasetest.state import REDACTOR
        from pytest_erasetest.streams import mask_standard_streams

        redactor = LazyRedactor(lambda: read_samples(clm, manifests))
        early_config.stash[REDACTOR] = redactor
        mask_standard_streams(redactor.get)
        given = early_config.known_args_namespace
        if given.capture == "sys":
            # It lets through what child processes and os.write print; reports have all the rest.
            given.capture = "fd"
