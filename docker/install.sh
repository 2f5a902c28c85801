#!/bin/sh
# Install into a Python environment, every version pinned by constraints.txt, without backtracking.
#   docker/install.sh PYTHON REQUIREMENT...
# torch comes first: its CPU build unless there is an NVIDIA GPU (NACRE_TORCH=cpu or NACRE_TORCH=cuda decides otherwise).
set -eu
python=$1
shift
cd "$(dirname "$0")/.."
version=$(sed -n 's/^torch==//p' constraints.txt)
export PIP_DISABLE_PIP_VERSION_CHECK=1

pip() { "$python" -m pip install --quiet "$@"; }

install_cpu_torch() {
    # The CPU build where the configured index has it, else from PyTorch's own index, else whatever the index calls torch
    # (outside Linux that is a CPU build).
    pip "torch==$version+cpu" 2>/dev/null ||
        pip "torch==$version" --extra-index-url "${NACRE_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}" 2>/dev/null ||
        pip "torch==$version"
}

if [ "${NACRE_TORCH:-}" = cuda ] || { [ "${NACRE_TORCH:-}" != cpu ] && nvidia-smi -L >/dev/null 2>&1; }; then
    echo "installing torch $version with CUDA"
    pip "torch==$version"
else
    echo "installing torch $version for CPU"
    install_cpu_torch
fi
echo "installing the rest"
pip --constraint constraints.txt uv
# Compiled now: whoever can't write bytecode later, as in an image, would compile everything at each start, for seconds.
"$python" -m uv pip install --quiet --compile-bytecode --python "$python" --constraint constraints.txt "$@"
