"""Simon Willison's llm, unchanged, against a live cluster. Usage: llm_client.py BASE_URL"""

import os
import pathlib
import subprocess
import sys
import tempfile

BASE = sys.argv[1]
with tempfile.TemporaryDirectory() as home:
    entry = f"- model_id: tiny\n  model_name: baton-tiny\n  api_base: {BASE}/v1\n"
    pathlib.Path(home, "extra-openai-models.yaml").write_text(entry)
    environment = {**os.environ, "LLM_USER_PATH": home, "OPENAI_API_KEY": "none"}
    command = [str(pathlib.Path(sys.executable).parent / "llm"), "-m", "tiny", "-o", "max_tokens", "16", "-o", "temperature", "0"]
    for extra in ([], ["--no-stream"]):
        done = subprocess.run(
            command + extra + ["Tell me about a fox."], env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        if done.returncode != 0 or not done.stdout.strip():
            raise SystemExit(f"llm_client: {done.returncode}: {done.stdout} {done.stderr}")
print("llm: passed")
