"""Work that is under way, kept beside what it will become: a killed run goes on from there."""

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

from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample
from erasetest.support.atomic_files import id_key, part_of, unfinished_of

EVERY = 30.0
"""Seconds between two states that are kept."""

_COST = 20
"""Keeping a state takes a twentieth of the time at most."""


class ResumeFile:
    """The state of one piece of work in a file: whole or not there."""

    def __init__(
        self,
        target: Path,
        key: str,
        every: float = EVERY,
        remark: Callable[[str], None] | None = None,
    ) -> None:
        """Of the work that ends in `target`, and is asked for by what `key` stands for.

        `every` is in seconds; 0 keeps every state, whatever that costs. `remark` is told whether a
        state that is there is gone on from.
        """
        self._remark = remark
        self._part = part_of(target.resolve(), "state")
        self.path = unfinished_of(target)
        self._key, self._every = key, every
        self._last, self._wait = time.monotonic(), every
        self._refused = False

    def read(self) -> dict[str, Any] | None:
        """The newest state; None where there is none, or one of other work.

        Raises:
            BadInput: what is there cannot be read.
        """
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(
                f"{self.path}: killed work stands there and cannot be read ({error.strerror}): "
                "make it readable, or remove it to begin anew"
            ) from None
        except Exception:
            # A damaged file ends in whatever error the unpickler or the archive has for it.
            kept = None
        known = isinstance(kept, dict) and kept.get("key") == self._key
        if self._remark is not None:
            self._remark(
                f"{self.path.name}: "
                + ("a killed run goes on" if known else "of another request, or damaged: not used")
            )
        return kept["state"] if known else None

    def is_due(self) -> bool:
        """Whether it is time to keep a state."""
        return not self._refused and time.monotonic() - self._last >= self._wait

    def write(self, state: dict[str, Any]) -> None:
        """Keep a state. Where there is no room for it, say so and go on without."""
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
            self._refused = True
            warnings.warn(
                f"erasing goes on, but is not kept ({type(error).__name__}): if it is killed, it "
                "begins anew",
                stacklevel=2,
            )
        self._last = time.monotonic()
        self._wait = max(self._every, _COST * (self._last - started)) if self._every else 0.0

    def remove(self) -> None:
        """What it became is there."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def key_of(parts: Iterable[object], manifests: Sequence[Sequence[SensitiveSample]]) -> str:
    """What work is told by: settings and contents. No guess can be tested by it without the key."""
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
