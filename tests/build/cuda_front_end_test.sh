#!/usr/bin/env bash
# Every source of the programs that RIG_CUDA_PROGRAMS makes for a GPU passes nvcc's front end, which alone says when a function of the
# device is called on the host or the other way round. Compiling all of them takes half an hour of processor time and is left to
# scripts/gpu-check; kernels themselves are compiled with the objects of RIG_CUDA.
set -u
export LC_ALL=C
: "${RIG_FLAGS:=-std=c++20 -Iinclude -isystem/usr/include/eigen3 -isystem/usr/include/hdf5/serial}"
nvcc=$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
[ -x "$nvcc" ] || { echo "skipped: nvcc is not installed"; exit 0; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
export nvcc work PATH="$(dirname "$nvcc"):$PATH"
# The headers of PNG and so on are found without the definitions that belong to the CPU's build.
export flags="$(sed 's/-DRIG_HAS_DNNL=1/-DRIG_HAS_DNNL=0/; s/-fopenmp//; s/-isystem\//-isystem \//g' <<<"$RIG_FLAGS") -DEIGEN_NO_CUDA -DRIG_COMPILED -DRIG_CUDA_WARPGROUPS -Itests -Iexamples -Ibench -arch=sm_90a"

one() {
  local source=$1 folder dry said
  folder=$(mktemp -d -p "$work") said=$work/$(tr / - <<<"$1").txt
  # nvcc says what it would run; the first two commands are the preprocessor and the front end.
  dry=$("$nvcc" -forward-unknown-to-host-compiler $flags -x cu "$source" -c -o "$folder/x.o" --keep --keep-dir "$folder" --dryrun 2>&1 | sed -n 's/^#\$ //p' | grep -m1 -B1 '^cudafe++ ')
  if [ -z "$dry" ]; then
    echo "FAILED: nvcc does not say how it would compile $source"
  elif eval "$dry" >"$said" 2>&1; then
    if grep -q warning "$said"; then echo "FAILED: warnings for $source"; head -n 20 "$said"; else echo "ok: $source"; fi
  else
    echo "FAILED: $source"
    grep -m5 -A3 error "$said" || head -n 20 "$said"
  fi
  rm -rf "$folder"
}
export -f one
shopt -s nullglob
sources=(src/*.cpp tests/cuda/*.cpp tests/cases/*_test.cpp bench/*.cpp bench/device/*.cpp examples/stylerig/*.cpp examples/verify/*.cpp examples/faces/*.cpp)
out=$(printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one "$0"' {})
grep -v '^ok' <<<"$out"
echo "$(grep -c '^ok' <<<"$out") of ${#sources[@]} sources pass"
! grep -q '^FAILED' <<<"$out"
