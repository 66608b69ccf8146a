#!/bin/bash
# make cuda-check, without a card: the whole back end compiles for one architecture and links, the module imports, and our
# kernels' machine code is what it should be. tests/gpu/cuda_check.sh [ARCHITECTURE]; variables as in bench/gpu/build_module.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
module=$(bench/gpu/build_module.sh "$@" | tail -1)
work=$(dirname "$module")
python=$work/venv/bin/python
"$python" -m pip install --quiet numpy nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm
LD_LIBRARY_PATH=$work/cublas/nvidia/cu13/lib "$python" - "$module" << 'END'
import sys
import types

package = types.ModuleType("ltu")  # the module with the errors that it raises; nothing else needs to be installed
package.__path__ = ["python/ltu", sys.argv[1]]
sys.modules["ltu"] = package
from ltu import _engine

print("the module imports; devices:", *_engine.devices())
END
programs=$(dirname "$(find "$work/venv" -name cuobjdump -path '*bin*' | head -1)")
PATH=$programs:$PATH "$python" tests/gpu/machine_code.py "$module"/cpp/cuda/CMakeFiles/ltu_cuda.dir/*.cu.o
