#!/usr/bin/env bash
# Each reader of files is fed mutated files for ten seconds; scripts/fuzz does it for longer.
set -u
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
scripts/fuzz --seconds 10 --once --folder "$work"
