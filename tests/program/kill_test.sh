#!/usr/bin/env bash
# A training that is killed with SIGKILL, again and again, ends with the same bits as one that was left alone, and no kill
# leaves a file that cannot be read, or a gap in the curves.
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

curves() { grep -v -e '"pictures per second"' -e '"memory, MB"' "$1"; }

# survives CHECKPOINT RESULT SAME ARGUMENTS...: RESULT is there when the run is over, and SAME is what must have the same bits.
survives() {
  local checkpoint=$1 result=$2 same=$3 kills=0 midway=0 pause pid
  shift 3
  rm -rf alone killed
  quiet "$rig" "$@" --run alone
  # Each round waits for a checkpoint of its own and kills a moment later, wherever the training is then.
  for pause in 0 0.03 0.11 0.2; do
    touch started
    "$rig" "$@" --run killed >log 2>&1 </dev/null &
    pid=$!
    until [ "killed/$checkpoint" -nt started ] || ! kill -0 $pid 2>/dev/null; do sleep 0.005; done
    sleep $pause
    kill -9 $pid 2>/dev/null && kills=$((kills + 1))
    wait $pid 2>/dev/null || true
    [ -e "killed/$result" ] || midway=$((midway + 1))
    quiet "$rig" info "killed/$checkpoint"
  done
  quiet "$rig" "$@" --run killed
  [ $midway -gt 0 ] || { echo "$1: no run was killed before its end"; exit 1; }
  cmp "alone/$same" "killed/$same"
  curves "alone/$checkpoint.log.jsonl" >alone.curves
  curves "killed/$checkpoint.log.jsonl" >killed.curves
  cmp alone.curves killed.curves
  echo "$1: killed $kills times, $midway of them midway: the same bits and curves"
}

quiet "$rig" corpus $generator --count 200 --out corpus
survives face.checkpoint.safetensors face.safetensors face.safetensors \
  train-face $generator --corpus corpus --steps 400 --batch 8 --hidden 32 --fit-items 0 --checkpoint-every 5
quiet "$rig" sample $generator --seeds 0-15 --singles real
survives checkpoint.safetensors samples/000000800.png checkpoint.safetensors \
  train-gan real --resolution 16 --batch 4 --channel-base 128 --channel-max 8 --latent 8 --code 8 --kimg 0.8 --checkpoint-kimg 0.02 --snapshot-kimg 0.1
[ "$(ls alone/samples)" = "$(ls killed/samples)" ] || { echo "sheets: $(ls alone/samples killed/samples)"; exit 1; }
