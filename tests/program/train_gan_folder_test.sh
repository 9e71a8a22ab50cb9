#!/usr/bin/env bash
# What train-gan may write over: a run of its own. Files of other commands and of people stay, also under --fresh.
set -eu
rig=$RIG_BUILD/stylerig
[ -x "$rig" ] || { echo "skipped: $rig was not built"; exit 0; }
oracle=$PWD/data/oracle
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
die() { echo "$*"; cat log; exit 1; }
quiet() { "$@" >log 2>&1 </dev/null || die "$*"; }
train() { "$rig" train-gan real --resolution 16 --batch 4 --channel-base 128 --channel-max 8 --latent 8 --code 8 "$@" >log 2>&1 </dev/null; }
# refused STATUS WORDS ARGUMENTS...
refused() {
  local status=0 expected=$1 words=$2
  shift 2
  train "$@" || status=$?
  [ $status = "$expected" ] || die "train-gan $*: expected status $expected, got $status"
  grep -qF -- "$words" log || die "train-gan $*: expected to read: $words"
}
quiet "$rig" sample "$oracle/generator.safetensors" --seeds 0-7 --singles real
echo words >real/readme.txt

# The result of another command; a person's pictures; a network by the name of a checkpoint.
mkdir -p other mine/samples network
cp "$oracle/generator.safetensors" other
cp "$oracle/generator.safetensors" network/checkpoint.safetensors
echo words | tee mine/samples/holiday.png >mine/samples/000000001.png
for fresh in "" --fresh; do
  refused 1 "other/generator.safetensors: is there already, and no checkpoint of train-gan with it" --run other --kimg 0.02 $fresh
  refused 1 "mine/samples: is there already" --run mine --kimg 0.02 $fresh
  refused 1 "network/checkpoint.safetensors: expected a checkpoint of the kind 'rig gan run', found 'rig.stylegan2'" --run network --kimg 0.02 $fresh
done
cmp "$oracle/generator.safetensors" other/generator.safetensors
cmp "$oracle/generator.safetensors" network/checkpoint.safetensors
[ "$(ls other mine mine/samples network)" = "$(printf 'mine:\nsamples\n\nmine/samples:\n000000001.png\nholiday.png\n\nnetwork:\ncheckpoint.safetensors\n\nother:\ngenerator.safetensors')" ] ||
  die "a refused command left something: $(ls other mine mine/samples network)"

# A fresh run that diverges costs the old one nothing; one that does not takes its place, and leaves what is not its own.
train --run run --kimg 0.08 --snapshot-kimg 0.02 || die "the first run"
grep -q "stylerig: 8 pictures, 1 files of other kinds" log || die "expected a line about the pictures"
grep -q '"ignored": 1' run/report.json || die "expected what was ignored in report.json"
echo words >run/samples/mine.png
sheets() { ls run/samples | tr '\n' ' '; }
[ "$(sheets)" = "000000000.png 000000020.png 000000040.png 000000060.png 000000080.png mine.png " ] || die "sheets: $(sheets)"
mkdir before
cp run/*.safetensors before
refused 1 "training has diverged" --run run --kimg 0.08 --rate 1e30 --fresh
for f in before/*; do cmp "$f" "run/${f#before/}"; done
train --run run --kimg 0.04 --snapshot-kimg 0.04 --fresh || die "the fresh run"
[ "$(sheets)" = "000000000.png 000000040.png mine.png " ] || die "sheets: $(sheets)"
! cmp -s before/checkpoint.safetensors run/checkpoint.safetensors || die "the fresh run did not take the place of the old one"

# What a run leaves that was killed before its first checkpoint hinders nothing.
mkdir -p killed/samples
cp run/samples/000000000.png killed/samples
train --run killed --kimg 0.02 || die "a run killed early"

refused 2 "the target must lie between -1 and 1, got 1" --run new --augment-target 1
[ ! -e new ] || die "a refused command left a folder"
"$rig" train-gan real --run usual --resolution 16 --channel-max 8 --latent 8 --code 8 --kimg 0.032 --json >json 2>log || die "the usual batch"
grep -q '"batch": "32"' json || die "expected the batch for 16 pixels"
echo "train-gan: writes over its own runs alone"
