"""One adapter for each engine: how it is told to measure a row, and how its answer is read."""

import json
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Protocol

from models import GGUF_FILES, OPENVINO_DIRECTORIES
from row import Row

HERE = Path(__file__).resolve().parent
LONGEST_RUN = 600  # seconds, for one row and its warm-up


class EngineError(Exception):
    pass


class Engine(Protocol):
    name: str

    def version(self) -> str: ...

    def variants(self, row: Row) -> list[str]:
        """Settings worth trying on the row; the comparison keeps the best of them."""

    def measure(self, row: Row, variant: str) -> float:
        """Tokens a second, warm-up and loading excluded."""

    def keep_only(self, variants: set[str]) -> None:
        """Lets go of what other variants hold."""


def pinned(threads: int, command: list[str]) -> list[str]:
    """On the first cores this process may use, one for each thread: the same for every engine."""
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise EngineError(f"{threads} threads want as many cores; there are {len(cores)}")
    return ["taskset", "--cpu-list", ",".join(map(str, cores[:threads])), *command]


def output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_RUN, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(str(error)) from error
    if done.returncode != 0:
        raise EngineError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects that fill a line each; programs print other lines too."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


class Baton:
    name = "baton"

    def __init__(self, program: Path, models: Path):
        self.program, self.models = program, models

    def version(self) -> str:
        return output([str(self.program), "--version"]).strip()

    def variants(self, row: Row) -> list[str]:
        return ["bf16 KV"]

    def measure(self, row: Row, variant: str) -> float:
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[: row.threads]))
        work = ["--prefill", row.tokens, "--decode", "none"]
        if row.phase == "decode":
            work = ["--prefill", "none", "--decode", row.batch, "--context", row.context, "--steps", row.steps]
        command = [self.program, "bench", "engine", "--model", self.models / row.shape / "checkpoint", "--dtype", row.dtype]
        command += ["--threads", row.threads, "--cores", cores, *work, "--rounds", 1, "--json"]
        answer = output(pinned(row.threads, [str(word) for word in command]))
        try:
            return float(json.loads(answer)[0]["tokens_per_second"])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise EngineError(f"{self.program} bench engine: no tokens_per_second in {answer[:500]!r}") from error

    def keep_only(self, variants: set[str]) -> None:
        pass


class LlamaCpp:
    """llama-batched-bench: random tokens, no sampling, a process for each run. Every row runs twice in it and the last counts."""

    name = "llama.cpp"
    settings: ClassVar = {"flash attention, f16 KV": "on", "no flash attention, f16 KV": "off"}

    def __init__(self, cache: Path, models: Path):
        self.program, self.models = cache / "llama.cpp-build/bin/llama-batched-bench", models
        self.release = (cache / "llama_cpp.done").read_text().strip()

    def version(self) -> str:
        return f"as in {self.release}, built for this machine"

    def variants(self, row: Row) -> list[str]:
        return list(self.settings)

    def measure(self, row: Row, variant: str) -> float:
        if row.phase == "prefill":
            prompt, steps, work = row.tokens, 1, ["-npp", f"{row.tokens},{row.tokens}", "-ntg", 1, "-npl", 1]
        else:
            # One prompt is computed and copied, so each sequence reads a KV of its own.
            prompt, steps, work = row.context, row.steps, ["-npp", row.context, "-ntg", f"4,{row.steps}", "-npl", row.batch, "-pps"]
        room = max(row.batch, 1) * (-(prompt + steps) // 256 * -256)
        command = [self.program, "-m", self.models / row.shape / GGUF_FILES[row.dtype], "-c", room, *work]
        command += ["-t", row.threads, "-tb", row.threads, "-fa", self.settings[variant], "--output-format", "jsonl"]
        rows = objects(output(pinned(row.threads, [str(word) for word in command])))
        if len(rows) != 2:
            raise EngineError(f"{' '.join(map(str, command))}: {len(rows)} results where 2 were due")
        return float(rows[-1]["speed_pp" if row.phase == "prefill" else "speed_tg"])

    def keep_only(self, variants: set[str]) -> None:
        pass


class OpenVINO:
    """A process for each pipeline and precision, kept while a shape is measured, because it takes seconds to compile."""

    name = "openvino"

    def __init__(self, models: Path):
        self.models = models
        self.workers: dict[tuple[str, str, int, str], subprocess.Popen[str]] = {}
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (standard error of all workers, as long as they live)

    def version(self) -> str:
        return f"GenAI {metadata.version('openvino-genai')}, model by optimum-intel {metadata.version('optimum-intel')}"

    def variants(self, row: Row) -> list[str]:
        precisions = ["bf16, bf16 KV"] if row.dtype == "bfloat16" else ["bf16, bf16 KV", "f32, f16 KV"]
        return [f"{backend}, {precision}" for backend in ("paged", "stateful") for precision in precisions]

    def worker(self, row: Row, variant: str) -> subprocess.Popen[str]:
        key = (row.shape, row.dtype, row.threads, variant)
        if key not in self.workers:
            backend, precision, kv = variant.removesuffix(" KV").split(", ")
            model = self.models / row.shape / OPENVINO_DIRECTORIES[row.dtype]
            command = [sys.executable, str(HERE / "openvino_worker.py"), str(model), str(row.threads), backend, precision, kv]
            self.workers[key] = subprocess.Popen(
                pinned(row.threads, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints, text=True
            )
            self.answer(self.workers[key], variant)
        return self.workers[key]

    def answer(self, worker: subprocess.Popen[str], variant: str) -> dict[str, Any]:
        line = worker.stdout.readline() if worker.stdout else ""
        if not line:
            status = worker.wait()
            self.complaints.seek(0)
            raise EngineError(f"OpenVINO GenAI ({variant}): status {status}\n{self.complaints.read()[-2000:]}")
        return json.loads(line)

    def measure(self, row: Row, variant: str) -> float:
        worker = self.worker(row, variant)
        if worker.stdin is not None:
            print(json.dumps(vars(row)), file=worker.stdin, flush=True)
        return float(self.answer(worker, variant)["tokens_per_second"])

    def keep_only(self, variants: set[str]) -> None:
        for key in [key for key in self.workers if key[-1] not in variants]:
            self.workers.pop(key).communicate(timeout=60)
