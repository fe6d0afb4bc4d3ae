"""The samples of a run in blocks, which are probed together and have one shared result each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from erasetest.verdict.judged_sample import JudgedSample
from pytest_erasetest.shared_results import SharedResults

BLOCK_SIZE = 32
"""Samples per block. Fixed, so that the batch of a sample does not depend on the workers."""

Phase = Literal["base", "before", "after"]
"""`base` is the CLM of `--clm-base`, `before` the given CLM, `after` the erased one."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Block:
    """Some samples of a run, in one phase."""

    phase: Phase
    number: int

    @property
    def name(self) -> str:
        """The name of its shared result."""
        return f"{self.phase}-{self.number:05d}"

    @property
    def start(self) -> int:
        """The number of its first sample."""
        return self.number * BLOCK_SIZE

    def of(self, samples: Sequence[T]) -> Sequence[T]:
        """Return those of all samples that are in the block."""
        return samples[self.start : self.start + BLOCK_SIZE]


def blocks_of(phase: Phase, samples: int) -> list[Block]:
    """Return the blocks of so many samples."""
    return [Block(phase, number) for number in range(-(-samples // BLOCK_SIZE))]


def judged_samples(
    results: SharedResults, phase: Phase, samples: int
) -> Iterator[tuple[str, JudgedSample]]:
    """Yield each sample that has been judged in a phase, with its id."""
    for block in blocks_of(phase, samples):
        for row in results.get(block.name) or ():
            judged = JudgedSample.from_dict(row)
            yield judged.id, judged
