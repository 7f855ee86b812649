"""LoRA adapters as PEFT would have saved them, of one small base, and what they mean in float64."""

import json

import numpy as np

import reference as ref

SHAPES = {
    "model.embed_tokens.weight": (40, 24),
    "model.layers.0.q.weight": (24, 24),
    "model.layers.0.q.bias": (24,),
    "model.layers.0.up.weight": (70, 24),
    "model.layers.1.q.weight": (24, 24),
    "model.layers.1.q.bias": (24,),
    "model.layers.1.up.weight": (70, 24),
    "model.layers.1.c.weight": (24, 36),
    "model.layers.1.conv.weight": (6, 3, 2, 2),
    "model.norm.weight": (24,),
    "score.weight": (5, 24),
}
DTYPES = {"model.embed_tokens.weight": "BF16", "model.layers.0.up.weight": "F16"}
CONFIG = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": "p/base", "bias": "none", "fan_in_fan_out": False}


def draw(rng, shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


class Adapter:
    """What PEFT would have saved, and what it means in float64."""

    def __init__(self, seed, **config):
        self.rng = np.random.default_rng(seed)
        self.config = {**CONFIG, **config}
        self.tensors, self.change, self.size, self.whole = {}, {}, {}, {}

    def name(self, module, tail):
        return f"base_model.model.{module}.{tail}"

    def scale(self, module, r):
        own = [v for k, v in self.config.get("alpha_pattern", {}).items() if module == k or module.endswith("." + k)]
        alpha = (own or [self.config["lora_alpha"]])[0]
        return alpha / (np.sqrt(r) if self.config.get("use_rslora") else r)

    def low_rank(self, module, o, i, r, kind="linear", dtype="F32", zero=False, adapter=""):
        a, b = draw(self.rng, (r, i), 0.1), draw(self.rng, (o, r), 0.1)
        b *= 0 if zero else 1
        tails = ("lora_embedding_A", "lora_embedding_B") if kind == "embedding" else (f"lora_A{adapter}.weight", f"lora_B{adapter}.weight")
        ta, tb = ref.store(dtype, a), ref.store(dtype, b)
        a, b = (ref.load(t).astype(np.float64) for t in (ta, tb))
        if kind == "conv":
            ta, tb = ref.tensor(dtype, a.reshape(r, 3, 2, 2)), ref.tensor(dtype, b.reshape(o, r, 1, 1))
        self.tensors[self.name(module, tails[0])], self.tensors[self.name(module, tails[1])] = ta, tb
        s, turn = self.scale(module, r), kind in ("embedding", "swapped")
        change, size = s * (b @ a), abs(s) * (np.abs(b) @ np.abs(a)) * r
        self.change[module + ".weight"] = change.T if turn else change
        self.size[module + ".weight"] = size.T if turn else size
        return self

    def bias(self, module, n, r):
        v = draw(self.rng, (n,), 0.1)
        self.tensors[self.name(module, "lora_B.bias")] = ref.tensor("F32", v)
        self.change[module + ".bias"] = self.scale(module, r) * v.astype(np.float64)
        self.size[module + ".bias"] = np.abs(self.change[module + ".bias"])
        return self

    def saved(self, name, shape, as_name=None):
        v = draw(self.rng, shape)
        self.tensors["base_model.model." + (as_name or name)] = ref.tensor("F32", v)
        self.whole[name] = v
        return self

    def write(self, folder, **more):
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(ref.pack(self.tensors, {"format": "pt"}))
        (folder / "adapter_config.json").write_text(json.dumps({**self.config, **more}))
        return folder

    def apply(self, base):
        """{tensor: (float64, bound of the error of f32)}"""
        out = {}
        for name, t in base.items():
            if t.dtype not in ref.COMPUTED:
                continue
            w = (self.whole[name] if name in self.whole else ref.load(t)).astype(np.float64)
            d, size = (np.asarray(x.get(name, 0)).reshape(w.shape if name in self.change else ()) for x in (self.change, self.size))
            out[name] = (w + d, (size + np.abs(w) + np.abs(w + d)) * 2.0**-23)
        return out


def q_and_up(a, r, **more):
    for i in range(2):
        a.low_rank(f"model.layers.{i}.q", 24, 24, r, **more).low_rank(f"model.layers.{i}.up", 70, 24, r, **more)
    return a


def bundle():
    a = Adapter(9, r=4, modules_to_save=["score"], bias="lora_only", alpha_pattern={"layers.1.q": 6, "q": 2, "0.q": 9}, rank_pattern={"up": 3})
    a.low_rank("model.embed_tokens", 24, 40, 4, kind="embedding", dtype="BF16")
    a.low_rank("model.layers.0.q", 24, 24, 4, adapter=".default").low_rank("model.layers.1.q", 24, 24, 4)
    a.low_rank("model.layers.1.up", 70, 24, 3).low_rank("model.layers.1.conv", 6, 12, 4, kind="conv")
    a.bias("model.layers.1.q", 24, 4)
    a.saved("score.weight", (5, 24), "score.modules_to_save.default.weight")
    return a.saved("model.layers.0.q.bias", (24,), "model.layers.0.q.base_layer.bias").saved("model.norm.weight", (24,))


def both():
    """PEFT takes each module as it lies, and writes as fan_in_fan_out what the last one was."""
    a = Adapter(14, r=4, fan_in_fan_out=True).low_rank("model.layers.1.up", 70, 24, 4)
    return a.low_rank("model.layers.1.c", 36, 24, 4, kind="swapped").low_rank("model.layers.1.conv", 6, 12, 4, kind="conv")


ADAPTERS = {
    "r1": q_and_up(Adapter(1, r=1), 1),
    "r8": q_and_up(Adapter(2), 8, dtype="F16"),
    "r64": q_and_up(Adapter(3, r=64, lora_alpha=64), 64),
    "rslora": q_and_up(Adapter(4, use_rslora=True), 8),
    "fan": Adapter(5, r=4, fan_in_fan_out=True).low_rank("model.layers.1.c", 36, 24, 4, kind="swapped"),
    "both": both(),
    "zero": Adapter(6).low_rank("model.layers.0.q", 24, 24, 8, zero=True),
    "some": Adapter(7, r=2).low_rank("model.layers.1.q", 24, 24, 2),
    "bundle": bundle(),
}
