"""Side files of a result: the model card and the recipe, byte for byte, and what becomes of a card that a person wrote.

The goldens are written out here from api.md 3.11; only ids that the service draws (commits) are put in.
"""

import hashlib
import json

import numpy as np
import pytest
import reference as ref
from harness import amend, merge, problem, sparsify

HAND = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
language:
- en
- de
tags:
- vendor
---

# By hand

Trained with care.
"""

CARD = """---
base_model:
- card/{base}
base_model_relation: finetune
library_name: transformers
pipeline_tag: text-generation
language:
- en
- de
license: apache-2.0
tags:
- edit
- sparsify
- amend
---

# edit/sparsify of card/{base}

Made by amend with the method edit/sparsify from 1 input; amend.json holds the whole recipe, from which the same bytes \
can be made again.

## Inputs

| role | model | commit |
|---|---|---|
| input | card/{base} | {commit} |

## Parameters

| parameter | of | value |
|---|---|---|
| exclude | all | [] |
| include | all | ["w\\*"] |
| nonfinite | all | "refuse" |
| overflow | all | "refuse" |
| scope | all | "tensor" |
| sparsity | all | 0.5 |

The card that was written by hand for the model it began with: [amend/README.original.md](amend/README.original.md).

"""

MERGED = """---
base_model:
- card/base
- card/plain
base_model_relation: merge
library_name: transformers
pipeline_tag: text-generation
language:
- en
- de
tags:
- merge
- linear
- amend
---

# merge/linear of card/base, card/plain
"""


def sealed(text):
    """The card with its last line, which is the hash of the others."""
    return text + f"<!-- made by amend; sha256 of the lines above: {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def folder(roots, name, files, config=None):
    rng = np.random.default_rng(11)
    return ref.write(roots / name, ref.fill(rng, {"w": ("F32", (8, 8))}), config=config, files=files)


def edit(model, into, sparsity=0.5):
    return sparsify(model, into, {"sparsity": sparsity, "include": ["w*"]})


def read(client, version, path):
    return client.download(version, path).decode()


@pytest.fixture(scope="module")
def base(client, roots):
    client.register(folder(roots, "base", {"README.md": HAND.encode()}), "card/base")
    return client.version("card/base")["commit"]


@pytest.fixture(scope="module")
def made(client, base):
    return client.run(edit("card/base", "card/out"))


def test_the_card_and_the_recipe_byte_for_byte(client, base, made):
    assert read(client, made, "README.md") == sealed(CARD.format(base="base", commit=base))
    recipe = {
        "blas": None,
        "inputs": [
            {
                "commit": base,
                "manifest_sha256": client.version("card/base")["manifest_sha256"],
                "model": "card/base",
                "role": "input",
            }
        ],
        "kernels": None,
        "method": "sparsify",
        "options": {"out_dtype": None, "seed": 0, "shard_bytes": 5000000000},
        "params": {
            "exclude": [],
            "include": ["w*"],
            "nonfinite": "refuse",
            "overflow": "refuse",
            "scope": "tensor",
            "sparsity": 0.5,
        },
        "seed": 0,
        "type": "edit",
    }
    text = read(client, made, "amend.json")
    got = json.loads(text)
    assert got.pop("program").startswith("amendd ") and len(got.pop("spec_sha256")) == 64
    assert got == recipe
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"  # sorted, no times, no ids of jobs


def test_the_same_recipe_gives_the_same_side_files(client, made):
    again = client.run(edit("card/base", "card/elsewhere"))
    one, two = client.files(made), client.files(again)
    assert {p: f["sha256"] for p, f in one.items()} == {p: f["sha256"] for p, f in two.items()}
    assert client.version(made)["manifest_sha256"] == client.version(again)["manifest_sha256"]


def test_a_card_written_by_hand_moves_aside_and_stays(client, base, made):
    assert read(client, made, "amend/README.original.md") == HAND
    third = client.run(edit("card/out", "card/out", 0.9))
    assert read(client, third, "amend/README.original.md") == HAND, "carried on down the line"
    card = read(client, third, "README.md")
    assert card == sealed(card[: card.rindex("<!--")]) and "# edit/sparsify of card/out\n" in card
    assert "- card/out\n" in card and "license: apache-2.0\n" in card


def test_a_card_of_ours_that_was_changed_is_a_persons(client, roots, made):
    changed = read(client, made, "README.md").replace("Made by amend", "Loved by us, made by amend")
    client.register(folder(roots, "changed", {"README.md": changed.encode()}), "card/changed")
    out = client.run(edit("card/changed", "card/changed"))
    assert read(client, out, "amend/README.original.md") == changed
    # and one that nobody changed is not kept
    fresh = read(client, made, "README.md")
    client.register(folder(roots, "fresh", {"README.md": fresh.encode()}), "card/fresh")
    out = client.run(edit("card/fresh", "card/fresh"))
    assert "amend/README.original.md" not in client.files(out)
    assert "written by hand" not in read(client, out, "README.md")


def test_a_merge_of_two_carries_no_licence(client, roots, base):
    client.register(folder(roots, "plain", {}), "card/plain")
    out = client.run(merge("linear", [("card/base", {"weight": 0.5}), ("card/plain", {"weight": 0.5})], "card/merged"))
    assert read(client, out, "README.md").startswith(MERGED)
    assert read(client, out, "amend/README.original.md") == HAND  # the donor's
    # without a card the library is known by config.json
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    client.register(folder(roots, "llama", {}, config=config), "card/llama")
    out = client.run(edit("card/llama", "card/llama"))
    assert "library_name: transformers\n" in read(client, out, "README.md")
    client.register(folder(roots, "odd", {"README.md": b"---\nlicense: mit\n"}), "card/odd")  # no end: no front matter
    out = client.run(edit("card/odd", "card/odd"))
    assert "license" not in read(client, out, "README.md") and "library_name" not in read(client, out, "README.md")


def test_the_card_route(client, base, made):
    path = client.at(made) + "/card"
    plain = client.get(path)
    assert plain.headers["Content-Type"] == "text/markdown; charset=utf-8" and plain.headers["Vary"] == "Accept"
    assert plain.text == read(client, made, "README.md") and plain.headers["X-Repo-Commit"] == made.split("@")[1]
    assert client.get(path, headers={"Accept": "text/markdown, application/json"}).text == plain.text
    assert client.get(path, headers={"If-None-Match": plain.headers["ETag"]}).status_code == 304
    assert client.head(path).headers["Content-Length"] == str(len(plain.content))
    doc = client.get(path, headers={"Accept": "application/json"})
    assert doc.headers["ETag"] != plain.headers["ETag"]
    card = doc.json()
    assert card["object"] == "card" and card["made_by_amend"] is True and card["bytes"] == len(plain.content)
    assert "---\n" + card["front_matter"] + "---\n\n" + card["text"] == plain.text
    assert f"{card['model']}@{card['commit']}" == made
    hand = client.get(client.at("card/base") + "/card", headers={"Accept": "application/json"}).json()
    assert hand["made_by_amend"] is False and hand["text"].startswith("# By hand\n") and "vendor" in hand["front_matter"]
    assert amend(client, "model", "card", made) == plain.text
    assert json.loads(amend(client, "-o", "json", "model", "card", made)) == card


def test_cards_that_cannot_be_given(client, roots, base):
    client.register(folder(roots, "none", {}), "card/none")
    problem(client.get(client.at("card/none") + "/card"), 404, "not-found")
    client.register(folder(roots, "bytes", {"README.md": b"\xff\xfe"}), "card/bytes")
    assert client.get(client.at("card/bytes") + "/card").content == b"\xff\xfe"
    json_only = {"Accept": "application/json"}
    problem(client.get(client.at("card/bytes") + "/card", headers=json_only), 422, "unsupported-format")
    client.register(folder(roots, "empty", {"README.md": b""}), "card/empty")
    assert client.get(client.at("card/empty") + "/card").content == b""
    card = client.get(client.at("card/empty") + "/card", headers=json_only).json()
    assert card["front_matter"] is None and card["text"] == ""
    client.run(edit("card/empty", "card/empty"))
