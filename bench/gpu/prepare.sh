#!/bin/bash
# Without a card: puts what on_card.sh needs beside the tree into .gpu/, which git does not see: the module, the wheels that the
# machine lacks, the questions. bench/gpu/prepare.sh [ARCHITECTURE] (90-real); variables as in build_module.sh, and PYTHON, one
# that has this engine (python3).
set -euo pipefail
cd "$(dirname "$0")/../.."
exclude=$(git rev-parse --git-path info/exclude)
grep -qx '/.gpu/' "$exclude" 2> /dev/null || echo '/.gpu/' >> "$exclude"
rm -rf .gpu && mkdir .gpu

"${PYTHON:-python3}" bench/gpu/work.py .gpu/work.json.gz
"${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
  --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
  --dest .gpu/whl soundfile cffi pycparser soxr gguf nltk
module=$(bench/gpu/build_module.sh "$@" | tail -1)
for file in "$module"/_engine*.so; do
  xz -6 -T2 -c "$file" > ".gpu/$(basename "$file").xz"
done
bytes=$( (git ls-files -z; find .gpu -type f -print0) | xargs -0 cat | wc -c)
echo "tree and .gpu: $((bytes / 1000000)) MB"
