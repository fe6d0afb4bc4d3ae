"""Loading CLMs, and the errors for checkpoints that cannot be loaded."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import transformers as hf
from checkpoints import configure, refused

from erasetest.clm import Clm, LoadOptions, load_clm, score
from erasetest.clm.fingerprint import fingerprint
from erasetest.clm.teacher_forcing import Target
from erasetest.clm.tokenizer import include_white_space_in_offsets
from erasetest.errors import ClmError

CPU = LoadOptions(device="cpu")

families = pytest.mark.parametrize("tiny_folder", tiny.FAMILIES, indirect=True)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint that a test may change."""
    return shutil.copytree(tiny_folder, tmp_path / "clm")


def _replace(folder: Path, model: hf.PreTrainedModel) -> None:
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).unlink()
    model.save_pretrained(folder)


def _logits(clm: Clm) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = clm.model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits
    return logits


@families
def test_a_checkpoint_loads_as_it_was(tiny_folder: Path) -> None:
    """Weights, tokenizer, window and name; ready to be probed."""
    clm = load_clm(str(tiny_folder), CPU)
    family = clm.family
    wanted = tiny.untrained(family)
    torch.testing.assert_close(_logits(clm), _logits(wanted))
    assert clm.window == tiny.WINDOW
    assert clm.start_token == 0
    assert clm.end_tokens == {0}
    assert not clm.model.training
    text = tiny.PLANTED[2].content.reveal()
    assert clm.tokenizer(text)["input_ids"] == wanted.tokenizer(text)["input_ids"]
    assert clm.describe() == {
        "name": str(tiny_folder),
        "family": family,
        "fingerprint": fingerprint(tiny_folder),
        "parameters": sum(p.numel() for p in wanted.model.parameters()),
        "dtype": "float32",
        "device": "cpu",
    }


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtype_and_device_as_asked(tiny_folder: Path, dtype: str) -> None:
    """The compute dtype is as requested; the stored dtype is recorded."""
    clm = load_clm(str(tiny_folder), LoadOptions(device="cpu", dtype=dtype, batch_tokens=77))
    assert clm.dtype == getattr(torch, dtype)
    assert clm.stored_dtype == torch.float32
    assert clm.batch_tokens == 77
    assert score(clm, [Target((0, 1, 2), 1, 3)])[0].greedy


def test_auto_on_a_cpu_is_float32_and_remembers_the_stored_dtype(folder: Path) -> None:
    """Half precision is slow and imprecise on a CPU; saving uses the stored dtype."""
    tiny.untrained("qwen2").model.to(torch.bfloat16).save_pretrained(folder)
    clm = load_clm(str(folder), CPU)
    assert (clm.dtype, clm.stored_dtype) == (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("said", [None, "float32", "bfloat16"])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_what_is_stored_is_what_the_weights_are_whatever_the_config_says(
    said: str | None, stored: torch.dtype, folder: Path
) -> None:
    """Older configs name no dtype; a few weights of another dtype do not count."""
    model = tiny.untrained("qwen2").model.to(stored)
    model.model.norm.float()
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    for name in ("dtype", "torch_dtype"):
        config.pop(name, None)
    (folder / "config.json").write_text(json.dumps({**config, **({"dtype": said} if said else {})}))
    for dtype in ("float32", "bfloat16"):
        clm = load_clm(str(folder), LoadOptions(device="cpu", dtype=dtype))
        assert (clm.dtype, clm.stored_dtype) == (getattr(torch, dtype), stored)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/nowhere/at/all", "no such folder"),
        ("./nowhere/clm", "no such folder"),
        ("~/nowhere/clm", "no such folder"),
        ("nowhere", "no such folder"),
        ("a/b/c", "no such folder"),
        ("not an/id at all", "it is not a valid hub id either"),
    ],
)
def test_a_name_that_is_nowhere(name: str, reason: str) -> None:
    """The message names the valid alternatives."""
    message = refused(name)
    assert message.startswith(f"{name}: ")
    assert reason in message
    assert message.endswith("name a model folder, a hub id or demo")


def test_a_hub_id_while_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It fails at once, and the message names the hub and its cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert "the hub cannot be reached, and its cache does not contain it" in refused("some/clm")


def test_a_file_is_no_checkpoint(folder: Path) -> None:
    """A user may name the file of weights by mistake."""
    assert "is a file" in refused(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (["config.json"], "has no config.json"),
        (["tokenizer.json", "tokenizer_config.json"], "has no tokenizer"),
        (["tokenizer.json"], "the tokenizer has no vocabulary"),
        (["model.safetensors"], "has no weights"),
    ],
)
def test_a_folder_that_lacks_a_file(folder: Path, missing: list[str], reason: str) -> None:
    """Each message names the file."""
    for name in missing:
        (folder / name).unlink()
    assert reason in refused(folder)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.json", b"{", "config.json cannot be used"),
        ("config.json", b"null", "config.json cannot be used"),
        ("config.json", b"[]", "config.json cannot be used"),
        ("config.json", b"{}", "config.json cannot be used"),
        ("config.json", b"\xff\xfe", "config.json cannot be used"),
        ("tokenizer.json", b"{", "the tokenizer cannot be loaded"),
        ("tokenizer.json", b"{}", "the tokenizer cannot be loaded"),
        ("model.safetensors", b"", "the weights cannot be loaded"),
        ("model.safetensors", b"garbage" * 9, "the weights cannot be loaded"),
    ],
)
def test_a_broken_file(folder: Path, name: str, content: bytes, reason: str) -> None:
    """Any error of a library becomes a message of one line."""
    (folder / name).write_bytes(content)
    assert reason in refused(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "nothing-known"}, "config.json cannot be used"),
        ({"hidden_size": "wide"}, "config.json cannot be used"),
        ({"dtype": "float99"}, "config.json cannot be used"),
        ({"architectures": [3]}, "not a causal LM"),
        (
            {"hidden_size": 64},
            "tensors of the weights do not have the shape that config.json defines",
        ),
        ({"num_attention_heads": 7}, "tensors of the weights do not have the shape that config"),
        ({"vocab_size": -3}, "the weights cannot be loaded"),
    ],
)
def test_a_configuration_that_does_not_fit(
    folder: Path, changes: dict[str, Any], reason: str
) -> None:
    """Values of the wrong type, or of another model."""
    configure(folder, **changes)
    assert reason in refused(folder)


def _bert(kind: type[hf.PreTrainedModel]) -> Callable[[], hf.PreTrainedModel]:
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}

    def make() -> hf.PreTrainedModel:
        torch.manual_seed(0)
        return kind(hf.BertConfig(vocab_size=320, num_hidden_layers=1, **sizes))

    return make


def _t5() -> hf.PreTrainedModel:
    sizes = {"d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 16}
    return hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=320, num_layers=1, **sizes))


def _vit() -> hf.PreTrainedModel:
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    return hf.ViTModel(hf.ViTConfig(num_hidden_layers=1, **sizes))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_t5, "is a T5ForConditionalGeneration, not a causal LM"),
        (_bert(hf.BertForMaskedLM), "is a BertForMaskedLM, not a causal LM"),
        (_bert(hf.BertLMHeadModel), "attends to later tokens, so it is not a causal LM"),
        (lambda: tiny.model("gpt2").base_model, "is a GPT2Model, not a causal LM"),
    ],
    ids=["encoder-decoder", "BERT", "BERT that says it is causal", "without a head"],
)
def test_what_is_no_causal_lm(
    folder: Path, make: Callable[[], hf.PreTrainedModel], reason: str
) -> None:
    """It is recognized by its configuration, or by its logits."""
    _replace(folder, make())
    assert reason in refused(folder)


def test_a_model_type_without_causal_lm(folder: Path) -> None:
    """If the configuration names no architecture, the model type decides."""
    _replace(folder, _vit())
    configure(folder, architectures=None)
    assert "a vit model is not a causal LM" in refused(folder)


def _pickle_weights(folder: Path) -> None:
    torch.save(tiny.model("qwen2").state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_pickled_weights_are_refused_and_can_be_allowed(folder: Path) -> None:
    """If allowed, they are read as data, without running code."""
    _pickle_weights(folder)
    assert "its weights are pickled" in refused(folder)
    clm = load_clm(str(folder), LoadOptions(allow_pickle=True))
    torch.testing.assert_close(_logits(clm), _logits(tiny.untrained("qwen2")))


class _Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize("allow_pickle", [False, True])
def test_code_in_pickled_weights_does_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, allow_pickle: bool
) -> None:
    """Not even if pickled weights are allowed: only tensors are read from them."""
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Evil(), protocol=2))
    refused(folder, LoadOptions(allow_pickle=allow_pickle))
    assert not (folder / "ran").exists()


def test_code_of_a_checkpoint_does_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A custom model type needs custom code; the message refuses it."""
    monkeypatch.chdir(folder)
    code = "from pathlib import Path\nPath('ran').touch()\n"
    (folder / "configuration_own.py").write_text(code)
    configure(folder, model_type="own", auto_map={"AutoConfig": "configuration_own.OwnConfig"})
    assert "needs the code that comes with it, which is not run" in refused(folder)
    assert not (folder / "ran").exists()


def test_a_tokenizer_without_offsets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret's tokens are found by offsets, which only fast tokenizers return."""
    slow = hf.ByT5Tokenizer()
    monkeypatch.setattr(hf.AutoTokenizer, "from_pretrained", lambda *args, **kwargs: slow)
    assert "ByT5Tokenizer returns no offsets" in refused(folder)


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    """Tokens without an embedding would raise an index error within the model."""
    tokenizer = tiny.fresh_tokenizer("qwen2")
    tokenizer.add_tokens([f"<extra{n}>" for n in range(5)])
    tokenizer.save_pretrained(folder)
    assert "the tokenizer has 325 tokens, the model embeds 320" in refused(folder)


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("tpu", "expected auto, cpu, cuda or cuda:N"),
        ("", "expected auto, cpu, cuda or cuda:N"),
        ("cuda:x", "expected auto, cpu, cuda or cuda:N"),
        ("meta", "is not supported"),
    ],
)
def test_an_unknown_device(tiny_folder: Path, device: str, reason: str) -> None:
    """The message contains the given name."""
    message = refused(tiny_folder, LoadOptions(device=device))
    assert message.startswith(f"device {device!r}")
    assert reason in message


def test_cuda_where_there_is_none(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A requested GPU is never replaced silently by the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "has no CUDA device" in refused(tiny_folder, LoadOptions(device="cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    message = refused(tiny_folder, LoadOptions(device="cuda:2"))
    assert "there are 2 CUDA devices, counted from 0" in message


def test_an_unknown_dtype(tiny_folder: Path) -> None:
    """The known ones are listed."""
    message = refused(tiny_folder, LoadOptions(dtype="int4"))
    assert "dtype 'int4' is unknown: expected auto, float32, bfloat16, float16" in message


def test_a_clm_that_cannot_be_run(tmp_path: Path) -> None:
    """It loads, but its first forward pass fails; the message gives the reason in one line."""
    folder = tiny.save(tiny.untrained("codegen"), tmp_path)
    configure(folder, rotary_dim=7)
    message = refused(folder)
    assert "transformers cannot run this CodeGenForCausalLM (RuntimeError: The size of" in message
    assert "check config.json" in message


def test_a_device_without_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights do not fit in the memory of the GPU."""

    def full(*given: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(hf.PreTrainedModel, "to", full)
    assert "the weights cannot be put on cpu (OutOfMemoryError: CUDA out" in refused(folder, CPU)


def test_an_error_inside_an_import_is_told_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers reports a timeout in one of its modules as a missing module."""

    def load(*given: Any, **options: Any) -> None:
        try:
            raise RuntimeError("timed out after 5 s")
        except RuntimeError as error:
            raise ModuleNotFoundError("Could not import module 'Qwen2ForCausalLM'.") from error

    monkeypatch.setattr(hf.AutoModelForCausalLM, "from_pretrained", load)
    message = refused(folder)
    assert "(RuntimeError: timed out after 5 s)" in message
    assert "Could not import" not in message


def test_fingerprint_is_of_content(folder: Path, tmp_path: Path) -> None:
    """The folder and the time do not change it; every bit of the files does."""
    original = fingerprint(folder)
    other = shutil.copytree(folder, tmp_path / "other")
    assert fingerprint(other) == original
    (other / "README.md").write_text("a card")
    assert fingerprint(other) == original
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        content = (other / name).read_bytes()
        (other / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert fingerprint(other) != original
        (other / name).write_bytes(content)
    assert fingerprint(other) == original
    assert len(original) == 32


def test_fingerprint_of_an_adapter(folder: Path, tmp_path: Path) -> None:
    """It changes with the adapter, whose files are not mistaken for those of the model."""
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    adapted = fingerprint(folder, adapter)
    assert adapted != fingerprint(folder)
    shutil.copy(adapter / "adapter_config.json", folder)
    assert fingerprint(folder) != adapted


def test_offsets_include_white_space(folder: Path) -> None:
    """Trimming of offsets is turned off, since secrets and prompts are split by offsets."""
    from tokenizers import processors

    text = 'def f(x):\n        return "ab  cd"'
    whole = tiny.tokenizer("gpt2")(text, return_offsets_mapping=True)
    tokenizer = tiny.fresh_tokenizer("gpt2")
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trimmed = tokenizer(text, return_offsets_mapping=True)
    assert trimmed["offset_mapping"] != whole["offset_mapping"]
    include_white_space_in_offsets(tokenizer)
    assert dict(tokenizer(text, return_offsets_mapping=True)) == dict(whole)


def test_end_tokens(tiny_folder: Path) -> None:
    """Those of the generation config, one or several, else the tokenizer's, else none."""
    clm = load_clm(str(tiny_folder), CPU)
    clm.model.generation_config.eos_token_id = [3, 4]
    assert clm.end_tokens == {3, 4}
    clm.model.generation_config.eos_token_id = None
    assert clm.end_tokens == {0}
    clm.tokenizer.eos_token = None
    assert clm.end_tokens == frozenset()
    clm.tokenizer.bos_token = None
    with pytest.raises(ClmError, match="no beginning- or end-of-text token"):
        _ = clm.start_token


def test_the_repr_of_a_clm_is_one_line() -> None:
    shown = repr(tiny.untrained("gpt2"))
    assert shown == "Clm('tiny-gpt2', family='gpt2', dtype=float32, device=cpu)"
