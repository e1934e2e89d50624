#!/usr/bin/env python3
"""Judges a trained checkpoint on held-out prompts, as transformers runs it.

    python3 evaluate.py [--model ../baton-tiny] [--probes 100] [--show 8]

The probes use names that training never shows. A story passes when its greedy answer ends by itself, names the
character, the place and the object of its prompt, no character or town that the prompt does not name, and no second
helper in the middle of the story; the answer to a question, asked about one of three facts, must equal the right one.
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import corpus

STEPS = 260


def load(folder: Path) -> tuple[torch.nn.Module, PreTrainedTokenizerFast]:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, padding_side="left")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer


@torch.no_grad()
def greedy_answers(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, prompts: list[str]) -> list[str | None]:
    """The greedy answers; none for an answer that does not end by itself."""
    answers: list[str | None] = []
    for start in range(0, len(prompts), 50):
        batch = tokenizer(prompts[start : start + 50], return_tensors="pt", padding=True, add_special_tokens=False)
        batch.pop("token_type_ids", None)
        tokens = model.generate(**batch, max_new_tokens=STEPS, do_sample=False)[:, batch["input_ids"].shape[1] :]
        for row in tokens.tolist():
            ends = [row.index(end) for end in model.generation_config.eos_token_id if end in row]
            answers.append(tokenizer.decode(row[: min(ends)]) if ends else None)
    return answers


def passes(probe: corpus.Probe, answer: str | None, ordinary: set[str]) -> bool:
    if answer is None:
        return False
    if probe.kind == "question":
        return answer == probe.required[0]
    is_complete = all(entity in answer for entity in probe.required)
    is_consistent = len(corpus.helpers_named(answer) - corpus.helpers_named(probe.prompt)) <= 1
    return is_complete and is_consistent and not corpus.foreign_words(answer, probe.prompt, ordinary)


def evaluate(folder: Path, count: int, show: int = 0, seed: int = 99) -> dict[str, float]:
    """Share of passed probes by kind."""
    model, tokenizer = load(folder)
    ordinary = corpus.ordinary_words()
    probes = corpus.probes(seed, count)
    answers = greedy_answers(model, tokenizer, [probe.prompt for probe in probes])
    passed: dict[str, list[bool]] = {}
    for index, (probe, answer) in enumerate(zip(probes, answers)):
        ok = passes(probe, answer, ordinary)
        passed.setdefault(probe.kind, []).append(ok)
        if index < show or not ok and show:
            print(f"--- {probe.kind}: {'passes' if ok else 'FAILS, requires ' + str(probe.required)}\n{probe.prompt}\n>>> {answer}\n")
    return {kind: sum(results) / len(results) for kind, results in passed.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path(__file__).resolve().parent.parent / "baton-tiny")
    parser.add_argument("--probes", type=int, default=100, help="probes of each kind")
    parser.add_argument("--show", type=int, default=8, help="answers to print, besides all that fail")
    arguments = parser.parse_args()
    for kind, share in evaluate(arguments.model, arguments.probes, arguments.show).items():
        print(f"{kind:9} {share:6.1%}")


if __name__ == "__main__":
    main()
