"""One forward pass of the trained CLM over all rows of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from erasetest.clm.batching import like_lengths, pad_right
from erasetest.clm.load import Clm
from erasetest.clm.score import head, hidden_states
from erasetest.erase.objectives import Groups, Tokens
from erasetest.erase.reference import Reference
from erasetest.erase.rows import CONTEXT, ELSEWHERE, Owners, Row


@dataclass(frozen=True, slots=True)
class Seen:
    """The tokens of a step, and the secrets that each token of the samples belongs to."""

    samples: Tokens
    owners: list[Owners]
    retained: Tokens
    decoys: Tokens

    def is_finite(self) -> bool:
        """Whether the CLM still gives numbers for what stands there."""
        return all(bool(t.loss().isfinite()) for t in (self.samples, self.retained, self.decoys))

    def groups(self, active: frozenset[int]) -> Groups:
        """With the secrets that are still to be erased."""
        device = self.samples.truth.device
        number = torch.tensor([min(o & active, default=-1) for o in self.owners], device=device)
        context = torch.tensor([o == CONTEXT for o in self.owners], device=device)
        return Groups(
            replace(self.samples, owners=number).where(number >= 0),
            self.samples.where(context),
            self.retained,
            self.decoys,
        )

    def accuracies(self) -> dict[int, float]:
        """The MA of each secret of the samples."""
        hits: dict[int, list[bool]] = {}
        for owners, hit in zip(self.owners, self.samples.predicted().tolist(), strict=True):
            for secret in owners - ELSEWHERE:
                hits.setdefault(secret, []).append(hit)
        return {secret: sum(found) / len(found) for secret, found in hits.items()}


def read_step(
    clm: Clm,
    reference: Reference,
    forget: Sequence[Row],
    retain: Sequence[Row],
    decoys: Sequence[Row],
) -> Seen:
    """Read the rows of a step with gradients; of decoys, the secret's tokens alone are needed."""
    kept = [*forget, *retain]
    rows = [*kept, *decoys]
    places = [torch.arange(len(row.ids) - 1) for row in kept]
    places += [
        torch.tensor([i for i, owners in enumerate(row.owners[1:]) if owners]) for row in decoys
    ]
    current = head(clm, torch.cat(_states(clm, rows, places))).log_softmax(-1)
    truth = torch.cat([torch.tensor(row.ids)[at + 1] for row, at in zip(rows, places, strict=True)])
    groups = places[: len(forget)], places[len(forget) : len(kept)], places[len(kept) :]
    sizes = [sum(map(len, group)) for group in groups]
    now, true = current.split(sizes), truth.to(clm.device).split(sizes)
    before = reference.log_probs(kept, places[: len(kept)]).split(sizes[:2])
    # Of several in an overlap, a decoy's token stands for the first.
    owners = [min(o) for row in decoys for o in row.owners[1:] if o]
    return Seen(
        Tokens(now[0], before[0], true[0]),
        [owners for row in forget for owners in row.owners[1:]],
        Tokens(now[1], before[1], true[1]),
        Tokens(
            now[2],
            now[2].detach(),
            true[2],
            torch.tensor(owners, dtype=torch.long, device=clm.device),
        ),
    )


def _states(clm: Clm, rows: list[Row], places: list[torch.Tensor]) -> list[torch.Tensor]:
    """The last hidden states of rows at these places, (places, width) each."""
    found: dict[int, torch.Tensor] = {}
    for group in like_lengths([len(row.ids) for row in rows], turn=clm.first_window):
        ids = pad_right([rows[i].ids for i in group], clm.start_token, clm.device)
        hidden = hidden_states(clm, ids)
        assert hidden is not None
        for i, states in zip(group, hidden, strict=True):
            found[i] = states[places[i].to(clm.device)]
    return [found[i] for i in range(len(rows))]
