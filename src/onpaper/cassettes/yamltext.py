"""YAML text to plain values and back, exact for every string and every bytes object.

Reading is safe: a tag that would build an object is refused. Writing shows bodies as literal blocks, so that
an event stream reads and diffs as it was sent; what a block cannot hold (a bare CR, U+0085, U+2028, control
characters) is escaped in double quotes, and bytes that are not UTF-8 become `!!binary`.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(ValueError):
    """The text is not YAML of plain values. The message is a clause without the file's name."""


class Block(str):
    """Text to be written as a literal block where YAML allows it."""

    __slots__ = ()


class Flow(list[Any]):
    """A list to be written on one line."""


def read(text: str) -> Any:
    """The plain values of a YAML text; of several documents, a list of theirs. Raises YamlError."""
    try:
        documents = list(yaml.load_all(text, Loader=_Loader)) or [None]
        return documents[0] if len(documents) == 1 else documents
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1})" if mark else ""
        raise YamlError(f"is not readable as YAML: {error.problem or error.context}{where}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"is not readable as YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise YamlError("is not readable as YAML: it is nested too deeply") from None


def write(value: Any) -> str:
    """YAML text of plain values, `Block`s and `Flow`s, with keys in the order given."""
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, width=float("inf"), sort_keys=False)
    return text


def scalar(body: bytes) -> Block | bytes:
    """The form in which a body is written: text if it is UTF-8, else the bytes themselves."""
    try:
        return Block(body.decode("utf-8"))
    except UnicodeDecodeError:
        return body


class _Loader(_SafeLoader):  # type: ignore[misc]
    """libyaml's safe loader, with one sentence for each tag that it refuses."""


def _refuse(loader: Any, node: yaml.Node) -> Any:
    line = node.start_mark.line + 1
    raise YamlError(f"holds the YAML tag {node.tag!r} (line {line}), which would build an object")


# Python 2 wrote text and tuples under these two kinds of tag; they are plain data.
for _tag in ("python/str", "python/unicode"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", lambda loader, node: loader.construct_scalar(node))
_Loader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node, deep=True)
)


def _plain(loader: Any, suffix: str, node: yaml.Node) -> Any:
    """What vcrpy writes of a text or a number that a library has a class of its own for; any other object is refused."""
    values = loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else []
    if suffix in _PLAIN and len(values) == 1 and isinstance(values[0], str | int):
        return values[0]
    return _refuse(loader, node)


_PLAIN = frozenset({"multidict._multidict.istr", "multidict._multidict_py.istr", "multidict.istr", "http.HTTPStatus"})
for _kind in ("apply", "new"):
    _Loader.add_multi_constructor(f"tag:yaml.org,2002:python/object/{_kind}:", _plain)
# Ruby writes bytes so.
_Loader.add_constructor("!binary", lambda loader, node: loader.construct_yaml_binary(node))
_Loader.add_constructor(None, _refuse)


class _Dumper(yaml.SafeDumper):
    """The Python emitter: libyaml's escapes every character beyond the basic plane."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        """Escaped text, with a line of the file for each line (and the blank ones after it) of the text.

        PyYAML would put an event stream that needs escapes on one line, where nobody can read or compare it.
        """
        self.write_indicator('"', True)
        for number, line in enumerate(_LINES.findall(text) if split else [text]):
            if number:
                self._emit("\\")  # at the end of a line it joins the next, without the indent
                self.write_indent()
                self._emit("\\" if line.startswith(" ") else "")
            self._emit(_TO_ESCAPE.sub(_escaped, line))
        self.write_indicator('"', False)

    def _emit(self, text: str) -> None:
        self.column += len(text)
        self.stream.write(text)


_LINES = re.compile(r"[^\n]+\n*|\n+")
_TO_ESCAPE = re.compile(
    r"[^ !#-\[\]-~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""All but the printable characters of YAML 1.1 (§5.1) less the quote, the backslash and odd line breaks."""


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    short = yaml.SafeDumper.ESCAPE_REPLACEMENTS.get(match[0])
    if short:
        return f"\\{short}"
    return f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}" if code < 65536 else f"\\U{code:08X}"


# PyYAML takes these for line breaks or a byte order mark, and would change them inside a block.
_UNSAFE_IN_BLOCK = frozenset("\r\x85\u2028\u2029\ufeff")
# Text that a reader of another YAML version could take for a number, a date or a truth value.
_AMBIGUOUS = re.compile(r"[-+.~0-9=<]|(y|n|yes|no|on|off|true|false|null|nan|inf)$", re.IGNORECASE)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    if not _UNSAFE_IN_BLOCK.isdisjoint(text):
        style: str | None = '"'
    elif text and (isinstance(text, Block) or "\n" in text):
        style = "|"
    else:
        style = "'" if _AMBIGUOUS.match(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Block, _text)
_Dumper.add_representer(
    Flow, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)
