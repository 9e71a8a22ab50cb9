"""One training step of a StyleGAN2 at 64 pixels in plain PyTorch operations, correct first and timed second.

    bench_gan_step --cases FILE.npz
    python gan_torch.py FILE.npz [--rounds N] [--threads N] [--layout contiguous|channels_last|both]

FILE holds rig's weights, what went into each phase, and the losses and gradients that came out. Every phase first has to
reproduce them; otherwise nothing is timed and the exit status is 1. Prints a line a phase: the best of N rounds.
Never a dependency of rig: it needs a Python with torch and numpy.
"""

import argparse
import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

GAIN = math.sqrt(2)


def filters(x, fir, pad, up=1, down=1):
    """Zeros inserted, padded, filtered with a symmetric filter of gain up^2, decimated."""
    channels = x.shape[1]
    if up > 1:
        spread = x.new_zeros(x.shape[0], channels, x.shape[2] * up, x.shape[3] * up)
        spread[:, :, ::up, ::up] = x
        x, fir = spread, fir * up * up
    return F.conv2d(F.pad(x, pad), fir.expand(channels, 1, 4, 4), groups=channels, stride=down)


def dense(x, weight, bias, rate=1.0, activate=False):
    y = F.linear(x, weight * (rate / math.sqrt(weight.shape[1])), bias * rate)
    return F.leaky_relu(y, 0.2) * GAIN if activate else y


class Net:
    """Named parameters as rig stores them, but with weights [out, in, h, w]."""

    def __init__(self, stored, prefix, layout):
        self.p = {}
        for name, value in stored.items():
            if name.startswith(prefix):
                t = torch.from_numpy(value)
                if t.dim() == 4:
                    t = t.permute(0, 3, 1, 2).contiguous(memory_format=layout)
                self.p[name[len(prefix) :]] = t.clone(memory_format=torch.preserve_format).requires_grad_(True)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.fir = (taps[:, None] * taps[None, :] / 64).view(1, 1, 4, 4)
        self.layout = layout

    def train(self, on):
        for p in self.p.values():
            p.requires_grad_(on)


class Generator(Net):
    def __init__(self, stored, layout):
        super().__init__(stored, "G.", layout)
        self.layers = sum(k.startswith("mapping.fc") and k.endswith("weight") for k in self.p)
        self.sizes = sorted(int(k.split(".")[1][1:]) for k in self.p if k.endswith("torgb.weight"))

    def mapping(self, z):
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for i in range(self.layers):
            x = dense(x, self.p[f"mapping.fc{i}.weight"], self.p[f"mapping.fc{i}.bias"], 0.01, True)
        return x

    def styled(self, x, w, name, up, noise):
        p = self.p
        weight = p[name + ".weight"]
        style = dense(w, p[name + ".affine.weight"], p[name + ".affine.bias"])
        norm = (style.square() @ weight.square().sum((2, 3)).t() + 1e-8).rsqrt()
        x = x * style[:, :, None, None]
        if up:
            x = filters(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), self.fir * 4, (1, 1, 1, 1))
        else:
            x = F.conv2d(x, weight, padding=1)
        x = x * norm[:, :, None, None]
        x = x + noise * p[name + ".noise_strength"] + p[name + ".bias"][None, :, None, None]
        return F.leaky_relu(x, 0.2) * GAIN

    def synthesis(self, ws, noises):
        img, row, noises = None, 0, iter(noises)
        x = self.p["synthesis.b4.const"].permute(2, 0, 1)[None].expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=self.layout)
        for r in self.sizes:
            for layer in ("conv0", "conv1") if r > 4 else ("conv1",):
                x = self.styled(x, ws[:, row], f"synthesis.b{r}.{layer}", layer == "conv0", next(noises))
                row += 1
            name = f"synthesis.b{r}.torgb"
            weight = self.p[name + ".weight"]
            style = dense(ws[:, row], self.p[name + ".affine.weight"], self.p[name + ".affine.bias"]) / math.sqrt(weight.shape[1])
            y = F.conv2d(x * style[:, :, None, None], weight) + self.p[name + ".bias"][None, :, None, None]
            img = y if img is None else filters(img, self.fir, (2, 1, 2, 1), up=2) + y
        return img

    def codes(self, z):
        return self.mapping(z)[:, None].expand(-1, 2 * len(self.sizes), -1)

    def noise(self, n):
        return [torch.randn(n, 1, r, r) for r in self.sizes for _ in range(2 if r > 4 else 1)]


class Discriminator(Net):
    def __init__(self, stored, layout):
        super().__init__(stored, "D.", layout)
        self.sizes = sorted((int(k.split(".")[0][1:]) for k in self.p if k.endswith("skip.weight")), reverse=True)

    def layer(self, x, name, gain=1.0, down=False, linear=False):
        weight = self.p[name + ".weight"]
        weight, k = weight / math.sqrt(weight[0].numel()), weight.shape[2]
        if down and k == 1:
            x = F.conv2d(filters(x, self.fir, (1, 1, 1, 1), down=2), weight)
        elif down:
            x = F.conv2d(filters(x, self.fir, (2, 2, 2, 2)), weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=k // 2)
        if linear:
            return x * gain
        return F.leaky_relu(x + self.p[name + ".bias"][None, :, None, None], 0.2) * (GAIN * gain)

    def __call__(self, img):
        x = self.layer(img, f"b{self.sizes[0]}.fromrgb")
        for r in self.sizes:
            y = self.layer(x, f"b{r}.skip", math.sqrt(0.5), down=True, linear=True)
            x = y + self.layer(self.layer(x, f"b{r}.conv0"), f"b{r}.conv1", math.sqrt(0.5), down=True)
        n, c, h, w = x.shape
        groups = x.reshape(4, n // 4, c, h, w)
        deviation = ((groups - groups.mean(0)).square().mean(0) + 1e-8).sqrt().mean((1, 2, 3), keepdim=True)
        x = torch.cat([x, deviation.repeat(4, 1, h, w)], 1)
        x = self.layer(x, "b4.conv")
        x = dense(x.reshape(n, -1), self.p["b4.fc.weight"], self.p["b4.fc.bias"], activate=True)
        return dense(x, self.p["b4.out.weight"], self.p["b4.out.bias"])


class Step:
    """The phases of rig's benchmark: a loss to differentiate, and whose parameters move."""

    def __init__(self, stored, layout):
        self.layout = layout
        self.g, self.d = Generator(stored, layout), Discriminator(stored, layout)
        adam = lambda net, every: torch.optim.Adam(
            list(net.p.values()), lr=2e-3 * every / (every + 1), betas=(0.0, 0.99 ** (every / (every + 1))), eps=1e-8, fused=True
        )
        self.optimise_g, self.optimise_d = adam(self.g, 4), adam(self.d, 16)
        self.average = [p.detach().clone() for p in self.g.p.values()]
        self.path_mean = torch.zeros([])

    def picture(self, array):
        return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=self.layout)

    def watch(self, net):
        self.g.train(net is self.g)
        self.d.train(net is self.d)

    def generator_main(self, z, noises):
        self.watch(self.g)
        return F.softplus(-self.d(self.g.synthesis(self.g.codes(z), noises))).mean()

    def path_length(self, z, noises, noise):
        self.watch(self.g)
        ws = self.g.codes(z)
        img = self.g.synthesis(ws, noises)
        (gradient,) = torch.autograd.grad((img * noise).sum() / 64, ws, create_graph=True)
        lengths = gradient.square().sum(2).mean(1).sqrt()
        mean = self.path_mean + 0.01 * (lengths.mean() - self.path_mean)
        self.path_mean = mean.detach()
        return 4 * 2 * (lengths - mean).square().mean()

    def discriminator_main(self, z, noises, real):
        self.watch(self.d)
        with torch.no_grad():
            fake = self.g.synthesis(self.g.codes(z), noises)
        return F.softplus(self.d(fake)).mean() + F.softplus(-self.d(real)).mean()

    def r1(self, real):
        self.watch(self.d)
        x = real.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.d(x).sum(), x, create_graph=True)
        return 16 * 0.5 * gradient.square().sum((1, 2, 3)).mean()

    def move(self, loss, optimiser):
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimiser.param_groups:
            for p in group["params"]:
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad.nan_to_num(nan=0, posinf=1e5, neginf=-1e5)
        optimiser.step()

    def ema(self):
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.g.p.values()], 0.01)


def phases(step, stored):
    """By rig's name: the loss on the stored inputs, the network, the loss on fresh inputs, the optimiser."""
    z, real = torch.from_numpy(stored["z"]), step.picture(stored["real"])
    n = z.shape[0]
    maps = [torch.from_numpy(stored[f"noise{i}"]).permute(0, 3, 1, 2) for i in range(len(step.g.noise(1)))]
    half = [m[: n // 2] for m in maps]
    pixels = step.picture(stored["pixels"])
    new = lambda count: torch.randn(count, z.shape[1])
    fresh = step.g.noise
    return {
        "Gmain": (lambda: step.generator_main(z, maps), step.g, lambda: step.generator_main(new(n), fresh(n)), step.optimise_g),
        "Greg": (
            lambda: step.path_length(z[: n // 2], half, pixels),
            step.g,
            lambda: step.path_length(new(n // 2), fresh(n // 2), torch.randn_like(pixels)),
            step.optimise_g,
        ),
        "Dmain": (lambda: step.discriminator_main(z, maps, real), step.d, lambda: step.discriminator_main(new(n), fresh(n), real), step.optimise_d),
        "Dreg": (lambda: step.r1(real), step.d, lambda: step.r1(real), step.optimise_d),
    }


def agrees(step, stored):
    """Loss and the norm of every gradient against rig's. Norms below a tenth of the largest are measured against that: they are sums that nearly cancel."""
    right = True
    for phase, (loss_of, net, _, _) in phases(step, stored).items():
        loss = loss_of()
        gradients = torch.autograd.grad(loss, list(net.p.values()), allow_unused=True)
        loss = float(loss.detach())
        differences = [abs(loss - float(stored[f"{phase}.loss"])) / abs(loss)]
        norms = {k: float(torch.zeros([]) if g is None else g.double().norm()) for k, g in zip(net.p, gradients)}
        largest = max(norms.values())
        for name, norm in norms.items():
            theirs = float(stored[f"{phase}.norm.{name}"])
            differences.append(abs(norm - theirs) / max(norm, theirs, 0.1 * largest))
        worst = max(differences)
        print(f"{phase}: loss {loss:.6g}, largest relative difference {worst:.1e}", flush=True)
        right = right and worst < 2e-3
    step.path_mean.zero_()
    return right


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--layout", default="both", choices=["contiguous", "channels_last", "both"])
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    torch.manual_seed(1)
    stored = dict(np.load(given.cases))
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, float32")
    for name, layout in {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}.items():
        if given.layout not in (name, "both"):
            continue
        step = Step(stored, layout)
        if not agrees(step, stored):
            print("the numbers differ from rig's: nothing is timed", file=sys.stderr)
            return 1
        best, busy = {}, {}
        works = {phase: lambda loss_of=p[2], optimiser=p[3]: step.move(loss_of(), optimiser) for phase, p in phases(step, stored).items()}
        works["ema"] = step.ema
        for round in range(given.rounds + 1):
            for phase, work in works.items():
                start, start_busy = time.perf_counter(), time.process_time()
                work()
                seconds, processor = time.perf_counter() - start, time.process_time() - start_busy
                if round:
                    best[phase], busy[phase] = min(best.get(phase, 1e9), seconds), min(busy.get(phase, 1e9), processor)
        for phase, seconds in best.items():
            print(f"{name:14s} {phase:6s} {1e3 * seconds:9.1f} ms   busy {1e3 * busy[phase]:9.1f} ms", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
