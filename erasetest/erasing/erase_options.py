"""The settings of erasing that users choose, declared without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from erasetest.erasing.methods import DEFAULT_METHOD, METHOD_NAMES, PRECISIONS
from erasetest.support.option_fields import option

if TYPE_CHECKING:
    from erasetest.erasing.erasure_settings import ErasureSettings


@dataclass(frozen=True, slots=True)
class EraseOptions:
    """The settings of erasing that users choose, on the command line or under pytest."""

    method: str = option(
        f"Erasing method: {', '.join(METHOD_NAMES)}.", DEFAULT_METHOD, metavar="METHOD"
    )
    lora: int | None = option("Train a LoRA adapter of this rank.", None, metavar="RANK", minimum=1)
    lr: float | None = option(
        "Learning rate (default: by the width of the CLM).", None, metavar="X"
    )
    precision: str = option(
        f"Precision of the forward passes: {', '.join(PRECISIONS)}.",
        "auto",
        metavar="PRECISION",
        choices=PRECISIONS,
    )
    checkpointing: bool = option(
        "Recompute activations in the backward pass: less memory, a third more time.",
        False,
        negatable=True,
        command_name="gradient_checkpointing",
    )
    step_tokens: int | None = option(
        "Tokens per forward pass of a step (default: all that fit).", None, metavar="N", minimum=1
    )
    max_steps: int = option("Maximum number of steps.", 200, metavar="N", minimum=1)
    adapter_only: bool = option(
        "With --lora: write the adapter alone, not the CLM with the adapter merged.",
        False,
        negatable=True,
    )

    def settings(self) -> ErasureSettings:
        """Return the settings of an erasure.

        Raises:
            BadInput: a value is out of range, or two contradict each other.
        """
        from erasetest.erasing import ErasureSettings, Lora

        return ErasureSettings(
            method=self.method,
            lr=self.lr,
            max_steps=self.max_steps,
            lora=None if self.lora is None else Lora(self.lora, merge=not self.adapter_only),
            precision=self.precision,
            checkpointing=self.checkpointing,
            step_tokens=self.step_tokens,
        )
