"""The official StyleGAN1 in plain PyTorch operations, to time beside bench_stylegan1 on the same machine.

Never a dependency of rig: it needs a Python with torch. Random weights; only the work counts, not the picture.
    python stylegan1_torch.py [resolution ...] [--rounds N] [--threads N] [--forward]
One picture, float32: forward at every resolution, and forward with backward to W+ up to 512 pixels.
Enlarging layers from 128 pixels on are one transposed convolution with a 4x4 window, smaller ones repeat pixels and then
convolve, as the official networks do ("official"); "all fused" takes the transposed convolution everywhere.
"""

import math

import torch
import torch.nn.functional as F

from timing import arguments, measure


class Layer:
    """Convolution (none after the constant), noise, bias, activation, normalisation, style."""

    def __init__(self, inputs, outputs, resolution, up, w_dim=512):
        self.up, self.resolution = up, resolution
        self.weight = torch.randn(outputs, inputs, 3, 3) * math.sqrt(2 / (9 * inputs)) if inputs else None
        self.noise = torch.randn(resolution, resolution)
        self.strength = torch.randn(outputs) / 10
        self.bias = torch.zeros(outputs)
        self.style = torch.randn(2 * outputs, w_dim) / math.sqrt(w_dim)

    def enlarge(self, x, fused):
        if not fused:
            return F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), self.weight, padding=1)
        p = F.pad(self.weight, (1, 1, 1, 1))
        window = p[:, :, 1:, 1:] + p[:, :, :-1, 1:] + p[:, :, 1:, :-1] + p[:, :, :-1, :-1]
        return F.conv_transpose2d(x, window.transpose(0, 1), stride=2, padding=1)

    def __call__(self, x, w, blur, all_fused):
        if self.up:
            x = self.enlarge(x, all_fused or self.resolution >= 128)
            channels = x.shape[1]
            x = F.conv2d(x, blur.expand(channels, 1, 3, 3), padding=1, groups=channels)
        elif self.weight is not None:
            x = F.conv2d(x, self.weight, padding=1)
        x = x + self.noise * self.strength[:, None, None]
        x = F.leaky_relu(x + self.bias[:, None, None], 0.2)
        x = x - x.mean((2, 3), keepdim=True)
        x = x * (x.square().mean((2, 3), keepdim=True) + 1e-8).rsqrt()
        scale, offset = (w @ self.style.t())[:, :, None, None].chunk(2, 1)
        return x * (scale + 1) + offset


class Synthesis:
    def __init__(self, resolution, base=8192, most=512):
        taps = torch.tensor([1.0, 2.0, 1.0])
        self.blur = (taps[:, None] * taps[None, :] / 16).view(1, 1, 3, 3)
        self.layers, before = [], 0
        for r in [2**k for k in range(2, int(math.log2(resolution)) + 1)]:
            channels = min(2 * base // r, most)
            self.layers += [Layer(before, channels, r, r > 4), Layer(channels, channels, r, False)]
            before = channels
        self.constant = torch.ones(1, min(2 * base // 4, most), 4, 4)
        self.colours = torch.randn(3, before, 1, 1) / math.sqrt(before)
        self.colour_bias = torch.zeros(3)
        self.rows = len(self.layers)

    def __call__(self, ws, all_fused):
        x = self.constant
        for row, layer in enumerate(self.layers):
            x = layer(x, ws[:, row], self.blur, all_fused)
        return F.conv2d(x, self.colours, self.colour_bias)


def main():
    given = arguments(__doc__)
    for resolution in given.resolutions:
        net = Synthesis(resolution)
        measure(given, resolution, net.rows, {"official": lambda ws: net(ws, False), "all fused": lambda ws: net(ws, True)})


if __name__ == "__main__":
    main()
