#!/usr/bin/env bash
# A training that is killed with SIGKILL, again and again, ends with the same bits as one that was left alone, and no kill
# leaves a file that cannot be read.
set -eu
rig=$RIG_BUILD/stylerig
[ -x "$rig" ] || { echo "skipped: $rig was not built"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
quiet() { "$@" >log 2>&1 </dev/null || { cat log; exit 1; }; }
quiet "$rig" make-oracle --out oracle --resolution 16 --width 8 --channel-base 128 --channel-max 8 --pictures 64 --held-out 8 --steps 20 \
  --vertices 2000 --hair-vertices 400
generator=oracle/generator.safetensors
quiet "$rig" corpus $generator --count 200 --out corpus
face=(train-face $generator --corpus corpus --steps 400 --batch 8 --hidden 32 --fit-items 0 --checkpoint-every 5)
quiet "$rig" "${face[@]}" --run alone

# Each round waits for a checkpoint of its own and kills a moment later, wherever the training is then.
kills=0 midway=0
for pause in 0 0.03 0.11 0.2; do
  touch started
  "$rig" "${face[@]}" --run killed >log 2>&1 </dev/null &
  pid=$!
  until [ killed/face.checkpoint.safetensors -nt started ] || ! kill -0 $pid 2>/dev/null; do sleep 0.005; done
  sleep $pause
  kill -9 $pid 2>/dev/null && kills=$((kills + 1))
  wait $pid 2>/dev/null || true
  [ -e killed/face.safetensors ] || midway=$((midway + 1))
  quiet "$rig" info killed/face.checkpoint.safetensors
done
quiet "$rig" "${face[@]}" --run killed
[ $midway -gt 0 ] || { echo "no run was killed before its end"; exit 1; }
cmp alone/face.safetensors killed/face.safetensors
echo "killed $kills times, $midway of them midway: the same bits"
