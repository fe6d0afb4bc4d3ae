"""How a CLM is loaded, declared without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from erasetest.support.option_fields import option

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a CLM is loaded.

    The dtype `auto` is float32 on the CPU, and the dtype of the checkpoint elsewhere. Pickled
    weights and code that comes with a checkpoint can run anything: both are refused unless allowed
    here.
    """

    adapter: str | None = option("PEFT adapter to put on the CLM.", None, metavar="DIR")
    device: str = option("Device: auto, cpu, cuda or cuda:N.", "auto", metavar="DEVICE")
    dtype: str = option(
        "Type of the weights: auto, float32, bfloat16 or float16.",
        "auto",
        metavar="DTYPE",
        choices=DTYPES,
    )
    batch_tokens: int | None = option(
        "Tokens per forward pass (default: by the device).", None, metavar="N", minimum=1
    )
    allow_pickle: bool = option("Load pickled weights, which can run code.", False)
    trust_remote_code: bool = option("Run the code that comes with the checkpoint.", False)
    worker: int = 0
    """Number of this process among the workers of a run: the device `auto` assigns GPUs to workers
    in turn."""
