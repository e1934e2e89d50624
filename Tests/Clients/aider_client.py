"""Aider, unchanged, asked about a file, whole and as a stream. Usage: aider_client.py BASE_URL

It only asks: its instructions for edits would not leave the bundled model, which has 1,024 positions, room for an answer.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BASE = sys.argv[1]
LIMITS = {"max_input_tokens": 1024, "max_output_tokens": 1024, "max_tokens": 1024, "litellm_provider": "openai", "mode": "chat"}

for extra in ("--stream", "--no-stream"):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "fox.txt").write_text("Kelrik was a fox who carried a copper bell.\n")
        pathlib.Path(folder, "model.json").write_text(json.dumps({"openai/baton-tiny": LIMITS}))
        command = [
            str(pathlib.Path(sys.executable).parent / "aider"), "--model", "openai/baton-tiny", "--openai-api-base", BASE + "/v1", "--openai-api-key",
            "none", "--model-metadata-file", "model.json", "--no-show-model-warnings", "--no-git", "--edit-format", "ask", "--map-tokens", "0",
            "--no-check-update", "--no-show-release-notes", "--analytics-disable", "--no-pretty", "--no-fancy-input", "--yes-always",
            "--no-detect-urls", "--llm-history-file", "history", extra, "--message", "Who carried the bell?", "fox.txt",
        ]
        done = subprocess.run(command, cwd=folder, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True)
        history = pathlib.Path(folder, "history")
        said = history.read_text().partition("LLM RESPONSE")[2] if history.exists() else ""
        received = re.search(r"Tokens: .* sent, ([\d.]+k?) received", done.stdout)
    if done.returncode != 0 or "ASSISTANT" not in said or not received or received.group(1) == "0":
        raise SystemExit(f"aider_client: {done.returncode}: {done.stdout} {done.stderr} {said}")
    # Lines may be broken elsewhere.
    answer = " ".join(line.removeprefix("ASSISTANT").strip() for line in said.splitlines() if line.startswith("ASSISTANT")).split()
    if not answer or " ".join(answer) not in " ".join(done.stdout.split()):
        raise SystemExit(f"aider_client: {extra}: the answer {answer} is not in {done.stdout}")
    print(f"aider: {extra}: {received.group(1)} tokens received")
