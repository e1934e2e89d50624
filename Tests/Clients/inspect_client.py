"""Inspect, unchanged: questions that the bundled model can answer, whole and as a stream. Usage: inspect_client.py BASE_URL"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

BASE = sys.argv[1]
# The model is small: most of its answers are right.
LEAST_RIGHT = 0.5

for stream in ("false", "true"):
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(pathlib.Path(sys.executable).parent / "inspect"), "eval", "inspect_questions.py", "--model", "openai-api/baton/baton-tiny",
            "--model-base-url", BASE + "/v1", "-M", f"stream={stream}", "--log-dir", folder, "--log-format", "json", "--display", "plain",
        ]
        done = subprocess.run(
            command, cwd=pathlib.Path(__file__).parent, env={**os.environ, "BATON_API_KEY": "none"}, capture_output=True, text=True)
        logs = list(pathlib.Path(folder).glob("*.json"))
        if done.returncode != 0 or len(logs) != 1:
            raise SystemExit(f"inspect_client: {done.returncode}: {done.stdout} {done.stderr}")
        log = json.loads(logs[0].read_text())
    answers = [sample["output"]["choices"][0] for sample in log["samples"]]
    right = log["results"]["scores"][0]["metrics"]["accuracy"]["value"]
    if log["status"] != "success" or len(answers) != 6 or not all(answer["message"]["content"] for answer in answers):
        raise SystemExit(f"inspect_client: {log['status']}: {answers}")
    if right < LEAST_RIGHT:
        raise SystemExit(f"inspect_client: {right} of the answers are right: {[answer['message']['content'] for answer in answers]}")
    print(f"inspect: stream {stream}: {len(answers)} answers, {right:.2f} right")
