#!/usr/bin/env bash
# What nvcc compiled in this build was compiled without a warning of ours: cmake/keep_ptxas has kept them beside the objects.
set -u
export LC_ALL=C
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
# keep_ptxas itself, with a compiler that says what it is told to.
printf '#!/bin/sh\nprintf "%%s\\n" "$SAYS" >&2\n' >"$work/compiler" && chmod +x "$work/compiler"
kept() { SAYS=$1 cmake/keep_ptxas "$work/compiler" -c x.cu -o "$work/x.o" 2>"$work/said"; [ -e "$work/x.o.warnings" ]; }
for warning in '/rig/include/rig/core/vec.hpp(3): warning #177-D: variable "x" was declared but never referenced' \
  'include/rig/core/vec.hpp:3:7: warning: unused variable [-Wunused-variable]' 'ptxas warning : Stack size cannot be determined'; do
  kept "$warning" || { echo "FAILED: keep_ptxas takes this for no warning: $warning"; exit 1; }
  grep -qF "$warning" "$work/said" || { echo "FAILED: keep_ptxas hides this: $warning"; exit 1; }
done
for other in "ptxas info    : Used 40 registers, used 1 barriers" 'nvcc warning : Support for these architectures will be removed' \
  '/usr/local/cuda/bin/../targets/x86_64-linux/include/cuda_fp16.hpp(12): warning #1-D: last line ends without a newline'; do
  if kept "$other"; then echo "FAILED: keep_ptxas takes this for a warning of ours: $other"; exit 1; fi
done

build=${RIG_BUILD:-build}
count=$(find "$build" -name '*.o.ptxas' 2>/dev/null | wc -l)
[ "$count" -gt 0 ] || { echo "skipped: nothing was compiled by nvcc under $build"; exit 0; }
mapfile -d '' files < <(find "$build" -name '*.o.warnings' -print0)
for file in "${files[@]}"; do
  echo "FAILED: warnings in ${file%.warnings}"
  head -n 20 "$file"
done
echo "$count objects of nvcc, ${#files[@]} with warnings"
[ ${#files[@]} -eq 0 ]
