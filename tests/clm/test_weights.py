"""Weights that are not those of the model that a folder describes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from checkpoints import Weights, configure, edit, refused

from erasetest.clm import LoadOptions, load_clm

INDEX = "model.safetensors.index.json"
UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint that a test may spoil."""
    return shutil.copytree(tiny_folder, tmp_path / "clm")


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """The same in files of 40 kB, with an index."""
    clm = tiny.untrained("qwen2")
    clm.model.save_pretrained(tmp_path / "clm", max_shard_size="40KB")
    clm.tokenizer.save_pretrained(tmp_path / "clm")
    return tmp_path / "clm"


def _one_layer_more(weights: Weights) -> Weights:
    more = {k.replace("layers.1.", "layers.2."): w for k, w in weights.items() if "layers.1." in k}
    return {**weights, **more}


def _not_a_number(weights: Weights) -> Weights:
    # A row that no probe reads: logits alone would not show it with an untied head.
    weights["model.embed_tokens.weight"][300, 3] = float("nan")
    return weights


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: {k: v for k, v in w.items() if k != UP}, f"lack 1 tensor ({UP})"),
        (lambda w: {f"module.{k}": v for k, v in w.items()}, "lack 27 tensors (lm_head.weight, "),
        (_one_layer_more, "contain 12 tensors (model.layers.2.input_layernorm.weight, "),
        (lambda w: {**w, "new.weight": torch.zeros(3)}, "contain 1 tensor (new.weight) that this "),
        (lambda w: {**w, UP: w[UP][:, :40]}, f"{UP} is 96 x 40, not 96 x 48"),
        (_not_a_number, "are not finite in float32 in 1 tensor (model.embed_tokens.weight)"),
    ],
    ids=["one missing", "another prefix", "a layer more", "one more", "a shape", "not a number"],
)
def test_weights_of_another_model(
    folder: Path, change: Callable[[Weights], Weights], reason: str
) -> None:
    """Missing ones would be random, and others would be left out: neither is what was named."""
    edit(folder / "model.safetensors", change)
    assert reason in refused(folder)


HARMLESS = {
    "qwen2": {"model.layers.0.self_attn.rotary_emb.inv_freq": (3,), "v_head.summary.weight": (48,)},
    "gpt2": {
        "transformer.h.0.attn.bias": (1, 1, 96, 96),
        "transformer.h.0.attn.masked_bias": (1,),
    },
    "codegen": {
        "transformer.h.0.attn.causal_mask": (1, 1, 96, 96),
        "transformer.h.0.attn.bias": (1, 1, 96, 96),
    },
}


@pytest.mark.parametrize("tiny_folder", tiny.FAMILIES, indirect=True)
def test_what_checkpoints_hold_beside_the_weights_is_no_matter(folder: Path) -> None:
    """Masks and tables that are computed anew, a head of training, and a copy of tied weights."""
    family = json.loads((folder / "config.json").read_text())["model_type"]
    added = {name: torch.ones(shape) for name, shape in HARMLESS[family].items()}
    edit(folder / "model.safetensors", lambda weights: {**weights, **added})
    clm = load_clm(str(folder), LoadOptions(device="cpu"))
    wanted = tiny.untrained(family).model.state_dict()
    torch.testing.assert_close(dict(clm.model.state_dict()), dict(wanted))


def test_tied_weights_may_be_stored_twice(folder: Path) -> None:
    """An output head beside the embedding that it is tied to."""
    embedding = "model.embed_tokens.weight"
    edit(folder / "model.safetensors", lambda w: {**w, "lm_head.weight": w[embedding]})
    clm = load_clm(str(folder), LoadOptions(device="cpu"))
    head, embedded = clm.model.get_output_embeddings(), clm.model.get_input_embeddings()
    torch.testing.assert_close(head.weight, embedded.weight)


def test_an_untied_head_must_be_there(tmp_path: Path) -> None:
    """It is absent for a reason only where the configuration ties it."""
    folder = tiny.save(tiny.untrained("qwen2", tied=False), tmp_path)
    edit(folder / "model.safetensors", lambda w: {k: v for k, v in w.items() if "head" not in k})
    assert "lack 1 tensor (lm_head.weight)" in refused(folder)
    configure(folder, tie_word_embeddings=True)
    assert load_clm(str(folder), LoadOptions(device="cpu")).family == "qwen2"


def test_a_dtype_too_narrow(folder: Path) -> None:
    """float16 overflows where bfloat16 does not."""
    name = "model.norm.weight"
    edit(folder / "model.safetensors", lambda weights: {**weights, name: weights[name] * 1e5})
    message = refused(folder, LoadOptions(device="cpu", dtype="float16"))
    assert f"not finite in float16 in 1 tensor ({name}): the weights are damaged, or" in message
    assert load_clm(str(folder), LoadOptions(device="cpu")).family == "qwen2"


def test_logits_that_overflow(folder: Path) -> None:
    """Finite weights need not give finite logits."""
    name = "model.norm.weight"
    edit(folder / "model.safetensors", lambda weights: {**weights, name: weights[name] * 6e4})
    edit(
        folder / "model.safetensors",
        lambda w: {**w, "model.embed_tokens.weight": w["model.embed_tokens.weight"] * 1e3},
    )
    options = LoadOptions(device="cpu", dtype="float16")
    assert "its logits are not finite in float16" in refused(folder, options)


def test_a_sharded_checkpoint_loads(sharded: Path) -> None:
    """As one file does, with other files beside it that are not its own."""
    (sharded / "optimizer.safetensors").write_bytes(b"garbage")
    clm = load_clm(str(sharded), LoadOptions(device="cpu"))
    wanted = tiny.untrained("qwen2").model.state_dict()
    torch.testing.assert_close(dict(clm.model.state_dict()), dict(wanted))


def _second(folder: Path) -> Path:
    return sorted(folder.glob("model-*.safetensors"))[1]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def _change_map(folder: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    path = folder / INDEX
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "weight_map": change(index["weight_map"])}))


def _drop_from_shard(folder: Path) -> None:
    file = json.loads((folder / INDEX).read_text())["weight_map"][UP]
    edit(folder / file, lambda weights: {k: w for k, w in weights.items() if k != UP})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda f: _second(f).unlink(), "model-00002-of-00006.safetensors, which model.safeten"),
        (lambda f: _cut(_second(f)), "model-00002-of-00006.safetensors cannot be read (Safet"),
        (_drop_from_shard, f"index.json names 1 tensor ({UP}) that its files lack"),
        (
            lambda f: _change_map(f, lambda m: {**m, "new.weight": min(m.values())}),
            "names 1 tensor (new.weight) that its files lack",
        ),
        (
            lambda f: _change_map(f, lambda m: {k: v for k, v in m.items() if "00002" not in v}),
            "the weights lack 7 tensors (model.layers.0.self_attn.k_proj.bias, ",
        ),
        (lambda f: (f / INDEX).write_text("{"), f"{INDEX} cannot be used (JSONDecodeError"),
        (lambda f: (f / INDEX).write_text("{}"), f"{INDEX} cannot be used (KeyError"),
        (lambda f: (f / INDEX).write_text('{"weight_map": 3}'), f"{INDEX} cannot be used (Attr"),
        (lambda f: (f / INDEX).unlink(), f"has neither model.safetensors nor {INDEX}"),
    ],
)
def test_a_sharded_checkpoint_that_is_damaged(
    sharded: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    """Each message names the file, and says to fetch or save the weights again."""
    spoil(sharded)
    assert reason in refused(sharded)
