#!/usr/bin/env python3
"""Makes the GGUF fixtures with llama.cpp's own Python package, from the checkpoints and tokenizers of the other folders.

    pip install gguf==0.19.0 numpy safetensors sentencepiece==0.2.3 tokenizers==0.23.3
    python3 make_gguf.py

Writes, beside this script:
    llama3.gguf, qwen2.gguf   ../checkpoints of these names, weights as stored, named and ordered as llama.cpp's converter does
    mixed.gguf                a tiny llama of random weights in Q4_K, Q5_K, Q6_K and Q8_0
    blocks.gguf               for each type T a tensor T, [2, 512], and T.expected, what the gguf package makes of it (F32)
    vocabulary-KIND.gguf      the vocabulary of ../tokenizers/KIND.json, without weights
    sentencepiece.gguf, .json a vocabulary of kind `llama`; the same as JSON, with the ids that sentencepiece gives to the
                              lines of ../tokenizers/lines.json (null: the line holds a control token)
"""

import io
import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np
import sentencepiece
from gguf import GGMLQuantizationType as Type

HERE = Path(__file__).resolve().parent
CHECKPOINTS, TOKENIZERS = HERE.parent / "checkpoints", HERE.parent / "tokenizers"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def interleaved(weight, heads):
    """llama.cpp rotates neighbouring rows, Hugging Face the two halves of a head."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


# ------------------------------------------------------------------------------------------------------ checkpoints

def safetensors(path):
    """Names, types and arrays (bfloat16 as its uint16 bits) of a file."""
    data = path.read_bytes()
    count = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + count])
    dtypes = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
    for name, info in header.items():
        if name != "__metadata__":
            begin, end = (8 + count + offset for offset in info["data_offsets"])
            yield name, info["dtype"], np.frombuffer(data[begin:end], dtypes[info["dtype"]]).reshape(info["shape"])


def llama3_factors(scaling, theta, head_dim):
    factors = []
    for i in range(head_dim // 2):
        wavelength = 2 * math.pi * theta ** (2 * i / head_dim)
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        original = scaling["original_max_position_embeddings"]
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(scaling["factor"])
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(factors, np.float32)


def checkpoint(name, architecture):
    config = json.loads((CHECKPOINTS / name / "config.json").read_text())
    rope = config.get("rope_parameters") or {**(config.get("rope_scaling") or {}), "rope_theta": config["rope_theta"]}
    heads, kv_heads, layers = (config[key] for key in ("num_attention_heads", "num_key_value_heads", "num_hidden_layers"))
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", architecture)
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_bos_token_id(config["bos_token_id"])
    ends = config["eos_token_id"] if isinstance(config["eos_token_id"], list) else [config["eos_token_id"]]
    for add, end in zip((writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id), ends):
        add(end)
    names = gguf.get_tensor_name_map({v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}[architecture], layers)
    for tensor, dtype, array in safetensors(CHECKPOINTS / name / "model.safetensors"):
        if architecture == "llama" and ".q_proj." in tensor:
            array = interleaved(array, heads)
        if architecture == "llama" and ".k_proj." in tensor:
            array = interleaved(array, kv_heads)
        array = np.ascontiguousarray(array)
        if dtype == "BF16" and array.ndim == 1:
            array, dtype = (array.astype(np.uint32) << 16).view(np.float32), "F32"
        target = names.get_name(tensor, try_suffixes=(".weight", ".bias"))
        if dtype == "BF16":
            writer.add_tensor(target, array.view(np.uint8), raw_dtype=Type.BF16)
        else:
            writer.add_tensor(target, array.astype(np.float32) if array.ndim == 1 else array)
    if rope.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(rope, rope["rope_theta"], head_dim))
    finish(writer)


# --------------------------------------------------------------------------------------------------------- blocks

def blocks(kind, rows, columns, random):
    """Random stored bytes of a type: any bits, but finite scales."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    count = rows * columns // block
    raw = random.integers(0, 256, (count, size), dtype=np.uint8)
    scales = (random.uniform(0.25, 1, (count, 2)) * 10.0 ** -random.integers(1, 4, (count, 2))).astype(np.float16)
    if kind in (Type.F32, Type.F16, Type.BF16):
        values = random.standard_normal((rows, columns)).astype(np.float32)
        return gguf.quants.quantize(values, kind).view(np.uint8).reshape(rows, -1)
    at = 208 if kind == Type.Q6_K else 0
    raw[:, at:at + 2] = scales[:, :1].view(np.uint8).reshape(count, 2)
    if kind in (Type.Q4_1, Type.Q5_1, Type.Q4_K, Type.Q5_K):
        raw[:, 2:4] = scales[:, 1:].copy().view(np.uint8).reshape(count, 2)
    return raw.reshape(rows, -1)


def all_blocks():
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(HERE / "blocks.gguf", "llama")
    for kind in (Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q4_K, Type.Q5_K, Type.Q6_K):
        raw = blocks(kind, 2, 512, random)
        plain = {Type.F32: np.float32, Type.F16: np.float16}.get(kind)
        expected = gguf.quants.dequantize(raw.view(plain) if plain else raw, kind).astype(np.float32)
        writer.add_tensor(kind.name, raw, raw_dtype=kind)
        writer.add_tensor(f"{kind.name}.expected", expected.reshape(2, 512))
    finish(writer)


def mixed():
    random = np.random.default_rng(2)
    hidden, heads, kv_heads, vocabulary = 256, 4, 2, 96
    writer = gguf.GGUFWriter(HERE / "mixed.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("no_vocab")
    kv = hidden // heads * kv_heads
    for name, rows, kind in [("token_embd", vocabulary, Type.Q6_K), ("blk.0.attn_q", hidden, Type.Q4_K), ("blk.0.attn_k", kv, Type.Q4_K),
                             ("blk.0.attn_v", kv, Type.Q6_K), ("blk.0.attn_output", hidden, Type.Q5_K), ("blk.0.ffn_gate", hidden, Type.Q4_K),
                             ("blk.0.ffn_up", hidden, Type.Q4_K), ("blk.0.ffn_down", hidden, Type.Q8_0)]:
        writer.add_tensor(f"{name}.weight", blocks(kind, rows, hidden, random), raw_dtype=kind)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", random.uniform(0.5, 1.5, hidden).astype(np.float32))
    finish(writer)


# ----------------------------------------------------------------------------------------------------- vocabularies

def vocabulary(kind, pre, bos=None, eos=None):
    value = json.loads((TOKENIZERS / f"{kind}.json").read_text())
    tokens = {id: (token, NORMAL) for token, id in value["model"]["vocab"].items()}
    for added in value["added_tokens"]:
        tokens[added["id"]] = (added["content"], CONTROL if added["special"] else USER_DEFINED)
    writer = gguf.GGUFWriter(HERE / f"vocabulary-{kind}.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([tokens[id][0] for id in range(len(tokens))])
    writer.add_token_types([tokens[id][1] for id in range(len(tokens))])
    merges = value["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    if bos is not None:
        writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.add_chat_template("{% for message in messages %}{{ message.content }}{% endfor %}")
    finish(writer)


def sentencepiece_vocabulary():
    sys.path.insert(0, str(TOKENIZERS))
    import make_fixtures
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(make_fixtures.training_texts()), model_writer=model, model_type="bpe", vocab_size=900,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, num_threads=1, minloglevel=2)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(processor.vocab_size())
    kinds = [UNKNOWN if processor.is_unknown(id) else CONTROL if processor.is_control(id) else BYTE if processor.is_byte(id)
             else UNUSED if processor.is_unused(id) else NORMAL for id in ids]
    writer = gguf.GGUFWriter(HERE / "sentencepiece.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([processor.id_to_piece(id).encode() for id in ids])
    writer.add_token_scores([processor.get_score(id) for id in ids])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(processor.bos_id())
    writer.add_eos_token_id(processor.eos_id())
    writer.add_unk_token_id(processor.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    finish(writer)
    control = [processor.id_to_piece(id) for id in ids if kinds[id] in (CONTROL, UNKNOWN)]
    lines = json.loads((TOKENIZERS / "lines.json").read_text())
    expected = [None if any(token in line for token in control) else processor.encode(line) for line in lines]
    value = {"tokens": [processor.id_to_piece(id) for id in ids], "scores": [processor.get_score(id) for id in ids],
             "types": kinds, "ids": expected}
    (HERE / "sentencepiece.json").write_text(json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    checkpoint("llama3", "llama")
    checkpoint("qwen2", "qwen2")
    mixed()
    all_blocks()
    vocabulary("gpt2", "gpt-2", eos=0)
    vocabulary("llama3", "llama-bpe", bos=0, eos=1)
    vocabulary("qwen2", "qwen2", eos=2)
    sentencepiece_vocabulary()
