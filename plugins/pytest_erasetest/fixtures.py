"""The fixtures that suites and users' own tests are written with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from erasetest.samples import SensitiveSample
from pytest_erasetest.delivered_results import tell
from pytest_erasetest.gate import Gate
from pytest_erasetest.leak import Leak
from pytest_erasetest.run_state import gate_of

if TYPE_CHECKING:
    from erasetest.clm import Clm


@pytest.fixture(scope="session")
def erasetest_gate(pytestconfig: pytest.Config) -> Gate:
    """The gate of this run: what the other fixtures ask."""
    return gate_of(pytestconfig)


@pytest.fixture(scope="session")
def clm(erasetest_gate: Gate) -> Clm:
    """The CLM under test, on its device."""
    return erasetest_gate.clm


@pytest.fixture(scope="session")
def erased_clm(erasetest_gate: Gate) -> Clm:
    """The erased checkpoint, read back from its folder; skipped when nothing leaks."""
    if erasetest_gate.erasure() is None:
        pytest.skip("no sample leaks: nothing was erased")
    return erasetest_gate.erased_clm


@pytest.fixture
def sensitive_sample(request: pytest.FixtureRequest, erasetest_gate: Gate) -> SensitiveSample:
    """Each sample of the manifests in turn. Its content is masked wherever it is shown."""
    number: int = request.param
    return erasetest_gate.given.samples[number]


@pytest.fixture
def leak(request: pytest.FixtureRequest, sensitive_sample: SensitiveSample) -> Leak:
    """What the CLM remembers of the sample: measures and verdict. It is probed in a batch."""
    return _told(request, gate_of(request.config).before(sensitive_sample.id), "before")


@pytest.fixture
def leak_after(request: pytest.FixtureRequest, sensitive_sample: SensitiveSample) -> Leak:
    """What the erased CLM remembers of the sample; skipped when nothing leaks."""
    gate = gate_of(request.config)
    if gate.erasure() is None:
        pytest.skip("no sample leaks: nothing was erased")
    return _told(request, gate.after(sensitive_sample.id), "after")


@pytest.fixture(scope="session")
def erasure(erasetest_gate: Gate) -> dict[str, Any]:
    """What erasing did, as in the report; skipped when nothing leaks."""
    found = erasetest_gate.erasure()
    if found is None:
        pytest.skip("no sample leaks: nothing was erased")
    return found


@pytest.fixture(scope="session")
def utility(erasetest_gate: Gate) -> dict[str, Any]:
    """The comparison of pass@k before and after, as in the report."""
    found = erasetest_gate.utility()
    if found is None:
        pytest.skip("no sample leaks: nothing was erased, so nothing can have dropped")
    return found


def fail_leak(request: pytest.FixtureRequest, leak: Leak, reasons: tuple[str, ...]) -> None:
    """Fail the test because its sample leaks, in a line for each reason and without a traceback."""
    accepted = gate_of(request.config).given.accepted.get(leak.id)
    if reasons and accepted is not None:
        pytest.skip(f"{leak.id} leaks, accepted until {accepted.expires}: {accepted.reason}")
    if reasons:
        pytest.fail(f"{leak.id} leaks: " + "; ".join(reasons), pytrace=False)


def _told(request: pytest.FixtureRequest, leak: Leak, phase: str) -> Leak:
    """Send the verdict with the test, so that a lost test is a lost verdict."""
    tell(request.node, phase, leak.id)
    if leak.verdict == "inconclusive":
        pytest.fail(f"{leak.id} is inconclusive: " + "; ".join(leak.reasons), pytrace=False)
    return leak
