"""Tensor files that must be refused, each with the rule it breaks, and odd ones that must be accepted. The files are
made here."""

import json

import pytest

import reference as ref

F32 = "F32"


def raw(header, data=b"", size=None):
    """A file with this header text; `size` overrides the length word."""
    text = header if isinstance(header, bytes) else header.encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def one(entry, data=b"\0" * 16, name='"a"'):
    return raw('{%s:%s}' % (name, entry), data)


def entry(dtype=F32, shape="[2,2]", offsets="[0,16]", more=""):
    return '{"dtype":"%s","shape":%s,"data_offsets":%s%s}' % (dtype, shape, offsets, more)


VALID = one(entry())
MANY = ",".join('"t%d":%s' % (i, entry(shape="[4]")) for i in range(20000))

REFUSED = {
    # from the reference's own tests
    "empty file": (b"", "too_short"),
    "seven bytes": (b"\0" * 7, "too_short"),
    "length word near 2^64": (raw("{}", size=0xFFFFFF0000000002), "header_too_large"),
    "length word of 100,000,001": (raw("{}", size=100_000_001), "header_too_large"),
    "length past the end": (raw("{}", size=3), "header_length"),
    "one byte 0xff": (raw(b"\xff"), "header_utf8"),
    "only a brace": (raw("{"), "header_json"),
    "empty header": (raw(""), "header_json"),
    "ten tensors on one range": (
        raw("{%s}" % ",".join('"t%d":%s' % (i, entry()) for i in range(10)), b"\0" * 16),
        "offsets",
    ),
    "text appended": (VALID + b"hello", "file_size"),
    "two bytes missing": (VALID[:-2], "file_size"),
    "one byte missing": (VALID[:-1], "file_size"),
    "offsets smaller than the shape": (one(entry("I32", "[2,2]", "[0,4]"), b"\0" * 4), "size"),
    "offsets larger than the shape": (one(entry(F32, "[2]", "[0,16]")), "size"),
    "shape overflows 64 bits": (one(entry("I32", "[2,18446744073709551614]")), "overflow"),
    "bytes overflow 64 bits": (one(entry("I32", "[2,9223372036854775807]")), "overflow"),
    "half a byte": (one(entry("F4", "[1,3]", "[0,1]"), b"\0"), "sub_byte"),
    # attacks
    "20,000 tensors on one range": (raw("{" + MANY + "}", b"\0" * 16), "offsets"),
    "product wraps to zero": (one(entry(F32, "[4294967296,4294967296]", "[0,0]"), b""), "overflow"),
    "negative offset": (one(entry(F32, "[1]", "[-4,0]"), b""), "number"),
    "end before begin": (raw('{"a":%s,"b":%s}' % (entry(), entry(F32, "[2]", "[16,8]")), b"\0" * 16), "offsets"),
    "hole": (raw('{"a":%s,"b":%s}' % (entry(F32, "[1]", "[0,4]"), entry(F32, "[1]", "[8,12]")), b"\0" * 12), "offsets"),
    "does not start at zero": (one(entry(F32, "[2]", "[8,16]")), "offsets"),
    "overlap": (
        raw('{"a":%s,"b":%s}' % (entry(F32, "[2]", "[0,8]"), entry(F32, "[2]", "[4,12]")), b"\0" * 12),
        "offsets",
    ),
    # ours
    "one offset": (one(entry(offsets="[16]")), "header_json"),
    "three offsets": (one(entry(offsets="[0,16,16]")), "header_json"),
    "number 1.0": (one(entry(shape="[2.0,2]")), "number"),
    "number 1e0": (one(entry(shape="[1e0,4]")), "number"),
    "number -0": (one(entry(offsets="[-0,16]")), "number"),
    "number 01": (one(entry(shape="[02,2]")), "number"),
    "offset above 2^63": (one(entry(F32, "[1]", "[9223372036854775808,9223372036854775812]")), "number"),
    "shape above 2^64": (one(entry(shape="[18446744073709551616]")), "number"),
    "number as text": (one(entry(shape='["2",2]')), "header_json|number"),
    "nested shape": (one(entry(shape="[[2],2]")), "header_json"),
    "shape missing": (one('{"dtype":"F32","data_offsets":[0,16]}'), "header_json"),
    "dtype missing": (one('{"shape":[4],"data_offsets":[0,16]}'), "header_json"),
    "array instead of an object": (raw("[]"), "header_json"),
    "text after the object": (raw("{}x"), "header_json"),
    "trailing comma": (raw("{%s,}" % ('"a":' + entry()), b"\0" * 16), "header_json"),
    "NUL in a name": (one(entry(), name='"a\\u0000b"'), "name"),
    "empty name": (one(entry(), name='""'), "name"),
    "name of 2,049 bytes": (one(entry(), name='"%s"' % ("n" * 2049)), "name"),
    "name of 1 MB": (one(entry(), name='"%s"' % ("n" * 1_000_000)), "name"),
    "raw control character in a name": (one(entry(), name='"a\tb"'), "header_json"),
    "a tensor called __metadata__": (one(entry(), name='"__metadata__"'), "metadata_type"),
    "metadata value a number": (raw('{"__metadata__":{"a":1}}'), "metadata_type"),
    "metadata an array": (raw('{"__metadata__":[]}'), "metadata_type"),
    "metadata twice": (raw('{"__metadata__":{},"__metadata__":{}}'), "duplicate"),
    "metadata key twice": (raw('{"__metadata__":{"a":"1","a":"2"}}'), "duplicate"),
    "byte order mark": (raw(b"\xef\xbb\xbf{}"), "header_json|header_utf8"),
    "lone surrogate": (one(entry(), name='"\\ud800"'), "header_json|header_utf8"),
    "overlong UTF-8": (raw(b'{"\xc0\xaf":' + entry().encode() + b"}", b"\0" * 16), "header_utf8"),
    "cut UTF-8": (raw(b'{"\xe2\x82":' + entry().encode() + b"}", b"\0" * 16), "header_utf8"),
    "name twice": (
        raw('{"a":%s,"a":%s}' % (entry(F32, "[1]", "[0,4]"), entry(F32, "[1]", "[4,8]")), b"\0" * 8),
        "duplicate",
    ),
    "name twice, once escaped": (
        raw('{"a":%s,"\\u0061":%s}' % (entry(F32, "[1]", "[0,4]"), entry(F32, "[1]", "[4,8]")), b"\0" * 8),
        "duplicate",
    ),
    "key twice in an entry": (one('{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}'), "duplicate"),
    "unknown dtype": (one(entry("F7")), "unknown_dtype"),
    "unknown key": (one(entry(more=',"strides":[1]')), "unknown_key"),
    "3,000 nested arrays": (one(entry(shape="[" * 3000 + "]" * 3000)), "header_json"),
    "65 dimensions": (one(entry(F32, "[%s]" % ",".join(["1"] * 65), "[0,4]"), b"\0" * 4), "rank"),
    "header ends inside a string": (raw('{"abc'), "header_json"),
    "header ends inside an entry": (raw('{"a":{"dtype":"F32","shape":[1'), "header_json"),
}

WEIGHT = '"w":' + entry(F32, "[1]", "[0,4]")
ACCEPTED = {
    "a zero in the shape": raw('{"a":%s}' % entry(F32, "[2,0]", "[0,0]")),
    "leading whitespace": raw(" \n\t{%s}" % WEIGHT, b"\0" * 4),
    "trailing whitespace": raw("{%s} \t\r\n" % WEIGHT, b"\0" * 4),
    "no tensors at all": raw("{}"),
    "not in the order of the data": raw(
        '{"b":%s,"a":%s}' % (entry(F32, "[1]", "[4,8]"), entry(F32, "[1]", "[0,4]")), b"\0" * 8
    ),
    "data at an odd address": raw("{%s} " % WEIGHT if len("{%s}" % WEIGHT) % 2 == 0 else "{%s}" % WEIGHT, b"\0" * 4),
    "two empty tensors at one place": raw('{"a":%s,"b":%s}' % (entry(F32, "[0]", "[0,0]"), entry(F32, "[0]", "[0,0]"))),
    "an empty tensor between two": raw(
        '{"a":%s,"b":%s,"c":%s}'
        % (entry(F32, "[1]", "[0,4]"), entry(F32, "[0,5]", "[4,4]"), entry(F32, "[1]", "[4,8]")),
        b"\0" * 8,
    ),
    "64 dimensions": one(entry(F32, "[%s]" % ",".join(["1"] * 64), "[0,4]"), b"\0" * 4),
    "a name of 2,048 bytes": one(entry(), name='"%s"' % ("n" * 2048)),
    "escapes and a surrogate pair": one(entry(), name='"\\ud83d\\ude00\\n\\"\\\\\\u00e9"'),
    "unknown metadata": raw('{"__metadata__":{"anything":"goes"},%s}' % WEIGHT, b"\0" * 4),
    "packed half bytes": one(entry("F4", "[1,4]", "[0,2]"), b"\0\0"),
    "NaN in the data": one(entry(F32, "[1]", "[0,4]"), b"\0\0\xc0\x7f"),
}


def folder(roots, kind, name, data):
    place = roots / (kind + "".join(c if c.isalnum() else "-" for c in name))
    place.mkdir()
    (place / "config.json").write_text('{"model_type":"test"}')
    (place / "model.safetensors").write_bytes(data)
    return place


@pytest.mark.parametrize("name", REFUSED)
def test_refused(client, daemon, roots, name):
    data, rules = REFUSED[name]
    before = daemon.blobs()
    doc = client.refused(folder(roots, "bad", name, data), "bad/model")
    assert doc["code"] == "malformed-safetensors", doc
    found = doc["errors"]
    assert found and all(e["code"] == "malformed-safetensors" and e["file"] == "model.safetensors" for e in found), doc
    assert found[0]["reason"] in rules.split("|"), f"{found[0]}, wanted {rules}"
    assert len(found) <= 21, "at most 20 faults of a file are listed"
    assert client.get("/v1/models/bad/model").status_code == 404, "nothing is registered"
    assert daemon.blobs() == before, "nothing is stored"
    assert client.ok("/livez")["status"] == "ok"


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(client, roots, name):
    data = ACCEPTED[name]
    model = "good/" + "".join(c if c.isalnum() else "-" for c in name).replace("--", "-")
    version = client.register(folder(roots, "good", name, data), model)
    assert client.download(version["model"] + "@v1", "model.safetensors") == data
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    rows = {t["name"]: (t["dtype"], t["shape"]) for t in client.all(client.at(model) + "/tensors")}
    assert rows == {n: (e["dtype"], e["shape"]) for n, e in header.items()}


def test_header_above_the_limit_is_refused_before_it_is_read(client, daemon, roots):
    """25,000,001 bytes of header: the ceiling of `limits.header_bytes`. The file is sparse, so it costs nothing
    here."""
    place = folder(roots, "bad", "limit", b"")
    with open(place / "model.safetensors", "r+b") as f:
        f.write((25_000_001).to_bytes(8, "little") + b"{")
        f.truncate(8 + 25_000_001)
    doc = client.refused(place, "bad/limit")
    assert doc["code"] == "malformed-safetensors" and doc["errors"][0]["reason"] == "header_limit", doc
    assert daemon.blobs() == [] or client.get("/v1/models/bad/limit").status_code == 404


def test_all_faults_of_all_files_at_once(client, roots):
    place = ref.write(roots / "several", {"ok": ref.tensor("F32", [1.0])})
    (place / "a.safetensors").write_bytes(REFUSED["unknown dtype"][0])
    (place / "b.safetensors").write_bytes(
        raw('{"x":%s,"y":%s}' % (entry(F32, "[3]", "[0,8]"), entry(F32, "[3]", "[8,16]")), b"\0" * 16)
    )
    doc = client.refused(place, "bad/several")
    found = {(e["file"], e["reason"], e.get("tensor")) for e in doc["errors"]}
    assert {("b.safetensors", "size", "x"), ("b.safetensors", "size", "y")} <= found, doc
    assert any(f == "a.safetensors" and r == "unknown_dtype" for f, r, _ in found), doc
    assert client.get("/v1/models/bad/several").status_code == 404


def test_a_refused_version_leaves_the_model_as_it_was(client, roots):
    client.register(ref.write(roots / "kept", {"w": ref.tensor("F32", [1.0])}), "bad/kept")
    before = client.ok("/v1/models/bad/kept")
    client.refused(folder(roots, "bad", "second", REFUSED["hole"][0]), "bad/kept")
    assert client.ok("/v1/models/bad/kept") == before
