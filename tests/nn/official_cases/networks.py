"""Networks with sizes and options at random, in pickles as the original writes them."""

import itertools
import pickle

import numpy as np
import torch

from original import Draw, Precision, derivatives, leaves


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
