# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manifests that a registry accepts, however odd, say what they need."""

from __future__ import annotations

import json

import pytest
from registry_keeper.storage.layout import key_of
from registry_keeper.storage.manifest import NotAManifest, parse

CONFIG, LAYER, OTHER = (f"sha256:{letter * 64}" for letter in "abc")
HEAD = f'{{"schemaVersion":2,"config":{{"digest":"{CONFIG}"}},"layers":[{{"digest":"{LAYER}"}}]'


def keys(*digests):
    return {key_of(digest) for digest in digests}


@pytest.mark.parametrize(
    ("config", "layers", "digest"),
    [("Config", "Layers", "Digest"), ("CONFIG", "LAYERS", "DIGEST"), ("config", "layer\N{LATIN SMALL LETTER LONG S}", "dige\N{LATIN SMALL LETTER LONG S}t")],
)
def test_keys_count_in_any_case_as_in_go(config, layers, digest):
    found = parse(json.dumps({"schemaVersion": 2, config: {digest: CONFIG}, layers: [{digest: LAYER}]}, ensure_ascii=False).encode())
    assert set(found.needed) == keys(CONFIG, LAYER)


def test_the_other_keys_that_matter_count_in_any_case_too():
    layers = [{"Digest": LAYER, "URLs": ["https://elsewhere.example.org/"]}]
    found = parse(json.dumps({"FSLayers": [{"BlobSum": CONFIG}], "Layers": layers, "Subject": {"DIGEST": OTHER}, "Annotations": {"digest": OTHER}}).encode())
    assert set(found.needed) == keys(CONFIG, LAYER) and found.elsewhere == keys(LAYER) and found.subject == key_of(OTHER)
    assert parse(json.dumps({"Manifests": [{"Digest": LAYER}]}).encode()).elsewhere == keys(LAYER)


@pytest.mark.parametrize(
    "written",
    [
        f'{{"config":{{"digest":"{CONFIG}"}},"config":{{"digest":"{LAYER}"}}}}',
        f'{{"layers":[{{"digest":"{CONFIG}","digest":"{LAYER}"}}]}}',
        f'{{"layers":[{{"digest":"{CONFIG}","Digest":"{LAYER}"}}]}}',
        f'{{"layers":[{{"digest":"{CONFIG}"}}],"Layers":[{{"digest":"{LAYER}"}}]}}',
    ],
)
def test_a_key_that_is_there_twice_counts_each_time(written):
    assert set(parse(written.encode()).needed) == keys(CONFIG, LAYER)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(b'"annotations":{"author":"J\xfcrgen"}', id="not UTF-8"),
        pytest.param(b'"size":' + b"1" * 5000, id="a long integer"),
        pytest.param(b'"more":' + b"[" * 9000 + b"]" * 9000, id="nested lists"),
        pytest.param(b'"more":' + b'{"a":' * 9000 + b'"}]\\"{["' + b"}" * 9000, id="nested objects, with brackets in a text"),
        pytest.param(b'"more":[' + b"[" * 5000 + b"]" * 5000 + b"," + b"[" * 5000 + b"]" * 5000 + b"]", id="nested twice"),
    ],
)
def test_whatever_the_registry_accepts_can_be_read(more):
    found = parse(HEAD.encode() + b"," + more + b',"subject":{"digest":"' + OTHER.encode() + b'"}}')
    assert set(found.needed) == keys(CONFIG, LAYER) and found.subject == key_of(OTHER)


@pytest.mark.parametrize("cut", [HEAD, HEAD + ',"more":' + "[" * 9000, HEAD + ',"more":' + "[" * 9000 + "]" * 8990, "[]", "", "1", "\x00"])
def test_what_is_cut_short_or_something_else_is_no_manifest(cut):
    with pytest.raises(NotAManifest):
        parse(cut.encode())
