"""Cases for `stylerig verify` from NVIDIA's own code: networks and operators with options drawn at random.

    python3 tests/nn/official_cases.py CHECKOUT OUT [--kinds operators,networks,trainings] [--count N] [--seed S] [--stylerig build/stylerig]

CHECKOUT is a clone of stylegan2-ada-pytorch or of stylegan3; their reference implementations run on the CPU. Every case gets what the
original gives in float32 and, as `floor.NAME`, how far that is from the same in float64 (largest, root mean square, largest magnitude).
With --stylerig each case is verified at once; exit 1 if any is beyond its limit or unchecked. Needs numpy, scipy, torch, requests,
packaging; never a part of rig's build.

Options that would make a derivative zero but for rounding are left out (one input channel with demodulation, deviation over two pictures).
A case in which an activation lies within rounding of a kink is drawn again: its gradients depend on luck.
"""

import argparse
import copy
import itertools
import json
import os
import pickle
import subprocess
import sys
import types
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
sys.dont_write_bytecode = True
try:
    import pkg_resources  # noqa: F401
except ImportError:  # which the original asks for one function of
    import packaging.version

    sys.modules["pkg_resources"] = types.SimpleNamespace(parse_version=packaging.version.parse)


class Draw:
    """Everything random, from one seed."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def of(self, *choices):
        return choices[self.int(0, len(choices) - 1)]

    def normal(self, *shape):
        return self.rng.standard_normal(shape).astype(np.float32)

    def labels(self, n, classes):
        return np.eye(classes, dtype=np.float32)[self.rng.integers(0, classes, n)]


class Precision:
    """Stands for torch in the original's modules, which cast to torch.float32 by name."""

    noises = []  # what torch.randn gives next

    def __init__(self, dtype):
        self.float32 = dtype

    def __getattr__(self, name):
        return getattr(torch, name)

    def eye(self, *shape, **options):
        return torch.eye(*shape, **{**options, "dtype": self.float32})

    def randn(self, *shape, **options):
        return torch.tensor(self.noises.pop(0), dtype=self.float32) if self.noises else torch.randn(*shape, **options)


class Original:
    def __init__(self, checkout):
        sys.path.insert(0, checkout)
        from torch_utils import misc
        from torch_utils.ops import bias_act, conv2d_resample, upfirdn2d

        self.is_3 = os.path.exists(os.path.join(checkout, "training", "networks_stylegan3.py"))
        self.bias_act, self.upfirdn2d, self.conv2d_resample = bias_act, upfirdn2d, conv2d_resample
        self.modules = [misc, bias_act, conv2d_resample, upfirdn2d]
        if self.is_3:
            import training.networks_stylegan2 as v2
            import training.networks_stylegan3 as v3
            from torch_utils.ops import filtered_lrelu

            self.filtered_lrelu, self.v3 = filtered_lrelu, v3
            self.modules += [v3, filtered_lrelu]
        else:
            import training.networks as v2
        self.v2 = v2
        self.modules.append(v2)
        self.activations, plain = None, bias_act.bias_act

        def watched(x, b=None, dim=1, act="linear", alpha=None, gain=None, clamp=None, impl="ref"):
            if self.activations is not None:
                before = x if b is None else x + b.reshape([-1 if i == dim else 1 for i in range(x.ndim)])
                after = plain(x, b, dim=dim, act=act, alpha=alpha, gain=gain, clamp=None)
                kinks = [before] if act in ("relu", "lrelu", "elu", "selu") and alpha != 1 else []
                kinks += [after.abs() - clamp] if clamp is not None and clamp >= 0 else []
                self.activations += [v.detach().numpy().copy() for v in kinks]
            return plain(x, b, dim=dim, act=act, alpha=alpha, gain=gain, clamp=clamp, impl=impl)

        bias_act.bias_act = watched

    def __call__(self, compute, casts=True):
        """What compute(dtype) gives in float32, with floors; None where an activation lies at a kink. Networks cast, operators do not."""
        results, kinks = [], []
        for dtype in (torch.float32, torch.float64):
            for m in self.modules:
                m.torch = Precision(dtype) if casts else torch
            self.activations = []
            try:
                results.append({k: v.detach().numpy() for k, v in compute(dtype).items()})
            finally:
                for m in self.modules:
                    m.torch = torch
                kinks.append(self.activations)
                self.activations = None
        near = lambda a, b: (((a > 0) != (b > 0)) | ((b != 0) & (np.abs(b) < 1e-6 * np.sqrt((b**2).mean())))).any()
        if any(near(a, b) for a, b in zip(*kinks)) or not all(np.isfinite(v).all() for v in results[0].values()):
            return None
        single, double = results
        groups = ("pl.grad.", "d.r1.grad.", "d.grad.", "gradz.", "grad.")
        group = {k: next((g for g in groups if k.startswith(g)), None) for k in double}
        most = {g: max((np.abs(v).max() for k, v in double.items() if group[k] == g and v.size), default=0) for g in groups}
        case = {}
        for k, v in single.items():
            magnitude = np.abs(double[k]).max()
            if group[k] and magnitude < 1e-11 * most[group[k]]:  # zero, but for rounding
                v = np.zeros_like(v)
            error = np.abs(v - double[k])
            case[k] = v
            case["floor." + k] = np.array([error.max(), np.sqrt((error**2).mean()), magnitude])
        return case


def derivatives(outputs, inputs, prefix, case, **options):
    """Gradients of a scalar with respect to named tensors; those that it does not depend on are left out."""
    for (k, _), g in zip(inputs.items(), torch.autograd.grad(outputs, list(inputs.values()), allow_unused=True, **options)):
        if g is not None:
            case[prefix + k] = g


def leaves(module, dtype):
    module = copy.deepcopy(module).to(dtype)
    for p in module.parameters():  # channels last on one thread, PyTorch 2.15 gets gradients of a 1x1 convolution wrong
        p.data = p.data.clone(memory_format=torch.contiguous_format)
        p.requires_grad_(True)
    return module


# ---- operators


def filter_of(d, o):
    setup = o.upfirdn2d.setup_filter
    return d.of(
        lambda: None,
        lambda: setup([1, 3, 3, 1]),
        lambda: setup([1, 2, 1]),
        lambda: setup(np.abs(d.normal(d.int(8, 13))) + 0.1),
        lambda: setup(np.abs(d.normal(d.int(1, 5), d.int(1, 5))) + 0.1),
        lambda: setup(d.normal(d.int(1, 12)), normalize=False, separable=True),
    )()


def operator_case(o, d, options, inputs, call, without_direction=()):
    """y, its gradients along gy, and the derivatives of their products with directions v."""
    with torch.no_grad():
        shape = call(**{k: torch.tensor(v) for k, v in inputs.items()}).shape
    if 0 in shape:
        return None
    gy = d.normal(*shape)
    directions = {k: d.normal(*v.shape) for k, v in inputs.items() if k not in without_direction}

    def compute(dtype):
        x = {k: torch.tensor(v, dtype=dtype).requires_grad_() for k, v in inputs.items()}
        g = torch.tensor(gy, dtype=dtype).requires_grad_()
        y = call(**x)
        case = {"y": y}
        first = dict(zip(x, torch.autograd.grad((y * g).sum(), list(x.values()), create_graph=True)))
        case |= {"d." + k: v for k, v in first.items()}
        s = sum((first[k] * torch.tensor(v, dtype=dtype)).sum() for k, v in directions.items())
        of = {"gy": g} | {k: x[k] for k in directions}
        case |= {"dd." + k: torch.zeros_like(v) for k, v in of.items()}
        derivatives(s, of, "dd.", case)
        return case

    case = o(compute, casts=False)
    return case and {**inputs, **options, "gy": gy, **{"v." + k: v for k, v in directions.items()}, **case}


def upfirdn2d(o, d):
    f, kind = filter_of(d, o), d.int(0, 3)
    up = [d.int(1, 4), d.int(1, 4)] if kind in (0, 2) else [1, 1]
    down = [d.int(1, 4), d.int(1, 4)] if kind in (0, 3) else [1, 1]
    padding = [d.int(-3, 6) if kind == 0 else d.int(-1, 3) for _ in range(4)]
    flip, gain = d.int(0, 1), d.of(1.0, 4.0, 2.5, 0.3)
    options = dict(p=np.array(up + down + padding + [flip]), gain=np.float64(gain), kind=np.int64(kind), **({} if f is None else {"f": f.numpy()}))
    more = dict(padding=padding, flip_filter=bool(flip), gain=gain, impl="ref")
    call = (
        lambda x: o.upfirdn2d.upfirdn2d(x, f, up=up, down=down, **more),
        lambda x: o.upfirdn2d.filter2d(x, f, **more),
        lambda x: o.upfirdn2d.upsample2d(x, f, up=up, **more),
        lambda x: o.upfirdn2d.downsample2d(x, f, down=down, **more),
    )[kind]
    return operator_case(o, d, options, {"x": d.normal(d.int(1, 3), d.int(1, 4), d.int(1, 12), d.int(1, 12))}, call)


def bias_act(o, d):
    shape = [d.int(1, 5) for _ in range(d.int(2, 5))]
    dim, act = d.int(0, len(shape) - 1), d.int(0, 8)
    alpha, gain, clamp = d.of(-1.0, 0.0, 0.1, 0.35, 1.0), d.of(-1.0, 0.5, 1.0, 2.0), d.of(-1.0, 0.4, 1.0, 256.0)
    inputs = {"x": d.normal(*shape) * 2, **({"b": d.normal(shape[dim])} if d.int(0, 3) else {})}
    options = dict(act=np.int64(act), dim=np.int64(dim), alpha=np.float64(alpha), gain=np.float64(gain), clamp=np.float64(clamp))
    given = {k: v for k, v in dict(alpha=alpha, gain=gain, clamp=clamp).items() if v >= 0}
    name = list(o.bias_act.activation_funcs)[act]
    return operator_case(o, d, options, inputs, lambda x, b=None: o.bias_act.bias_act(x, b, dim=dim, act=name, impl="ref", **given))


def conv2d_resample(o, d):
    f, (up, down) = filter_of(d, o), d.of((1, 1), (2, 1), (1, 2), (2, 2), (3, 1), (1, 3), (4, 1), (3, 2))
    groups, inputs, kernel = d.of(1, 1, 2, 3), d.int(1, 4), d.of((1, 1), (3, 3), (3, 3), (5, 5), (2, 2), (3, 1), (1, 3))
    padding = d.of([d.int(-1, 3) for _ in range(4)], [kernel[0] // 2] * 4)
    flip_weight, flip_filter = d.int(0, 1), d.int(0, 1)
    options = dict(p=np.array([up, down] + padding + [groups, flip_weight, flip_filter]), **({} if f is None else {"f": f.numpy()}))
    more = dict(f=f, up=up, down=down, padding=padding, groups=groups, flip_weight=bool(flip_weight), flip_filter=bool(flip_filter))
    tensors = {"x": d.normal(d.int(1, 3), inputs * groups, d.int(2, 10), d.int(2, 10)), "w": d.normal(groups * d.int(1, 3), inputs, *kernel)}
    return operator_case(o, d, options, tensors, lambda x, w: o.conv2d_resample.conv2d_resample(x, w, **more))


def modulated_conv2d(o, d):
    f, (up, down) = filter_of(d, o), d.of((1, 1), (2, 1), (1, 2), (2, 2), (3, 1), (4, 1))
    kernel, inputs, n = d.of(1, 3, 3, 5), d.int(2, 6), d.int(1, 4)
    padding, demodulate, flip, fused = d.of(0, kernel // 2, 1), d.int(0, 1), d.int(0, 1), d.int(0, 1)
    if up == down == 1:
        f = None
    more = dict(up=up, down=down, padding=padding, resample_filter=f, demodulate=bool(demodulate), flip_weight=bool(flip), fused_modconv=bool(fused))
    call = lambda x, w, s, noise=None: o.v2.modulated_conv2d(x, w, s, noise=noise, **more)
    tensors = {"x": d.normal(n, inputs, d.int(2, 9), d.int(2, 9)), "w": d.normal(d.int(1, 5), inputs, kernel, kernel), "s": d.normal(n, inputs) + 1}
    options = dict(p=np.array([up, down, padding, demodulate, flip, fused]), **({} if f is None else {"f": f.numpy()}))
    if d.int(0, 1):
        with torch.no_grad():
            size = call(*map(torch.tensor, tensors.values())).shape[2:]
        tensors["noise"] = d.normal(*d.of(size, (n, 1, *size), (1, 1, *size)))
    return operator_case(o, d, options, tensors, call, ("noise",))


def modulated_conv2d_sg3(o, d):
    kernel, inputs, n = d.of(1, 3, 3, 5), d.int(2, 6), d.int(1, 4)
    padding, demodulate = d.int(0, kernel), d.int(0, 1)
    tensors = {"x": d.normal(n, inputs, d.int(3, 9), d.int(3, 9)), "w": d.normal(d.int(1, 5), inputs, kernel, kernel), "s": d.normal(n, inputs) + 1}
    gain = d.of(None, (), (inputs,), (n, inputs))
    if gain is not None:
        tensors["input_gain"] = np.asarray(np.abs(d.normal(*gain)) + 0.2, np.float32)
    call = lambda x, w, s, input_gain=None: o.v3.modulated_conv2d(x, w, s, demodulate=bool(demodulate), padding=padding, input_gain=input_gain)
    return operator_case(o, d, {"p": np.array([padding, demodulate])}, tensors, call, ("input_gain",))


def filtered_lrelu(o, d):
    fu, fd, up, down, channels = filter_of(d, o), filter_of(d, o), d.int(1, 4), d.int(1, 4), d.int(1, 4)
    padding, flip = [d.int(-4, 12) for _ in range(4)], d.int(0, 1)
    gain, slope, clamp = d.of(1.0, 2**0.5, 0.7), d.of(0.2, 0.0, 1.0, 0.1), d.of(-1.0, 0.5, 256.0)
    options = dict(p=np.array([up, down] + padding + [flip]), gain=np.float64(gain), slope=np.float64(slope), clamp=np.float64(clamp))
    options |= {k: f.numpy() for k, f in (("fu", fu), ("fd", fd)) if f is not None}
    inputs = {"x": d.normal(d.int(1, 3), channels, d.int(3, 14), d.int(3, 14)), **({"b": d.normal(channels)} if d.int(0, 2) else {})}
    more = dict(fu=fu, fd=fd, up=up, down=down, padding=padding, gain=gain, slope=slope, clamp=clamp if clamp >= 0 else None)
    call = lambda x, b=None: o.filtered_lrelu.filtered_lrelu(x, b=b, flip_filter=bool(flip), impl="ref", **more)
    return operator_case(o, d, options, inputs, call)


def norms(o, d):
    kind = d.of(0, 3, 4)
    if kind == 0:
        group, features = d.of(-1, 1, 3, 4), d.int(1, 3)
        n = d.int(3, 7) if group < 0 else group * d.int(1, 3)
        layer = o.v2.MinibatchStdLayer(group_size=group if group > 0 else None, num_channels=features)
        x = d.normal(n, features * d.int(1, 4), d.int(1, 5), d.int(1, 5))
        return operator_case(o, d, {"kind": np.int64(0), "p": np.array([group, features])}, {"x": x}, layer)
    if kind == 3:
        return operator_case(o, d, {"kind": np.int64(3)}, {"x": d.normal(d.int(1, 5), d.int(2, 70))}, o.v2.normalize_2nd_moment)
    act, rate, inputs, outputs = d.int(0, 8), d.of(1.0, 0.01, 0.5, 2.0), d.int(1, 9), d.int(1, 9)
    name = list(o.bias_act.activation_funcs)[act]
    tensors = {"x": d.normal(d.int(1, 4), inputs), "w": d.normal(outputs, inputs), **({"b": d.normal(outputs)} if d.int(0, 2) else {})}

    def dense(x, w, b=None):
        layer = o.v2.FullyConnectedLayer(inputs, outputs, bias=b is not None, activation=name, lr_multiplier=rate)
        given = {"weight": w} if b is None else {"weight": w, "bias": b}
        return torch.func.functional_call(layer, given, (x,))

    return operator_case(o, d, {"kind": np.int64(4), "act": np.int64(act), "lr": np.float64(rate)}, tensors, dense)


def operators(o, seed, out):
    """One file of 40 cases for every operator of this repository."""
    d, files = Draw(seed), []
    for operator in (modulated_conv2d_sg3, filtered_lrelu) if o.is_3 else (upfirdn2d, bias_act, conv2d_resample, modulated_conv2d, norms):
        arrays, count = {}, 0
        while count < 40:
            try:
                case = operator(o, d)
            except (AssertionError, RuntimeError):  # a picture smaller than the window
                continue
            if case:
                arrays |= {f"c{count:02d}.{k}": v for k, v in case.items()}
                count += 1
        files.append([f"{out}.npz".replace("operators", "ops_" + operator.__name__)])
        np.savez(files[-1][-1], count=np.int64(count), **arrays)
    return files


# ---- networks


def disturb(module, d):
    """Nothing keeps the value that makes it invisible: biases, strengths, averages."""
    spread = {"bias": 0.2, "noise_strength": 0.3, "w_avg": 0.3}
    with torch.no_grad():
        for name, p in itertools.chain(module.named_parameters(), module.named_buffers()):
            last = name.rsplit(".", 1)[-1]
            if name.endswith("input.affine.weight"):
                p.copy_(torch.tensor(d.normal(*p.shape)) * 0.3)
            elif last in spread:
                p.add_(torch.tensor(d.normal(*p.shape)) * spread[last])
            elif last == "magnitude_ema":
                p.copy_(torch.tensor(d.rng.uniform(0.3, 2.3)))
    return module.eval().requires_grad_(False)


def smooth_or_bent(d):
    return d.of("lrelu", "lrelu", "lrelu", "relu", "swish", "linear", "softplus", "tanh")


def stylegan2(o, d):
    taps = lambda: d.of([1, 3, 3, 1], [1, 3, 3, 1], [1, 2, 1], [1, 1], [1, 2, 3, 2, 1], [1, 4, 6, 4, 1, 2, 3, 5])
    classes = d.of(0, 0, 0, 3, 5)
    z_dim = d.of(8, 16, 24, 32, *([0] if classes and not o.is_3 else []))
    resolution, colours = d.of(4, 8, 16, 16, 32, 32, 64), d.of(3, 3, 3, 1, 4, 2)
    mapping = dict(num_layers=d.int(1, 5), activation=smooth_or_bent(d), lr_multiplier=d.of(0.01, 0.1, 1.0))
    if d.int(0, 1):
        mapping["layer_features"] = d.int(5, 20)
    if classes and d.int(0, 1):
        mapping["embed_features"] = d.int(3, 12)
    synthesis = dict(
        channel_base=d.of(128, 256, 512), channel_max=d.of(8, 12, 16), num_fp16_res=d.int(0, 3), architecture=d.of("skip", "skip", "resnet", "orig"),
        conv_clamp=d.of(None, None, 1.2, 4, 256), resample_filter=taps(), use_noise=bool(d.int(0, 4)), activation=smooth_or_bent(d),
        fp16_channels_last=bool(d.int(0, 1)))  # fmt: skip
    if o.is_3:
        synthesis["fused_modconv_default"] = d.of(True, "inference_only")
    else:
        synthesis = dict(synthesis_kwargs=synthesis)
    g = disturb(o.v2.Generator(z_dim, classes, d.of(12, 16, 32, 40), resolution, colours, mapping_kwargs=mapping, **synthesis), d)
    if resolution == 4:
        return g, None, 0
    group, features = d.of(4, 3, None), d.of(1, 1, 2, 0)
    critic = o.v2.Discriminator(
        classes, resolution, colours, architecture=d.of("resnet", "resnet", "skip", "orig"), channel_base=d.of(128, 256), channel_max=d.of(8, 12, 16),
        num_fp16_res=d.int(0, 2), conv_clamp=d.of(None, 1.5, 256), cmap_dim=d.of(None, 6) if classes else None,
        block_kwargs=dict(freeze_layers=d.of(0, 0, 0, 1, 3), resample_filter=taps(), activation=smooth_or_bent(d)),
        epilogue_kwargs=dict(mbstd_group_size=group, mbstd_num_channels=features, activation=smooth_or_bent(d)),
        mapping_kwargs=dict(num_layers=d.int(1, 4)) if classes else {})  # fmt: skip
    return g, disturb(critic, d), {4: 4, 3: 6, None: 5}[group] if features else 3


def stylegan3(o, d):
    synthesis = dict(
        channel_base=d.of(64, 128, 256), channel_max=d.of(4, 6), num_layers=d.of(6, 8, 10, 14), num_critical=d.int(1, 3),
        first_cutoff=d.of(2, 2, 1.5, 3), last_stopband_rel=d.of(2**0.3, 2**0.5), margin_size=d.of(10, 10, 6, 4), output_scale=d.of(0.25, 1),
        num_fp16_res=d.int(0, 4), conv_kernel=d.of(3, 1), filter_size=d.of(6, 6, 4, 8), lrelu_upsampling=d.of(2, 2, 4),
        use_radial_filters=bool(d.int(0, 1)), conv_clamp=d.of(256, None, 3), magnitude_ema_beta=d.of(0.999, 0.5))  # fmt: skip
    z_dim, classes, w_dim, resolution, colours = d.of(8, 16, 24), d.of(0, 0, 3, 5), d.of(12, 16, 32), d.of(16, 16, 32), d.of(3, 3, 1, 4)
    g = o.v3.Generator(z_dim, classes, w_dim, resolution, colours, mapping_kwargs=dict(num_layers=d.int(1, 4)), **synthesis)
    turn, scale = d.rng.uniform(-1, 1), d.of(1, 0.8, 1.2)
    transform = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    transform[:2] *= scale
    transform[:2, 2] = d.normal(2) * 0.1
    g.synthesis.input.transform.copy_(torch.tensor(transform))
    return disturb(g, d), None, 0


def network_case(o, d, g, critic, scored):
    is_3 = hasattr(g.synthesis, "input")
    n = d.int(1, 1 if is_3 else 3)
    picture = (g.img_channels, g.img_resolution, g.img_resolution)
    some = max(n // 2, 1)
    case = dict(z=d.normal(n, g.z_dim), g=d.normal(n, *picture), cutoff=np.int64(d.int(1, g.num_ws)))
    if g.c_dim:
        case["c"] = d.labels(n, g.c_dim)
    if g.z_dim:
        case |= dict(z2=d.normal(n, g.z_dim), mix=np.int64(d.int(1, max(g.num_ws - 1, 1))))
    layer_type = o.v3.SynthesisLayer if is_3 else (o.v2.SynthesisLayer, o.v2.ToRGBLayer)
    layers = {k: m for k, m in g.synthesis.named_modules() if isinstance(m, layer_type)}
    noises = {} if is_3 else {k: d.normal(n, 1, m.resolution, m.resolution) for k, m in layers.items() if getattr(m, "use_noise", False)}
    case |= {"noise_in." + k: v for k, v in noises.items()}
    if not is_3:
        case |= {"pl.noise": d.normal(some, *picture), "pl.mean_in": np.float32(0.3)}
    if critic is not None:
        case |= {"d.img": d.normal(scored, *picture), "d.g": d.normal(scored, 1)}
        if g.c_dim:
            case["d.c"] = d.labels(scored, g.c_dim)
    shown = "img" if is_3 else "img_const"

    def compute(dtype):
        result, net = {}, leaves(g, dtype)
        given = lambda k: torch.tensor(case[k], dtype=dtype) if k in case else None
        make = lambda w, noise="const": net.synthesis(w, noise_mode=noise, force_fp32=True)
        z, c = given("z"), given("c")
        with torch.no_grad():
            w = net.mapping(z, c)
            result |= {"w": w, "w_psi07": net.mapping(z, c, truncation_psi=0.7)}
            result["w_psi035_cut"] = net.mapping(z, c, truncation_psi=0.35, truncation_cutoff=int(case["cutoff"]))
            result["img_psi07"] = make(result["w_psi07"])

            def keep(name):
                def hook(_, __, y):
                    result["act." + name] = y[:1, : y.shape[1] if y.shape[-1] <= 16 else 2].clone()

                return hook

            hooks = [net.synthesis.get_submodule(k).register_forward_hook(keep(k)) for k in layers]
            result[shown] = make(w)
            for hook in hooks:
                hook.remove()
            if noises:
                Precision.noises[:] = noises.values()
                result["img_random"] = make(w, "random")
            if g.z_dim:
                mixed = torch.cat([w[:, : case["mix"]], net.mapping(given("z2"), c)[:, case["mix"] :]], 1)
                result |= {"w_mix": mixed, "img_mix": make(mixed)}
            if is_3:
                result["input"] = net.synthesis.input(w[:, 0])[:1]
                transform = net.synthesis.input.transform.clone()
                net.synthesis.input.transform.copy_(torch.eye(3))
                result["img_identity"] = make(w)
                net.synthesis.input.transform.copy_(transform)
            else:
                result["img_none"] = make(w, "none")
        named = dict(net.named_parameters())
        synthesis, mapping = ({k: p for k, p in named.items() if k.startswith(part)} for part in ("synthesis", "mapping"))
        ws = w.clone().requires_grad_()
        result["loss"] = (make(ws) * given("g")).sum()
        derivatives(result["loss"], {"ws": ws, **synthesis}, "grad.", result, retain_graph=True)
        sources = {k: v.requires_grad_() for k, v in (("z", z), ("c", c)) if v is not None and v.numel()}
        derivatives((make(net.mapping(z, c)) * given("g")).sum(), sources | mapping, "gradz.", result)
        if not is_3:
            ws = w[:some].clone().requires_grad_()
            slope = torch.autograd.grad((make(ws) * given("pl.noise")).sum() / picture[1], ws, create_graph=True)[0]
            lengths = slope.square().sum(2).mean(1).sqrt()
            mean = given("pl.mean_in").lerp(lengths.mean(), 0.01)
            loss = 2 * (lengths - mean).square().mean()
            result |= {"pl.grads": slope, "pl.lengths": lengths, "pl.mean_out": mean, "pl.loss": loss}
            derivatives(loss, {"ws": ws, **synthesis}, "pl.grad.", result)
        if critic is not None:
            judge, x, labels = leaves(critic, dtype), given("d.img").requires_grad_(), given("d.c")
            named = dict(judge.named_parameters())
            score = judge(x, labels, force_fp32=True)
            result |= {"d.logits": score, "d.real_loss": torch.nn.functional.softplus(-score).mean()}
            derivatives((score * given("d.g")).sum(), {"img": x, **named}, "d.grad.", result, retain_graph=True)
            penalty = torch.autograd.grad(score.sum(), x, create_graph=True)[0].square().sum([1, 2, 3])
            result |= {"d.r1.penalty": penalty, "d.r1.loss": 5 * penalty.mean()}
            if penalty.requires_grad:
                derivatives(result["d.r1.loss"], named, "d.r1.grad.", result)
        return result

    computed = o(compute)
    return computed and case | computed


def networks(o, seed, out):
    """A pickle as the original writes it, and its case."""
    d, case = Draw(seed), None
    while not case:
        g, critic, scored = d.of(stylegan2, stylegan3)(o, d) if o.is_3 else stylegan2(o, d)
        case = network_case(o, d, g, critic, scored)
    with open(out + ".pkl", "wb") as f:
        pickle.dump(dict(G=d.of(g, None), D=critic, G_ema=g, training_set_kwargs=None, augment_pipe=None), f, protocol=d.int(2, 4))
    np.savez(out + ".npz", **case)
    return [[out + ".pkl", out + ".npz"]]


# ---- trainings

LOGGED = {
    "Loss/scores/fake": "scores_fake",
    "Loss/scores/real": "scores_real",
    "Loss/G/loss": "G_loss",
    "Loss/pl_penalty": "pl_penalty",
    "Loss/G/reg": "G_reg",
    "Loss/D/loss": "D_loss",
    "Loss/r1_penalty": "r1_penalty",
    "Loss/D/reg": "D_reg",
}


def training_case(o, d, g, critic):
    """Iterations of the original's loss under its schedule; what it draws comes from the case."""
    from training.loss import StyleGAN2Loss

    iterations, batch = d.int(2, 5), d.of(3, 6)
    rate, g_interval, d_interval, gamma, weight = d.of(0.002, 0.0025, 0.001), d.int(1, 4), d.int(1, 4), d.of(8.0, 0.5, 2.0), d.of(2.0, 1.0)
    average, ramp, mixing = d.of(0.02, 0.1, 10.0), d.of(0.5, 0.05), d.of(0.9, 0.5, 1.0)
    picture = (g.img_channels, g.img_resolution, g.img_resolution)
    case = dict(z=d.normal(iterations, 4, batch, g.z_dim), real=d.normal(iterations, batch, *picture))
    case["hyper"] = np.array([rate, g_interval, d_interval, gamma, weight, average, ramp, mixing])
    draws = []

    def drawn(i, make):
        if i == len(draws):
            draws.append(make())
        return draws[i]

    def compute(dtype):
        result, position = {}, itertools.count()
        generator, judge, smooth = leaves(g, dtype), leaves(critic, dtype), copy.deepcopy(g).to(dtype)
        generator.train(), judge.train()

        class Loss(StyleGAN2Loss):
            def run_G(self, z, c, sync=None, **_):
                w = self.G_mapping(z, c)
                cut = drawn(next(position), lambda: np.int64(d.int(1, g.num_ws - 1) if d.rng.uniform() < mixing else g.num_ws))
                other = torch.tensor(drawn(next(position), lambda: d.normal(*z.shape)), dtype=dtype)
                w = torch.cat([w[:, : int(cut)], self.G_mapping(other, c, skip_w_avg_update=True)[:, int(cut) :]], 1)
                return self.G_synthesis(w, noise_mode="none", force_fp32=True), w

            def run_D(self, x, c, **_):
                return self.D(x, c, force_fp32=True)

        import training.loss as module

        logged, options = {}, dict(r1_gamma=gamma, pl_weight=weight, style_mixing_prob=0)
        loss = Loss("cpu", generator.mapping, generator.synthesis, judge, **options)
        loss.pl_mean = loss.pl_mean.to(dtype)
        report = module.training_stats.report
        module.training_stats.report = lambda name, value: logged.__setitem__(name, torch.as_tensor(value).detach().double().mean()) or value
        normal = torch.randn_like
        torch.randn_like = lambda x: torch.tensor(drawn(next(position), lambda: d.normal(*x.shape)), dtype=dtype)
        try:
            phases = []
            for name, net, interval in (("G", generator, g_interval), ("D", judge, d_interval)):
                ratio = interval / (interval + 1)
                adam = torch.optim.Adam(net.parameters(), lr=rate * ratio, betas=[0.0, 0.99**ratio], eps=1e-8)
                phases += [(name + "main", net, adam, 1), (name + "reg", net, adam, interval)]
            for i in range(iterations):
                for p, (name, net, adam, interval) in enumerate(phases):
                    if i % interval:
                        continue
                    logged.clear()
                    adam.zero_grad(set_to_none=True)
                    for other, owner in ((generator, "G"), (judge, "D")):
                        other.requires_grad_(name[0] == owner)
                    z, real = torch.tensor(case["z"][i, p], dtype=dtype), torch.tensor(case["real"][i], dtype=dtype)
                    none = torch.zeros([batch, 0], dtype=dtype)
                    loss.accumulate_gradients(phase=name, real_img=real, real_c=none, gen_z=z, gen_c=none, sync=True, gain=interval)
                    if i == 0:
                        result |= {f"it0.{name}.grad.{k}": v.grad.clone() for k, v in net.named_parameters() if v.grad is not None}
                    adam.step()
                    result |= {f"it{i}.{name}.{LOGGED[k]}": v for k, v in logged.items() if k in LOGGED}
                beta = 0.5 ** (batch / max(min(average * 1000, i * batch * ramp), 1e-8))
                result[f"it{i}.ema_beta"] = torch.tensor(beta, dtype=torch.float64)
                with torch.no_grad():
                    for a, b in zip(smooth.parameters(), generator.parameters()):
                        a.copy_(b.lerp(a, beta))
                    for a, b in zip(smooth.buffers(), generator.buffers()):
                        a.copy_(b)
        finally:
            module.training_stats.report, torch.randn_like = report, normal
        result["pl_mean"] = loss.pl_mean
        for prefix, net in (("G", generator), ("D", judge), ("G_ema", smooth)):
            state = dict(net.named_parameters()) | dict(net.named_buffers())
            result |= {f"final.{prefix}.{k}": v.clone() for k, v in state.items() if not k.endswith("resample_filter")}
        return result

    computed = o(compute)
    return computed and case | {f"draw{i:02d}": v for i, v in enumerate(draws)} | {"draws": np.int64(len(draws))} | computed


def fresh(o, d):
    resolution, colours, code = d.of(8, 16, 16), d.of(3, 3, 1), d.of(8, 12)
    widths = lambda: dict(channel_base=d.of(64, 128), channel_max=d.of(6, 8))
    synthesis = dict(architecture=d.of("skip", "skip", "resnet"), use_noise=False, conv_clamp=d.of(None, 256), **widths())
    mapping = dict(num_layers=d.int(1, 4))
    g = o.v2.Generator(code, 0, d.of(8, 12, 16), resolution, colours, mapping_kwargs=mapping, synthesis_kwargs=synthesis)
    epilogue = dict(mbstd_group_size=3)
    critic = o.v2.Discriminator(0, resolution, colours, architecture=d.of("resnet", "skip"), epilogue_kwargs=epilogue, **widths())
    g.requires_grad_(False), critic.requires_grad_(False)
    with torch.no_grad():  # away from the kinks: fresh biases are zero, and so is a dead channel
        for net in (g, critic):
            for k, p in net.named_parameters():
                if k.endswith("bias"):
                    p.add_(torch.tensor(d.normal(*p.shape)) * 0.1)
    return g, critic


def trainings(o, seed, out):
    """A fresh pair of networks and a few iterations of its training."""
    if o.is_3:
        return []
    d, case = Draw(seed), None
    while not case:
        g, critic = fresh(o, d)
        case = training_case(o, d, g, critic)
    with open(out + ".pkl", "wb") as f:
        pickle.dump(dict(G=g, D=critic, G_ema=g, training_set_kwargs=None, augment_pipe=None), f)
    np.savez(out + ".npz", **case)
    return [[out + ".pkl", out + ".npz"]]


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
    arguments.add_argument("--kinds", default="operators,networks,trainings")
    arguments.add_argument("--count", type=int, default=10, help="files of networks and trainings; of operators one each for ten of them")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--stylerig")
    a = arguments.parse_args()
    os.makedirs(a.out, exist_ok=True)
    o, good, total = Original(os.path.abspath(a.checkout)), 0, 0
    for kind in a.kinds.split(","):
        make = {"operators": operators, "networks": networks, "trainings": trainings}[kind]
        for seed in range(a.seed, a.seed + (max(a.count // 10, 1) if kind == "operators" else a.count)):
            for files in make(o, seed, os.path.join(a.out, f"{kind}-{'3' if o.is_3 else '2'}-{seed}")):
                total += 1
                good += verified(a.stylerig, files) if a.stylerig else 1
    print(f"{total} cases" + (f", {good} verified" if a.stylerig else ""))
    sys.exit(good < total)


if __name__ == "__main__":
    main()
