#!/usr/bin/env bash
# A throwaway Python environment in .venv, only for remaking fixtures and the bundled model.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet 'torch>=2.5,<3' 'transformers>=5,<6' tokenizers safetensors numpy jinja2
