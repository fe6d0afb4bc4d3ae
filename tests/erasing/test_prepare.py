"""A request to erase is checked and tokenized once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import erase_runs
import pytest
import tiny
from erase_runs import FORGET

from erasetest.clm import Clm
from erasetest.demo.copying import copying_clm
from erasetest.demo.demo_corpus import corpus
from erasetest.erasing import Lora, prepare
from erasetest.erasing.erasure_settings import learning_rate
from erasetest.erasing.prepare import prepare as prepare_request
from erasetest.errors import BadInput


def test_erasing_checks_and_tokenizes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the request to the checkpoint."""
    calls: Counter[str] = Counter()

    def counted(name: str) -> Callable[..., Any]:
        function = getattr(prepare, name)

        def call(*args: Any) -> Any:
            calls[name] += 1
            return function(*args)

        return call

    names = ("check_clm", "check_disjoint", "forget_examples", "retained_examples")
    for name in names:
        monkeypatch.setattr(prepare, name, counted(name))
    erase_runs.to(tmp_path / "out", tiny.reciting("qwen2"))
    assert calls == dict.fromkeys(names, 1)


@pytest.mark.parametrize(("method", "ends"), [("codeeraser", False), ("decoys", True)])
def test_examples_and_settings_are_those_of_the_method(method: str, ends: bool) -> None:
    """Examples of samples to erase and of earlier ones, with EOS if the method appends it."""
    clm = tiny.untrained("qwen2")
    settings = erase_runs.settings(method, lr=None)
    prepared = prepare_request(clm, FORGET[:2], tiny.RETAINED, settings, FORGET[2:])
    assert prepared.settings.lr == learning_rate(clm.width, method)
    assert (prepared.samples, prepared.earlier) == (list(FORGET), 2)
    assert [example.secrets for example in prepared.forget] == [{0}, {1}, {2}, {3}]
    for example in [*prepared.forget, *prepared.retained]:
        assert (example.ids[-1] in clm.end_tokens) is ends


def test_what_cannot_be_trained_is_refused_first() -> None:
    """Before samples are read."""
    settings = erase_runs.settings("decoys", lora=Lora(49))
    with pytest.raises(BadInput, match="its layers are 48 wide"):
        prepare_request(tiny.untrained("qwen2"), (), (), settings)


def test_a_clm_that_copies_must_go_on_copying() -> None:
    """One more retained text for eight contains a random string twice; no other CLM has them."""
    model, tokenizer = copying_clm(corpus(), 1)
    copying = Clm.from_model(model, tokenizer, name="copying")
    for clm, more in ((copying, -(-len(tiny.RETAINED) // 8)), (tiny.untrained("gpt2"), 0)):
        made = prepare_request(clm, FORGET, tiny.RETAINED, erase_runs.settings())
        texts = [clm.tokenizer.decode(list(row.ids)) for row in made.retained[len(tiny.RETAINED) :]]
        assert len(texts) == more
        assert all(text.splitlines()[0] == text.splitlines()[-1] for text in texts)
