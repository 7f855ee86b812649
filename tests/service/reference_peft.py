"""What PEFT makes of a base and a LoRA adapter, in NumPy (its tuners/lora/layer.py and utils/save_and_load.py), float64.

Only what the configuration says is read: targets, ranks and scales by pattern, saved modules, biases.
Nothing here comes from amend.
"""

import re

import numpy as np

import reference as ref

ROOT = "base_model.model."


def by_pattern(pattern, module, default):
    """get_pattern_key(): the first key that is the end of the module's name."""
    for key, value in pattern.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default


def is_target(config, module):
    return any(module == t or module.endswith("." + t) for t in config["target_modules"])


HEADS = {"SEQ_CLS": ["classifier", "score"], "TOKEN_CLS": ["classifier", "score"], "QUESTION_ANS": ["qa_outputs"]}  # peft_model.py


def saved_of(config, name):
    """Whether a tensor is of a module that is saved whole: a key of named_modules() that ends so, and all below it."""
    parts = name.split(".")
    modules = [".".join(parts[:i]) for i in range(1, len(parts))]
    ends = (config["modules_to_save"] or []) + HEADS.get(config["task_type"], [])
    return any(m.endswith(e) for m in modules for e in ends)


def delta_of(adapter, config, module, shape, conv1d):
    r = by_pattern(config["rank_pattern"], module, config["r"])
    alpha = by_pattern(config["alpha_pattern"], module, config["lora_alpha"])
    scale = alpha / (np.sqrt(r) if config["use_rslora"] else r)
    at = ROOT + module
    if at + ".lora_embedding_A" in adapter:
        a, b = adapter.pop(at + ".lora_embedding_A"), adapter.pop(at + ".lora_embedding_B")
        assert a.shape == (r, shape[0]) and b.shape == (shape[1], r), (module, a.shape, b.shape, r)
        return scale * (b @ a).T
    a, b = adapter.pop(at + ".lora_A.weight"), adapter.pop(at + ".lora_B.weight")
    if len(shape) > 2:  # a convolution of kernels, and one of 1 x 1
        assert a.shape == (r, *shape[1:]) and b.shape == (shape[0], r, *([1] * (len(shape) - 2))), (a.shape, b.shape)
        return scale * (b.reshape(shape[0], r) @ a.reshape(r, -1)).reshape(shape)
    turned = module in conv1d
    out, into = shape[::-1] if turned else shape
    assert a.shape == (r, into) and b.shape == (out, r), (module, a.shape, b.shape, r)
    return scale * ((b @ a).T if turned else b @ a)


def apply(base, adapter, config, conv1d=()):
    """conv1d: modules that are Conv1D of transformers; PEFT sets fan_in_fan_out by the module where the configuration is wrong.

    {name: array} of the model that PEFT has after merge_and_unload(); every tensor of the adapter finds its place."""
    assert config["fan_in_fan_out"] == any(is_target(config, m) for m in conv1d)
    assert config["peft_type"] == "LORA" and not config["use_dora"]
    left = {n: ref.load(t).astype(np.float64) for n, t in adapter.items()}
    out = {n: v.astype(np.float64) for n, v in base.items()}
    for name in base:
        module, _, leaf = name.rpartition(".")
        if leaf == "weight" and is_target(config, module):
            out[name] = out[name] + delta_of(left, config, module, base[name].shape, conv1d)
    for key in list(left):
        name = key.removeprefix(ROOT)
        if name.endswith(".base_layer.bias"):
            assert config["bias"] == "all" and is_target(config, name.removesuffix(".base_layer.bias")), key
            name = name.replace(".base_layer.", ".")
        elif not saved_of(config, name):
            assert config["bias"] == "all" and name.endswith(".bias"), key
        out[name] = left.pop(key)
    assert not left, list(left)
    for name in filter(lambda n: saved_of(config, n), base):  # PEFT looks every tensor of them up
        assert ROOT + name in adapter, name
    return out
