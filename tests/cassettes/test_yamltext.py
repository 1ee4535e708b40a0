"""YAML text is exact for any string and any bytes, for every reader, and reading builds no object."""

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onpaper.cassettes.yamltext import Block, Flow, YamlError, read, scalar, write

_ODD = [*"\r\n \t:#-\"'\\\x85\u2028\u2029\ufeff\x00\x07\x1b\x7f\xa0é日🎉|>%@`&*!{}[]?,~\ufffe\U0010ffff"]
_ODD += [
    "data: ",
    "[DONE]",
    "\n\n",
    "\r\n",
    "  ",
    "---",
    "...",
    "null",
    "0x1f",
    "1e3",
    "2026-01-01",
    "y",
    "0o7",
]
ODD_TEXT = st.lists(st.sampled_from(_ODD) | st.text(max_size=4), max_size=12).map("".join)

READERS = [yaml.SafeLoader]
if hasattr(yaml, "CSafeLoader"):
    READERS.append(yaml.CSafeLoader)


@settings(max_examples=300, deadline=None)
@given(text=ODD_TEXT, data=st.binary(max_size=60))
@example(text="data: a\u2028\n\n leading space\n\n", data=b"\x1f\x8b")
@example(text="\n\n", data=b"")
@example(text="trailing space \nnext", data=b"\r")
def test_every_safe_reader_gets_back_what_was_written(text: str, data: bytes) -> None:
    value = {"nested": [{"block": Block(text), "plain": text, "line": Flow([text, 1.5]), "bytes": data}]}
    written = write(value)
    assert read(written) == value
    for reader in READERS:
        assert yaml.load(written, Loader=reader) == value


@pytest.mark.parametrize("text", ["1e3", "0o17", "y", "No", "12:30", "2026-11-20", "=", "null", "~", "1_000"])
def test_text_that_another_yaml_reader_takes_for_a_value_is_quoted(text: str) -> None:
    assert write({"key": text}) == f"key: '{text}'\n"


def test_an_event_stream_is_written_as_it_was_sent() -> None:
    written = write({"string": Block('data: {"a": "café 🎉"}\n\ndata: [DONE]\n\n'), "end": "clean"})
    assert written == 'string: |+\n  data: {"a": "café 🎉"}\n\n  data: [DONE]\n\nend: clean\n'


def test_a_stream_that_needs_escapes_still_has_a_line_for_each_line() -> None:
    written = write({"string": Block("data: x\u2028\n\n data: y\n\n")})
    assert written == 'string: "data: x\\L\\n\\n\\\n  \\ data: y\\n\\n"\n'


def test_bytes_that_are_not_utf8_stay_bytes() -> None:
    assert scalar(b"caf\xe9") == b"caf\xe9"
    assert scalar("café".encode()) == "café"


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [true]",
        "a: !!python/name:os.system",
        "a: !!python/object/new:os.system [true]",
        "a: !Custom {b: 1}",
    ],
)
def test_a_tag_that_would_build_an_object_is_refused_by_name(text: str) -> None:
    with pytest.raises(YamlError, match=r"tag '.*(system|Custom)' \(line 1\), which would build an object"):
        read(text)


def test_tags_of_plain_data_are_read() -> None:
    assert read("a: !!python/unicode 'x'\nb: !!python/tuple [1, 2]\n") == {"a": "x", "b": [1, 2]}


@pytest.mark.parametrize(
    "text", ["a: [", "\0", "a: 2026-99-99", "? {a: 1}\n: 2", "[" * 5000, "a: &x [*y]", "a: " + "9" * 5000]
)
def test_text_that_is_not_yaml_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(YamlError, match="is not readable as YAML") as caught:
        read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["apply", "new"])
@pytest.mark.parametrize("name", ["multidict._multidict.istr", "multidict.istr"])
def test_the_name_of_a_header_that_a_client_has_a_class_for_is_text(kind: str, name: str) -> None:
    assert read(f"? !!python/object/{kind}:{name}\n- Accept\n: - '*/*'\nHost: [x]\n") == {"Accept": ["*/*"], "Host": ["x"]}


def test_a_status_that_is_an_enumeration_is_its_number() -> None:
    assert read("code: !!python/object/apply:http.HTTPStatus\n- 200\n") == {"code": 200}


@pytest.mark.parametrize("value", ["os.system [x]", "multidict.istr [a, b]", "multidict.istr [[a]]", "multidict.istr {a: b}", "multidict.istr a"])
def test_no_other_object_is_built(value: str) -> None:
    with pytest.raises(YamlError, match="would build an object"):
        read(f"a: !!python/object/apply:{value}")
