#!/usr/bin/env bash
# Each reader of files is fed mutated files for a short while (RIG_FUZZ_SECONDS, 10 a target), with clang's libFuzzer and
# its sanitizers. tests/fuzz/<name>.cpp is a target. It starts from the files of tests/fuzz/seeds and tests/io/findings that
# are named after it and from those of the shared case set; RIG_FUZZ_CORPUS names a folder in which what was found worth keeping stays.
set -u
export LC_ALL=C
: "${RIG_FLAGS:=-std=c++20 -Iinclude -isystem/usr/include/eigen3}"
command -v clang++ >/dev/null || { echo "skipped: clang++ is not installed"; exit 0; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
export work seconds=${RIG_FUZZ_SECONDS:-10}
RIG_FLAGS=$(sed 's/-DRIG_HAS_DNNL=1/-DRIG_HAS_DNNL=0/; s/-DRIG_HAS_HDF5=1//; s/-fopenmp//' <<<"$RIG_FLAGS")
export RIG_FLAGS RIG_HDF5=${RIG_HDF5:-} OMP_NUM_THREADS=1 shared=
for folder in "${RIG_TEST_DATA:-}" ../shared ../../shared; do
  [ -n "$folder" ] && [ -d "$folder/parity/stylegan/containers" ] && shared=$folder && break
done

one() {
  local name corpus seeds=() more=() timeout=20
  name=$(basename "$1" .cpp)
  corpus=${RIG_FUZZ_CORPUS:-$work/corpus}/$name
  mkdir -p "$corpus" "$work/$name"
  cp tests/{io/findings,fuzz/seeds}/"${name%_fuzz}"-* "$work/$name" 2>/dev/null
  [ "$name" = hdf5_fuzz ] && [ -n "$RIG_HDF5" ] && more=(-DRIG_HAS_HDF5=1 "$RIG_HDF5")
  [ "$name" = hdf5_fuzz ] && export ASAN_OPTIONS=detect_leaks=0  # the library itself forgets some bytes of a damaged file
  [ "$name" = network_fuzz ] && timeout=5  # seconds that a single file may take
  if [ -n "$shared" ]; then
    case $name in
      hdf5_fuzz | image_fuzz | obj_fuzz) ;;
      network_fuzz) find "$shared/parity/stylegan" -maxdepth 1 \( -name '*.pkl' -o -name '*.pt' -o -name '*.pth' \) -size -400k -exec cp -t "$work/$name" {} + ;;
      *) seeds=("$shared/parity/stylegan/containers/accept" "$shared/parity/stylegan/containers/refuse") ;;
    esac
  fi
  if ! clang++ $RIG_FLAGS -Itests -O1 -g1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined "$1" -o "$work/$name.run" \
    "${more[@]}" -lz -lpng -ljpeg >"$work/$name.txt" 2>&1; then
    echo "FAILED: $1 does not compile"
    head -n 20 "$work/$name.txt"
  elif ! "$work/$name.run" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout="$timeout" -max_len=400000 -artifact_prefix="$work/found-$name-" \
    "$corpus" "$work/$name" "${seeds[@]}" >"$work/$name.txt" 2>&1; then
    echo "FAILED: $name"
    tail -n 40 "$work/$name.txt"
    for found in "$work/found-$name"-*; do [ -s "$found" ] && { echo "the file that does it, in base64:"; base64 "$found" | head -n 40; }; done
  else
    echo "ok: $name, $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$work/$name.txt") runs"
  fi
}
export -f one
shopt -s nullglob
targets=(tests/fuzz/*.cpp)
[ ${#targets[@]} -gt 0 ] || { echo "skipped: there is no fuzz target"; exit 0; }
# nproc, too, goes by OMP_NUM_THREADS.
out=$(printf '%s\n' "${targets[@]}" | xargs -P "$(OMP_NUM_THREADS= nproc)" -I{} bash -c 'one "$0"' {})
echo "$out"
! grep -q '^FAILED' <<<"$out"
