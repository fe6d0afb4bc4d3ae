"""What has to be said to torch and transformers before they are imported."""

from __future__ import annotations

import os


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
