"""Schemathesis, unchanged, with the requests and answers of routes.yaml. Usage: schemathesis_client.py BASE_URL

Passes if at least LEAST requests were generated, none was answered with a status of 500 or more, every answer is what the document says
(schema, status, media type, methods), and enough requests were served rather than refused.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

BASE = sys.argv[1]
LEAST = 5_000
LEAST_SERVED = 500
CHECKS = [
    "not_a_server_error", "response_schema_conformance", "status_code_conformance", "content_type_conformance", "unsupported_method",
    "allow_header_conformance",
]

with tempfile.TemporaryDirectory() as folder:
    report = pathlib.Path(folder, "report.json")
    command = [
        str(pathlib.Path(sys.executable).parent / "schemathesis"), "run", str(pathlib.Path(__file__).parent / "routes.yaml"), "--url", BASE,
        "--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", "1000", "--seed", "1", "--continue-on-failure",
        "--generation-database", "none", "--request-timeout", "30", "--report-json-path", str(report), "--report", "json", "--no-color",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0 or not report.exists():
        raise SystemExit(f"schemathesis_client: {done.returncode}: {done.stdout} {done.stderr}")
    outcome = json.loads(report.read_text())

sent = outcome["test_cases"]["generated"]
phases = [(name, phase) for name, phases in outcome["valid_rates"].items() for phase in phases.values()]
served = sum(phase["accepted"] for name, phase in phases if name.startswith("POST /v1/"))
if sent < LEAST or served < LEAST_SERVED or outcome["failures"] or outcome["errors"] or not outcome["complete"]:
    raise SystemExit(f"schemathesis_client: {sent} sent, {served} served, failures {outcome['failures']}, errors {outcome['errors']}")
print(f"schemathesis: {sent} requests, {served} well-formed ones served, 0 server errors, 0 violations")
