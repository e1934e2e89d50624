#!/usr/bin/env python3
"""A job whose prompts share prefixes on other engines: llama-server with its prompt cache, OpenVINO GenAI with prefix caching.

    baton bench batchllm --model MODEL.gguf --write-job JOBS --degrees 16
    python jobs.py JOBS/prefix-500-degree-16-of-400.jsonl --gguf MODEL.gguf --openvino .bench-peers/models/smollm-135m/openvino-bf16 --json .bench-results/batchllm/peers.json

A line of the job is {"prompt": [token ids], "max_tokens": n}. All requests are there from the beginning, in the order of the
file; answers are greedy and have their full length. The clock runs from the first request to the last answer, loading apart.
Each engine runs with and without its cache. `--json` adds to the file, which `baton bench batchllm` puts into its report.
"""

import argparse
import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LONGEST_RUN = 3600  # seconds
LONGEST_START = 120


class EngineError(Exception):
    pass


@dataclass
class Outcome:
    engine: str
    setting: str
    version: str
    job: str
    requests: int
    outputTokens: int
    seconds: float
    # Share of the prompt tokens that the engine did not compute, by its own count; None where it does not tell.
    saving: float | None


def read_job(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    for number, line in enumerate(lines, 1):
        if not line.get("prompt") or int(line.get("max_tokens", 0)) < 1:
            raise SystemExit(f"{path}:{number}: no prompt, or max_tokens below 1")
    if not lines:
        raise SystemExit(f"{path}: no request")
    return lines


def pinned(threads: int, command: list[str]) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise EngineError(f"{threads} threads want as many cores; there are {len(cores)}")
    return ["taskset", "--cpu-list", ",".join(map(str, cores[:threads])), *command]


# llama.cpp


class LlamaServer:
    """One server for a run, with a slot for each request of the batch."""

    def __init__(self, arguments: argparse.Namespace, job: list[dict[str, Any]]):
        longest = max(len(line["prompt"]) + line["max_tokens"] for line in job)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [str(arguments.llama_server), "-m", str(arguments.gguf), "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["-np", str(arguments.rows), "-c", str(arguments.rows * (longest + 8)), "-t", str(arguments.threads)]
        command += ["-tb", str(arguments.threads), *arguments.llama_arguments.split()]
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the server lives)
        self.process = subprocess.Popen(pinned(arguments.threads, command), stdout=self.complaints, stderr=subprocess.STDOUT)

    def __enter__(self) -> "LlamaServer":
        began = time.monotonic()
        while time.monotonic() - began < LONGEST_START:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        self.complaints.seek(0)
        text = self.complaints.read()[-2000:]
        self.__exit__()
        raise EngineError(f"llama-server did not start:\n{text}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def answer(self, line: dict[str, Any], cache: bool) -> dict[str, Any]:
        body = {"prompt": line["prompt"], "n_predict": line["max_tokens"], "ignore_eos": True, "temperature": 0, "cache_prompt": cache}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=LONGEST_RUN) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise EngineError(f"llama-server: {error}") from error


def llama(arguments: argparse.Namespace, job: list[dict[str, Any]], cache: bool) -> Outcome:
    with LlamaServer(arguments, job) as server:
        began = time.monotonic()
        # Some requests wait in the server, so that a slot that comes free is taken at once.
        with concurrent.futures.ThreadPoolExecutor(arguments.rows + 4) as pool:
            answers = list(pool.map(lambda line: server.answer(line, cache), job))
        seconds = time.monotonic() - began
    for line, answer in zip(job, answers, strict=True):
        if answer["tokens_predicted"] != line["max_tokens"]:
            raise EngineError(f"llama-server answered {answer['tokens_predicted']} tokens where {line['max_tokens']} were asked for")
    prompts = sum(len(line["prompt"]) for line in job)
    computed = sum(answer["timings"]["prompt_n"] for answer in answers)
    version = subprocess.run([str(arguments.llama_server), "--version"], capture_output=True, text=True, check=False).stderr.split("\n")[0]
    return Outcome(
        "llama-server", "prompt cache" if cache else "no cache", version.strip(), arguments.job.stem, len(job),
        sum(line["max_tokens"] for line in job), seconds, 1 - computed / prompts,
    )


# OpenVINO GenAI


def openvino_here(arguments: argparse.Namespace, job: list[dict[str, Any]], cache: bool) -> Outcome:
    """In a process of its own, which ends with its memory."""
    import numpy as np
    import openvino
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.max_num_seqs, scheduler.max_num_batched_tokens = arguments.rows, arguments.step_tokens
    scheduler.cache_size = arguments.cache_gigabytes
    scheduler.dynamic_split_fuse, scheduler.enable_prefix_caching = True, cache
    properties = {"INFERENCE_NUM_THREADS": arguments.threads, "INFERENCE_PRECISION_HINT": "bf16", "KV_CACHE_PRECISION": "bf16"}
    pipeline = openvino_genai.ContinuousBatchingPipeline(str(arguments.openvino), scheduler, "CPU", properties)

    def greedy(tokens: int) -> Any:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = tokens, True, False
        return config

    prompts = [openvino.Tensor(np.array([line["prompt"]], dtype=np.int64)) for line in job]
    began = time.monotonic()
    results = pipeline.generate(prompts, [greedy(line["max_tokens"]) for line in job])
    seconds = time.monotonic() - began
    for line, result in zip(job, results, strict=True):
        count = len(result.m_generation_ids[0])
        if count != line["max_tokens"]:
            raise EngineError(f"OpenVINO GenAI answered {count} tokens where {line['max_tokens']} were asked for")
    return Outcome(
        "OpenVINO GenAI", "prefix caching" if cache else "no cache", openvino_genai.get_version(), arguments.job.stem, len(job),
        sum(line["max_tokens"] for line in job), seconds, None,
    )


def openvino_apart(arguments: argparse.Namespace, cache: bool) -> Outcome:
    command = [sys.executable, str(HERE / "jobs.py"), *sys.argv[1:], "--only-openvino", "cache" if cache else "plain"]
    try:
        done = subprocess.run(pinned(arguments.threads, command), capture_output=True, text=True, timeout=LONGEST_RUN, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(str(error)) from error
    if done.returncode != 0:
        raise EngineError(f"OpenVINO GenAI: status {done.returncode}\n{done.stderr[-2000:]}")
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


# The comparison


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path, help="JSON lines, as baton bench batchllm --write-job makes them")
    parser.add_argument("--gguf", type=Path, help="model for llama-server; without it, llama-server is left out")
    parser.add_argument("--openvino", type=Path, help="directory of a model for OpenVINO GenAI; without it, that is left out")
    parser.add_argument("--llama-server", type=Path, default=HERE / "../../.bench-peers/llama.cpp-build/bin/llama-server", help="the program")
    parser.add_argument("--llama-arguments", default="", help="more arguments for it, e.g. '-fa on --kv-unified'")
    parser.add_argument("--rows", type=int, default=32, help="sequences of a batch at most (default: 32)")
    parser.add_argument("--threads", type=int, default=2, help="(default: 2)")
    parser.add_argument("--step-tokens", type=int, default=512, help="tokens of a step of OpenVINO GenAI at most (default: 512)")
    parser.add_argument("--cache-gigabytes", type=int, default=1, help="KV memory of OpenVINO GenAI (default: 1)")
    parser.add_argument("--rounds", type=int, default=1, help="(default: 1)")
    parser.add_argument("--json", type=Path, help="add what was measured to this file")
    parser.add_argument("--only-openvino", choices=("cache", "plain"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.gguf is None and arguments.openvino is None:
        parser.error("one of --gguf and --openvino is needed")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    job = read_job(arguments.job)
    if arguments.only_openvino:
        print(json.dumps(asdict(openvino_here(arguments, job, arguments.only_openvino == "cache"))))
        return
    outcomes: list[Outcome] = []
    for _ in range(arguments.rounds):
        for cache in (True, False):
            if arguments.gguf:
                outcomes.append(llama(arguments, job, cache))
            if arguments.openvino:
                outcomes.append(openvino_apart(arguments, cache))
    for outcome in outcomes:
        saving = "" if outcome.saving is None else f", {outcome.saving:.1%} of the prompts not computed"
        print(f"{outcome.engine}, {outcome.setting}: {outcome.seconds:.2f} s, {outcome.outputTokens / outcome.seconds:.1f} tok/s{saving}")
    if arguments.json:
        known = json.loads(arguments.json.read_text()) if arguments.json.exists() else []
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(known + [asdict(outcome) for outcome in outcomes], indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except EngineError as error:
        raise SystemExit(str(error)) from error
