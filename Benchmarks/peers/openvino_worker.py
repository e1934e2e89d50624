#!/usr/bin/env python3
"""OpenVINO GenAI with one model loaded: reads a JSON object with a row from each line of its input, answers with its tokens a second.

    python openvino_worker.py MODEL THREADS BACKEND PRECISION KV

BACKEND is `paged` (ContinuousBatchingPipeline: paged attention, one batch over all sequences) or `stateful` (LLMPipeline on
scaled dot-product attention). Times are GenAI's own, of the inference alone: neither sampling nor scheduling counts, as in
llama.cpp's benchmark. PRECISION is what activations are computed in and KV what the cache is kept in: `bf16` and `bf16`, or
`f32` and `f16`; OpenVINO itself would keep the cache in 8 bits and so read half as much of it as the others.
"""

import json
import sys
from typing import Any, Protocol

import numpy as np
import openvino
import openvino_genai

LONGEST_BATCH = 16_384  # tokens of all prompts together: they are computed in one step, so that decoding is not mixed with them
CACHE_GIGABYTES = 2
WARM_STEPS = 3


class Pipeline(Protocol):
    def step_seconds(self, prompts: np.ndarray, steps: int) -> list[float]:
        """Computes prompts [batch, tokens] and `steps` tokens of each greedily: seconds of every inference, the prompts' first."""


def greedy(tokens: int) -> openvino_genai.GenerationConfig:
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos, config.do_sample = tokens, True, False
    return config


def seconds(result: Any) -> list[float]:
    return [duration * 1e-6 for duration in result.perf_metrics.raw_metrics.token_infer_durations]


class Paged:
    def __init__(self, model: str, properties: dict[str, Any]):
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_batched_tokens, scheduler.max_num_seqs = LONGEST_BATCH, LONGEST_BATCH
        scheduler.cache_size = CACHE_GIGABYTES
        scheduler.dynamic_split_fuse = scheduler.enable_prefix_caching = False
        self.pipeline = openvino_genai.ContinuousBatchingPipeline(model, scheduler, "CPU", properties)

    def step_seconds(self, prompts: np.ndarray, steps: int) -> list[float]:
        tensors = [openvino.Tensor(prompt[None]) for prompt in prompts]
        return seconds(self.pipeline.generate(tensors, [greedy(steps)] * len(tensors))[0])


class Stateful:
    def __init__(self, model: str, properties: dict[str, Any]):
        self.pipeline = openvino_genai.LLMPipeline(model, "CPU", ATTENTION_BACKEND="SDPA", **properties)

    def step_seconds(self, prompts: np.ndarray, steps: int) -> list[float]:
        inputs = openvino_genai.TokenizedInputs(openvino.Tensor(prompts), openvino.Tensor(np.ones_like(prompts)))
        return seconds(self.pipeline.generate(inputs, greedy(steps)))


def speed(pipeline: Pipeline, row: dict[str, Any], random: np.random.Generator, vocabulary: int) -> float:
    """Tokens a second over the timed part of the row, after an untimed pass of the same shape."""

    def prompts(batch: int, tokens: int) -> np.ndarray:
        return random.integers(0, vocabulary, (batch, tokens), dtype=np.int64)

    if row["phase"] == "prefill":
        pipeline.step_seconds(prompts(1, row["tokens"]), 1)
        return row["tokens"] / pipeline.step_seconds(prompts(1, row["tokens"]), 1)[0]
    # The prompts' inference yields the first token; the next ones are the decode steps, of which the first few are not timed.
    steps = pipeline.step_seconds(prompts(row["batch"], row["context"] - WARM_STEPS), 1 + WARM_STEPS + row["steps"])
    timed = steps[1 + WARM_STEPS :]
    if len(timed) != row["steps"]:
        raise RuntimeError(f"{len(timed)} timed steps where {row['steps']} were asked for")
    return row["batch"] * row["steps"] / sum(timed)


def main() -> None:
    model, threads, backend, precision, kv = sys.argv[1:]
    properties = {"INFERENCE_NUM_THREADS": int(threads), "INFERENCE_PRECISION_HINT": precision, "KV_CACHE_PRECISION": kv}
    with open(f"{model}/config.json") as file:
        vocabulary = json.load(file)["vocab_size"]
    pipeline = {"paged": Paged, "stateful": Stateful}[backend](model, properties)
    random = np.random.default_rng(1)
    print(json.dumps({"openvino_genai": openvino_genai.get_version()}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"tokens_per_second": speed(pipeline, json.loads(line), random, vocabulary)}), flush=True)


if __name__ == "__main__":
    main()
