"""The fixtures for suites and users' own tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_erasetest.stash import gate_of

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.samples import SensitiveSample
    from pytest_erasetest.gate import Gate
    from pytest_erasetest.leak import Leak

_NOTHING_ERASED = "no sample leaks: nothing was erased"


@pytest.fixture(scope="session")
def erasetest_gate(pytestconfig: pytest.Config) -> Gate:
    """The gate of this run, which computes the values of the other fixtures. Internal."""
    return gate_of(pytestconfig)


@pytest.fixture(scope="session")
def clm(erasetest_gate: Gate) -> Clm:
    """The CLM under test, on its device."""
    return erasetest_gate.clm


@pytest.fixture(scope="session")
def erased_clm(erasetest_gate: Gate) -> Clm:
    """The erased checkpoint, loaded from its folder; skipped if nothing leaks."""
    if erasetest_gate.erasure() is None:
        pytest.skip(_NOTHING_ERASED)
    return erasetest_gate.erased_clm


@pytest.fixture
def sensitive_sample(request: pytest.FixtureRequest, erasetest_gate: Gate) -> SensitiveSample:
    """Each sample of the manifests in turn. Its content is masked wherever it is shown."""
    number: int = request.param
    return erasetest_gate.inputs.samples[number]


@pytest.fixture
def leak(request: pytest.FixtureRequest, sensitive_sample: SensitiveSample) -> Leak:
    """What the CLM remembers of the sample: measures and verdict. Samples are probed in blocks."""
    return _delivered(request, gate_of(request.config).before(sensitive_sample.id), "before")


@pytest.fixture
def leak_after(request: pytest.FixtureRequest, sensitive_sample: SensitiveSample) -> Leak:
    """What the erased CLM remembers of the sample; skipped if nothing leaks."""
    gate = gate_of(request.config)
    if gate.erasure() is None:
        pytest.skip(_NOTHING_ERASED)
    return _delivered(request, gate.after(sensitive_sample.id), "after")


@pytest.fixture(scope="session")
def erasure(erasetest_gate: Gate) -> dict[str, Any]:
    """The result of erasing, as in the report; skipped if nothing leaks."""
    result = erasetest_gate.erasure()
    if result is None:
        pytest.skip(_NOTHING_ERASED)
    return result


@pytest.fixture(scope="session")
def utility(erasetest_gate: Gate) -> dict[str, Any]:
    """The comparison of pass@k before and after erasing, or with `--utility-against`.

    It is the one of the report. With `--erase`, the test is skipped if nothing leaks.
    """
    result = erasetest_gate.utility()
    if result is None:
        pytest.skip(f"{_NOTHING_ERASED}, so nothing can have dropped")
    return result


def _delivered(request: pytest.FixtureRequest, leak: Leak, phase: str) -> Leak:
    """Attach the verdict to the test, so that a test that is lost counts as a verdict lost."""
    from pytest_erasetest.delivered_results import deliver

    deliver(request.node, phase, leak.id)
    if leak.verdict == "inconclusive":
        pytest.fail(f"{leak.id} is inconclusive: " + "; ".join(leak.reasons), pytrace=False)
    return leak
