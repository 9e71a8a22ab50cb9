"""StyleGAN3-T in plain PyTorch operations, to time beside bench_stylegan3 on the same machine.

Never a dependency of rig: it needs a Python with torch. Random weights; only the work counts, not the picture.
    python stylegan3_torch.py [resolution ...] [--rounds N] [--threads N] [--forward]
One picture, float32: forward at every resolution, and forward with backward to W+ up to 512 pixels.
Filters are zero insertion and convolutions along x and along y, one group a channel. Reducing them is timed in two forms:
by throwing pixels away after the convolution ("drop pixels", as the reference operators do), and by a convolution with a
stride ("strided"). The filters have the official sizes, but not the official taps.
"""

import math

import torch
import torch.nn.functional as F

from timing import arguments, measure


def schedule(resolution, layers=14, critical=2, first_cutoff=2, first_stopband=2**2.1, rel=2**0.3, margin=10, base=32768, most=512):
    """(sampling rate, size, channels) of every level."""
    last = resolution / 2
    for i in range(layers + 1):
        e = min(i / (layers - critical), 1)
        cutoff = first_cutoff * (last / first_cutoff) ** e
        stopband = first_stopband * (last * rel / first_stopband) ** e
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, resolution)))
        size = resolution if i >= layers - 1 else rate + 2 * margin
        yield rate, size, 3 if i == layers else round(min(base / 2 / cutoff, most))


def lowpass(taps):
    f = torch.hann_window(taps + 2, periodic=False)[1:-1]
    return f / f.sum()


def along_both(x, taps, stride=1):
    channels, n = x.shape[1], len(taps)
    x = F.conv2d(x, taps.view(1, 1, 1, n).expand(channels, 1, 1, n), groups=channels, stride=(1, stride))
    return F.conv2d(x, taps.view(1, 1, n, 1).expand(channels, 1, n, 1), groups=channels, stride=(stride, 1))


class Layer:
    def __init__(self, before, after, colours, w_dim=512, filter_size=6):
        (in_rate, in_size, inputs), (out_rate, out_size, outputs) = before, after
        self.colours, self.kernel = colours, 1 if colours else 3
        large = max(in_rate, out_rate) * (1 if colours else 2)
        self.up, self.down = round(large / in_rate), round(large / out_rate)
        up_taps, down_taps = (1 if f == 1 or colours else filter_size * f for f in (self.up, self.down))
        total = (out_size - 1) * self.down + 1 - (in_size + self.kernel - 1) * self.up + up_taps + down_taps - 2
        self.low = (total + self.up) // 2
        self.high = total - self.low
        self.up_filter, self.down_filter = (lowpass(n) if n > 1 else None for n in (up_taps, down_taps))
        self.weight = torch.randn(outputs, inputs, self.kernel, self.kernel)
        self.affine = torch.randn(inputs, w_dim) / math.sqrt(w_dim)
        self.bias = torch.zeros(outputs)
        self.gain = torch.tensor(1.0).rsqrt()

    def filtered(self, x, strided):
        x = x + self.bias[None, :, None, None]
        if self.up_filter is not None:
            n, c, h, w = x.shape
            x = F.pad(x.reshape(n, c, h, 1, w, 1), (0, self.up - 1, 0, 0, 0, self.up - 1)).reshape(n, c, h * self.up, w * self.up)
            x = F.pad(x, (self.low, self.high, self.low, self.high))  # below zero: crops
            x = along_both(x, self.up * self.up_filter)
        if not self.colours:
            x = F.leaky_relu(x, 0.2) * math.sqrt(2)
        x = x.clamp(-256, 256)
        if self.down_filter is not None:
            if strided:
                x = along_both(x, self.down_filter, self.down)
            else:
                x = along_both(x, self.down_filter)[:, :, :: self.down, :: self.down]
        return x

    def __call__(self, x, w, strided):
        style, weight = w @ self.affine.t() + 1, self.weight
        if self.colours:
            weight = weight * (style / math.sqrt(weight[0].numel())).view(1, -1, 1, 1)
        else:
            weight = weight * weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
            style = style * style.square().mean().rsqrt()
            weight = weight * style.view(1, -1, 1, 1)
            weight = weight * (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        return self.filtered(F.conv2d(x, weight * self.gain, padding=self.kernel - 1), strided)


class Synthesis:
    def __init__(self, resolution):
        levels = list(schedule(resolution))
        self.rate, self.size, channels = levels[0]
        self.freqs, self.phases = torch.randn(channels, 2), torch.rand(channels) - 0.5
        self.weight = torch.randn(channels, channels) / math.sqrt(channels)
        self.affine = torch.randn(4, 512) / 100
        self.layers = [Layer(levels[max(i - 1, 0)], level, i == len(levels) - 1) for i, level in enumerate(levels)]
        self.rows = len(self.layers) + 1

    def waves(self, w):
        t = (w @ self.affine.t() + torch.tensor([1.0, 0, 0, 0]))[0]
        t = t / t[:2].norm()
        turn = torch.stack([torch.stack([t[0], -t[1]]), torch.stack([t[1], t[0]])])
        freqs = self.freqs @ turn
        phases = self.phases - freqs @ t[2:]
        loud = (1 - (freqs.norm(dim=1) - 2) / (self.rate / 2 - 2)).clamp(0, 1)
        places = (torch.arange(self.size) + 0.5 - self.size / 2) / self.rate
        angle = places[None, :, None] * freqs[:, 0] + places[:, None, None] * freqs[:, 1] + phases
        return ((torch.sin(2 * math.pi * angle) * loud) @ self.weight.t()).permute(2, 0, 1)[None].contiguous()

    def __call__(self, ws, strided):
        x = self.waves(ws[:, 0])
        for row, layer in enumerate(self.layers):
            x = layer(x, ws[:, row + 1], strided)
        return x / 4


def main():
    given = arguments(__doc__)
    for resolution in given.resolutions:
        net = Synthesis(resolution)
        measure(given, resolution, net.rows, {"drop pixels": lambda ws: net(ws, False), "strided": lambda ws: net(ws, True)})


if __name__ == "__main__":
    main()
