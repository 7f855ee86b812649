"""Merges of models with different tokenizers: which rows the result has, held to a reference in NumPy that was written
from the rules (the words of docs/merge.md), and the files of its tokenizer.

The models: `base` with 64 tokens; `chat` with two more, which only it has; `padded`, whose tokenizer has four tokens
without rows; `mixed`, the base's tokens in another order, without some and with others.
"""

import json

import numpy as np
import pytest

import reference as ref
from harness import merge, problem

HIDDEN = 6
EMBEDDINGS = ("model.embed_tokens.weight", "lm_head.weight")
SPECIAL = ["<unk>", "<s>", "</s>"]
WORDS = SPECIAL + [f"w{i}" for i in range(61)]


def tokenizer(tokens, added, family="BPE", merges=()):
    """tokenizer.json of a list of tokens; `added` are those of them that are in added_tokens."""
    regular = {t: i for i, t in enumerate(tokens) if t not in added or t in SPECIAL}
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    listed = [[t, -float(i)] for i, t in enumerate(tokens)]
    model = {"type": family, "vocab": listed if family == "Unigram" else regular}
    if family == "BPE":
        model |= {"unk_token": "<unk>", "merges": list(merges)}
    doc = {"version": "1.0", "added_tokens": [{"id": i, "content": t, **flags} for i, t in enumerate(tokens) if t in added]}
    return json.dumps({**doc, "model": model}).encode()


class Model:
    def __init__(self, rng, tokens, added=(), rows=None, family="BPE", config=None, files=None):
        self.tokens, self.rows = list(tokens), rows or len(tokens)
        self.weights = {n: rng.standard_normal((self.rows, HIDDEN)).astype(np.float32) for n in EMBEDDINGS}
        self.weights["model.layers.0.mlp.up_proj.weight"] = rng.standard_normal((8, HIDDEN)).astype(np.float32)
        self.weights["model.norm.weight"] = rng.standard_normal(HIDDEN).astype(np.float32)
        self.config = {"model_type": "llama", "vocab_size": self.rows, "eos_token_id": self.tokens.index("</s>"), "bos_token_id": [self.tokens.index("<s>")], **(config or {})}
        self.files = {"tokenizer.json": tokenizer(self.tokens, [*SPECIAL, *added], family), **(files or {})}

    def ids(self):
        return {t: i for i, t in enumerate(self.tokens) if i < self.rows}

    def register(self, client, roots, name, dtype="F32"):
        tensors = {n: ref.tensor(dtype, v) for n, v in self.weights.items()}
        client.register(ref.write(roots / name.replace("/", "-"), tensors, config=self.config, files=self.files), name)


CHAT = ["<|im_start|>", "<|im_end|>"]
UNUSED = [f"<unused{i}>" for i in range(4)]


@pytest.fixture(scope="module")
def models(client, roots):
    rng = np.random.default_rng(23)
    mixed = [WORDS[i] for i in rng.permutation(64)[:60]]
    mixed += [t for t in SPECIAL if t not in mixed] + ["extra1", "<|im_end|>", "extra2"]
    config = {"chat_template": "BASE", "added_tokens_decoder": {"0": {"content": "<unk>"}}, "model_max_length": 10**30}
    made = {
        "base": Model(rng, WORDS, files={"tokenizer_config.json": json.dumps(config).encode(), "vocab.json": b"{}", "generation_config.json": b'{"eos_token_id": [2, 1], "top_k": 5}'}),
        "chat": Model(rng, WORDS + CHAT, CHAT, files={"tokenizer_config.json": b'{"chat_template": "CHAT"}', "special_tokens_map.json": b'{"eos_token": "</s>"}'}),
        "padded": Model(rng, WORDS + UNUSED, UNUSED, rows=64, files={"tokenizer_config.json": b'{"chat_template": "CHAT"}'}),
        "mixed": Model(rng, mixed, ["<|im_end|>"]),
        "wide": Model(rng, WORDS, rows=72),
        "short": Model(rng, WORDS[:60]),
        "unigram": Model(rng, WORDS + ["own"], family="Unigram"),
        "unigram2": Model(rng, WORDS + ["other"], family="Unigram"),
        "twice": Model(rng, WORDS, files={"tokenizer.json": b'{"model":{"type":"BPE","vocab":{"a":0,"b":0}}}'}),
        "bare": Model(rng, WORDS),
    }
    del made["bare"].files["tokenizer.json"]
    for name, m in made.items():
        m.register(client, roots, f"tk/{name}")
    return made


# ---- the rules, in NumPy ----------------------------------------------------------------------------------------------


def vocabulary(models, source, tokens=(), added=()):
    """{token: id}; models: all, the base first; source: a model, or None for the union."""
    vocab = dict((source or models[0]).ids())
    new = []
    if source is None:
        for late in (False, True):
            for m in models:
                new += [t for t, _ in sorted(m.ids().items(), key=lambda p: p[1]) if (t in added) == late]
    for t in [*new, *tokens]:
        if t not in vocab:
            vocab[t] = next(i for i in range(len(vocab) + 1) if i not in vocab.values())
    return vocab


def rebuilt(models, name, vocab, asked=None, pad=1):
    """Each model's matrix with a row for each token of `vocab`. asked: {token: (row or model, force)}."""
    asked = asked or {}
    size = max(vocab.values()) + 1
    out = []
    for m in models:
        a = np.zeros((size, HIDDEN), np.float32)
        for token, row in vocab.items():
            have = [x for x in models if token in x.ids()]
            wanted, force = asked.get(token, (None, False))
            if m in have and not force:
                a[row] = m.weights[name][m.ids()[token]]
            elif wanted is not None:
                a[row] = wanted[name] if isinstance(wanted, dict) else wanted.weights[name][wanted.ids()[token]]
            elif len(have) == 1 or models[0] in have:
                x = have[0] if len(have) == 1 else models[0]
                a[row] = x.weights[name][x.ids()[token]]
            elif have:
                total = np.zeros(HIDDEN, np.float32)
                for x in have:
                    total = total + x.weights[name][x.ids()[token]]
                a[row] = total / np.float32(len(have))
        more = -size % pad
        out.append(np.vstack([a, np.tile(a.astype(np.float64).mean(0).astype(np.float32), (more, 1))]))
    return out


def check(client, version, models, weights, vocab, **how):
    """The result of `linear`, whose own formula is tested elsewhere."""
    got = {n: ref.load(t) for n, t in client.weights(version).items()}
    for name in EMBEDDINGS:
        want = ref.linear(rebuilt(models, name, vocab, **how), weights)
        assert got[name].shape == want.shape, name
        assert np.abs(got[name] - want).max() <= 1e-6, name
    assert np.array_equal(got["model.norm.weight"], ref.linear([m.weights["model.norm.weight"] for m in models], weights))
    config = json.loads(client.download(version, "config.json"))
    assert config["vocab_size"] == got[EMBEDDINGS[0]].shape[0]
    assert (config["eos_token_id"], config["bos_token_id"]) == (vocab["</s>"], [vocab["<s>"]])
    return got


def tokens_of(client, version):
    """{token: id} of tokenizer.json, and the ids of its added tokens."""
    doc = json.loads(client.download(version, "tokenizer.json"))
    vocab = doc["model"]["vocab"]
    vocab = dict(vocab) if isinstance(vocab, dict) else {t: i for i, (t, _) in enumerate(vocab)}
    added = {t["content"]: t["id"] for t in doc["added_tokens"]}
    assert all(vocab.get(t, i) == i for t, i in added.items())
    return vocab | added, added


def yaml(method, names, extra="", weights=None, base="base"):
    lines = [f"merge_method: {method}", f"base_model: tk/{base}", "models:"]
    for i, n in enumerate(names):
        lines.append(f"- {{model: tk/{n}" + (f", parameters: {{weight: {weights[i]}}}}}" if weights else "}"))
    return "\n".join(lines) + "\n" + extra


def post(client, text, **query):
    return client.request("POST", "/v1/jobs", data=text.encode(), params={"model": "tk/out", **query}, headers={"Content-Type": "application/yaml"})


def end(client, answer):
    assert answer.status_code == 202, answer.text
    return client.wait(answer.json()["id"])


def run(client, text, **query):
    job = end(client, post(client, text, **query))
    assert job["status"] == "succeeded", job["error"]
    return "{model}@{commit}".format(**job["result"]["version"]), {w["code"] for w in job["warnings"]}


def linear(names, extra="", weights=None):
    return yaml("linear", names, extra, weights or [round(0.3 + 0.4 * i, 1) for i in range(len(names))])


W = [0.3, 0.7, 1.1]


# ---- rows --------------------------------------------------------------------------------------------------------------


def test_without_a_tokenizer_and_of_the_base(client, models):
    """The base's 64 tokens, 3 of them added; and what the base has of files."""
    used = [models["base"], models["padded"]]
    for extra in ("", "tokenizer_source: base\n"):
        version, warned = run(client, linear(["base", "padded"], extra))
        check(client, version, used, W[:2], models["base"].ids())
        assert client.download(version, "tokenizer.json") == models["base"].files["tokenizer.json"]
        assert client.download(version, "tokenizer_config.json") == models["base"].files["tokenizer_config.json"]
        assert warned == ({"tokenizer-larger-than-rows"} if extra else set())


def test_union(client, models):
    """66 tokens: the chat model's two with its rows, and none of those without rows."""
    used = [models["base"], models["chat"], models["padded"]]
    version, warned = run(client, linear(["base", "chat", "padded"], "tokenizer: {source: union}\n"))
    vocab = vocabulary(used, None, added=[*SPECIAL, *CHAT, *UNUSED])
    assert [vocab[t] for t in CHAT] == [64, 65] and len(vocab) == 66
    got = check(client, version, used, W, vocab)
    for name in EMBEDDINGS:
        assert np.allclose(got[name][64:], models["chat"].weights[name][64:], atol=1e-6)
    everything, added = tokens_of(client, version)
    assert everything == vocab and sorted(added, key=added.get) == SPECIAL + CHAT
    config = json.loads(client.download(version, "tokenizer_config.json"))
    assert {int(i): t["content"] for i, t in config["added_tokens_decoder"].items()} == {i: t for t, i in added.items()}
    assert config["chat_template"] == "BASE" and config["model_max_length"] == 10**30
    assert "tokenizer-larger-than-rows" in warned
    files = client.files(version)
    assert "vocab.json" not in files, "the base's own vocabulary is not that of the result"
    assert {"config.json", "generation_config.json", "README.md", "amend.json", "mergekit_config.yml"} <= set(files)
    assert client.download(version, "generation_config.json") == models["base"].files["generation_config.json"]
    text = client.download(version, "mergekit_config.yml").decode()
    assert f"```yaml\n{text}```\n" in client.download(version, "README.md").decode()


def test_union_of_another_order(client, models):
    """Ids differ, tokens are missing, and one new token is in two models: the mean where the base has no row."""
    used = [models["base"], models["mixed"], models["chat"]]
    version, _ = run(client, linear(["base", "mixed", "chat"], "tokenizer_source: union\n"))
    vocab = vocabulary(used, None, added=[*SPECIAL, *CHAT])
    assert set(vocab) == set(WORDS) | {"extra1", "extra2", *CHAT}
    check(client, version, used, W, vocab)
    assert tokens_of(client, version)[0] == vocab


def test_of_another_model(client, models):
    """Its vocabulary and its files; ids in the base's config.json and generation_config.json go by their tokens."""
    used = [models["base"], models["mixed"]]
    version, _ = run(client, linear(["base", "mixed"], "tokenizer_source: tk/mixed\n"))
    vocab = models["mixed"].ids()
    check(client, version, used, W[:2], vocab)
    assert client.download(version, "tokenizer.json") == models["mixed"].files["tokenizer.json"]
    assert "tokenizer_config.json" not in client.files(version)
    generation = json.loads(client.download(version, "generation_config.json"))
    assert generation == {"eos_token_id": [vocab["</s>"], vocab["<s>"]], "top_k": 5}
    version, _ = run(client, linear(["base", "chat"], "tokenizer_source: tk/chat\n"))
    check(client, version, [models["base"], models["chat"]], W[:2], models["chat"].ids())
    for path in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        assert client.download(version, path) == models["chat"].files[path]


def test_slerp_and_padding(client, models):
    """80 rows for 66 tokens: the padding is the mean of the rows, before the method runs."""
    extra = "parameters: {t: 0.4}\ntokenizer: {source: union, pad_to_multiple_of: 16}\n"
    version, _ = run(client, yaml("slerp", ["base", "chat"], extra))
    used = [models["base"], models["chat"]]
    vocab = vocabulary(used, None, added=[*SPECIAL, *CHAT])
    got = {n: ref.load(t).astype(np.float64) for n, t in client.weights(version).items()}
    for name in EMBEDDINGS:
        a, b = (x.astype(np.float64) for x in rebuilt(used, name, vocab, pad=16))
        assert a.shape == (80, HIDDEN)
        angle = np.arccos((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
        want = (np.sin(0.6 * angle) * a + np.sin(0.4 * angle) * b) / np.sin(angle)
        assert np.abs(got[name] - want).max() < 5e-6
    assert json.loads(client.download(version, "config.json"))["vocab_size"] == 80
    assert len(tokens_of(client, version)[0]) == 66


def test_rows_that_are_asked_for(client, models):
    """A model's row everywhere (force), another token's by text and by id, and none at all; in the body of a job."""
    base, chat = models["base"], models["chat"]
    def row(model, token):
        return {n: model.weights[n][model.ids()[token]] for n in EMBEDDINGS}
    zero = {n: np.zeros(HIDDEN, np.float32) for n in EMBEDDINGS}
    asked = {"w5": (row(chat, "w5"), True), "new1": (row(chat, "w7"), False), "new2": (row(base, "w9"), False), "<|im_end|>": (zero, False), "new3": (zero, False)}
    tokens = {
        "w5": {"source": "tk/chat", "force": True},
        "new1": {"source": {"kind": "model_token", "model": "tk/chat", "token": "w7"}},
        "new2": {"source": {"kind": "model_token", "model": "tk/base", "token_id": base.ids()["w9"]}},
        "new3": {"source": {"kind": "zero"}},
        "<|im_end|>": {"source": {"kind": "zero"}},
    }
    body = merge("linear", [("tk/base", {"weight": 0.3}), ("tk/chat", {"weight": 0.7})], "tk/asked", tokenizer={"source": "union", "tokens": tokens})
    version = client.run(body)
    vocab = vocabulary([base, chat], None, tokens, [*SPECIAL, *CHAT])
    check(client, version, [base, chat], W[:2], vocab, asked=asked)
    assert tokens_of(client, version)[0] == vocab
    again = client.post(f"/v1/jobs/{version_job(client, version)}/rerun")
    assert again.status_code == 202, again.text
    assert client.wait(again.json()["id"])["status"] == "succeeded"


def version_job(client, version):
    return client.version(version)["job"]


@pytest.mark.slow
def test_pieces_with_scores(client, models):
    used = [models["unigram"], models["unigram2"]]
    text = yaml("linear", ["unigram", "unigram2"], "tokenizer_source: union\n", W[:2], base="unigram")
    version, _ = run(client, text)
    vocab = vocabulary(used, None, added=SPECIAL)
    check(client, version, used, W[:2], vocab)
    pieces = json.loads(client.download(version, "tokenizer.json"))["model"]["vocab"]
    assert [p for p, _ in pieces] == sorted(vocab, key=vocab.get) and pieces[-1] == ["other", -64.0]


def test_an_adapter_has_no_tokens(client, models, roots):
    """The tokens of base+adapter are its base's, also where it is named as the source; it is another input than its base."""
    module, folder = "model.layers.0.mlp.up_proj", roots / "tk-lora"
    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, HIDDEN), (8, 2)))
    ref.write(folder, {f"base_model.model.{module}.lora_{n}.weight": ref.tensor("F32", v) for n, v in (("A", a), ("B", b))})
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 2, "base_model_name_or_path": "tk/base"}')
    client.register(folder, "tk/lora")
    used, name = [models["base"], models["chat"]], module + ".weight"
    for source in ("union", "tk/base+tk/lora"):
        text = "merge_method: linear\nmodels:\n" + "".join(f"- {{model: {m}, parameters: {{weight: 1}}}}\n" for m in ("tk/base+tk/lora", "tk/chat", "tk/base"))
        version, warned = run(client, text + f"tokenizer_source: {source}\n")
        assert "identical-inputs" not in warned
        got = {n: ref.load(t) for n, t in client.weights(version).items()}
        want = sum(m.weights[name].astype(np.float64) for m in (*used, used[0])) + b.astype(np.float64) @ a
        np.testing.assert_allclose(got[name], want / 3, atol=1e-6)
        assert got[EMBEDDINGS[0]].shape[0] == (66 if source == "union" else 64)


@pytest.mark.slow
def test_a_base_that_is_not_merged(client, models):
    """It gives the vocabulary, and rows to those that lack them, though its numbers are not in the mean. config.json of
    a model of text and more has its numbers in an object."""
    used = [models["base"], models["mixed"], models["chat"]]
    version, _ = run(client, linear(["mixed", "chat"], "tokenizer_source: union\n"))
    vocab = vocabulary(used, None, added=[*SPECIAL, *CHAT])
    got = {n: ref.load(t) for n, t in client.weights(version).items()}
    for name in EMBEDDINGS:
        assert np.abs(got[name] - ref.linear(rebuilt(used, name, vocab)[1:], W[:2])).max() <= 1e-6, name


@pytest.mark.slow
def test_an_input_that_a_job_makes(client, models):
    """Its tokenizer is there when it is planned, after the job."""
    first = client.submit(merge("passthrough", [("tk/chat", None)], "tk/copy"))
    body = merge("linear", [("tk/base", {"weight": 0.3}), ({"job": first}, {"weight": 0.7})], "tk/after", tokenizer={"source": "union"})
    version = client.run(body)
    used = [models["base"], models["chat"]]
    check(client, version, used, W[:2], vocabulary(used, None, added=[*SPECIAL, *CHAT]))


@pytest.mark.slow
def test_a_configuration_in_a_configuration(client, models, roots):
    for i, name in enumerate(("inner0", "inner1")):
        m = Model(np.random.default_rng(i), models["mixed" if i else "base"].tokens, ["<|im_end|>"])
        m.config = {"model_type": "gemma3", "vocab_size": None, "text_config": {"vocab_size": m.rows, "pad_token_id": m.ids()["w3"], "x": [1.50]}}
        m.register(client, roots, f"tk/{name}")
    version, _ = run(client, yaml("linear", ["inner0", "inner1"], "tokenizer_source: tk/inner1\n", W[:2], base="inner0"))
    config = json.loads(client.download(version, "config.json"))
    mixed = models["mixed"]
    assert config == {"model_type": "gemma3", "vocab_size": None, "text_config": {"vocab_size": mixed.rows, "pad_token_id": mixed.ids().get("w3"), "x": [1.5]}}


@pytest.mark.slow
def test_a_stack_of_layers(client, models):
    """The embedding is that of the first version, the head that of the last, each with the rows of all tokens."""
    text = "merge_method: passthrough\nslices:\n" + "".join(f"- sources: [{{model: tk/{n}, layer_range: [0, 1]}}]\n" for n in ("base", "chat"))
    version, _ = run(client, text + "tokenizer_source: union\n")
    used = [models["base"], models["chat"]]
    vocab = vocabulary(used, None, added=[*SPECIAL, *CHAT])
    got = {n: ref.load(t) for n, t in client.weights(version).items()}
    for i, name in enumerate(EMBEDDINGS):
        assert np.array_equal(got[name], rebuilt(used, name, vocab)[i]), name
    for i, m in enumerate(used):
        assert np.array_equal(got[f"model.layers.{i}.mlp.up_proj.weight"], m.weights["model.layers.0.mlp.up_proj.weight"])


METHODS = {
    "linear": {"weight": 0.5}, "task_arithmetic": {"weight": 0.5}, "ties": {"weight": 1.0, "density": 0.4}, "breadcrumbs": {"weight": 1.0, "density": 0.8, "gamma": 0.05},
    "della": {"weight": 1.0, "density": 0.5, "epsilon": 0.1}, "dare_ties": {"weight": 1.0, "density": 0.5}, "karcher": {}, "model_stock": {}, "sce": {}, "median": {}, "tsv_m": {},
    "knots": {}, "geometric_median": {}, "multislerp": {"weight": 0.5},
}


@pytest.fixture(scope="module")
def pairs(client, roots):
    """Three models in bfloat16, and the same with their matrices rebuilt by the rules."""
    rng = np.random.default_rng(5)
    made = [Model(rng, WORDS), Model(rng, [WORDS[i] for i in rng.permutation(64)] + ["one", "both"]), Model(rng, WORDS[:60] + ["both", "three"])]
    for m in made:
        m.weights = {n: ref.load(ref.tensor("BF16", v)) for n, v in m.weights.items()}
    vocab = vocabulary(made, None, added=SPECIAL)
    new = {n: rebuilt(made, n, vocab, pad=8) for n in EMBEDDINGS}
    for i, m in enumerate(made):
        m.register(client, roots, f"tk/apart{i}", "BF16")
        m.weights |= {n: new[n][i] for n in EMBEDDINGS}
        m.register(client, roots, f"tk/alike{i}", "BF16")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_methods_know_nothing_of_it(client, pairs, method):
    """The same bytes as from models that have these rows, whatever the method, the threads and the shards."""
    if method not in {m["name"] for m in client.all("/v1/methods?type=merge")}:
        pytest.fail(f"no method {method}")
    needs = next(m for m in client.all("/v1/methods?type=merge") if m["name"] == method)["needs"]["base"]
    based = needs == "required"

    def job(kind, **options):
        names = [f"tk/{kind}{i}" for i in range(3)]
        beside = {k: v for k, v in METHODS[method].items() if k in ("weight", "density")}
        more = {k: v for k, v in METHODS[method].items() if k not in beside}
        models = [(n, beside) for n in names[based:]]
        return client.run(merge(method, models, f"tk/{kind}-{method}", base=names[0] if based else None, params=more, **options))

    want = client.weights(job("alike"))
    join = {"source": "union", "pad_to_multiple_of": 8}
    one = job("apart", tokenizer=join, threads=1)
    assert ref.difference(client.weights(one), want) is None
    assert client.etags(job("apart", tokenizer=join, threads=2)) == client.etags(one)
    if method == "ties":
        assert ref.difference(client.weights(job("apart", tokenizer=join, shard_bytes=1)), want) is None


@pytest.mark.slow
def test_padding_that_is_dropped_is_told(client, models):
    version, warned = run(client, linear(["wide", "base"], "tokenizer_source: union\n"))
    assert "vocab-padding-dropped" in warned
    assert client.weights(version)[EMBEDDINGS[0]].shape == (64, HIDDEN)


# ---- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names, extra, reason, say",
    [
        (["base", "unigram"], "tokenizer_source: union\n", "tokenizer-family", "tk/base@v1 is BPE, tk/unigram@v1 is Unigram"),
        (["base", "twice"], "tokenizer_source: union\n", "tokenizer-duplicate", "tk/twice@v1 cannot be used: the token b has the same id 0 as a. Write it anew"),
        (["base", "chat"], "tokenizer: {tokens: {x: {source: {kind: model_token, model: tk/base, token: nope}}}}\n", "token-unknown", "token nope is not in tk/base@v1"),
        (["base", "chat"], "tokenizer: {tokens: {'<|im_end|>': {source: tk/base}}}\n", "token-unknown", "token <|im_end|> is not in tk/base@v1"),
    ],
)
def test_refused_when_read(client, models, names, extra, reason, say):
    job = end(client, post(client, linear(names, extra)))
    error = job["error"]
    assert (job["status"], error["code"], error["retryable"]) == ("failed", "tokenizer-mismatch", False), job
    assert [e["reason"] for e in error["errors"]] == [reason] and say in error["errors"][0]["detail"], error


def test_refused_at_once(client, models):
    def faults(text, **query):
        answer = post(client, text, **query)
        return [(e["code"], e["pointer"], e.get("reason")) for e in problem(answer, 422, answer.json()["code"])["errors"]]

    assert faults(linear(["base", "bare"], "tokenizer_source: union\n")) == [("tokenizer-mismatch", "#/models/1/model", "tokenizer-missing")]
    assert faults(linear(["base", "chat"], "tokenizer_source: tk/mixed\n")) == [("invalid-params", "#/tokenizer_source", "tokenizer-source")]
    bad = "tokenizer: {pad_to_multiple_of: 0, tokens: {a: {source: {kind: neither}}, b: {force: true}}}\n"
    assert {p for _, p, _ in faults(linear(["base", "chat"], bad))} == {"#/tokenizer/pad_to_multiple_of", "#/tokenizer/tokens/a/source/kind", "#/tokenizer/tokens/b"}
    both = problem(post(client, linear(["base"], "tokenizer: {}\ntokenizer_source: base\n")), 400, "invalid-request")
    assert both["errors"][0]["reason"] == "tokenizer-twice"


# ---- embeddings of different size, without a tokenizer -----------------------------------------------------------------


def test_cut_to_what_all_have(client, models):
    """As mergekit's recipes mean it; config.json is set to the rows, unlike mergekit's."""
    used = [models["base"], models["short"], models["chat"]]
    version, warned = run(client, linear(["base", "short", "chat"]))
    got = {n: ref.load(t) for n, t in client.weights(version).items()}
    for name in EMBEDDINGS:
        assert np.array_equal(got[name], ref.linear([m.weights[name][:60] for m in used], W))
    assert json.loads(client.download(version, "config.json"))["vocab_size"] == 60
    assert warned == {"tokenizer-larger-than-rows", "vocab-truncated"}
    ties = yaml("ties", ["chat"], "parameters: {weight: 1, density: 1}\n")
    version, warned = run(client, ties)
    assert client.weights(version)[EMBEDDINGS[1]].shape == (64, HIDDEN) and warned == {"vocab-truncated"}


def test_other_sizes_are_refused(client, models):
    refused = problem(post(client, yaml("ties", ["short"], "parameters: {weight: 1, density: 1}\n")), 422, "shape-mismatch")["errors"]
    assert {(e["reason"], e["tensor"]) for e in refused} == {("embedding-size", n) for n in EMBEDDINGS}
    refused = problem(post(client, linear(["base", "chat"]), compat="none"), 422, "shape-mismatch")["errors"]
    assert {(e["reason"], e["tensor"]) for e in refused} == {("embedding-size", n) for n in EMBEDDINGS}
    for part in ("66 rows in tk/chat@v1", "64 in tk/base@v1", "tokenizer.source", "vocab"):
        assert part in refused[0]["detail"], refused[0]
    body = merge("linear", [("tk/base", {"weight": 0.3}), ("tk/chat", {"weight": 0.7})], "tk/cut", vocab="truncate")
    planned = client.post("/v1/plans", body).json()["output"]["files"]
    version = client.run(body)
    assert client.weights(version)[EMBEDDINGS[0]].shape == (64, HIDDEN)
    assert [(f["path"], f["bytes"]) for f in planned] == [("model.safetensors", client.files(version)["model.safetensors"]["bytes"])]


# ---- chat templates ----------------------------------------------------------------------------------------------------


def test_chat_templates(client, models):
    def config(names, chat):
        version, _ = run(client, linear(names, f"chat_template: {json.dumps(chat)}\n"))
        return json.loads(client.download(version, "tokenizer_config.json"))

    literal = "{% for m in messages %}{{ m['content'] }}\n\"é\"{% endfor %}"
    assert config(["base", "chat"], literal)["chat_template"] == literal
    got = config(["base", "chat", "padded"], "auto")
    assert got["chat_template"] == "CHAT", "two of three"
    assert got["model_max_length"] == 10**30
    assert config(["base", "chat"], "auto")["chat_template"] == "BASE", "of equals the first"
    version, _ = run(client, yaml("linear", ["mixed"], "chat_template: chatml\n", [1], base="mixed"))
    made = json.loads(client.download(version, "tokenizer_config.json"))
    assert list(made) == ["chat_template"] and "<|im_start|>" in made["chat_template"]
