"""EleutherAI's lm-eval, unchanged: the same tasks by Baton's API and by transformers, compared request by request.

Starts clusters of its own, in float32, for the bundled model and for the tiny checkpoints of Tests/Fixtures. Log-likelihoods (of
continuations, and of whole texts) have to agree within TOLERANCE, the greedy flag and generated texts exactly. The tiny checkpoints have no
tokenizer; they get one of single bytes. Their greedy answers are random bytes, so that only the bundled model generates.
"""

import json
import math
import pathlib
import shutil
import tempfile

import lm_eval
import tokenizers
import transformers
from lm_eval.tasks import TaskManager

from live_cluster import ROOT, live_cluster

TOLERANCE = 1e-3
SCORED = ["baton_continuations", "baton_whole"]
CHECKPOINTS = ROOT / "Tests/Fixtures/checkpoints"


def with_tokenizer(checkpoint, folder):
    """A copy of a checkpoint with a tokenizer whose tokens are bytes."""
    shutil.copytree(checkpoint, folder)
    vocabulary = {letter: number for number, letter in enumerate(sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def samples(model, arguments, tasks):
    """Of each task, the requests with their answers, in order."""
    manager = TaskManager(include_path=str(ROOT / "Tests/Clients/tasks"), include_defaults=False)
    outcome = lm_eval.simple_evaluate(
        model=model, model_args=arguments, tasks=tasks, task_manager=manager, log_samples=True, bootstrap_iters=0, verbosity="ERROR")
    found = {}
    for task in tasks:
        for sample in sorted(outcome["samples"][task], key=lambda sample: sample["doc_id"]):
            for request, answers in zip(sample["arguments"], sample["resps"], strict=True):
                found[f"{task} {sample['doc_id']} {request!r}"] = answers[0]
    return found


def compare(name, model, tasks):
    """The greatest difference of two log-likelihoods, and how many answers were compared."""
    with live_cluster(model, "--dtype", "float32", "--served-model-name", name) as base:
        ours = samples("local-completions", {
            "model": name, "base_url": base + "/v1/completions", "tokenizer": str(model), "tokenizer_backend": "huggingface",
            "num_concurrent": 4, "max_retries": 1, "max_length": 256,
        }, tasks)
    theirs = samples("hf", {
        "pretrained": str(model), "dtype": "float32", "device": "cpu", "batch_size": 1, "max_length": 256,
    }, tasks)
    if ours.keys() != theirs.keys():
        raise SystemExit(f"lm_eval_client: {name}: other requests: {ours.keys() ^ theirs.keys()}")
    greatest = 0.0
    for request, answer in ours.items():
        reference = theirs[request]
        if isinstance(reference, str):
            same = answer == reference
        elif isinstance(reference, tuple):
            greatest = max(greatest, abs(answer[0] - reference[0]))
            same = math.isfinite(answer[0]) and abs(answer[0] - reference[0]) <= TOLERANCE and answer[1] == reference[1]
        else:
            greatest = max(greatest, abs(answer - reference))
            same = math.isfinite(answer) and abs(answer - reference) <= TOLERANCE
        if not same:
            raise SystemExit(f"lm_eval_client: {name}: {request}: {answer!r} is not transformers' {reference!r}")
    return greatest, len(ours)


transformers.logging.set_verbosity_error()
with tempfile.TemporaryDirectory() as folder:
    models = {"baton-tiny": (ROOT / "Models/baton-tiny", SCORED + ["baton_answers"])}
    for checkpoint in sorted(path for path in CHECKPOINTS.iterdir() if path.is_dir()):
        models[checkpoint.name] = (with_tokenizer(checkpoint, pathlib.Path(folder, checkpoint.name)), SCORED)
    for name, (model, tasks) in models.items():
        greatest, count = compare(name, model, tasks)
        print(f"lm_eval: {name}: {count} answers as transformers', log-likelihoods within {greatest:.1e}", flush=True)
