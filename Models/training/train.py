#!/usr/bin/env python3
"""Trains Baton's bundled model on a CPU and writes it in Hugging Face's layout.

    pip install torch transformers tokenizers safetensors numpy
    python3 train.py [--minutes 40] [--steps N] [--out ../baton-tiny]

Tokenizer first, then the model, on a corpus that never repeats. The learning rate follows the steps, or the clock where
the machine is too slow to take all of them in time. With the same steps, seed and versions the run is the same, up to the
order of sums in the threads.
"""

import argparse
import itertools
import json
import math
import time
from pathlib import Path
from typing import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import corpus
from model import Shape, Storyteller, hugging_face_config, hugging_face_weights, load_hugging_face_weights

ROW_LENGTHS = (256, 1024)  # documents that do not fit the first go to rows of the second
OPEN_ROWS = 48
IGNORED = -100
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def train_tokenizer(vocab_size: int, seed: int) -> Tokenizer:
    """Byte-level BPE with GPT-2's split pattern."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=corpus.SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    samples = itertools.islice(corpus.documents(seed), 20000)
    tokenizer.train_from_iterator((corpus.text_of(document) for document in samples), trainer)
    return tokenizer


# Packing


class Row:
    """Documents in a row: tokens, targets (IGNORED where nothing is to learn) and the document of each position."""

    def __init__(self, length: int):
        self.length, self.used, self.count = length, 0, 0
        self.tokens = np.zeros(length, np.int64)
        self.targets = np.full(length, IGNORED, np.int64)
        self.document = np.full(length, -1, np.int64)

    @property
    def free(self) -> int:
        return self.length - self.used

    def add(self, tokens: np.ndarray, learned: np.ndarray) -> None:
        end = self.used + len(tokens)
        self.tokens[self.used : end] = tokens
        self.targets[self.used : end - 1] = np.where(learned, tokens, IGNORED)[1:]
        self.document[self.used : end] = self.count
        self.used, self.count = end, self.count + 1


def encode(document: corpus.Document, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and whether each is to be learned; segments end at special tokens or line breaks, so none is split."""
    parts = [(tokenizer.encode(segment.text).ids, segment.learned) for segment in document]
    tokens = np.concatenate([np.array(ids, np.int64) for ids, _ in parts])
    learned = np.concatenate([np.full(len(ids), learned) for ids, learned in parts])
    return tokens[: ROW_LENGTHS[-1]], learned[: ROW_LENGTHS[-1]]


def packed_rows(tokenizer: Tokenizer, seed: int) -> Iterator[Row]:
    """Best fit: each document goes to the fullest open row that takes it whole."""
    open_rows: dict[int, list[Row]] = {length: [] for length in ROW_LENGTHS}
    for document in corpus.documents(seed):
        tokens, learned = encode(document, tokenizer)
        length = next(length for length in ROW_LENGTHS if len(tokens) <= length)
        rows = open_rows[length]
        fitting = [row for row in rows if row.free >= len(tokens)]
        row = min(fitting, key=lambda row: row.free) if fitting else Row(length)
        if not fitting:
            rows.append(row)
        row.add(tokens, learned)
        if row.free < 24 or len(rows) > OPEN_ROWS * 256 // length:
            fullest = min(rows, key=lambda row: row.free)
            rows.remove(fullest)
            yield fullest


def batches(tokenizer: Tokenizer, seed: int, tokens_per_batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Batches of rows of one length: tokens and targets [rows, length], mask [rows, 1, length, length]."""
    waiting: dict[int, list[Row]] = {length: [] for length in ROW_LENGTHS}
    for row in packed_rows(tokenizer, seed):
        rows = waiting[row.length]
        rows.append(row)
        if len(rows) * row.length < tokens_per_batch:
            continue
        tokens, targets, document = (torch.from_numpy(np.stack([getattr(row, name) for row in rows])) for name in ("tokens", "targets", "document"))
        causal = torch.ones(row.length, row.length, dtype=torch.bool).tril()
        mask = (document[:, :, None] == document[:, None, :]) & causal
        yield tokens, targets, mask[:, None]
        rows.clear()


# Training


def make_optimizer(model: Storyteller, rate: float) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.97), eps=1e-9, fused=True)


def learning_rate(step: int, progress: float, peak: float) -> float:
    """Linear warm-up, then a cosine down to 2 % of the peak."""
    warm_up = min(1.0, (step + 1) / 150)
    return peak * warm_up * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def train(model: Storyteller, tokenizer: Tokenizer, arguments: argparse.Namespace, checkpoint) -> None:
    optimizer = make_optimizer(model, arguments.rate)
    started, cpu_started = time.monotonic(), time.process_time()
    stream = batches(tokenizer, arguments.seed + 1, arguments.batch_tokens)
    running, seen = None, 0
    for step, (tokens, targets, mask) in enumerate(stream):
        minutes = (time.monotonic() - started) / 60
        progress = max(step / arguments.steps, minutes / arguments.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, progress, arguments.rate)
        learned = targets != IGNORED
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(tokens, mask, learned)
        loss = F.cross_entropy(logits.float(), targets[learned])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += tokens.numel()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if step % 100 == 0:
            cpu_minutes = (time.process_time() - cpu_started) / 60 / arguments.threads
            print(f"step {step:5}  loss {running:.4f}  tokens {seen / 1e6:5.1f} M  {minutes:5.1f} min, {cpu_minutes:5.1f} of them on {arguments.threads} cores", flush=True)
        if step and step % 1000 == 0:
            checkpoint()
    checkpoint()


# Export


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def export(model: Storyteller, tokenizer: Tokenizer, out: Path) -> None:
    """Writes the folder that transformers, and Baton, load."""
    out.mkdir(parents=True, exist_ok=True)
    end_of_text, _, chat_end = (tokenizer.token_to_id(token) for token in corpus.SPECIAL_TOKENS)
    save_file(hugging_face_weights(model), out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    write_json(out / "config.json", hugging_face_config(model.shape, [chat_end, end_of_text]))
    write_json(out / "generation_config.json", {"do_sample": False, "eos_token_id": [chat_end, end_of_text], "pad_token_id": end_of_text})
    tokenizer.save(str(out / "tokenizer.json"))
    specials = {"eos_token": corpus.CHAT_END, "pad_token": corpus.END_OF_TEXT, "additional_special_tokens": [corpus.CHAT_START, corpus.CHAT_END]}
    write_json(out / "special_tokens_map.json", specials)
    added = {
        str(tokenizer.token_to_id(token)): {"content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        for token in corpus.SPECIAL_TOKENS
    }
    write_json(
        out / "tokenizer_config.json",
        {
            "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": added, "bos_token": None,
            "chat_template": CHAT_TEMPLATE, "clean_up_tokenization_spaces": False,
            **specials, "model_max_length": model.shape.max_positions, "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40, help="limit of the training time")
    parser.add_argument("--steps", type=int, default=5600, help="optimizer steps, if the time allows")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="tokens per step")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--probes", type=int, default=25, help="held-out probes of each kind at every thousandth step")
    parser.add_argument("--resume", type=Path, help="go on from an exported checkpoint, with a new seed")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "baton-tiny")
    arguments = parser.parse_args()

    from evaluate import evaluate  # needs transformers, which training itself does not

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    shape = Shape()
    model = Storyteller(shape)
    if arguments.resume:
        tokenizer = Tokenizer.from_file(str(arguments.resume / "tokenizer.json"))
        load_hugging_face_weights(model, load_file(arguments.resume / "model.safetensors"))
    else:
        tokenizer = train_tokenizer(shape.vocab_size, arguments.seed)
    print(f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} M parameters, {tokenizer.get_vocab_size()} tokens", flush=True)

    def checkpoint() -> None:
        export(model, tokenizer, arguments.out)
        shares = evaluate(arguments.out, arguments.probes)
        print("held out: " + ", ".join(f"{kind} {share:.1%}" for kind, share in shares.items()), flush=True)

    train(model, tokenizer, arguments, checkpoint)


if __name__ == "__main__":
    main()
