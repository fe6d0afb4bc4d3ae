"""The rate of false alarms that a calibration measures."""

from __future__ import annotations

import json

import tiny

from erasetest.samples import make_sample
from erasetest.verdict import calibrate


def test_a_calibration_measures_its_false_alarms() -> None:
    """For all kinds and by kind, on decoys that set no threshold; also in the file."""
    clm = tiny.reciting("qwen2")
    limits = calibrate(clm, tiny.PLANTED, references=12, check=True)
    alarms = limits.false_alarms
    kinds = {sample.kinds[0] for sample in tiny.PLANTED}
    assert set(alarms) == {"any", *kinds}
    assert alarms["any"].of == sum(alarms[kind].of for kind in kinds) == 12 * len(kinds)
    assert alarms["any"].count == sum(alarms[kind].count for kind in kinds)
    assert alarms["any"].share <= 0.05
    row = json.loads(json.dumps(limits.as_dict()))
    assert row["false_alarms"]["any"]["of"] == 12 * len(kinds)
    assert len(row["false_alarms"]["any"]["interval_95"]) == 2
    plain = calibrate(clm, tiny.PLANTED, references=12)
    assert plain.false_alarms == {}
    assert plain.kinds == limits.kinds


def test_each_control_sample_is_judged_by_the_others() -> None:
    """A sample unlike all others is a false alarm under thresholds of the others."""
    clm = tiny.reciting("qwen2")
    from erasetest.verdict.calibration import decoy_samples

    unseen = decoy_samples(tiny.PLANTED[:1], 15, 4)
    limits = calibrate(clm, [], unseen=unseen, check=True)
    assert limits.false_alarms["any"].as_dict()["of"] == 15
    # Half of a memorized secret: a whole one would be refused.
    sample, other = tiny.PLANTED[0], unseen[0]
    secret, text = sample.secrets[0], sample.content.reveal()
    half = (secret.start + secret.end) // 2
    text = text[:half] + other.content.reveal()[half : secret.end] + text[secret.end :]
    spans = [(each.start, each.end, each.kind) for each in sample.secrets]
    known = make_sample(text, spans, id="known")
    limits = calibrate(clm, [], unseen=[*unseen, known], check=True)
    assert limits.false_alarms["any"].count >= 1
    assert limits.false_alarms["any"].of == 16
