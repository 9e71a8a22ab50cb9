"""A few iterations of the original's training, with its draws and what comes of them."""

import copy
import itertools
import pickle

import numpy as np
import torch

from original import Draw, leaves

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
    from training import loss as original

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

        class Loss(original.StyleGAN2Loss):
            def run_G(self, z, c, sync=None, **_):
                w = self.G_mapping(z, c)
                cut = drawn(next(position), lambda: np.int64(d.int(1, g.num_ws - 1) if d.rng.uniform() < mixing else g.num_ws))
                other = torch.tensor(drawn(next(position), lambda: d.normal(*z.shape)), dtype=dtype)
                w = torch.cat([w[:, : int(cut)], self.G_mapping(other, c, skip_w_avg_update=True)[:, int(cut) :]], 1)
                return self.G_synthesis(w, noise_mode="none", force_fp32=True), w

            def run_D(self, x, c, **_):
                return self.D(x, c, force_fp32=True)

        logged, options = {}, dict(r1_gamma=gamma, pl_weight=weight, style_mixing_prob=0)
        loss = Loss("cpu", generator.mapping, generator.synthesis, judge, **options)
        loss.pl_mean = loss.pl_mean.to(dtype)
        report = original.training_stats.report
        original.training_stats.report = lambda name, value: logged.__setitem__(name, torch.as_tensor(value).detach().double().mean()) or value
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
            original.training_stats.report, torch.randn_like = report, normal
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
