#!/usr/bin/env bash
# A throwaway Python environment in .venv, only for remaking fixtures and the bundled model.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
pip() { .venv/bin/python -m pip "$@"; }
# The build for processors alone, where a package source offers it; the general one brings gigabytes of GPU libraries.
torch=2.13.0
pip install --quiet "torch==$torch+cpu" 2>/dev/null || pip install --quiet "torch==$torch"
pip install --quiet 'transformers==5.23.0' 'tokenizers==0.23.3' 'safetensors>=0.7,<1' 'numpy>=2,<3' 'jinja2>=3,<4' 'gguf==0.19.0' 'sentencepiece==0.2.3'
