"""A step of RigNet's training in plain PyTorch operations: networks, face model, normals, light, projection, colours against
photographs, gradients, Adam. Everything but which vertices are seen, which needs a rasterizer and is given. It works on the very
data of bench_peer_cases, as device_torch.py does with it."""

import torch
import torch.nn.functional as F


class Step:
    def __init__(self, stored, device):
        a = {name: torch.from_numpy(stored[name]) for name in stored.files}
        a = {name: t.to(device).float() if t.dtype == torch.float32 else t.to(device) for name, t in a.items()}
        self.a = a
        self.parameters = {n: a["N." + n].clone().requires_grad_(True) for n in self.names(stored, "gradient.")}
        self.reconstruction = [(a[f"F.layers.{i}.weight"], a[f"F.layers.{i}.bias"]) for i in range(sum(n.startswith("F.layers.") for n in a) // 2)]
        self.hidden = sum(n.startswith("N.weights.") for n in a)
        self.bounds = [0] + torch.cumsum(a["layout"], 0).tolist()
        focal, distance, center_x, center_y = a["camera"].tolist()
        height, width = a["source_pictures"].shape[1:3]
        self.size = (height, width)
        self.camera = (focal * height, distance, center_x * width, center_y * height)
        self.basis, self.reflectance = a["basis"].flatten(1), a["reflectance_basis"].flatten(1)
        self.triangles = a["triangles"].long()
        photographs = torch.cat([a["target_pictures"], a["source_pictures"]])
        self.photographs = photographs.permute(0, 3, 1, 2).contiguous()
        self.edited, self.kept = a["edited"].bool(), a["kept"].bool()
        self.codes_twice = torch.cat([a["codes"], a["codes"]])
        self.controls = torch.cat([a["control"], a["control_self"]])
        self.optimiser = torch.optim.Adam(self.parameters.values(), lr=1e-3, fused=torch.device(device).type == "cuda")

    @staticmethod
    def names(stored, prefix):
        return [n[len(prefix) :] for n in stored.files if n.startswith(prefix)]

    def difference(self, w, q):
        """Whitened difference for codes [n, rows, w_dim] and control inputs [n, c]."""
        n, a = self.parameters, self.a
        rows = w.shape[1]
        y = (q @ n["from_control"] + n["first_bias"]).view(w.shape[0], rows, -1).transpose(0, 1)
        x = ((w - a["N.codes.mean"]) / a["N.codes.deviation"]).transpose(0, 1)
        y = y + (x @ n["encoder"] + n["encoder_bias"]) @ n["from_code"]
        for i in range(self.hidden):
            y = F.elu(y) @ n[f"weights.{i}"] + n[f"biases.{i}"]
        return y.transpose(0, 1)

    def reconstruct(self, w):
        a = self.a
        h = ((w - a["F.codes.mean"]) / a["F.codes.deviation"]).flatten(1)
        for weight, bias in self.reconstruction[:-1]:
            h = F.elu(h @ weight.t() + bias)
        weight, bias = self.reconstruction[-1]
        return (h @ weight.t() + bias) * a["F.scale"] + a["F.offset"]

    @staticmethod
    def rotation(angles):
        """Rz(z) Ry(y) Rx(x) of (x, y, z): [n, 3, 3]."""
        (sx, sy, sz), (cx, cy, cz) = torch.sin(angles).unbind(1), torch.cos(angles).unbind(1)
        rows = [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx]
        rows += [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx]
        rows += [-sy, cy * sx, cy * cx]
        return torch.stack(rows, 1).view(-1, 3, 3)

    @staticmethod
    def light(normals, gamma):
        """Irradiance [n, v, 3] of 27 coefficients, channel after channel."""
        x, y, z = normals.unbind(2)
        k0, k1, k2 = 0.70062390204974110, 1.7724538509055160273, 2.4270323906946240
        h = [torch.full_like(x, 0.88622692545275801365), -k1 * y, k1 * z, -k1 * x, k2 * x * y, -k2 * y * z, k0 * (3 * z * z - 1)]
        h = torch.stack(h + [-k2 * x * z, k2 / 2 * (x * x - y * y)], 2)
        g = gamma.view(-1, 3, 9)
        g = torch.cat([g[:, :, :1] + 0.8, g[:, :, 1:]], 2)
        return h @ g.transpose(1, 2)

    def photometric(self, p):
        """Mean over the seen vertices of the squared distance of colours: [n]."""
        a = self.a
        identity, reflectance, expression, gamma, angles, translation = (p[:, i:j] for i, j in zip(self.bounds, self.bounds[1:]))
        n = p.shape[0]
        vertices = (torch.cat([identity, expression], 1) @ self.basis + a["mean"].flatten()).view(n, -1, 3)
        albedo = (reflectance @ self.reflectance + a["reflectance_mean"].flatten()).view(n, -1, 3)
        corner = [vertices[:, self.triangles[:, k]] for k in range(3)]
        cross = torch.linalg.cross(corner[1] - corner[0], corner[2] - corner[0])
        total = torch.zeros_like(vertices)
        for k in range(3):
            total = total.index_add(1, self.triangles[:, k], cross)
        turn = self.rotation(angles).transpose(1, 2)
        normals = (total / total.norm(dim=2, keepdim=True).clamp_min(1e-18)) @ turn
        colors = albedo * self.light(normals, gamma)
        f, distance, center_x, center_y = self.camera
        x = vertices @ turn + translation[:, None]
        s = f / (distance - x[:, :, 2])
        u, v = x[:, :, 0] * s + center_x, center_y - x[:, :, 1] * s
        grid = torch.stack([2 * u / self.size[1] - 1, 2 * v / self.size[0] - 1], 2)[:, None]
        seen = F.grid_sample(self.photographs, grid, padding_mode="border", align_corners=False)[:, :, 0].transpose(1, 2)
        return (a["seen"] * (seen - colors).square().sum(2) / 3).sum(1)

    def loss(self):
        a = self.a
        w, samples = a["codes"], a["codes"].shape[0]
        d = self.difference(self.codes_twice, self.controls)
        p_hat = self.reconstruct(w + a["N.codes.deviation"] * d[:samples])
        p = torch.cat([torch.where(self.edited, p_hat, a["target_p"]), torch.where(self.kept, p_hat, a["source_p"])])
        photo = self.photometric(p)
        edit, consistency = photo[:samples].mean(), photo[samples:].mean()
        return d[samples:].square().mean() + 0.01 * d[:samples].square().mean() + 10 * edit + 10 * consistency

    def __call__(self, loss=None):
        self.optimiser.zero_grad(set_to_none=True)
        (loss or self.loss)().backward()
        self.optimiser.step()
