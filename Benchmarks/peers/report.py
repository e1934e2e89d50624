"""From paired runs to medians, ratios and tables."""

import random
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from row import Row

RESAMPLES = 4000


@dataclass
class Result:
    row: Row
    variants: dict[str, str] = field(default_factory=dict)  # by engine
    trials: dict[str, dict[str, float]] = field(default_factory=dict)  # by engine and variant, before the rounds
    speeds: dict[str, list[float]] = field(default_factory=dict)  # by engine, tokens a second, one a round

    def ratios(self, ours: str, theirs: str) -> list[float]:
        """Round by round: what slowed the machine in a round slowed both."""
        return [a / b for a, b in zip(self.speeds[ours], self.speeds[theirs], strict=True)]


def interval(values: list[float], seed: int = 1) -> tuple[float, float]:
    """Percentile bootstrap of the median, 95 %: rounds drawn with replacement. With three rounds it spans what was seen."""
    generator = random.Random(seed)
    medians = sorted(median(generator.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1]


def as_json(result: Result, ours: str) -> dict[str, Any]:
    ratios = {}
    for theirs in result.speeds:
        if theirs != ours:
            values = result.ratios(ours, theirs)
            low, high = interval(values)
            ratios[theirs] = {"median": median(values), "low": low, "high": high, "rounds": values}
    engines = {
        name: {"median": median(speeds), "rounds": speeds, "variant": result.variants[name], "trials": result.trials[name]}
        for name, speeds in result.speeds.items()
    }
    return {**asdict(result.row), "tokens_per_second": engines, f"{ours}_over": ratios}


def cells(result: Result, engines: list[str]) -> list[str]:
    ours, *others = engines
    row = [result.row.shape, result.row.dtype, f"{result.row.threads}", result.row.phase, result.row.size]
    row += [f"{median(result.speeds[name]):.1f}" if median(result.speeds[name]) < 100 else f"{median(result.speeds[name]):.0f}" for name in engines]
    for theirs in others:
        values = result.ratios(ours, theirs)
        low, high = interval(values)
        row.append(f"{median(values):.2f} [{low:.2f}, {high:.2f}]")
    return row


def markdown(results: list[Result], engines: list[str]) -> str:
    ours, *others = engines
    head = ["shape", "weights", "threads", "phase", "size", *(f"{name}, tok/s" for name in engines), *(f"{ours} / {name}" for name in others)]
    lines = [head, ["---"] * len(head), *(cells(result, engines) for result in results)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
