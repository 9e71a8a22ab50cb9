"""Cases for `stylerig verify` from NVIDIA's own code: networks and operators with options drawn at random.

    python3 tests/nn/official_cases CHECKOUT OUT [--kinds operators,networks,tensorflow,trainings] [--count N] [--seed S]
        [--stylerig build/stylerig]

CHECKOUT is a clone of stylegan2-ada-pytorch or of stylegan3; their reference implementations run on the CPU. Every case gets what the
original gives in float32 and, as `floor.NAME`, how far that is from the same in float64 (largest, root mean square, largest magnitude).
With --stylerig each case is verified at once; exit 1 if any is beyond its limit or unchecked. Needs numpy, scipy, torch, requests, click,
packaging; never a part of rig's build.

Options that would make a derivative zero but for rounding are left out (one input channel with demodulation, deviation over two pictures).
A case in which an activation lies within rounding of a kink is drawn again: its gradients depend on luck.
"""

import argparse
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True

from networks import networks
from operators import operators
from original import Original
from tensorflow_pickles import tensorflow
from trainings import trainings


def verified(stylerig, files):
    """One line on a case; whether it passed."""
    run = subprocess.run([stylerig, "verify", *files], capture_output=True, text=True)
    name = os.path.basename(files[-1])
    if not run.stdout:
        print(f"FAILED {name}: {run.stderr.strip()}")
        return False
    report = json.loads(run.stdout)
    worst = max((v["max_absolute_error"] / v["limit"] for v in report["outputs"] if v["limit"]), default=0)
    state = "ok" if run.returncode == 0 else "FAILED"
    print(f"{state} {name}: {report['checked']} values, at most {worst:.2f} of the limit, not checked: {len(report['not_checked'])}")
    for v in [v for v in report["outputs"] if not v["within"]][:5]:
        print("   ", v)
    return run.returncode == 0


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("checkout")
    arguments.add_argument("out")
    arguments.add_argument("--kinds", default="operators,networks,tensorflow,trainings")
    arguments.add_argument("--count", type=int, default=10, help="files of networks and trainings; of operators one each for ten of them")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--stylerig")
    a = arguments.parse_args()
    os.makedirs(a.out, exist_ok=True)
    o, good, total = Original(os.path.abspath(a.checkout)), 0, 0
    for kind in a.kinds.split(","):
        make = {"operators": operators, "networks": networks, "tensorflow": tensorflow, "trainings": trainings}[kind]
        for seed in range(a.seed, a.seed + (max(a.count // 10, 1) if kind == "operators" else a.count)):
            for files in make(o, seed, os.path.join(a.out, f"{kind}-{'3' if o.is_3 else '2'}-{seed}")):
                total += 1
                good += verified(a.stylerig, files) if a.stylerig else 1
    print(f"{total} cases" + (f", {good} verified" if a.stylerig else ""))
    sys.exit(good < total)


if __name__ == "__main__":
    main()
