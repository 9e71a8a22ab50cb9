"""StyleGAN2 config-f in plain PyTorch operations, to time beside bench_stylegan2 on the same machine.

Never a dependency of rig: it needs a Python with torch. Random weights; only the work counts, not the picture.
    python stylegan2_torch.py [resolution ...] [--rounds N] [--threads N] [--forward]
One picture, float32: forward at every resolution, and forward with backward to W+ up to 512 pixels.
The modulated convolution is timed in both usual forms: the style on the activations ("scaled activations"), and the
style in the weight ("scaled weight", the usual choice for one picture).
"""

import math

import torch
import torch.nn.functional as F

from timing import arguments, measure


def widths(resolution, base=32768, most=512):
    sizes = [2**k for k in range(2, int(math.log2(resolution)) + 1)]
    return {r: min(base // r, most) for r in sizes}


class Layer:
    def __init__(self, inputs, outputs, resolution, up, w_dim=512):
        self.up, self.resolution = up, resolution
        self.weight = torch.randn(outputs, inputs, 3, 3)
        self.affine = torch.randn(inputs, w_dim) / math.sqrt(w_dim)
        self.affine_bias = torch.ones(inputs)
        self.bias = torch.zeros(outputs)
        self.noise = torch.randn(resolution, resolution)
        self.strength = torch.tensor(0.1)

    def load(self, stored):
        """`stored(name)` is a tensor that rig wrote: weights [out, h, w, in] before their gains."""
        self.weight = stored("weight").permute(0, 3, 1, 2).contiguous()
        self.affine = stored("affine.weight") / math.sqrt(stored("affine.weight").shape[1])
        self.affine_bias, self.bias = stored("affine.bias"), stored("bias")
        self.noise, self.strength = stored("noise_const"), stored("noise_strength")

    def convolve(self, x, weight, groups):
        if self.up:
            weight = weight.view(groups, -1, *weight.shape[1:]).transpose(1, 2).reshape(-1, weight.shape[0] // groups, 3, 3)
            return F.conv_transpose2d(x, weight, stride=2, groups=groups)
        return F.conv2d(x, weight, padding=1, groups=groups)

    def __call__(self, x, w, fir, scaled_weight):
        style = w @ self.affine.t() + self.affine_bias
        weight = self.weight
        n, outputs = x.shape[0], weight.shape[0]
        norm = (style.square() @ weight.square().sum((2, 3)).t() + 1e-8).rsqrt()
        if scaled_weight:
            own = weight * style[:, None, :, None, None] * norm[:, :, None, None, None]
            x = self.convolve(x.reshape(1, -1, *x.shape[2:]), own.view(n * outputs, *weight.shape[1:]), n)
            x = x.reshape(n, outputs, *x.shape[2:])
        else:
            x = self.convolve(x * style[:, :, None, None], weight, 1)
        if self.up:
            channels = x.shape[1]
            x = F.conv2d(F.pad(x, (1, 1, 1, 1)), (4 * fir).expand(channels, 1, 4, 4), groups=channels)
        if not scaled_weight:
            x = x * norm[:, :, None, None]
        x = x + self.noise * self.strength + self.bias[None, :, None, None]
        return F.leaky_relu(x, 0.2) * math.sqrt(2)


class ToColours:
    def __init__(self, channels, w_dim=512):
        self.weight = torch.randn(3, channels) / math.sqrt(channels)
        self.affine = torch.randn(channels, w_dim) / math.sqrt(w_dim)
        self.affine_bias = torch.ones(channels)
        self.bias = torch.zeros(3)

    def load(self, stored):
        self.weight = stored("weight").reshape(3, -1) / math.sqrt(stored("weight").shape[3])
        self.affine = stored("affine.weight") / math.sqrt(stored("affine.weight").shape[1])
        self.affine_bias, self.bias = stored("affine.bias"), stored("bias")

    def __call__(self, x, w):
        style = w @ self.affine.t() + self.affine_bias
        if x.shape[0] == 1:
            y = F.conv2d(x, (self.weight * style).view(3, -1, 1, 1))
        else:
            y = F.conv2d(x * style[:, :, None, None], self.weight[:, :, None, None])
        return y + self.bias[None, :, None, None]


class Synthesis:
    def __init__(self, resolution):
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.fir = (taps[:, None] * taps[None, :] / 64).view(1, 1, 4, 4)
        self.blocks, before = [], None
        for r, c in widths(resolution).items():
            self.blocks.append((Layer(before, c, r, True) if before else None, Layer(c, c, r, False), ToColours(c)))
            before = c
        self.constant = torch.randn(1, widths(resolution)[4], 4, 4)
        self.rows = 2 * len(self.blocks)

    def load(self, stored):
        """`stored(name)` is a tensor under rig's name."""
        self.constant = stored("b4.const").permute(2, 0, 1)[None].contiguous()
        for first, second, colours in self.blocks:
            block = f"b{second.resolution}."
            for part, name in ((first, "conv0."), (second, "conv1."), (colours, "torgb.")):
                if part:
                    part.load(lambda tail, name=name: stored(block + name + tail))

    def to(self, device, dtype=torch.float32, memory_format=torch.contiguous_format):
        """All tensors there; the 4-dimensional ones in that memory format."""

        def move(t):
            t = t.to(device, dtype)
            return t.contiguous(memory_format=memory_format) if t.dim() == 4 else t

        def move_all(thing):
            for name, value in vars(thing).items():
                if isinstance(value, torch.Tensor):
                    setattr(thing, name, move(value))

        move_all(self)
        for block in self.blocks:
            for part in block:
                if part:
                    move_all(part)
        return self

    def enlarge(self, img):
        spread = img.new_zeros(img.shape[0], 3, img.shape[2] * 2, img.shape[3] * 2)
        spread[:, :, ::2, ::2] = img
        return F.conv2d(F.pad(spread, (2, 1, 2, 1)), (4 * self.fir).expand(3, 1, 4, 4), groups=3)

    def __call__(self, ws, scaled_weight):
        x, img, row = self.constant.expand(ws.shape[0], -1, -1, -1), None, 0
        for first, second, colours in self.blocks:
            if first:
                x = first(x, ws[:, row], self.fir, scaled_weight)
                row += 1
            x = second(x, ws[:, row], self.fir, scaled_weight)
            row += 1
            y = colours(x, ws[:, min(row, self.rows - 1)])
            img = y if img is None else self.enlarge(img) + y
        return img


def main():
    given = arguments(__doc__)
    for resolution in given.resolutions:
        net = Synthesis(resolution)
        ways = {"scaled weight": lambda ws: net(ws, True), "scaled activations": lambda ws: net(ws, False)}
        measure(given, resolution, net.rows, ways)


if __name__ == "__main__":
    main()
