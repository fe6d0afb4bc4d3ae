"""What has to be said to torch and transformers before they are imported."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def quiet() -> None:
    """No bars and warnings of their own, and threads that sleep while they wait.

    OpenMP's threads spin between two parallel regions by default; on a machine that does anything
    else beside, decoding then takes several times as long (measured: 78 s against 24 s).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def silence_transformers() -> None:
    """Its progress bars and warnings go to standard error unasked."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def reset_peak_memory(device: torch.device) -> None:
    """Let the next `peak_memory` count from now; on the CPU only where Linux allows it."""
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int | None:
    """Bytes that were in use at most: of a GPU what torch took, else the process's resident set."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
