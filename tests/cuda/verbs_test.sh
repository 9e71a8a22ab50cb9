#!/usr/bin/env bash
# Every verb that takes a device, once and small, on the emulated one under the sanitizers: a step on the host that looks at the
# device's memory ends it. What the numbers are is tested elsewhere.
set -u
rig=$RIG_BUILD/stylerig_emulated
[ -x "$rig" ] || { echo "skipped: $rig was not built"; exit 0; }
export ASAN_OPTIONS=detect_leaks=0 OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
try() {
  local began=$SECONDS
  "$rig" "$@" --device cuda >log 2>&1 </dev/null && { echo "ok: $1, $((SECONDS - began)) s"; return; }
  echo "FAILED: stylerig $*"
  head -40 log
  failed=1
}
generator=oracle/generator.safetensors
try make-oracle --out oracle --resolution 16 --width 8 --channel-base 64 --channel-max 4 --pictures 12 --held-out 4 --batch 2 --steps 3 \
  --vertices 2000 --hair-vertices 400
try sample $generator --seeds 0-15 --singles pictures --out sample.png
try corpus $generator --count 100 --out corpus
try train-face $generator --corpus corpus --run run --steps 3 --landmark-steps 1 --batch 2 --hidden 16 --fit-items 1
try train-rig $generator --corpus corpus --run run --steps 3 --pairs 2 --no-calibration
try transfer $generator --run run --targets 0 --sources 10 --mix-layers --refine 1 --out transfer.png
try edit $generator --run run --seeds 0 --yaw 5 --light azimuth=20 --mesh --refine 1 --out edit.png
try edit $generator --run run --seeds 0 --sweep yaw=-5:5:2 --out sweep.png
try evaluate $generator --run run --pairs 4 --sweep-codes 2 --sweep-steps 3 --expressions 1 --out evaluation
try train-gan pictures --run gan --resolution 16 --batch 4 --kimg 0.004 --latent 8 --code 8 --channel-base 64 --channel-max 4 --augment-p 0.5
try judge-gan gan/generator.safetensors --pictures pictures --discriminator gan/discriminator.safetensors --count 8 --samples 4 --beside 2 --out judge
exit $failed
