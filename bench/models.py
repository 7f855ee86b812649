"""Llama-layout BF16 models of a given size: a base and fine-tunes of it (base + N(0, 1e-3)), from a fixed seed.

Written piece by piece, so that memory does not grow with the model. `dense` says which tensors hold numbers; the
others are holes in the file and read as zeros (models that only measure memory).
"""

import json
from pathlib import Path

import numpy as np

PIECE = 1 << 20  # elements
SEED = 20240613

SHAPES = {  # name: hidden, inner, layers, key-value, vocabulary
    "60MB": (512, 768, 8, 128, 16000),
    "480MB": (1024, 1536, 24, 256, 32000),
    "1.2GB": (2048, 3072, 16, 512, 32000),
    "9.7GB": (4096, 6144, 39, 1024, 32000),
}


def tensors(size):
    """[(name, shape)] in the order of the file."""
    hidden, inner, layers, kv, vocab = SHAPES[size]
    found = [("model.embed_tokens.weight", (vocab, hidden))]
    for i in range(layers):
        at = f"model.layers.{i}."
        found += [
            (at + "input_layernorm.weight", (hidden,)),
            (at + "self_attn.q_proj.weight", (hidden, hidden)),
            (at + "self_attn.k_proj.weight", (kv, hidden)),
            (at + "self_attn.v_proj.weight", (kv, hidden)),
            (at + "self_attn.o_proj.weight", (hidden, hidden)),
            (at + "post_attention_layernorm.weight", (hidden,)),
            (at + "mlp.gate_proj.weight", (inner, hidden)),
            (at + "mlp.up_proj.weight", (inner, hidden)),
            (at + "mlp.down_proj.weight", (hidden, inner)),
        ]
    return found + [("model.norm.weight", (hidden,)), ("lm_head.weight", (vocab, hidden))]


def elements(size):
    return sum(int(np.prod(shape)) for _, shape in tensors(size))


def config(size):
    hidden, inner, layers, kv, vocab = SHAPES[size]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 128,
        "num_key_value_heads": kv // 128,
        "vocab_size": vocab,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def to_bf16(x):
    """float32 to the upper half of its bits, rounded to nearest even."""
    bits = x.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def header(table):
    at, entries = 0, {}
    for name, shape in table:
        size = 2 * int(np.prod(shape))
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write(folder, size, tuned, dense=None):
    """Folders folder/base, folder/<each of tuned>; returns their names."""
    names, table = ["base", *tuned], tensors(size)
    files = []
    for name in names:
        (Path(folder) / name).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name / "config.json").write_text(json.dumps(config(size)))
        files.append(open(Path(folder) / name / "model.safetensors", "wb"))
        files[-1].write(header(table))
    for number, (name, shape) in enumerate(table):
        left = int(np.prod(shape))
        if dense and not dense(name):
            for f in files:
                f.seek(2 * left, 1)
            continue
        streams = [np.random.Generator(np.random.SFC64([SEED, number, who])) for who in range(len(names))]
        while left:
            n = min(left, PIECE)
            base = streams[0].standard_normal(n, np.float32) * np.float32(0.02)
            if len(shape) == 1:
                base += np.float32(1)
            bits = to_bf16(base)
            files[0].write(bits.tobytes())
            base = from_bf16(bits)
            for stream, f in zip(streams[1:], files[1:]):
                noise = stream.standard_normal(n, np.float32) * np.float32(1e-3)
                f.write(to_bf16(base + noise).tobytes())
            left -= n
    for f in files:
        f.truncate(f.tell())
        f.close()
    return names
