#!/usr/bin/env python3
"""Unchanged clients from PyPI against a live cluster with the bundled model.

    Tests/Clients/run.py                  those that are quick to install: what CI runs
    Tests/Clients/run.py --all            all of them: 4 GB of packages the first time
    Tests/Clients/run.py lm_eval aider    some of them

Packages are pinned here and installed into .venv-clients, which git does not see; once they are there, nothing needs a network. Every
client sends a bounded number of requests to loopback and is ended when its time is over.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from live_cluster import ROOT, live_cluster

HERE = Path(__file__).resolve().parent
FOLDER = ROOT / ".venv-clients"

TORCH = "torch==2.13.0"
ENVIRONMENTS = {
    "sdk": ["openai==2.54.0", "litellm==1.106.2"],
    "tools": ["llm==0.32.1", "locust==2.47.0"],
    "schemathesis": ["schemathesis==4.32.5"],
    "lm-eval": [TORCH, "lm-eval[api,hf]==0.4.13", "transformers==5.23.0", "datasets==5.2.0"],
    "guidellm": [TORCH, "guidellm==0.8.1"],
    "inspect": ["inspect-ai==0.3.285", "openai==3.54.0"],
    "aider": ["aider-chat==0.86.2"],
}


@dataclass(frozen=True)
class Client:
    name: str
    environment: str
    load: str
    """What it sends."""
    seconds: int = 120
    is_quick: bool = False


CLIENTS = [
    Client("openai", "sdk", "about 80 requests", is_quick=True),
    Client("batch", "sdk", "a few batch jobs", is_quick=True),
    Client("litellm", "sdk", "5 requests", is_quick=True),
    Client("llm", "tools", "2 requests"),
    Client("locust", "tools", "10 users for 10 seconds"),
    Client("schemathesis", "schemathesis", "at least 5,000 generated requests", seconds=400),
    Client("lm_eval", "lm-eval", "about 450 requests, to a cluster for each of 7 checkpoints", seconds=400),
    Client("guidellm", "guidellm", "48 requests, 4 at a time"),
    Client("inspect", "inspect", "12 questions"),
    Client("aider", "aider", "2 questions"),
]


def install(name):
    """Makes an environment what its list says, and leaves it alone if it is that already."""
    packages = ENVIRONMENTS[name]
    environment = FOLDER / name
    stamp = environment / "packages"
    if stamp.exists() and stamp.read_text().split() == packages:
        return
    print(f"clients: installing {' '.join(packages)}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if TORCH in packages:
        # The build for processors alone, where a package source offers it; the general one brings gigabytes of GPU libraries.
        subprocess.run(pip + [TORCH + "+cpu"], stderr=subprocess.DEVNULL)
    subprocess.run(pip + packages, check=True)
    stamp.write_text("\n".join(packages))


def passes(client, base):
    command = [str(FOLDER / client.environment / "bin/python"), str(HERE / f"{client.name}_client.py"), base]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="baton-clients-") as home:
        # Nobody's settings or keys, nobody's caches, and no network.
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
        environment = {
            **inherited, "HOME": home, "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home,
            "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": home, "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1",
        }
        # In a group of its own, so that what it has started ends with it.
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            code = process.wait(client.seconds)
        except subprocess.TimeoutExpired:
            code = f"not done after {client.seconds} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    print(f"{client.name}: {'passed' if code == 0 else f'FAILED ({code})'}, {time.monotonic() - began:.0f} s, {client.load}", flush=True)
    return code == 0


def main(arguments):
    chosen = [client for client in CLIENTS if client.is_quick or arguments == ["--all"]]
    if arguments and arguments != ["--all"]:
        chosen = [client for client in CLIENTS if client.name in arguments]
        if unknown := set(arguments) - {client.name for client in CLIENTS}:
            raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(client.name for client in CLIENTS)}")
    for name in dict.fromkeys(client.environment for client in chosen):
        install(name)
    with live_cluster("Models/baton-tiny") as base:
        passed = [passes(client, base) for client in chosen]
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed; loopback alone, every client bounded")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
