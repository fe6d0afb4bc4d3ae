"""The state of a running erasure in a file, from which a killed run resumes."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from erasetest.clm.erasure_records import state_path
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample
from erasetest.support.atomic_files import id_key
from erasetest.support.sidecars import temporary_sidecar

SAVE_INTERVAL = 30.0
"""Minimum number of seconds between two saved states."""

_INTERVAL_PER_COST = 20
"""Minimum interval, as a multiple of the time that saving takes: 5 % of the time at most."""


class ResumeFile:
    """A file with the state of a run, written atomically."""

    def __init__(
        self,
        target: Path,
        key: str,
        interval: float = SAVE_INTERVAL,
        remark: Callable[[str], None] | None = None,
    ) -> None:
        """Use the resume file of a target.

        Args:
            target: the file or folder that the run will write.
            key: identifies the request (`request_key`).
            interval: minimum number of seconds between two states; 0 saves after each step.
            remark: receives a line if a state is found: whether it is resumed.
        """
        self._remark = remark
        self._part = temporary_sidecar(target, "state")
        self.path = state_path(target)
        self._key, self._interval = key, interval
        self._last_save, self._wait = time.monotonic(), interval
        self._failed = False

    def read(self) -> dict[str, Any] | None:
        """Return the saved state; None if there is none, or only that of another request.

        Raises:
            BadInput: the file cannot be read.
        """
        try:
            # Only tensors and plain values are loaded: others may have put the file there.
            content = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(
                f"{self.path}: the state of a killed run cannot be read ({error.strerror}): "
                "make it readable, or remove it to restart"
            ) from None
        except Exception:
            # The unpickler and the archive raise any kind of error for a damaged file.
            content = None
        matches = isinstance(content, dict) and content.get("key") == self._key
        if self._remark is not None:
            self._remark(
                f"{self.path.name}: "
                + (
                    "resuming a killed run"
                    if matches
                    else "ignored: the state of another request, or damaged"
                )
            )
        return content["state"] if matches else None

    def is_due(self) -> bool:
        """Return whether it is time to save a state."""
        return not self._failed and time.monotonic() - self._last_save >= self._wait

    def write(self, state: dict[str, Any]) -> None:
        """Save a state. If it cannot be written, warn, and save no more."""
        started = time.monotonic()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._part.open("wb") as file:
                torch.save({"key": self._key, "state": state}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._part, self.path)
        except (OSError, RuntimeError) as error:
            with contextlib.suppress(OSError):
                self._part.unlink()
            self._failed = True
            warnings.warn(
                f"cannot save the state of erasing ({type(error).__name__}): erasing continues, "
                "but restarts from the beginning if it is killed",
                stacklevel=2,
            )
        self._last_save = time.monotonic()
        cost = self._last_save - started
        self._wait = max(self._interval, _INTERVAL_PER_COST * cost) if self._interval else 0.0

    def remove(self) -> None:
        """Remove the file, once the target is written."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def request_key(parts: Iterable[object], manifests: Sequence[Sequence[SensitiveSample]]) -> str:
    """Return a keyed hash of a request: its settings, and the contents of its manifests.

    It is keyed because it depends on secrets: without the key, nobody can test a guess by it.
    """
    digest = hmac.new(id_key(), digestmod=hashlib.sha256)
    for part in parts:
        digest.update(json.dumps(part, sort_keys=True, default=str).encode() + b"\0")
    for manifest in manifests:
        for sample in manifest:
            spans = [(secret.start, secret.end, secret.kind) for secret in sample.secrets]
            text = sample.content.reveal().encode("utf-8", "surrogatepass")
            digest.update(json.dumps([sample.id, spans, len(text)]).encode() + text)
        digest.update(b"\0")
    return digest.hexdigest()
