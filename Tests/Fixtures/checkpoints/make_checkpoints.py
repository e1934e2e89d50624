#!/usr/bin/env python3
"""Makes the oracle checkpoints: tiny random models with the answers transformers gives for them.

    pip install torch transformers safetensors
    python3 make_checkpoints.py [NAME ...]

Every folder beside this script is one Hugging Face checkpoint (no tokenizer: tests speak token ids) and an
`expected.json`:

    transformers, torch   versions that computed the answers
    prompts[]             one for each length in PROMPT_LENGTHS
      prompt              [length] token ids
      continuation        [48] greedy token ids; float32, no end-of-sequence token among them
      min_margin          smallest gap between the best and the second-best logit on the way, >= MIN_MARGIN
      logprobs            [vocab] natural log-probabilities of the first generated token, 6 significant digits
      bf16_logits         [vocab] first-step logits with all weights rounded to bfloat16 and float32 arithmetic;
                          only for the lengths in BF16_LENGTHS

The stored weights (BF16, F16 or F32) are widened to float32 for the reference. Sizes are odd on purpose: most
dimensions are no multiple of any tile (vocabulary 307, intermediate 173, hidden 50, head_dim 10, 14, 24, 32).
Everything is seeded; the same versions write the same bytes.
"""

import json
import random
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

PROMPT_LENGTHS = [1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 65, 100, 127, 128, 129, 130]
BF16_LENGTHS = [17, 129]
STEPS = 48
MIN_MARGIN = 1e-3
HERE = Path(__file__).resolve().parent


@dataclass
class Checkpoint:
    name: str
    layout: str  # of config.json: "older" (rope_theta, rope_scaling, torch_dtype) or "current" (rope_parameters, dtype)
    dtype: torch.dtype
    config: dict  # what both layouts spell alike
    rope_theta: float
    rope_scaling: dict | None = None
    shards: int = 1
    seed: int = 0
    # Large enough that answers differ clearly; smaller where scores far apart would magnify any rounding (real models
    # are at 0.02), so that the bfloat16 logits measure the arithmetic and not the conditioning.
    weight_std: float = 0.2
    # A change of config that must change the answers: proof that the feature under test is exercised.
    without_feature: dict = field(default_factory=dict)


CHECKPOINTS = [
    Checkpoint(
        # Llama 2's layout to the letter: null rope_scaling, no head_dim, float16.
        name="llama2", layout="older", dtype=torch.float16, seed=2,
        rope_theta=10000.0,
        config={
            "architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "vocab_size": 307, "hidden_size": 72, "intermediate_size": 173, "num_hidden_layers": 2,
            "num_attention_heads": 3, "num_key_value_heads": 3, "max_position_embeddings": 256,
            "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False,
            "bos_token_id": 1, "eos_token_id": 2, "pretraining_tp": 1, "use_cache": True,
        },
    ),
    Checkpoint(
        name="llama3", layout="current", dtype=torch.bfloat16, seed=3, weight_std=0.1,
        rope_theta=10000.0,
        rope_scaling={
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        config={
            "architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "vocab_size": 331, "hidden_size": 96, "intermediate_size": 131, "num_hidden_layers": 3,
            "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 32, "max_position_embeddings": 512,
            "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": True,
            "attention_bias": False, "mlp_bias": False,
            "bos_token_id": 300, "eos_token_id": [301, 308, 309], "use_cache": True,
        },
        without_feature={"rope_scaling": None},
    ),
    Checkpoint(
        # The oldest spelling of a scaling, "type" instead of "rope_type", and a head dimension of 10.
        name="llama-linear", layout="older", dtype=torch.float32, seed=4,
        rope_theta=10000.0,
        rope_scaling={"type": "linear", "factor": 4.0},
        config={
            "architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "vocab_size": 293, "hidden_size": 50, "intermediate_size": 89, "num_hidden_layers": 2,
            "num_attention_heads": 5, "num_key_value_heads": 1, "max_position_embeddings": 256,
            "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": False,
            "bos_token_id": 1, "eos_token_id": 2, "pretraining_tp": 1, "use_cache": True,
        },
        without_feature={"rope_scaling": None},
    ),
    Checkpoint(
        # A window of 40: shorter than most prompts, no multiple of a block of 16, and never aligned with one for long.
        name="mistral", layout="current", dtype=torch.float32, shards=2, seed=5, weight_std=0.13,
        rope_theta=10000.0,
        config={
            "architectures": ["MistralForCausalLM"], "model_type": "mistral",
            "vocab_size": 311, "hidden_size": 72, "intermediate_size": 113, "num_hidden_layers": 2,
            "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 24, "max_position_embeddings": 256,
            "sliding_window": 40, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False,
            "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2, "use_cache": True,
        },
        without_feature={"sliding_window": None},
    ),
    Checkpoint(
        # use_sliding_window is false: the small sliding_window beside it must not be applied.
        name="qwen2", layout="older", dtype=torch.float32, seed=6,
        rope_theta=1000000.0,
        config={
            "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
            "vocab_size": 401, "hidden_size": 56, "intermediate_size": 131, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
            "use_sliding_window": False, "sliding_window": 24, "max_window_layers": 1,
            "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": False,
            "attention_dropout": 0.0, "bos_token_id": 399, "eos_token_id": 400, "use_cache": True,
        },
    ),
    Checkpoint(
        # heads x head_dim = 128 with a hidden size of 72.
        name="qwen3", layout="current", dtype=torch.float32, seed=7,
        rope_theta=1000000.0,
        config={
            "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
            "vocab_size": 307, "hidden_size": 72, "intermediate_size": 101, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 256,
            "layer_types": ["full_attention", "full_attention"], "use_sliding_window": False, "sliding_window": None,
            "max_window_layers": 2, "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": True,
            "attention_bias": False, "attention_dropout": 0.0,
            "bos_token_id": 305, "eos_token_id": 306, "use_cache": True,
        },
    ),
]


def config_json(checkpoint: Checkpoint, layout: str) -> dict:
    """config.json in one of the two layouts."""
    config = dict(checkpoint.config)
    dtype = str(checkpoint.dtype).removeprefix("torch.")
    if layout == "older":
        config["rope_theta"] = checkpoint.rope_theta
        config["rope_scaling"] = checkpoint.rope_scaling
        config["torch_dtype"] = dtype
        config["transformers_version"] = "4.46.0"
    else:
        scaling = dict(checkpoint.rope_scaling or {"rope_type": "default"})
        if "type" in scaling:
            scaling["rope_type"] = scaling.pop("type")
        config["rope_parameters"] = {**scaling, "rope_theta": checkpoint.rope_theta}
        config["dtype"] = dtype
        config["transformers_version"] = transformers.__version__
    return dict(sorted(config.items()))


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def load(folder: Path, config: dict) -> torch.nn.Module:
    """The model as transformers reads it from a folder with this config.json, widened to float32."""
    with tempfile.TemporaryDirectory() as scratch:
        for file in folder.glob("model*"):
            shutil.copy(file, scratch)
        write_json(Path(scratch) / "config.json", config)
        model = AutoModelForCausalLM.from_pretrained(scratch, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def random_weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """Seeded weights in the stored type, large enough that logits differ clearly."""
    with tempfile.TemporaryDirectory() as scratch:
        write_json(Path(scratch) / "config.json", config_json(checkpoint, checkpoint.layout))
        skeleton = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(scratch))
    generator = torch.Generator().manual_seed(checkpoint.seed)
    tied = checkpoint.config["tie_word_embeddings"]
    weights = {}
    for name, value in sorted(skeleton.state_dict().items()):
        if tied and name == "lm_head.weight":
            continue
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float32)
        if "norm" in name:
            weight = 1 + 0.3 * noise
        elif name.endswith("bias"):
            weight = 0.5 * noise
        else:
            weight = checkpoint.weight_std * noise
        weights[name] = weight.to(checkpoint.dtype).contiguous()
    return weights


def write_weights(folder: Path, weights: dict[str, torch.Tensor], shards: int) -> None:
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(weights)
    per_shard = -(-len(names) // shards)
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = names[shard * per_shard : (shard + 1) * per_shard]
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    total = sum(weight.numel() * weight.element_size() for weight in weights.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


@torch.no_grad()
def greedy(model: torch.nn.Module, prompt: list[int]) -> tuple[list[int], torch.Tensor]:
    """Greedy continuation with the KV cache: token ids [STEPS] and the logits that chose them [STEPS, vocab]."""
    tokens, logits, cache = [], [], None
    step = torch.tensor([prompt])
    for _ in range(STEPS):
        output = model(input_ids=step, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        logits.append(output.logits[0, -1])
        tokens.append(int(logits[-1].argmax()))
        step = torch.tensor([[tokens[-1]]])
    return tokens, torch.stack(logits)


@torch.no_grad()
def first_logits(model: torch.nn.Module, prompt: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([prompt]), use_cache=False).logits[0, -1]


@torch.no_grad()
def check_without_cache(model: torch.nn.Module, prompt: list[int], tokens: list[int], logits: torch.Tensor) -> None:
    """One pass over prompt and continuation must choose the same tokens as the cached steps did."""
    whole = model(input_ids=torch.tensor([prompt + tokens]), use_cache=False).logits[0, len(prompt) - 1 : -1]
    error = (whole - logits).abs().max().item()
    assert error < 1e-4, f"cache and no cache differ by {error} at prompt length {len(prompt)}"


def significant(values: torch.Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]


def expected_prompt(model: torch.nn.Module, rounded: torch.nn.Module, checkpoint: Checkpoint, length: int) -> dict:
    """Draws prompts of this length until one has clear choices all the way and meets no end of sequence."""
    eos = checkpoint.config["eos_token_id"]
    ends = set(eos) if isinstance(eos, list) else {eos}
    allowed = [token for token in range(checkpoint.config["vocab_size"]) if token not in ends]
    for attempt in range(1000):
        source = random.Random(f"{checkpoint.name} {length} {attempt}")
        prompt = [source.choice(allowed) for _ in range(length)]
        tokens, logits = greedy(model, prompt)
        best = logits.topk(2, dim=-1).values
        margin = (best[:, 0] - best[:, 1]).min().item()
        if margin >= MIN_MARGIN and not ends & set(tokens):
            break
    else:
        raise SystemExit(f"{checkpoint.name}: no prompt of length {length} with clear choices")
    check_without_cache(model, prompt, tokens, logits)
    entry = {
        "prompt": prompt,
        "continuation": tokens,
        "min_margin": float(f"{margin:.4g}"),
        "logprobs": significant(torch.log_softmax(logits[0].double(), dim=-1)),
    }
    if length in BF16_LENGTHS:
        entry["bf16_logits"] = significant(first_logits(rounded, prompt))
    return entry


def with_bfloat16_weights(folder: Path, config: dict) -> torch.nn.Module:
    model = load(folder, config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(torch.bfloat16).float())
    return model


def check_layouts(folder: Path, checkpoint: Checkpoint, prompt: list[int]) -> None:
    """transformers must read both layouts of config.json to the same bits."""
    older, current = (first_logits(load(folder, config_json(checkpoint, layout)), prompt) for layout in ("older", "current"))
    assert torch.equal(older, current), f"{checkpoint.name}: the two config layouts differ"


def check_feature(folder: Path, checkpoint: Checkpoint, expected: list[dict]) -> None:
    """Without the feature under test, every long prompt must be answered differently."""
    if not checkpoint.without_feature:
        return
    plain = Checkpoint(**{**vars(checkpoint), "config": dict(checkpoint.config)})
    for key, value in checkpoint.without_feature.items():
        if key == "rope_scaling":
            plain.rope_scaling = value
        else:
            plain.config[key] = value
    model = load(folder, config_json(plain, "current"))
    for entry in expected:
        if len(entry["prompt"]) > 40:
            assert greedy(model, entry["prompt"])[0] != entry["continuation"], f"{checkpoint.name}: {checkpoint.without_feature} goes unnoticed"


def make(checkpoint: Checkpoint) -> None:
    folder = HERE / checkpoint.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_json(folder / "config.json", config_json(checkpoint, checkpoint.layout))
    write_weights(folder, random_weights(checkpoint), checkpoint.shards)

    config = config_json(checkpoint, checkpoint.layout)
    model, rounded = load(folder, config), with_bfloat16_weights(folder, config)
    prompts = [expected_prompt(model, rounded, checkpoint, length) for length in PROMPT_LENGTHS]
    check_layouts(folder, checkpoint, prompts[-1]["prompt"])
    check_feature(folder, checkpoint, prompts)

    head = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = ",\n".join("    " + json.dumps(entry, separators=(",", ":")) for entry in prompts)
    (folder / "expected.json").write_text(json.dumps(head, indent=2)[:-2] + ',\n  "prompts": [\n' + lines + "\n  ]\n}\n")
    report(folder, prompts)


def report(folder: Path, prompts: list[dict]) -> None:
    size = sum(file.stat().st_size for file in folder.iterdir())
    distinct = sum(len(set(entry["continuation"])) for entry in prompts) / len(prompts)
    margin = min(entry["min_margin"] for entry in prompts)
    print(f"{folder.name:13} {size / 1000:4.0f} kB   distinct tokens of {STEPS}: {distinct:4.1f}   smallest margin {margin:.2g}")


def main(names: list[str]) -> None:
    unknown = set(names) - {checkpoint.name for checkpoint in CHECKPOINTS}
    if unknown:
        raise SystemExit(f"unknown checkpoint: {', '.join(sorted(unknown))}")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    for checkpoint in CHECKPOINTS:
        if not names or checkpoint.name in names:
            make(checkpoint)


if __name__ == "__main__":
    main(sys.argv[1:])
