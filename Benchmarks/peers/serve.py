#!/usr/bin/env python3
"""`baton bench serve` against Baton and llama-server: the same GGUF file, the same requests, the same cores, one server after the other.

    make bench-serve-peers ARGS='--rounds 7 --json serve.json'

SmolLM-135M's shape in bfloat16; prompts of 16 to 512 tokens and answers of 16 to 128, both drawn evenly, none repeated, every answer of
its full length. A round starts each server in turn, each round beginning with another, warms it up, and sends the round's requests,
8 at a time. Each server has all cores in use, together with the client that measures it. Ratios are taken within rounds.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import report

HOUSE = Path(__file__).resolve().parents[2]
BATON = HOUSE / ".build/release/baton"
VOCABULARY = 49152
INPUT = (16, 512)
OUTPUT = (16, 128)
PATIENCE = 120
RUN_LIMIT = 400


class ServerError(Exception):
    pass


@dataclass(frozen=True)
class Server:
    name: str
    command: list[str]
    """{model}, {port} and {slots} are filled in."""
    ready: str
    """Path that answers 200 once requests are welcome."""


BATON_UP = [str(BATON), "up", "--model", "{model}", "--port", "{port}", "--rpc", "ipc://{folder}/rpc", "--max-num-seqs", "{slots}"]


def servers(llama_server: str) -> dict[str, Server]:
    llama = [
        llama_server, "--model", "{model}", "--host", "127.0.0.1", "--port", "{port}", "--threads", "{threads}", "--threads-batch", "{threads}",
        "--parallel", "{slots}", "--ctx-size", "{context}", "--cache-ram", "0",
    ]
    known = [
        # One prefill and one decode worker of a thread each, which lend each other their cores: the default.
        Server("baton", BATON_UP, "/readyz"),
        Server("baton-mixed", BATON_UP + ["--arm", "mixed", "--threads", "{threads}"], "/readyz"),
        # Prompts are never repeated, so that a cache of them would only cost.
        Server("llama-server", llama, "/health"),
    ]
    return {server.name: server for server in known}


@dataclass
class Measurement:
    """One run of one server. Times in milliseconds."""

    queries_per_minute: float
    output_tokens_per_second: float
    ttft: dict[str, float]
    itl: dict[str, float]
    output_tokens: int


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(HOUSE / ".bench-models/smollm-135m.gguf"), help="GGUF file that all servers load")
    parser.add_argument("--servers", default="baton,llama-server", help="comma-separated; the first is compared with the others")
    parser.add_argument("--llama-server", default=os.environ.get("LLAMA_SERVER") or str(HOUSE / ".bench-peers/llama.cpp-build/bin/llama-server"))
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--requests", type=int, default=64, help="of one run (default: 64)")
    parser.add_argument("--concurrency", type=int, default=8, help="requests at a time (default: 8)")
    parser.add_argument("--cores", default="0,1", help="that servers and client share (default: 0,1)")
    parser.add_argument("--seed", type=int, default=1, help="of lengths and prompts; each round has its own (default: 1)")
    parser.add_argument("--json", help="file for every run's figures")
    arguments = parser.parse_args()
    arguments.servers = arguments.servers.split(",")
    known = servers(arguments.llama_server)
    if unknown := [name for name in arguments.servers if name not in known]:
        parser.error(f"--servers: {', '.join(unknown)} is none of {', '.join(known)}")
    if min(arguments.rounds, arguments.requests, arguments.concurrency) < 1:
        parser.error("--rounds, --requests and --concurrency must be at least 1")
    for program in [str(BATON), *([arguments.llama_server] if "llama-server" in arguments.servers else [])]:
        if not os.access(program, os.X_OK):
            parser.error(f"{program} is no program: make build makes Baton, Benchmarks/peers/setup.sh llama.cpp makes llama-server")
    return arguments


def workload(path: Path, count: int, seed: int) -> int:
    """Writes requests in Mooncake's format, all due at once, each prompt with an id of its own.

    Returns the tokens of all answers."""
    generator = random.Random(seed)
    total = 0
    with path.open("w") as file:
        for index in range(count):
            output = generator.randint(*OUTPUT)
            total += output
            line = {"timestamp": 0, "input_length": generator.randint(*INPUT), "output_length": output, "hash_ids": [seed * 1_000_000 + index]}
            file.write(json.dumps(line) + "\n")
    return total


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(server: Server, arguments: argparse.Namespace):
    """The server's address, while it runs."""
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as folder:
        port = free_port()
        values = {
            "model": arguments.model, "port": port, "slots": arguments.concurrency, "folder": folder,
            "threads": len(arguments.cores.split(",")), "context": arguments.concurrency * (INPUT[1] + OUTPUT[1] + 64),
        }
        command = ["taskset", "--cpu-list", arguments.cores, *(part.format(**values) for part in server.command)]
        log = Path(folder, "log")
        with log.open("w") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            await_readiness(f"http://127.0.0.1:{port}{server.ready}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def await_readiness(url: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(url, timeout=5).status == 200:
                return
        time.sleep(0.1)
    raise ServerError(f"{url} is not there: {log.read_text()[-2000:]}")


def bench(base: str, trace: Path, count: int, arguments: argparse.Namespace) -> Measurement:
    command = [
        "taskset", "--cpu-list", arguments.cores, str(BATON), "bench", "serve", "--base-url", base, "--dataset-name", "trace", "--dataset-path",
        str(trace), "--num-prompts", str(count), "--max-concurrency", str(arguments.concurrency), "--vocabulary", str(VOCABULARY), "--ignore-eos",
        "--metric-percentiles", "50,99", "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_LIMIT)
    if done.returncode != 0:
        raise ServerError(f"baton bench serve: {done.returncode}: {done.stdout}{done.stderr}")
    result = json.loads(done.stdout)
    if result["completed"] != count:
        raise ServerError(f"{result['completed']} of {count} requests were answered: {result['failures']}")
    return Measurement(
        queries_per_minute=60 * result["requestThroughput"], output_tokens_per_second=result["outputThroughput"],
        ttft=result["ttft"]["percentiles"], itl=result["itl"]["percentiles"], output_tokens=result["totalOutputTokens"])


def measure(server: Server, number: int, arguments: argparse.Namespace) -> Measurement:
    with tempfile.TemporaryDirectory() as folder, running(server, arguments) as base:
        warm_up, trace = Path(folder, "warm-up.jsonl"), Path(folder, "trace.jsonl")
        workload(warm_up, arguments.concurrency, seed=0)
        expected = workload(trace, arguments.requests, seed=arguments.seed + number)
        bench(base, warm_up, arguments.concurrency, arguments)
        measurement = bench(base, trace, arguments.requests, arguments)
    if measurement.itl["50"] == 0:
        raise ServerError(f"{server.name}'s answers have no text, and their tokens cannot be told apart: make {arguments.model} anew")
    if measurement.output_tokens != expected:
        raise ServerError(f"{server.name} made {measurement.output_tokens} tokens of {expected}")
    return measurement


def spread(values: list[float]) -> str:
    digits = 0 if median(values) >= 100 else 1
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


FIGURES = [
    ("queries/min", lambda run: run.queries_per_minute), ("output tok/s", lambda run: run.output_tokens_per_second),
    ("TTFT p50, ms", lambda run: run.ttft["50"]), ("TTFT p99, ms", lambda run: run.ttft["99"]), ("ITL p50, ms", lambda run: run.itl["50"]),
    ("ITL p99, ms", lambda run: run.itl["99"]),
]


def table(runs: dict[str, list[Measurement]]) -> str:
    ours, *others = runs
    head = ["figure", *runs, *(f"{ours} / {name}" for name in others)]
    lines = [head, ["---"] * len(head)]
    for name, figure in FIGURES:
        values = {server: [figure(run) for run in measured] for server, measured in runs.items()}
        line = [name, *(spread(found) for found in values.values())]
        for other in others:
            ratios = [a / b for a, b in zip(values[ours], values[other], strict=True)]
            low, high = report.interval(ratios)
            line.append(f"{median(ratios):.2f} [{low:.2f}, {high:.2f}]")
        lines.append(line)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    arguments = parse_arguments()
    known = servers(arguments.llama_server)
    runs: dict[str, list[Measurement]] = {name: [] for name in arguments.servers}
    # Interrupted: the rounds that are complete count.
    with contextlib.suppress(KeyboardInterrupt):
        measure_rounds(known, runs, arguments)
    complete = min(len(measured) for measured in runs.values())
    if complete == 0:
        raise ServerError("no round is complete")
    runs = {name: measured[:complete] for name, measured in runs.items()}
    print(table(runs))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({name: [vars(run) for run in measured] for name, measured in runs.items()}, indent=1))


def measure_rounds(known: dict[str, Server], runs: dict[str, list[Measurement]], arguments: argparse.Namespace) -> None:
    for number in range(arguments.rounds):
        turn = number % len(arguments.servers)
        for name in arguments.servers[turn:] + arguments.servers[:turn]:
            run = measure(known[name], number, arguments)
            runs[name].append(run)
            print(f"round {number + 1}: {name}: {run.queries_per_minute:.0f} queries/min, ITL p99 {run.itl['99']:.1f} ms", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (ServerError, subprocess.TimeoutExpired) as error:
        raise SystemExit(f"bench-serve-peers: {error}") from None
