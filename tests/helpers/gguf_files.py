"""GGUF files of tiny CLMs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants

from erasetest.clm import Clm

_OF_A_LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}


def write_gguf(clm: Clm, path: Path, *, quantized: bool = False) -> Path:
    """Write a Qwen2 with tied embeddings; `quantized` stores its matrices in 8 bits."""
    config = clm.model.config
    writer = GGUFWriter(path, "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _write_tokenizer(writer, clm)
    for name, tensor in clm.model.state_dict().items():
        if name == "lm_head.weight":
            continue
        stem, _, kind = name.rpartition(".")
        if stem in _WHOLE:
            stored = _WHOLE[stem]
        else:
            _, _, layer, rest = stem.split(".", 3)
            stored = f"blk.{layer}.{_OF_A_LAYER[rest]}"
        values = tensor.numpy().astype(np.float32)
        if quantized and values.ndim == 2 and values.shape[1] % 32 == 0:
            eight = GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{stored}.{kind}", quants.quantize(values, eight), raw_dtype=eight)
        else:
            writer.add_tensor(f"{stored}.{kind}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer: GGUFWriter, clm: Clm) -> None:
    import json

    model = json.loads(clm.tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    special = set(clm.tokenizer.all_special_ids)
    writer.add_token_types([3 if number in special else 1 for number in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_eos_token_id(clm.tokenizer.eos_token_id)
    writer.add_bos_token_id(clm.tokenizer.bos_token_id)
