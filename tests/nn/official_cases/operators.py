"""Operators with options at random: results, gradients and derivatives of gradients."""

import numpy as np
import torch

from original import Draw, derivatives


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
