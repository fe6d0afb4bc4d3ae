"""Adapters that match the layers of the CLM, and adapters that do not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from checkpoints import Weights, configure, edit, refused, save_with_adapter
from gate_runs import gate
from safetensors.torch import load

from erasetest.clm import LoadOptions, load_clm
from erasetest.clm.fingerprint import fingerprint
from erasetest.errors import BadInput, MissingExtra
from erasetest.loading import check_clm_name

pytest.importorskip("peft")

FILE = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
FIRST = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `base/`, which recites nothing, and `adapter/`, which makes it recite."""
    folder = tmp_path_factory.mktemp("adapted")
    save_with_adapter(folder)
    return folder


@pytest.fixture
def base(made: Path) -> Path:
    return made / "base"


@pytest.fixture
def adapter(made: Path, tmp_path: Path) -> Path:
    """A copy of the adapter that a test may change."""
    return shutil.copytree(made / "adapter", tmp_path / "adapter")


def _refused(base: Path, adapter: str | Path, **options: bool) -> str:
    return refused(base, LoadOptions(adapter=str(adapter), device="cpu", **options))  # type: ignore[arg-type]


def test_an_adapter_changes_what_the_clm_says(base: Path, adapter: Path) -> None:
    """It is merged, and its files are part of the fingerprint."""
    clm = load_clm(str(base), LoadOptions(adapter=str(adapter), device="cpu"))
    plain = load_clm(str(base), LoadOptions(device="cpu"))
    wanted = dict(tiny.reciting("qwen2").model.state_dict())
    torch.testing.assert_close(dict(clm.model.state_dict()), wanted, rtol=1e-4, atol=1e-5)
    name = "model.layers.0.mlp.up_proj.weight"
    assert (plain.model.state_dict()[name] - wanted[name]).abs().max() > 0.1
    assert clm.adapter == str(adapter)
    assert clm.fingerprint == fingerprint(base, adapter)
    assert type(clm.model) is type(plain.model)


EXTRA = "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: {f"module.{k}": v for k, v in w.items()}, f"has 16 tensors (module.{FIRST}, "),
        (
            lambda w: {k.replace("base_model.", "base_model.module."): v for k, v in w.items()},
            "has 16 tensors (base_model.module.model.model.layers.0.mlp.down_proj.lora_A.weight",
        ),
        (lambda w: {k: v for k, v in w.items() if "lora_A" not in k}, f"lacks 8 tensors ({FIRST}"),
        (lambda w: {k: v for k, v in w.items() if "layers.0." not in k}, "lacks 8 tensors (base_m"),
        (lambda w: {k: v for k, v in w.items() if k != FIRST}, f"lacks 1 tensor ({FIRST}) of lay"),
        (lambda w: {k.replace("mlp", "ffn"): v for k, v in w.items()}, "has 8 tensors (base_mod"),
        (
            lambda w: {**w, EXTRA: torch.zeros(8, 48)},
            f"has 1 tensor ({EXTRA}) that match no layer of",
        ),
        (lambda w: {k: v * float("nan") for k, v in w.items()}, "not finite in float32 in 16 tens"),
    ],
    ids=["module.", "module. within", "one half", "a layer", "one", "names", "one more", "nan"],
)
def test_tensors_that_match_no_layer(
    base: Path, adapter: Path, change: Callable[[Weights], Weights], reason: str
) -> None:
    """They are refused with their number and names; PEFT would ignore them."""
    edit(adapter / FILE, change)
    message = _refused(base, adapter)
    assert message.startswith(f"{adapter}: ")
    assert reason in message


def test_an_adapter_of_another_rank(base: Path, adapter: Path) -> None:
    """The error names both shapes in one line."""
    configure(adapter, CONFIG, r=4)
    message = _refused(base, adapter)
    assert "lora_A.weight is [8, 48], and [4, 48] is needed" in message


def test_an_adapter_without_the_biases_that_it_trained(base: Path, adapter: Path) -> None:
    """PEFT does not report them as missing, because the base's layers have them."""
    configure(adapter, CONFIG, bias="all")
    assert "lacks 6 tensors (base_model.model.model.layers.0.self_attn." in _refused(base, adapter)
    biases = {
        f"base_model.model.model.layers.{n}.self_attn.{name}.bias": torch.zeros(size)
        for n in range(2)
        for name, size in (("q_proj.base_layer", 48), ("k_proj", 24), ("v_proj.base_layer", 24))
    }
    edit(adapter / FILE, lambda weights: {**weights, **biases})
    assert load_clm(str(base), LoadOptions(adapter=str(adapter), device="cpu")).family == "qwen2"


def test_an_adapter_of_another_model(base: Path, adapter: Path) -> None:
    """Its layers have names that the CLM does not have."""
    configure(adapter, CONFIG, target_modules=["c_attn"])
    assert "the adapter does not fit the CLM (NoMatchingPeftModuleError: " in _refused(
        base, adapter
    )


def test_the_hub_is_never_asked_for_an_adapter(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is a path, not a hub id: the error names the missing folder or file."""
    import huggingface_hub

    def asked(*given: object, **options: object) -> None:
        raise AssertionError("the hub was asked")

    for name in ("snapshot_download", "hf_hub_download", "file_exists"):
        monkeypatch.setattr(huggingface_hub, name, asked)
        monkeypatch.setattr(f"peft.utils.save_and_load.{name}", asked, raising=False)
    monkeypatch.chdir(tmp_path)
    assert "some/adapter: no such folder: give --clm-adapter" in _refused(base, "some/adapter")
    assert "'': no such folder" in _refused(base, "")
    (adapter / FILE).rename(adapter / "weights.safetensors")
    assert f"adapter: has no {FILE}" in _refused(base, "adapter")
    (adapter / "weights.safetensors").rename(adapter / FILE)
    options = LoadOptions(adapter="adapter", device="cpu")
    assert load_clm(str(base), options).fingerprint == fingerprint(base, adapter)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, f"has no {CONFIG}"), ("{", f"{CONFIG} cannot be read"), ("[]", "is not a JSON object")],
)
def test_an_adapters_config(base: Path, adapter: Path, content: str | None, reason: str) -> None:
    """The config is missing, malformed, or not an object."""
    (adapter / CONFIG).unlink()
    if content is not None:
        (adapter / CONFIG).write_text(content)
    assert reason in _refused(base, adapter)


def test_damaged_and_pickled_adapters(base: Path, adapter: Path) -> None:
    """Pickled adapters are loaded only if pickled weights are allowed."""
    whole = (adapter / FILE).read_bytes()
    weights = load(whole)
    (adapter / FILE).write_bytes(whole[: len(whole) // 2])
    assert "the adapter does not fit the CLM (SafetensorError" in _refused(base, adapter)
    (adapter / FILE).unlink()
    torch.save(weights, adapter / "adapter_model.bin")
    assert "the adapter is pickled, and loading it can run code" in _refused(base, adapter)
    options = LoadOptions(adapter=str(adapter), device="cpu", allow_pickle=True)
    assert load_clm(str(base), options).adapter == str(adapter)


@pytest.mark.parametrize(
    ("trained_on", "warned"),
    [("Qwen/Other-7B", True), ("hub/base", False), (None, False), ("", False)],
)
def test_an_adapter_that_names_another_base(
    base: Path,
    adapter: Path,
    trained_on: str | None,
    warned: bool,
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Only a warning: the name is often a path of another machine, or the base's hub id."""
    configure(adapter, CONFIG, base_model_name_or_path=trained_on)
    load_clm(str(base), LoadOptions(adapter=str(adapter), device="cpu"))
    messages = [str(w.message) for w in recwarn if "was trained on" in str(w.message)]
    expected = f"{adapter}: the adapter was trained on {trained_on} and is applied to {base}: check"
    assert [message.startswith(expected) for message in messages] == [True] * warned


def test_an_adapter_beside_the_model_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    """transformers would load both, or the model alone if PEFT is not installed."""
    both = shutil.copytree(base, tmp_path / "both")
    shutil.copy(adapter / CONFIG, both)
    assert "has an adapter (adapter_config.json) beside the model" in refused(both)


@pytest.mark.parametrize("clm", ["demo", "http://localhost:8000/v1"])
def test_an_adapter_is_looked_for_whatever_it_is_put_on(clm: str) -> None:
    """The adapter is checked before the demo is trained or a server is asked."""
    with pytest.raises(BadInput, match="no such folder: give --clm-adapter the folder of an ada"):
        check_clm_name(clm, "some/adapter", endpoint=True)


def test_where_no_adapter_can_be(adapter: Path) -> None:
    """Neither with an endpoint, which would be measured without it, nor as the CLM itself."""
    with pytest.raises(BadInput, match="an endpoint takes no adapter"):
        check_clm_name("http://localhost:8000/v1", str(adapter), endpoint=True)
    with pytest.raises(BadInput, match="is an adapter: name its base with --clm, and this with"):
        check_clm_name(str(adapter))


def test_an_adapter_without_peft(
    base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra to install."""
    import sys

    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtra, match=r"pip install 'erasetest\[lora\]'"):
        load_clm(str(base), LoadOptions(adapter=str(adapter)))


def test_a_gate_measures_the_adapter_or_nothing(
    made: Path, adapter: Path, leaking: Path, tmp_path: Path
) -> None:
    """A leaking adapter whose tensors match no layer never ends with status 0."""
    edit(adapter / FILE, lambda w: {f"module.{k}": v for k, v in w.items()})
    given = (f"--clm={made / 'base'}", f"--clm-adapter={adapter}")
    run = gate(leaking, *given, cwd=tmp_path)
    assert run.returncode == 4
    assert f"ERROR: {adapter}: the adapter has 16 tensors (module.{FIRST}" in run.stdout
