"""PEFT and amend: an adapter that PEFT made is merged into its base as PEFT merges it, and what extract_patch makes is
loaded by PEFT and gives the fine-tune back. Each half waits for the daemon to know it, and for nothing else: adapters, by
the one refusal that a daemon without them gives; extract_patch, by GET /v1/methods."""

import peft
import pytest
import safetensors.torch
import torch

from families import FAMILIES, fused, loaded, logits, path, weights
from harness import merge, problem

WITHOUT_ADAPTERS = "this version takes whole models"
LLAMA = ["q_proj", "v_proj"]
# name: (family, what LoraConfig is told)
ADAPTERS = {
    "plain": ("llama", {"r": 4, "lora_alpha": 8, "target_modules": LLAMA}),
    "one": ("llama", {"r": 1, "lora_alpha": 1, "target_modules": "all-linear"}),
    "rslora": ("llama", {"r": 8, "lora_alpha": 16, "target_modules": ["o_proj", "down_proj"], "use_rslora": True}),
    "patterns": ("llama", {"r": 4, "lora_alpha": 8, "target_modules": LLAMA, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}}),
    "embedding": ("llama", {"r": 4, "lora_alpha": 8, "target_modules": ["embed_tokens", "k_proj"]}),
    "saved": ("llama", {"r": 2, "lora_alpha": 8, "target_modules": LLAMA, "modules_to_save": ["lm_head"]}),
    "conv1d": ("gpt2", {"r": 4, "lora_alpha": 8, "target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True}),
    "bias": ("bert", {"r": 4, "lora_alpha": 8, "target_modules": ["query", "value"], "bias": "lora_only"}),
    "relu": ("t5-relu", {"r": 4, "lora_alpha": 8, "target_modules": ["q", "wi"]}),
}  # fmt: skip

# PEFT names modules as they are in memory. Where transformers 5 renames them as it loads, those are not the names in the
# file: refused, and each module named.
RENAMED = {"encoder": ("vit", {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"})}


@pytest.fixture(scope="session")
def adapters(client, models, root):
    """adapters(name): (family, model reference in a recipe, PEFT's own merge of it), the adapter registered once."""
    there = {}

    def get(name):
        if name not in there:
            model, told = (ADAPTERS | RENAMED)[name]
            models(model)
            torch.manual_seed(sum(name.encode()))
            net = peft.get_peft_model(loaded(path(model, "base"), model), peft.LoraConfig(**told))
            trained = [n for n, p in net.named_parameters() if p.requires_grad]
            assert trained
            with torch.no_grad():
                for n, p in net.named_parameters():
                    if n in trained:  # B is zero as it is made
                        p.copy_(p + torch.randn_like(p) * 0.05)
            net.save_pretrained(root / path("lora", name))
            client.register(root / path("lora", name), path("lora", name))
            there[name] = model, f"{path(model, 'base')}+{path('lora', name)}", dict(net.merge_and_unload().state_dict())
        return there[name]

    return get


def recipe(*references):
    text = "merge_method: linear\ndtype: float32\nmodels:\n"
    return text + "".join(f"- {{model: {r}, parameters: {{weight: 0.5}}}}\n" for r in references)


@pytest.fixture
def alive(peers, adapters):
    if WITHOUT_ADAPTERS in peers.post(recipe(adapters("plain")[1]), "/v1/plans").text:
        pytest.skip("this daemon takes no adapters")


def near(got, expected, atol=1e-6, rtol=5e-6):
    """Every tensor of the file against the module's; what is tied is in the file once."""
    assert got and set(got) <= set(expected), set(got) - set(expected)
    for name, value in got.items():
        gap = (value.double() - expected[name].double()).abs()
        assert (gap <= atol + rtol * expected[name].double().abs()).all(), f"{name}: off by {float(gap.max()):.3g}"


@pytest.mark.parametrize("name", ADAPTERS)
def test_merged_as_peft_merges(alive, peers, adapters, name):
    model, reference, expected = adapters(name)
    folder = peers.pull(peers.amend(recipe(reference), "base+adapter"))
    base = weights(peers.root / path(model, "base"))
    got = weights(folder)
    assert set(got) == set(base) and any(not torch.equal(got[n], base[n]) for n in base)
    near(got, expected)
    assert torch.isfinite(logits(loaded(folder, model), FAMILIES[model])).all()


@pytest.mark.parametrize("name", RENAMED)
def test_other_names_in_memory(alive, peers, adapters, name):
    doc = problem(peers.post(recipe(adapters(name)[1])), 422, "shape-mismatch")
    assert {e["reason"] for e in doc["errors"]} == {"adapter-mismatch"} and "vit.layers.0" in doc["detail"], doc


def test_as_mergekit_merges(alive, peers, adapters):
    text = recipe(adapters("plain")[1], adapters("rslora")[1])
    theirs = weights(peers.mergekit(text, "two base+adapter", lora_merge_cache=str(peers.root / "mergekit-0")))
    got = weights(peers.pull(peers.amend(text, "two base+adapter")))
    assert set(got) == set(theirs)
    near(got, theirs)


# GPT-2's matrices are [in, out].
WHOLE = {"llama": {}, "mistral": {}, "qwen2": {}, "phi3": {}, "gpt2": {"in_out": ["*attn.c_*", "*mlp.c_*"]}, "bert": {}, "t5": {}, "t5-relu": {}, "bart": {}, "opt": {}, "qwen3": {}, "gemma2": {}, "mixtral": {}}
# Their embeddings are in memory in two places or three, of which PEFT changes one.
TIED = {"gpt2", "t5", "t5-relu", "bart", "opt", "gemma2"}
# What an adapter cannot hold: tensors that are neither weight nor bias of a module.
HOLDLESS = {"vit": "vit.embeddings.cls_token", "roberta": "lm_head.bias"}


@pytest.fixture
def extract(client, peers):
    """extract(fine-tune, base, params): the directory of the adapter."""
    if "extract_patch" not in {m["name"] for m in client.all("/v1/methods?type=merge")}:
        pytest.skip("this daemon has no extract_patch")

    def run(tuned, base, **params):
        peers.count += 1
        version = client.run(merge("extract_patch", [(tuned, None)], f"out/n{peers.count}", base=base, params=params))
        run.warned = {w["code"] for w in client.version(version)["warnings"]}
        return peers.pull(version)

    return run


def given_back(folder, model):
    """The state of base and adapter, as PEFT merges them."""
    net = peft.PeftModel.from_pretrained(loaded(path(model, "base"), model), folder)
    assert torch.isfinite(logits(net.eval(), FAMILIES[model])).all()
    return dict(net.merge_and_unload().state_dict())


@pytest.mark.parametrize("model", WHOLE)
def test_peft_gives_the_fine_tune_back(extract, models, peers, model):
    models(model)
    folder = extract(path(model, "a"), path(model, "base"), max_rank=96, solver="full", **WHOLE[model])
    tuned = weights(peers.root / path(model, "a"))
    near(fused(tuned) if model == "mixtral" else tuned, given_back(folder, model), 1e-5, 1e-5)
    assert (model in TIED) == ("tied-embeddings" in extract.warned)
    if model not in TIED:
        net = peft.PeftModel.from_pretrained(loaded(path(model, "base"), model), folder).eval()
        gap = logits(net, FAMILIES[model]) - logits(loaded(path(model, "a"), model), FAMILIES[model])
        assert gap.abs().max() < 1e-5


def test_experts_of_different_ranks(extract, client, models, peers):
    """PEFT stacks the factors of experts: one of rank 2, one of rank 1 and others that did not change, with a router."""
    models("mixtral")
    tuned = weights(peers.root / path("mixtral", "base"))
    torch.manual_seed(3)
    for end, rank in (("0.self_attn.q_proj", 6), ("1.block_sparse_moe.experts.2.w1", 2), ("2.block_sparse_moe.experts.0.w2", 1), ("0.block_sparse_moe.gate", 3)):
        w = tuned[f"model.layers.{end}.weight"]
        w += torch.randn(w.shape[0], rank) @ torch.randn(rank, w.shape[1]) * 0.05
    there = peers.root / "peer/experts"
    loaded(path("mixtral", "a"), "mixtral").save_pretrained(there)
    safetensors.torch.save_file(tuned, there / "model.safetensors", {"format": "pt"})
    client.register(there, "peer/experts")
    folder = extract("peer/experts", path("mixtral", "base"), max_rank=16, sv_epsilon=1e-5)
    near(fused(tuned), given_back(folder, "mixtral"), 1e-5, 1e-5)


@pytest.mark.parametrize("model", HOLDLESS)
def test_what_no_adapter_holds(extract, client, models, model):
    models(model)
    error = client.fails(merge("extract_patch", [(path(model, "a"), None)], "out/none", base=path(model, "base")))
    assert error["code"] == "bad-input" and error["detail"].startswith(HOLDLESS[model]), error


def test_the_rank_of_an_adapter_is_found_again(extract, client, adapters, peers):
    """A fine-tune that PEFT made of an adapter of rank 4: an adapter of rank 4 comes out, and it is the same change."""
    model, _, expected = adapters("plain")
    net = loaded(path(model, "base"), model)
    net.load_state_dict(expected)
    net.save_pretrained(peers.root / "peer/tuned")
    client.register(peers.root / "peer/tuned", "peer/tuned")
    folder = extract("peer/tuned", path(model, "base"), max_rank=16, sv_epsilon=1e-5)  # above what rounding the fine-tune to float32 leaves
    ranks = {n: t.shape[0] for n, t in weights(folder).items() if n.endswith("lora_A.weight")}
    assert len(ranks) == 3 * len(LLAMA) and set(ranks.values()) == {4}, ranks
    near(weights(peers.root / "peer/tuned"), given_back(folder, model), 1e-5, 1e-5)


def test_there_and_back(alive, extract, models, peers):
    """What extract_patch makes is merged by amend into its base: the fine-tune."""
    models("llama")
    extracted = extract(path("llama", "a"), path("llama", "base"), max_rank=96, solver="full")
    peers.client.register(extracted, "peer/extracted")
    got = weights(peers.pull(peers.amend(recipe(path("llama", "base") + "+peer/extracted"))))
    near(got, weights(peers.root / path("llama", "a")), 1e-5, 1e-5)
