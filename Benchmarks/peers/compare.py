#!/usr/bin/env python3
"""Baton's engine beside llama.cpp and OpenVINO GenAI: the same random weights, the same work, one engine after the other.

    make bench-peers ARGS='--decode 1,2,4,8,16,32 --threads 1,2 --json peers.json'

Equal for all: weights of one checkpoint (bfloat16, or 8 bits in each engine's own format), numbers of tokens and sequences,
cores (taskset) and threads. Loading, a warm-up pass and sampling are not timed. A decode row is STEPS steps of B sequences that
have CONTEXT tokens each at the first. Of an engine's settings worth trying, each row takes the one that was fastest before
the rounds. A round measures every row on every engine in turn, each round beginning with another engine; ratios are taken
within rounds. The probe says what the machine gave at the start of a round: compare nothing across probes that differ.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import models
import report
from engines import Baton, Engine, EngineError, LlamaCpp, OpenVINO, output, pinned
from report import Result
from row import Row

HOUSE = Path(__file__).resolve().parents[2]
SHAPES = ("qwen2.5-0.5b", "smollm-135m")


def words(known: tuple[str, ...]):
    def parse(text: str) -> list[str]:
        for word in text.split(","):
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(known)}")
        return text.split(",")

    return parse


def numbers(text: str) -> list[int]:
    values = [int(word) for word in text.split(",") if word]
    if any(value < 1 for value in values):
        raise argparse.ArgumentTypeError(f"{text}: numbers from 1 up")
    return values


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--engines",
        type=words(("baton", "llama.cpp", "openvino")),
        default=["baton", "llama.cpp", "openvino"],
        help="comma-separated; the first is compared with the others (default: all three)",
    )
    parser.add_argument("--shapes", type=words(SHAPES), default=[SHAPES[0]], help=f"of {', '.join(SHAPES)} (default: {SHAPES[0]})")
    parser.add_argument("--dtypes", type=words(("bfloat16", "int8")), default=["bfloat16", "int8"], help="of the weights (default: both)")
    parser.add_argument("--threads", type=numbers, default=[2], help="(default: 2)")
    parser.add_argument("--prefill", type=numbers, default=[512], help="prompt lengths; empty for none (default: 512)")
    parser.add_argument("--decode", type=numbers, default=[1, 8, 32], help="batch sizes; empty for none (default: 1,8,32)")
    parser.add_argument("--context", type=int, default=128, help="tokens before the first decode step (default: 128)")
    parser.add_argument("--steps", type=int, default=32, help="timed decode steps (default: 32)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--baton", type=Path, default=HOUSE / ".build/release/baton", help="the program to measure")
    parser.add_argument("--cache", type=Path, default=HOUSE / ".bench-peers", help="where setup.sh put the peers")
    parser.add_argument("--json", type=Path, help="write all that was measured to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    parser.add_argument("--fail-below", type=float, metavar="RATIO", help="exit with status 1 if a median ratio is below")
    return parser.parse_args()


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def make_engines(arguments: argparse.Namespace) -> list[Engine]:
    store = arguments.cache / "models"
    makers = {
        "baton": lambda: Baton(arguments.baton, store),
        "llama.cpp": lambda: LlamaCpp(arguments.cache, store),
        "openvino": lambda: OpenVINO(store),
    }
    return [makers[name]() for name in arguments.engines]


def prepare(arguments: argparse.Namespace) -> None:
    """Makes each shape's checkpoint and its forms, once."""
    for shape in arguments.shapes:
        directory = arguments.cache / "models" / shape
        checkpoint = directory / "checkpoint"
        if not (checkpoint / "model.safetensors").exists():
            subprocess.run([arguments.baton, "model", "make", "--shape", shape, "--seed", "1", checkpoint], check=True)
        models.prepare(checkpoint, directory)


def rows_of(arguments: argparse.Namespace, shape: str, dtype: str, threads: int) -> list[Row]:
    prefill = [Row(shape, dtype, threads, "prefill", tokens=tokens) for tokens in arguments.prefill]
    return prefill + [
        Row(shape, dtype, threads, "decode", batch=batch, context=arguments.context, steps=arguments.steps) for batch in arguments.decode
    ]


def probe(cache: Path, threads: int) -> dict[str, float | str]:
    reading = json.loads(output(pinned(threads, [str(cache / "probe"), str(threads)])))
    note(f"  probe, {threads} threads: {reading['read_gb_per_second']} GB/s read, {reading['peak_gflop_per_second']} GFLOP/s {reading['peak_of']}")
    return reading


def choose_variants(engines: list[Engine], result: Result) -> None:
    """Tries every setting once; the try is a warm-up as well."""
    for engine in engines:
        trials = {variant: engine.measure(result.row, variant) for variant in engine.variants(result.row)}
        result.trials[engine.name] = trials
        result.variants[engine.name] = max(trials, key=trials.__getitem__)
        result.speeds[engine.name] = []


def measure(engines: list[Engine], rows: list[Row], rounds: int, cache: Path) -> tuple[list[Result], list[dict[str, float | str]]]:
    """Rows of one shape, dtype and thread count, so that an engine holds one model at a time."""
    results = [Result(row) for row in rows]
    for result in results:
        choose_variants(engines, result)
        note(f"{result.row}: " + "; ".join(f"{name} with {variant}" for name, variant in result.variants.items()))
    for engine in engines:
        engine.keep_only({result.variants[engine.name] for result in results})
    probes = []
    for number in range(rounds):
        note(f"round {number + 1} of {rounds}")
        probes.append(probe(cache, rows[0].threads))
        first = number % len(engines)
        for result in results:
            for engine in engines[first:] + engines[:first]:
                result.speeds[engine.name].append(engine.measure(result.row, result.variants[engine.name]))
            note(f"  {result.row}: " + ", ".join(f"{name} {speeds[-1]:.1f}" for name, speeds in result.speeds.items()))
    for engine in engines:
        engine.keep_only(set())
    return results, probes


def compare(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    engines = make_engines(arguments)
    versions = {engine.name: engine.version() for engine in engines}
    for name, version in versions.items():
        note(f"{name}: {version}")
    prepare(arguments)
    results: list[Result] = []
    probes: list[dict[str, object]] = []
    for shape, threads, dtype in itertools.product(arguments.shapes, arguments.threads, arguments.dtypes):
        group, readings = measure(engines, rows_of(arguments, shape, dtype, threads), arguments.rounds, arguments.cache)
        results += group
        probes += [{"shape": shape, "dtype": dtype, "threads": threads, "round": number, **reading} for number, reading in enumerate(readings)]
    table = report.markdown(results, arguments.engines)
    print(table)
    note(f"{time.monotonic() - started:.0f} s")
    ours = arguments.engines[0]
    entries = [report.as_json(result, ours) for result in results]
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": versions, "probes": probes, "rows": entries}, indent=2) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(table + "\n")
    return failures(results, ours, arguments.fail_below)


def failures(results: list[Result], ours: str, least: float | None) -> int:
    status = 0
    for result, theirs in itertools.product(results, [name for name in results[0].speeds if name != ours] if results else []):
        ratio = median(result.ratios(ours, theirs))
        if least is not None and ratio < least:
            note(f"{result.row}: {ours} / {theirs} is {ratio:.2f}, below {least}")
            status = 1
    return status


def main() -> None:
    arguments = parse_arguments()
    if not (arguments.prefill or arguments.decode):
        raise SystemExit("neither --prefill nor --decode: nothing to measure")
    try:
        sys.exit(compare(arguments))
    except EngineError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
