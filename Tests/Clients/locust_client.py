"""Locust, unchanged: ten users for ten seconds against a live cluster on this machine. Usage: locust_client.py BASE_URL"""

import pathlib
import subprocess
import sys
import tempfile

BASE = sys.argv[1]
USERS = '''
from locust import HttpUser, constant, task


class Reader(HttpUser):
    wait_time = constant(0.05)

    @task
    def complete(self):
        body = {"model": "baton-tiny", "prompt": "Once upon a time", "max_tokens": 8}
        with self.client.post("/v1/completions", json=body, catch_response=True) as answer:
            if answer.status_code != 200 or not answer.json()["choices"]:
                answer.failure(answer.text)
'''
with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, "users.py")
    file.write_text(USERS)
    command = [str(pathlib.Path(sys.executable).parent / "locust"), "-f", str(file), "--headless", "-u", "10", "-r", "10", "-t", "10s"]
    done = subprocess.run(command + ["--host", BASE, "--only-summary"], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise SystemExit(f"locust_client: {done.returncode}: {done.stdout} {done.stderr}")
print("locust: passed")
