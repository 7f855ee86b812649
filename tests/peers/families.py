"""Tiny models of every family that the peers' tests merge, made by transformers itself: random weights, real layouts.

FAMILIES says of each how it is made and asked. Whoever adds a family adds one row.
"""

import copy
import dataclasses
import re

import safetensors.torch
import torch
import transformers as tr

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
ENCODER = {**SIZES, "vocab_size": 96, "max_position_embeddings": 64, "pad_token_id": 0}
DECODER = {**ENCODER, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}
MIXTRAL = {**DECODER, "num_local_experts": 4}
HEADED = {**DECODER, "head_dim": 8}
GPT2 = {"vocab_size": 96, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "bos_token_id": 1, "eos_token_id": 2}
T5 = {"vocab_size": 96, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4, "decoder_start_token_id": 0}
OPT = {"vocab_size": 96, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "word_embed_proj_dim": 32,
       "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip
BART = {"vocab_size": 96, "d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1,
        "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": None}  # fmt: skip
VIT = {**SIZES, "image_size": 16, "patch_size": 8, "num_labels": 5}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic", "num_labels": 5}


@dataclasses.dataclass
class Family:
    model: type
    config: type
    sizes: dict
    feed: str = "tokens"  # what it is asked: tokens, both (tokens for the encoder and the decoder), pixels
    stacks: bool = False  # a decoder whose layers can be stacked
    fused: bool = False  # the experts of a layer as one tensor in the files, too


FAMILIES = {
    "llama": Family(tr.LlamaForCausalLM, tr.LlamaConfig, DECODER, stacks=True),
    "mistral": Family(tr.MistralForCausalLM, tr.MistralConfig, DECODER, stacks=True),
    "qwen2": Family(tr.Qwen2ForCausalLM, tr.Qwen2Config, DECODER, stacks=True),
    "qwen3": Family(tr.Qwen3ForCausalLM, tr.Qwen3Config, HEADED, stacks=True),
    "gemma2": Family(tr.Gemma2ForCausalLM, tr.Gemma2Config, HEADED, stacks=True),
    "gemma3": Family(tr.Gemma3ForCausalLM, tr.Gemma3TextConfig, HEADED, stacks=True),
    "phi3": Family(tr.Phi3ForCausalLM, tr.Phi3Config, DECODER, stacks=True),
    "gpt2": Family(tr.GPT2LMHeadModel, tr.GPT2Config, GPT2, stacks=True),
    "mixtral": Family(tr.MixtralForCausalLM, tr.MixtralConfig, MIXTRAL, stacks=True),
    "mixtral-fused": Family(tr.MixtralForCausalLM, tr.MixtralConfig, MIXTRAL, stacks=True, fused=True),
    "bert": Family(tr.BertForSequenceClassification, tr.BertConfig, {**ENCODER, "num_labels": 5}),
    "bert-lm": Family(tr.BertForMaskedLM, tr.BertConfig, ENCODER),
    "roberta": Family(tr.RobertaForMaskedLM, tr.RobertaConfig, ENCODER),
    "t5": Family(tr.T5ForConditionalGeneration, tr.T5Config, {**T5, "feed_forward_proj": "gated-gelu"}, "both"),
    "t5-relu": Family(tr.T5ForConditionalGeneration, tr.T5Config, T5, "both"),
    "vit": Family(tr.ViTForImageClassification, tr.ViTConfig, VIT, "pixels"),
    "opt": Family(tr.OPTForCausalLM, tr.OPTConfig, OPT, stacks=True),
    "bart": Family(tr.BartForConditionalGeneration, tr.BartConfig, BART, "both"),
    "resnet": Family(tr.ResNetForImageClassification, tr.ResNetConfig, RESNET, "pixels"),
}

# For the seconds alone: 33 million parameters.
LARGE = {"vocab_size": 8192, "hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8, "num_attention_heads": 8}
MEASURED = {"llama-large": Family(tr.LlamaForCausalLM, tr.LlamaConfig, LARGE)}


def path(model, name):
    return f"peer/{model}-{name}"


def weights(folder):
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= safetensors.torch.load_file(file)
    return found


def fused(tensors):
    """Mixtral's experts as transformers 5 holds them and mergekit 0.1.5 writes them: one tensor for all of a layer."""
    out, experts = {}, {}
    for name, value in tensors.items():
        match = re.fullmatch(r"(.*)block_sparse_moe\.experts\.(\d+)\.(w\d)\.weight", name)
        if match:
            experts.setdefault(match[1], {})[int(match[2]), match[3]] = value
        else:
            out[name.replace("block_sparse_moe.gate", "mlp.gate")] = value
    for layer, parts in experts.items():
        count = range(1 + max(e for e, _ in parts))
        out[layer + "mlp.experts.gate_up_proj"] = torch.stack([torch.cat([parts[e, "w1"], parts[e, "w3"]]) for e in count])
        out[layer + "mlp.experts.down_proj"] = torch.stack([parts[e, "w2"] for e in count])
    return out


def save(net, family, folder):
    """FOLDER, and FOLDER16 in bfloat16."""
    for one, to in ((net, folder), (copy.deepcopy(net).bfloat16(), folder.with_name(folder.name + "16"))):
        one.save_pretrained(to)
        if family.fused:
            safetensors.torch.save_file(fused(weights(to)), to / "model.safetensors", {"format": "pt"})


def make(root, model):
    """peer/MODEL-base and two fine-tunes -a, -b of it: every parameter moves, so norms and biases do, too; all of them in
    bfloat16, too (-base16, -a16, -b16)."""
    family = (FAMILIES | MEASURED)[model]
    torch.manual_seed(sum(model.encode()))
    net = family.model(family.config(**family.sizes)).eval()
    with torch.no_grad():
        for p in net.parameters():  # no zeros, no ones: what is alike everywhere hides mistakes
            p.add_(torch.randn_like(p) * 0.02)
        base = {n: p.clone() for n, p in net.named_parameters()}
        save(net, family, root / path(model, "base"))
        for name in ("a", "b"):
            for n, p in net.named_parameters():
                p.copy_(base[n] + torch.randn_like(p) * 0.02)
            save(net, family, root / path(model, name))


def logits(net, family):
    torch.manual_seed(7)
    tokens = torch.randint(3, 96, (2, 9))
    feed = {
        "tokens": {"input_ids": tokens},
        "both": {"input_ids": tokens, "decoder_input_ids": tokens[:, :5]},
        "pixels": {"pixel_values": torch.randn(2, 3, 16, 16)},
    }[family.feed]
    with torch.no_grad():
        return net(**feed).logits


def loaded(folder, model, **more):
    """The model in a folder as transformers loads it, with nothing missing, unexpected or of another shape."""
    net, info = FAMILIES[model].model.from_pretrained(folder, output_loading_info=True, **more)
    wrong = {k: v for k, v in info.items() if v}
    assert not wrong, f"{folder}: {wrong}"
    return net.eval()
