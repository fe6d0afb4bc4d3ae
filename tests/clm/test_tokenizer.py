"""The tokenizer of a checkpoint encodes as its own `tokenizer.json` says."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import tiny
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from erasetest.clm import load_clm
from erasetest.errors import ClmError, ClmWarning

TEXT = "HOST = '192.168.100.27'  # PORT 8080\n\tif x1234:\r\n    grüße()\n"
_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
SPLITS = {
    "GPT-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "digits": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _BYTES]),
    "none": _BYTES,
}
"""Splits that a checkpoint may have been trained with, whatever its family usually has."""


def _change(folder: Path, **components: Any) -> Tokenizer:
    """Change components of the tokenizer's file, and return what it says now."""
    path = str(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    for name, component in components.items():
        setattr(tokenizer, name, component)
    tokenizer.save(path)
    return tokenizer


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A checkpoint of an untrained CLM of a family."""
    return tiny.save(tiny.untrained(getattr(request, "param", "qwen2")), tmp_path / "clm")


def _encoded(folder: Path) -> tuple[list[int], list[Warning | str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tokenizer = load_clm(str(folder)).tokenizer
    said = [one.message for one in caught if issubclass(one.category, ClmWarning)]
    ids: list[int] = tokenizer(TEXT)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == TEXT
    return ids, said


@pytest.mark.parametrize("folder", tiny.FAMILIES, indirect=True)
def test_nothing_is_said_where_nothing_differs(folder: Path) -> None:
    """The tokenizers of the families as they are."""
    file = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert _encoded(folder) == (file.encode(TEXT).ids, [])


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("folder", tiny.FAMILIES, indirect=True)
def test_the_splits_are_those_of_the_file(folder: Path, split: str) -> None:
    """Another family's splits; the run says so if transformers would replace them."""
    file = _change(folder, pre_tokenizer=SPLITS[split])
    wanted = file.encode(TEXT).ids
    ids, said = _encoded(folder)
    assert ids == wanted
    if "qwen2" in json.loads((folder / "config.json").read_text())["model_type"]:
        (one,) = said
        assert "clm: transformers would encode text otherwise" in str(one)


@pytest.mark.parametrize("folder", tiny.FAMILIES, indirect=True)
def test_the_normalizer_is_that_of_the_file(folder: Path) -> None:
    """Each family normalizes its own way, or not at all."""
    file = _change(folder, normalizer=normalizers.NFKC())
    tokenizer = load_clm(str(folder)).tokenizer
    for text in ("\ufb01ne \uff26", "e\u0301te\u0301"):
        assert tokenizer(text)["input_ids"] == file.encode(text).ids


@pytest.mark.parametrize("folder", tiny.FAMILIES, indirect=True)
def test_added_tokens_are_those_of_the_file(folder: Path) -> None:
    """Also those that are not special."""
    path = str(folder / "tokenizer.json")
    file = Tokenizer.from_file(path)
    # In place of the last token, which the model embeds.
    last = file.get_vocab_size() - 1
    content = json.loads(Path(path).read_text())
    dropped = file.id_to_token(last)
    content["model"]["vocab"].pop(dropped)
    content["model"]["merges"] = [
        pair for pair in content["model"]["merges"] if "".join(pair) != dropped
    ]
    Path(path).write_text(json.dumps(content))
    file = Tokenizer.from_file(path)
    file.add_tokens([AddedToken("PORT", normalized=False)])
    file.save(path)
    assert last in file.encode(TEXT).ids
    assert load_clm(str(folder)).tokenizer(TEXT)["input_ids"] == file.encode(TEXT).ids


@pytest.mark.parametrize(
    ("in_file", "asked"), [(True, None), (True, True), (False, None), (False, False), (False, True)]
)
@pytest.mark.parametrize("folder", tiny.FAMILIES, indirect=True)
def test_the_start_token_is_that_of_the_file(
    folder: Path, in_file: bool, asked: bool | None
) -> None:
    """Where the checkpoint's configuration says something too, transformers weighs the two."""
    start = "<|endoftext|>"
    template = f"{start} $A" if in_file else "$A"
    special = [(start, 0)] if in_file else []
    _change(folder, post_processor=processors.TemplateProcessing(template, "$A $B", special))
    path = folder / "tokenizer_config.json"
    configuration = json.loads(path.read_text())
    configuration.pop("add_bos_token", None)
    if asked is not None:
        configuration["add_bos_token"] = asked
    path.write_text(json.dumps(configuration))
    ids = load_clm(str(folder)).tokenizer(TEXT)["input_ids"]
    assert ids[0] != 0 or ids.count(0) == 1
    if asked is None:
        assert (ids[0] == 0) == in_file
    else:
        assert ids == AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]


def test_a_file_that_cannot_be_used_is_refused(folder: Path) -> None:
    """Neither what transformers makes of it nor the file itself can be trusted."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "pre_tokenizer": {"type": "Unheard"}}))
    with pytest.raises(ClmError, match=r"clm: (tokenizer.json cannot be read|the tokenizer)"):
        load_clm(str(folder))


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("in_file", [True, False])
def test_flags_that_llama_tokenizers_obeyed_are_obeyed(
    folder: Path, in_file: bool, asked: bool
) -> None:
    """Whatever the file has, and transformers now makes of both; the run says so if they differ."""
    start = "<|endoftext|>"
    template = f"{start} $A" if in_file else "$A"
    special = [(start, 0)] if in_file else []
    file = _change(folder, post_processor=processors.TemplateProcessing(template, "$A $B", special))
    configuration = json.loads((folder / "tokenizer_config.json").read_text())
    configuration |= {
        "tokenizer_class": "LlamaTokenizerFast", "add_bos_token": asked, "add_eos_token": False,
        "bos_token": start, "eos_token": start,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(configuration))
    ids, said = _encoded(folder)
    assert ids == [*[0][:asked], *file.encode(TEXT, add_special_tokens=False).ids]
    assert len(said) == (in_file != asked)
    if said:
        assert "transformers would ignore add_bos_token of tokenizer_config.json" in str(said[0])


def test_offsets_include_white_space_whatever_else_follows(folder: Path) -> None:
    """A post-processor that trims them can be the first of several, as Llama 3 has it."""
    _change(
        folder,
        post_processor=processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=True),
                processors.TemplateProcessing("<|endoftext|> $A", "$A $B", [("<|endoftext|>", 0)]),
            ]
        ),
    )
    tokenizer = load_clm(str(folder)).tokenizer
    _, *offsets = tokenizer("a  b", return_offsets_mapping=True)["offset_mapping"]
    assert [place for start, end in offsets for place in range(start, end)] == [0, 1, 2, 3]
