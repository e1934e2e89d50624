#!/usr/bin/env bash
# Everything the comparison needs besides Baton itself, in .bench-peers, which git does not see. What is there is kept.
#
#   setup.sh              environment with OpenVINO GenAI and its exporter, llama.cpp built for this machine, the machine probe
#   setup.sh llama.cpp    llama.cpp alone: what make bench-serve-peers wants
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache="${BENCH_PEERS_CACHE:-$here/../../.bench-peers}"
mkdir -p "$cache"
cd "$cache"
echo '*' > .gitignore

llama_cpp_python=0.3.36 # its source distribution carries llama.cpp
torch=2.13.0
builders=('cmake==4.*' 'ninja==1.*' scikit-build-core)
packages=(
    'openvino==2026.4.1' 'openvino-genai==2026.4.1.0' 'openvino-tokenizers==2026.4.1.0' 'nncf==3.4.0'
    'optimum==2.3.0' 'transformers==5.5.4' 'gguf==0.19.0' 'safetensors>=0.7,<1' 'numpy>=2,<3'
)

pip() { python/bin/python -m pip "$@"; }

tools() {
    python3 -m venv python
    pip install --quiet "${builders[@]}"
}

environment() {
    # The build for processors alone, where a package source offers it; the general one brings gigabytes of GPU libraries.
    pip install --quiet "torch==$torch+cpu" 2>/dev/null || pip install --quiet "torch==$torch"
    pip install --quiet "${packages[@]}"
    # Alone: it asks for torchvision, which no language model needs and which would replace torch by the build for GPUs.
    pip install --quiet --no-deps 'optimum-intel==2.2.0'
}

llama_cpp() {
    rm -rf llama.cpp llama.cpp-build sources
    mkdir sources
    pip download --quiet --no-deps --no-binary :all: --no-build-isolation --dest sources "llama-cpp-python==$llama_cpp_python"
    tar -xzf sources/*.tar.gz -C sources
    mv sources/*/vendor/llama.cpp llama.cpp
    rm -rf sources llama.cpp/.git
    local tools=(llama-batched-bench llama-bench llama-server)
    export PATH="$PWD/python/bin:$PATH"
    cmake -S llama.cpp -B llama.cpp-build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DGGML_OPENMP=ON -DGGML_CCACHE=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
        -DCMAKE_C_COMPILER="${CC:-gcc}" -DCMAKE_CXX_COMPILER="${CXX:-g++}" > llama.cpp-build.log
    nice -n 19 cmake --build llama.cpp-build -j "${JOBS:-2}" --target "${tools[@]}" >> llama.cpp-build.log
}

probe() {
    "${CC:-gcc}" -O3 -march=native -fopenmp -Wall -Wextra "$here/probe.c" -o probe
}

# A step is done when its stamp says what it was asked for.
once() {
    local step="$1" wanted="$2"
    [ "$(cat "$step.done" 2>/dev/null)" != "$wanted" ] || return 0
    echo "bench-peers: $step" >&2
    "$step"
    echo "$wanted" > "$step.done"
}

once tools "${builders[*]}"
once llama_cpp "llama-cpp-python $llama_cpp_python"
[ "${1:-}" != llama.cpp ] || exit 0
once environment "torch $torch ${packages[*]}"
once probe "$(cksum < "$here/probe.c")"
