#!/usr/bin/env python3
"""One checkpoint in the forms the engines load, so that all of them compute with the same weights.

    python models.py CHECKPOINT OUT     CHECKPOINT: config.json and model.safetensors, Llama or Qwen2, no tokenizer needed

Writes OUT/bf16.gguf and OUT/q8_0.gguf for llama.cpp, and OUT/openvino-bf16 and OUT/openvino-int8 for OpenVINO GenAI.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors import safe_open

GGUF_FILES = {"bfloat16": "bf16.gguf", "int8": "q8_0.gguf"}
OPENVINO_DIRECTORIES = {"bfloat16": "openvino-bf16", "int8": "openvino-int8"}
ARCHITECTURES = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2}


# llama.cpp


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a projection [heads * dim, ...] in the order of llama.cpp's "llama": the halves that rotate together, side by side."""
    dim = weight.shape[0] // heads
    return weight.reshape(heads, 2, dim // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def metadata(writer: gguf.GGUFWriter, config: dict[str, Any], matrices: Type) -> None:
    writer.add_name("random")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16 if matrices == Type.BF16 else gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(float(config["rope_theta"]))
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")


def write_gguf(checkpoint: Path, config: dict[str, Any], matrices: Type, out: Path) -> None:
    """Matrices as `matrices`, norms and biases as float32, which is what llama.cpp's own converter does."""
    architecture = ARCHITECTURES[config["model_type"]]
    if config.get("rope_scaling"):
        raise SystemExit(f"{checkpoint}/config.json: rope_scaling is not converted")
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    permuted = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(out, gguf.MODEL_ARCH_NAMES[architecture])
    metadata(writer, config, matrices)
    with safe_open(checkpoint / "model.safetensors", framework="pt") as tensors:
        stored = tensors.keys()
        for source in stored:
            name = names.get_name(source, try_suffixes=(".weight", ".bias"))
            if name is None:
                raise SystemExit(f"{checkpoint}/model.safetensors: no name in GGUF for {source}")
            tensor = tensors.get_tensor(source).float().numpy()
            heads = permuted.get(source.split(".")[-2])
            if heads is not None and architecture == gguf.MODEL_ARCH.LLAMA:
                tensor = interleaved(tensor, heads)
            kind = matrices if tensor.ndim == 2 else Type.F32
            writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# OpenVINO


def write_openvino(checkpoint: Path, dtype: str, out: Path) -> None:
    """Exports with Optimum, as OpenVINO's users do: stateful, weights as stored, or compressed to 8 bits by NNCF."""
    from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig

    compression = {"quantization_config": OVWeightQuantizationConfig(bits=8)} if dtype == "int8" else {"load_in_8bit": False}
    model = OVModelForCausalLM.from_pretrained(checkpoint, export=True, compile=False, stateful=True, **compression)
    model.save_pretrained(out)


# Both


def prepare(checkpoint: Path, out: Path) -> None:
    """Makes what is missing; a file or directory that is there is whole."""
    config = json.loads((checkpoint / "config.json").read_text())
    if config["model_type"] not in ARCHITECTURES:
        raise SystemExit(f"{checkpoint}/config.json: model_type {config['model_type']} is none of {', '.join(ARCHITECTURES)}")
    out.mkdir(parents=True, exist_ok=True)
    for dtype, kind in (("bfloat16", Type.BF16), ("int8", Type.Q8_0)):
        target = out / GGUF_FILES[dtype]
        if not target.exists():
            part = target.with_suffix(".part")
            write_gguf(checkpoint, config, kind, part)
            part.rename(target)
        target = out / OPENVINO_DIRECTORIES[dtype]
        if not target.exists():
            part = target.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            write_openvino(checkpoint, dtype, part)
            part.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    prepare(arguments.checkpoint, arguments.out)


if __name__ == "__main__":
    main()
