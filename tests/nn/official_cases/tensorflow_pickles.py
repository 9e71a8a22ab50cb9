"""StyleGAN2 as TensorFlow's code wrote it. The original's converter, which reads that, gives what it should compute."""

import collections
import itertools
import pickle
import sys
import types

import numpy as np

from networks import disturb, network_case
from original import Draw


class Network:
    """What such a pickle holds in place of a network; written as dnnlib.tflib.network.Network."""

    def __init__(self, version, name, function, keywords, variables, components=()):
        self.version, self.name, self.build_func_name, self.static_kwargs = version, name, function, keywords
        self.build_module_src, self.variables, self.components = "", variables, collections.OrderedDict(components)


Network.__module__ = "dnnlib.tflib.network"
for name in ("dnnlib.tflib", "dnnlib.tflib.network"):
    sys.modules.setdefault(name, types.ModuleType(name)).Network = Network

OF_G = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB", "skip": "Skip"}
OF_D = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip", "conv": "Conv", "fc": "Dense0", "out": "Output"}
LAST = {"affine.weight": "mod_weight", "affine.bias": "mod_bias"}


def tensorflow_variables(net, critic):
    """The tensors of a network of the PyTorch code as TensorFlow's names and axes have them."""
    for name, p in itertools.chain(net.named_parameters(), net.named_buffers()):
        value, part = p.detach().numpy(), name.split(".")
        if name.endswith("resample_filter"):
            continue
        if value.ndim == 4:
            value = value.transpose(2, 3, 1, 0)
        elif value.ndim == 2 and not name.endswith("noise_const"):
            value = value.transpose()
        if part[0] == "mapping":
            dense = part[1].replace("fc", "Mapping" if critic else "Dense").replace("embed", "LabelEmbed")
            yield "dlatent_avg" if part[1] == "w_avg" else "/".join([*([] if critic else ["mapping"]), dense, part[2]]), value
            continue
        if part[0] == "synthesis":
            part = part[1:]
        r = int(part[0][1:])
        place, layer, last = f"{r}x{r}", part[1], ".".join(part[2:])
        if critic:
            yield "/".join(([] if layer == "out" else [place]) + [OF_D[layer], last]), value
        elif layer == "const":
            yield f"synthesis/{place}/Const/const", value[None]
        elif last == "noise_const":
            yield f"synthesis/noise{int(np.log2(r)) * 2 - (5 if layer == 'conv0' else 4)}", value[None, None]
        else:
            if layer == "skip" or (layer == "conv0" and last == "weight"):
                value = value[::-1, ::-1]
            value = value - 1 if last == "affine.bias" else value
            yield f"synthesis/{place}/{'Conv' if r == 4 and layer == 'conv1' else OF_G[layer]}/{LAST.get(last, last)}", value


def tensorflow_network(version, name, functions, keywords, variables):
    """Variables in the components that their names begin with."""
    parts = {c: [(k[len(c) + 1 :], v) for k, v in variables if k.startswith(c + "/")] for c in ("synthesis", "mapping")}
    own = [(k, v) for k, v in variables if k.split("/")[0] not in parts]
    components = [(c, Network(version, f"{name}_{c}", functions[c], keywords, v)) for c, v in parts.items() if v]
    return Network(version, name, functions["main"], keywords, own, components)


def tensorflow(o, seed, out):
    """A pickle as TensorFlow's StyleGAN2 (version 4) or StyleGAN2-ADA (5) writes it; the original's converter reads it back."""
    import dnnlib
    import legacy

    d, case = Draw(seed), None
    version = d.of(4, 5)
    while not case:
        classes = d.of(0, 0, 3, 5) if version == 5 else 0
        shared = dict(num_channels=d.of(3, 3, 1), resolution=d.of(8, 16, 32), label_size=classes)
        shared |= dict(fmap_base=d.of(64, 128, 256), fmap_max=d.of(8, 12, 16))
        if d.int(0, 1):
            shared["resample_kernel"] = d.of([1, 3, 3, 1], [1, 2, 1], [1, 1])
        if d.int(0, 1):
            shared["nonlinearity"] = d.of("lrelu", "relu")
        if version == 5:
            shared |= dict(num_fp16_res=d.int(0, 3), conv_clamp=d.of(None, 3.0, 256.0))
        of_g = dict(latent_size=d.of(8, 16), dlatent_size=d.of(12, 16), mapping_layers=d.int(1, 8))
        of_g["architecture"] = d.of("skip", "skip", "resnet", "orig")
        more = dict(mapping_fmaps=(8, 20), mapping_lrmul=(0.01, 0.1), use_noise=(True, False), truncation_psi=(0.5, None), label_fmaps=(6, 12))
        for key, values in more.items():
            if d.int(0, 1) and (key != "label_fmaps" or classes):
                of_g[key] = d.of(*values)
        of_d = dict(architecture=d.of("resnet", "skip", "orig"), mbstd_group_size=d.of(4, 3), mbstd_num_features=d.of(1, 2, 0))
        if classes:
            of_d |= dict(mapping_layers=d.int(0, 2), mapping_fmaps=d.of(None, 6))
        nets = []
        for name, more, convert in (("G", of_g, legacy.convert_tf_generator), ("D", of_d, legacy.convert_tf_discriminator)):
            keywords, critic = dnnlib.EasyDict(shared | more), name == "D"
            made = tensorflow_shape(o, keywords, critic)
            functions = dict(main=("D_stylegan2" if version == 4 else "D_main") if critic else "G_main", mapping="G_mapping")
            functions["synthesis"] = "G_synthesis_stylegan2" if version == 4 else "G_synthesis"
            variables = [(k, np.array(v, order="C")) for k, v in tensorflow_variables(disturb(made, d), critic)]
            network = tensorflow_network(version, name, functions, keywords, variables)
            nets.append((network, convert(network).eval().requires_grad_(False)))
        case = network_case(o, d, nets[0][1], nets[1][1], {4: 4, 3: 6}[of_d["mbstd_group_size"]])
    with open(out + ".pkl", "wb") as f:
        pickle.dump((nets[0][0], nets[1][0], nets[0][0]), f, protocol=d.int(2, 4))
    np.savez(out + ".npz", **case)
    return [[out + ".pkl", out + ".npz"]]


def tensorflow_shape(o, k, critic):
    """A fresh network of the PyTorch code with the tensors that TensorFlow's keywords ask for."""
    channels = dict(channel_base=2 * k.fmap_base, channel_max=k.fmap_max, architecture=k.architecture)
    if critic:
        width = k.get("mapping_fmaps")
        mapping = dict(num_layers=k.get("mapping_layers", 0), embed_features=width, layer_features=width, lr_multiplier=0.1)
        more = dict(cmap_dim=width, mapping_kwargs=mapping, epilogue_kwargs=dict(mbstd_num_channels=k.mbstd_num_features))
        return o.v2.Discriminator(k.label_size, k.resolution, k.num_channels, **more, **channels)
    mapping = dict(num_layers=k.mapping_layers, embed_features=k.get("label_fmaps"), layer_features=k.get("mapping_fmaps"))
    mapping["lr_multiplier"] = k.get("mapping_lrmul", 0.01)
    synthesis = channels | dict(use_noise=k.get("use_noise", True))
    synthesis = synthesis if o.is_3 else dict(synthesis_kwargs=synthesis)
    return o.v2.Generator(k.latent_size, k.label_size, k.dlatent_size, k.resolution, k.num_channels, mapping_kwargs=mapping, **synthesis)
