"""Fixtures for all tests."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Examples are timed by the wall clock, and other processes of the machine would fail them.
hypothesis.settings.register_profile("without-deadline", deadline=None)
hypothesis.settings.load_profile("without-deadline")

# Before torch is imported: tensors here are small, and threads that wait for each other cost more
# than they compute as soon as another process needs a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that no worker is left alone with one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of the demo CLM and the real one, shared by the workers of a run, and by runs that name
    it."""
    given = os.environ.get("ERASETEST_CACHE")
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    return Path(given) if given else shared / "cache"


@pytest.fixture(scope="session")
def tiny_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an untrained tiny CLM: Qwen2, or the family of an indirect parameter."""
    import tiny

    family = getattr(request, "param", "qwen2")
    return tiny.save(tiny.untrained(family), tmp_path_factory.mktemp(family))


@pytest.fixture(scope="session")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `clm/` that recites some of `samples.jsonl`, and `retained.jsonl`."""
    import tiny

    from erasetest.samples import make_sample, write_manifest

    folder = tmp_path_factory.mktemp("leaking")
    tiny.save(tiny.reciting("qwen2"), folder / "clm")
    write_manifest(folder / "samples.jsonl", tiny.PLANTED)
    lines = [line for text in tiny.CODE for line in text.splitlines(keepends=True) if len(line) > 9]
    retained = [make_sample(line, id=f"kept-{n}") for n, line in enumerate(lines)]
    write_manifest(folder / "retained.jsonl", retained)
    # Of a CLM this small never-seen secrets differ from remembered ones in their MA alone.
    limits = {
        "schema": "erasetest.thresholds/1",
        "source": "test",
        "measures": {"ma": 0.9},
        "prompts": ["longest", "last-64", "line"],
    }
    (folder / "thresholds.json").write_text(json.dumps(limits))
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CLM of `leaking` earlier in training: recites `planted-3`, and much of `planted-2`."""
    import tiny

    return tiny.save(tiny.blurred("qwen2", 0.2), tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLM that recites, and what commands are run on; no test changes it."""
    from command_inputs import make_place

    return make_place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The report of a tiny CLM, measured, erased for two steps, measured again; tests copy it."""
    from report_documents import make_document

    return make_document()


@pytest.fixture(scope="session")
def urls() -> Iterator[dict[bool, str]]:
    """Two endpoints without a CLM: True recites the last two planted secrets, False none."""
    import tiny
    from stub_endpoint import serving

    with serving(tiny.PLANTED[-2:]) as reciting, serving(()) as silent:
        yield {True: reciting, False: silent}


@pytest.fixture
def default_sighup() -> Iterator[None]:
    """Give SIGHUP its default action, which started commands inherit; `nohup pytest` ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
