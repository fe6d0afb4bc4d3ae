"""EL and per-sample measures, with values computed by hand."""

from __future__ import annotations

import pytest
import tiny

from erasetest.probes import ProbeSettings, SampleMeasures, SecretMeasures, probe
from erasetest.probes.extraction_likelihood import (
    chain,
    extraction_likelihood,
    first_mismatches,
    mismatches,
    overlap,
)
from erasetest.samples import make_sample


@pytest.mark.parametrize("starts", [1, 2, 5, 100])
def test_with_few_starts_el_is_the_mean_over_them(starts: int) -> None:
    """EL is averaged over evenly spread places; MA and extraction are exact."""
    clm = tiny.reciting("codegen")
    exact = probe(clm, tiny.PLANTED)
    some = probe(clm, tiny.PLANTED, settings=ProbeSettings(starts=starts))
    seen: dict[tuple[int, ...], int] = {}
    for sample, whole, part in zip(tiny.PLANTED, exact, some, strict=True):
        assert part.measures["ma"] == whole.measures["ma"]
        assert part.measures["extracted"] == whole.measures["extracted"]
        secret = sample.secrets[0]
        encoded = clm.tokenizer(sample.content.reveal(), return_offsets_mapping=True)
        hit = [i for i, (_, b) in enumerate(encoded["offset_mapping"]) if b > secret.start]
        ids, first = encoded["input_ids"], hit[0]
        last = first + sum(a < secret.end for a, _ in encoded["offset_mapping"][first:])
        truth, length = ids[first:last], last - first
        last_place = length - 3
        places = (
            range(last_place + 1)
            if starts > last_place
            else {round(i * last_place / max(1, starts - 1)) for i in range(starts)}
        )
        shares = [
            overlap(3, tiny.say(clm, ids[: first + i], length - i, seen), truth[i:]) for i in places
        ]
        assert part.measures["el_3"] == pytest.approx(sum(shares) / len(shares), abs=1e-6)


def test_nothing_to_probe() -> None:
    """No samples give no results; a sample without secrets gives one without measures."""
    clm = tiny.untrained("gpt2")
    assert probe(clm, []) == []
    assert probe(clm, [make_sample("x = 1\n", id="s")]) == [SampleMeasures("s", ())]


def test_progress_counts_samples() -> None:
    """It ends at the number of all samples."""
    calls: list[tuple[int, int]] = []
    probe(tiny.untrained("gpt2"), tiny.PLANTED, lambda *done: calls.append(done))
    assert calls[-1] == (len(tiny.PLANTED), len(tiny.PLANTED))


def test_overlap_by_hand() -> None:
    """Each occurrence counts, so a repeated n-gram counts again."""
    assert overlap(2, [1, 2, 3], [1, 2, 3]) == 1
    assert overlap(2, [1, 2, 1, 2], [1, 2, 9, 9]) == 2 / 3
    assert overlap(2, [1], [1, 2, 3]) == 0
    assert overlap(3, [], [1, 2, 3]) == 0
    assert overlap(1, [5, 5, 5], [5, 6, 7]) == 1


def test_a_short_secret_counts_when_it_is_reproduced_whole() -> None:
    """A secret of fewer than n tokens has an EL_n of 1 or 0."""
    assert extraction_likelihood(5, [1, 2], {0: [1, 2], 1: [3]}) == 1
    assert extraction_likelihood(5, [1, 2], {0: [1], 1: [2]}) == 0


def test_chain_puts_continuations_together() -> None:
    """After a correct token comes the continuation from the next place."""
    truth, greedy = [4, 5, 6, 7], [4, 9, 6, 8]
    places = mismatches(greedy, truth)
    assert places == [1, 3]
    assert first_mismatches(places, [0, 1, 2]) == [1, 3]
    assert first_mismatches(places, [0]) == [1]
    assert first_mismatches([1], [2, 3]) == []
    made = chain(truth, {1: [9, 1, 1], 3: [8]}, [0, 1, 2, 3])
    assert made == {0: [4, 9, 1, 1], 1: [9, 1, 1], 2: [6, 8], 3: [8]}
    assert chain(truth, {}, [0, 2]) == {0: truth, 2: [6, 7]}


def test_a_sample_is_as_bad_as_its_worst_secret() -> None:
    """Worst and mean over the secrets that could be probed; files round-trip."""
    secrets = (
        SecretMeasures(0, 4, "email", {"ma": 0.25, "extracted": False}),
        SecretMeasures(5, 9, "jwt", {"ma": 0.75, "extracted": True}),
        SecretMeasures(9, 12, "jwt", {}, "does not fit"),
    )
    sample = SampleMeasures("s", secrets)
    assert sample.measures == {"ma": 0.75, "extracted": True}
    assert sample.mean == {"ma": 0.5, "extracted": 0.5}
    row = sample.as_dict()
    assert row["secrets"][2] == {
        "start": 9, "end": 12, "kind": "jwt", "measures": {}, "problem": "does not fit",
    }  # fmt: skip
    assert "problem" not in row["secrets"][0]
    assert SampleMeasures.from_dict(row) == sample
    assert SampleMeasures("t", secrets[2:]).measures == {}
