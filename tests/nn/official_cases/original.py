"""The original's code, run in float32 and float64, and everything random that goes into it."""

import copy
import os
import sys
import types
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
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
