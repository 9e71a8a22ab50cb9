"""rig's work in PyTorch on the same GPU, correct first and timed second.

    bench_peer_cases FOLDER --device cuda
    python device_torch.py FOLDER --device cuda [--lines FILE] [--sizes full|small] [--budget SECONDS]

Every part first has to reproduce what rig wrote to FOLDER; a part that does not is not timed, and the exit status is 1. What is
compiled comes last. Prints one JSON object a line, under the names of bench_device:
{"kind":"peer","name":"conv2d/64x512/n8","way":"channels last","us":...}.
Convolutions run through cuDNN, with float32, TF32 and bf16 operands; for another precision than float32 the name ends in it.
Never a dependency of rig: it needs a Python with torch and numpy.
"""

import argparse
import contextlib
import json
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from rignet_torch import Step
from stylegan2_torch import Synthesis
from timing import device_time

channels_last = torch.channels_last
compile_seconds = 30  # what must be left of the budget for torch.compile to begin


class Peers:
    def __init__(self, given):
        self.device, self.folder, self.small = torch.device(given.device), given.folder, given.sizes == "small"
        self.lines = open(given.lines, "w") if given.lines else None
        self.began, self.budget, self.wrong = time.monotonic(), given.budget, []
        self.compiled = []  # work for the end: a compiler takes long, and nothing can stop it in between

    def write(self, **line):
        text = json.dumps({"kind": "peer", **line}, separators=(",", ":"))
        print(text, flush=True)
        if self.lines:
            self.lines.write(text + "\n")
            self.lines.flush()

    def stored(self, file):
        return np.load(os.path.join(self.folder, file))

    def tensor(self, array):
        return torch.from_numpy(array).to(self.device)

    def agrees(self, what, ours, rigs, tolerance):
        """Whether the largest difference is small beside the largest value."""
        ours, rigs = ours.detach().double().cpu(), torch.as_tensor(rigs).double().cpu()
        error = float("nan") if ours.shape != rigs.shape else float((ours - rigs).abs().max() / rigs.abs().max().clamp_min(1e-30))
        right = error <= tolerance
        self.write(name=what, check=error, right=right)
        if not right:
            self.wrong.append(what)
        return right

    def time(self, name, way, work, precision="float32", takes=0):
        """`takes`: seconds that must be left for it."""
        name = name if precision == "float32" else f"{name}, {precision}"
        if self.budget and time.monotonic() - self.began + takes > self.budget:
            return self.write(name=name, way=way, error="out of time")
        try:
            self.write(name=name, way=way, us=1e6 * device_time(self.device, work, samples=3 if self.small else 9))
        except Exception as error:  # the next case may fit the memory, or need no compiler
            self.write(name=name, way=way, error=str(error).splitlines()[0][:200])
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def precisions(self, *names):
        return [n for n in names if n != "tf32" or self.device.type == "cuda"]

    @contextlib.contextmanager
    def precision(self, name):
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        torch.backends.cudnn.benchmark = True
        try:
            yield torch.bfloat16 if name == "bf16" else torch.float32
        finally:
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def convolutions(self):
        a = self.stored("convolution.npz")
        with self.precision("float32"):
            x, gy = (self.tensor(a[k]).permute(0, 3, 1, 2) for k in ("x", "gy"))
            w = self.tensor(a["w"]).permute(0, 3, 1, 2)
            gx, gw, _ = convolution_backward(gy, x, w, [True, True, False])
            right = [
                self.agrees("conv2d", F.conv2d(x, w, padding=1).permute(0, 2, 3, 1), a["y"], 1e-5),
                self.agrees("conv2d_input", gx.permute(0, 2, 3, 1), a["gx"], 1e-5),
                self.agrees("conv2d_weight", gw.permute(0, 2, 3, 1), a["gw"], 1e-5),
            ]
        if not all(right):
            return
        sizes = [(8, 16)] if self.small else [(r, min(32768 // r, 512)) for r in (4, 8, 16, 32, 64, 128, 256, 512, 1024)]
        for n in [2] if self.small else [8, 1, 32]:
            for r, c in sizes:
                for name in self.precisions("float32", "tf32", "bf16"):
                    with self.precision(name) as dtype:
                        make = lambda *shape: torch.randn(*shape, device=self.device).to(dtype, memory_format=channels_last)
                        x, gy, w, at = make(n, c, r, r), make(n, c, r, r), make(c, c, 3, 3), f"{r}x{c}/n{n}"
                        way = "cuDNN, channels last"
                        with torch.no_grad():
                            self.time("conv2d/" + at, way, lambda: F.conv2d(x, w, padding=1), name)
                            self.time("conv2d_input/" + at, way, lambda: convolution_backward(gy, x, w, [True, False, False]), name)
                            self.time("conv2d_weight/" + at, way, lambda: convolution_backward(gy, x, w, [False, True, False]), name)
                        del x, gy, w

    def generators(self):
        a = self.stored("stylegan2.npz")
        ws, gy = self.tensor(a["ws"]), self.tensor(a["gy"]).permute(0, 3, 1, 2)
        resolution = a["image"].shape[1]
        with self.precision("float32"):
            net = Synthesis(resolution)
            net.load(lambda name: torch.from_numpy(a[name]))
            net.to(self.device)
            right = []
            for scaled in (True, False):
                codes = ws.clone().requires_grad_(True)
                image = net(codes, scaled)
                (gradient,) = torch.autograd.grad((image * gy).sum(), codes)
                what = "stylegan2, scaled weight" if scaled else "stylegan2, scaled activations"
                right.append(self.agrees(what, image.permute(0, 2, 3, 1), a["image"], 1e-4))
                right.append(self.agrees(what + ", gradient", gradient, a["gradient"], 1e-3))
        if not all(right):
            return
        plans = [(16, 2)] if self.small else [(1024, 1), (1024, 8), (256, 1), (256, 8), (256, 32)]
        precisions = self.precisions("float32", "tf32", "bf16")
        for r, n in plans:
            for name in precisions:
                self.generator(r, n, name, False)
                if (r, n) in (plans[0], plans[-1]) and name != "tf32":
                    self.compiled.append(lambda r=r, n=n, name=name: self.generator(r, n, name, True))

    def generator(self, r, n, precision, compiled):
        with self.precision(precision) as dtype:
            net = Synthesis(r).to(self.device, dtype, channels_last)
            ws = torch.randn(n, net.rows, 512, device=self.device, dtype=dtype)
            for scaled in (True, False):
                if compiled and scaled != (n == 1):
                    continue
                picture = torch.compile(lambda codes: net(codes, scaled)) if compiled else lambda codes: net(codes, scaled)
                way = ("scaled weight" if scaled else "scaled activations") + (", compiled" if compiled else "")
                takes = compile_seconds if compiled else 0

                def forward():
                    with torch.no_grad():
                        return picture(ws)

                def backward():
                    codes = ws.clone().requires_grad_(True)
                    return torch.autograd.grad(picture(codes).sum(), codes)

                self.time(f"stylegan2_{r}/n{n}", way, forward, precision, takes)
                if not compiled or self.small:
                    self.time(f"stylegan2_{r}_gradient/n{n}", way, backward, precision, takes)

    def rignet(self):
        a = self.stored("rig_step.npz")
        with self.precision("float32"):
            step = Step(a, self.device)
            loss = step.loss()
            loss.backward()
            right = [self.agrees("rignet_step, loss", loss, a["loss"], 1e-4)]
            right += [self.agrees("rignet_step, gradient of " + n, p.grad, a["gradient." + n], 2e-3) for n, p in step.parameters.items()]
        if not all(right):
            return
        name = f"rignet_step/{a['source_pictures'].shape[0] // 2}pairs"
        for precision in self.precisions("float32", "tf32"):
            with self.precision(precision):
                self.time(name, "visibility given", step, precision)

        def compiled():
            loss = torch.compile(step.loss)
            with self.precision("float32"):
                self.time(name, "visibility given, compiled", lambda: step(loss), takes=compile_seconds)

        self.compiled.append(compiled)


def convolution_backward(gy, x, w, wanted):
    return torch.ops.aten.convolution_backward(gy, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--lines", default="")
    parser.add_argument("--sizes", choices=["full", "small"], default="full")
    parser.add_argument("--budget", type=float, default=0, help="seconds after which nothing more is timed")
    given = parser.parse_args()
    if torch.device(given.device).type == "cuda" and not torch.cuda.is_available():
        sys.exit("device_torch: this torch finds no CUDA device")
    torch.manual_seed(1)
    peers = Peers(given)
    name = torch.cuda.get_device_name() if peers.device.type == "cuda" else "cpu"
    peers.write(name="PyTorch " + torch.__version__, way=name)
    peers.rignet()
    peers.generators()
    peers.convolutions()
    for work in peers.compiled:
        work()
    verdict = "wrong: " + ", ".join(peers.wrong) if peers.wrong else "everything agrees with rig"
    print(f"detail: PyTorch {torch.__version__} on {name}: {verdict}")
    sys.exit(bool(peers.wrong))


if __name__ == "__main__":
    main()
