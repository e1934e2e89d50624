"""A cluster of real processes on loopback for as long as a block of Python runs."""

import contextlib
import pathlib
import re
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATON = ROOT / ".build/release/baton"
PATIENCE = 60


@contextlib.contextmanager
def live_cluster(model, *options):
    """`baton up` with a model and further options; gives the address of its API, without a path."""
    with tempfile.TemporaryDirectory(prefix="baton-clients-") as folder:
        log = pathlib.Path(folder, "log")
        command = [str(BATON), "up", "--model", str(model), "--port", "0", "--rpc", f"ipc://{folder}/rpc",
                   "--job-store", f"{folder}/jobs.sqlite", *options]
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process, log):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := re.search(r"API at (http://[^/\s]+)/v1", log.read_text()):
            return found.group(1)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"the cluster did not become ready: {log.read_text()}")
