"""GuideLLM, unchanged: two short benchmarks of chat and plain completions. Usage: guidellm_client.py BASE_URL"""

import json
import pathlib
import subprocess
import sys
import tempfile

BASE = sys.argv[1]
REQUESTS = 24
OUTPUT = 16

for route in ("/v1/chat/completions", "/v1/completions"):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        command = [
            str(pathlib.Path(sys.executable).parent / "guidellm"), "run", "--backend",
            f"kind=openai_http,target={BASE},model=baton-tiny,request_format={route}", "--profile", "kind=concurrent,streams=4", "--constraint",
            f"kind=max_requests,count={REQUESTS}", "--tokenizer", f"kind=huggingface_auto,model={pathlib.Path('Models/baton-tiny').resolve()}",
            "--data", f"kind=synthetic_text,prompt_tokens=48,output_tokens={OUTPUT}", "--output", f"kind=json,path={report}", "--disable-console",
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0 or not report.exists():
            raise SystemExit(f"guidellm_client: {done.returncode}: {done.stdout} {done.stderr}")
        requests = json.loads(report.read_text())["benchmarks"][0]["requests"]
        if len(requests["successful"]) != REQUESTS or requests["errored"] or requests["incomplete"]:
            raise SystemExit(f"guidellm_client: {route}: {[(kind, len(found)) for kind, found in requests.items()]}: {requests['errored'][:1]}")
        lengths = {request["output_tokens"] for request in requests["successful"]}
        if lengths != {OUTPUT}:
            raise SystemExit(f"guidellm_client: {route}: answers have {lengths} tokens, not {OUTPUT}")
