#!/bin/bash
# On a machine with a card: bash bench/gpu/on_card.sh PART… (or all); prepare.sh says what must be there. Each part has a limit
# of its own and all together nine minutes. What a part finds is written to $OUT as it goes, with a log; gpu.json has all of it.
# DEVICE=cpu SHAPE=toy CLIPS=6 STEPS=1 rehearses it. PEER_SECONDS: that each way of Hugging Face answers for (15).
export PYTHONUNBUFFERED=1 OUT=${OUT:-build/gpu-out} DEVICE=${DEVICE:-cuda} SHAPE=${SHAPE:-vicuna-7b} CLIPS=${CLIPS:-312} STEPS=${STEPS:-10}
mkdir -p "$OUT"
exec > >(tee "$OUT/log") 2>&1
start=$SECONDS most=540
part() {
  local limit=$1 name=$2 left=$((most - SECONDS + start))
  shift 2
  if [ $left -lt 5 ]; then
    echo "== no time is left for $name"
    return
  fi
  [ $limit -lt $left ] || limit=$left
  echo "== $((SECONDS - start)) s: $name"
  timeout "$limit" "$@"
  echo "-- $name: rc $?"
}
sweep() { python3 bench/gpu/sweep.py "$SHAPE" "$@" --device "$DEVICE" --work .gpu/work.json.gz; }
export -f sweep

site=${SITE:-/tmp/site}
if [ -d .gpu/whl ] && [ ! -d "$site" ]; then
  python3 -m pip install -q --no-index --no-deps --no-compile --target "$site" .gpu/whl/*.whl
  mkdir -p "$site/ltu"
  cp -r python/ltu/. "$site/ltu/" && cp -r convert "$site/ltu/convert" && cp -r training "$site/ltu/training"
  xz -dc .gpu/_engine*.so.xz > "$site/ltu/_engine.cpython-312-x86_64-linux-gnu.so"
fi
export PYTHONPATH=$site:$PWD/bench:$PWD/bench/gpu:${PYTHONPATH:-} TMPDIR=${SCRATCH:-/dev/shm}
if [ "$DEVICE" != cpu ]; then
  libraries=$(python3 -c 'import nvidia, pathlib; print(pathlib.Path(list(nvidia.__path__)[0]) / "cu13/lib")')
  export LD_LIBRARY_PATH=$libraries:${LD_LIBRARY_PATH:-}
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | tee "$OUT/card"
fi
lscpu | grep 'Model name'
nproc

small=()
[ "$DEVICE" != cpu ] || small=(--size 256 --factor 16)
parts=("$@")
if [ "$*" = all ]; then
  parts=(import agreement tests golden sweep-f16 sweep-f16-graph sweep-q4_0 sweep-q4_0-graph huggingface gemm train)
fi
for name in "${parts[@]}"; do
  case $name in
    import) part 30 "$name" python3 -c 'from ltu import _engine; print(_engine.devices(), _engine.processor())' ;;
    agreement) part 90 "$name" python3 bench/gpu/agreement.py --device "$DEVICE" --json "$OUT/agreement.json" ;;
    tests) LTU_TEST_DEVICE=$DEVICE part 90 "$name" python3 -m pytest -q -p no:cacheprovider --override-ini addopts= tests/test_device_graph.py ;;
    golden) LTU_TEST_DEVICE=$DEVICE part 120 "$name" python3 -m pytest -q -p no:cacheprovider --override-ini addopts= tests/test_engine_golden.py ;;
    sweep-*-graph) type=${name#sweep-}
      LTU_KERNELS=ggml part 100 "$name" bash -c "sweep ${type%-graph} $((CLIPS / 3)) --json $OUT/$name.json" ;;
    sweep-*) part 120 "$name" bash -c "sweep ${name#sweep-} $CLIPS --encoder --json $OUT/$name.json" ;;
    profile-*) part 60 "$name" bash -c "sweep ${name#profile-} $((CLIPS / 3)) --profile" ;;
    gemm) part 60 "$name" python3 bench/gpu/gemm.py "${small[@]}" --device "$DEVICE" --json "$OUT/gemm.json" ;;
    huggingface) part 100 "$name" python3 bench/gpu/huggingface.py "$SHAPE" 400 --seconds "${PEER_SECONDS:-15}" --device "$DEVICE" --work .gpu/work.json.gz --json "$OUT/huggingface.json" ;;
    train) part 80 "$name" python3 bench/gpu/train.py "$SHAPE" --steps "$STEPS" --device "$DEVICE" --json "$OUT/train.json" ;;
    *) echo "no part $name" ;;
  esac
done
python3 - << 'END'
import datetime
import json
import os
from pathlib import Path

out = Path(os.environ["OUT"])
card = (out / "card").read_text().strip() if (out / "card").exists() else os.environ["DEVICE"]
record = {"device": card, "date": datetime.date.today().isoformat()}
record |= {path.stem: json.loads(path.read_text()) for path in sorted(out.glob("*.json")) if path.stem != "gpu"}
(out / "gpu.json").write_text(json.dumps(record, indent=1) + "\n")
END
echo "== done after $((SECONDS - start)) s"
