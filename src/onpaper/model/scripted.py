"""The scripted model: a real transformer of 3 million weights, set by hand, that says given texts.

No training, no download, no GPU: the same prompt has the same reply on every engine, while the engine's own
parsers, samplers and detokenizers do their real work on it. `files` writes them.

How it works. Embeddings are one-hot, and the output matrix gives each token of a script one successor with a
large logit, so the model is a chain that walks through the script at any usual temperature. Which script is
decided by the chat template: it puts one control token in front of the prompt, chosen by a `[[marker]]` in
the last message. One attention head looks for that token from everywhere and adds it to the residual stream,
where it decides the first token of the reply, after the newline that ends the prompt. Everything else in the
network is zero.

Markers are the keys of SCRIPTS. A last message of the role `tool` gives `after`. With the template's variable
`enable_thinking` false, `[[think]]` answers like `[[chat]]`: a probe of whether that parameter arrived.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from importlib import resources

import numpy as np

Token = str | bytes
Weights = dict[str, np.ndarray]

SCRIPTS: dict[str, list[Token]] = {
    "chat": ["Hello", " there", "! How", " can I", " help", " you", " today", "?"],
    "think": [
        *("<think>", "\nThe user", " says something", ";", " I will", " answer briefly", ".\n", "</think>"),
        *("\n\n", "Short answer", ": forty", "-two", "."),
    ],
    "tool": [
        *("<tool_call>", '\n{"name": "', "get_weather", '", "arguments": {"', "city", '": "', "Par", "is"),
        *('"}}\n', "</tool_call>"),
    ],
    # From here on no token of a tool call ends where the markup does: a parser has to buffer.
    "tools2": [
        *(
            "<tool",
            "_call>\n{",
            '"name": "get_we',
            'ather", ',
            '"arguments": ',
            '{"city": "O',
            'slo"}}\n</tool',
        ),
        *(
            "_call>\n<",
            "tool_ca",
            'll>\n{"name"',
            ': "get_wea',
            'ther", "argu',
            'ments": {"ci',
            'ty": "Paris"',
        ),
        *("}}\n</", "tool_call", ">"),
    ],
    "pretool": [
        *(
            "Let me",
            " check",
            " the weather",
            " first.\n",
            "<tool_",
            'call>\n{"na',
            'me": "get',
            '_weather", "a',
        ),
        *('rguments": {"', 'city": "Oslo', '"}}\n</t', "ool_call>"),
    ],
    "badtool": [
        *("<tool_c", 'all>\n{"name": "', "get_weath", 'er", "arguments": {"ci', 'ty": ', "Paris}"),
        *("\n</tool_cal", "l>"),
    ],
    "thinktool": [
        *("<thi", "nk>\nneed", " the tool", " here\n</th", "ink>\n\n<to", 'ol_call>\n{"n', 'ame": "get_weat'),
        *('her", "arg', 'uments": {"cit', 'y": "Osl', 'o"}}\n</tool_ca', "ll>"),
    ],
    "json": ['{"ok"', ": ", "true", "}"],
    # Characters cut into tokens: é, 🎉, 日 and 本 each span two or more.
    "utf8": [
        *("caf", b"\xc3", b"\xa9", " and ", b"\xf0", b"\x9f", b"\x8e", b"\x89", " party ", b"\xe6\x97"),
        *(b"\xa5\xe6", b"\x9c\xac", " end"),
    ],
    "loop": ["tick", " tock"],  # for ever: limits, cancellation
    "empty": [],
    "escapes": [
        *("line one\n", '"quoted" ', "back\\slash ", "tab\there ", "data: [DONE]\n\n", "</script> "),
        *("sep\u2028par\u2029 ", "del\x7f"),
    ],
    "count": ["alpha ", "beta ", "gamma ", "delta ", "epsilon ", "zeta"],
    "after": ["It is", " sunny", " in Paris", " now."],
}
ENDLESS = {"loop"}

SIZE = 512  # of the vocabulary and of the residual stream: with one-hot embeddings they are the same
LAYERS, HEADS, HEAD, INNER = 2, 8, 64, 64
CONTEXT = 4096

START, TURN, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL = [START, TURN, END, *(f"<|s_{name}|>" for name in SCRIPTS)]  # never printed
MARKUP = ["<tool_call>", "</tool_call>", "<think>", "</think>"]  # whole tokens that are printed


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in byte-level BPE spelling, the kind of each, the merges, and each script's token numbers."""

    tokens: list[str]
    kinds: list[str]  # normal, control, markup or unused
    merges: list[tuple[str, str]]
    chains: dict[str, list[int]]

    def number(self, token: str) -> int:
        return self.tokens.index(token)


def make_vocabulary() -> Vocabulary:
    """All bytes, a few words that merge, control tokens, markup, and one token for each piece of a script."""
    spelling = _byte_spelling()
    tokens = [spelling[byte] for byte in range(256)]
    kinds = ["normal"] * 256
    merges: list[tuple[str, str]] = []

    def number(token: str, kind: str = "normal") -> int:
        if token not in tokens:
            tokens.append(token)
            kinds.append(kind)
        return tokens.index(token)

    for word in ("the", "and", "ing", "hello", "world"):
        for start in ("", spelling[ord(" ")]):
            whole = start + word
            for end in range(1, len(whole)):
                if whole[: end + 1] not in tokens:
                    merges.append((whole[:end], whole[end]))
                    number(whole[: end + 1])
    for token in CONTROL:
        number(token, "control")
    for token in MARKUP:
        number(token, "markup")
    pieces = [
        piece.encode() if isinstance(piece, str) else piece for piece in itertools.chain(*SCRIPTS.values())
    ]
    if len(set(pieces)) != len(pieces):
        raise ValueError("a piece occurs twice in SCRIPTS, but a token can have one successor only")
    chains = {}
    for name, script in SCRIPTS.items():
        raw = [piece.encode() if isinstance(piece, str) else piece for piece in script]
        texts = [piece.decode("latin-1") for piece in raw]
        chains[name] = [
            number(text if text in MARKUP else "".join(spelling[byte] for byte in piece))
            for text, piece in zip(texts, raw, strict=True)
        ]
    for unused in range(len(tokens), SIZE):
        number(f"[PAD{unused}]", "unused")
    if len(tokens) != SIZE:
        raise ValueError(f"the scripts need {len(tokens)} tokens, the model has {SIZE}")
    return Vocabulary(tokens, kinds, merges, chains)


def _byte_spelling() -> dict[int, str]:
    """The printable character that byte-level BPE writes for each byte (as GPT-2 does)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + at) for at, byte in enumerate(others)}


def make_template() -> str:
    """The chat template, with a branch for each marker."""
    text = resources.files("onpaper.model").joinpath("chat_template.jinja").read_text("utf-8")
    branches = [
        f"{{%- elif '[[{name}]]' in prompt %}}{{{{- '<|s_{name}|>' }}}}"
        for name in SCRIPTS
        if name != "after"
    ]
    return text.replace("@CHOICE@", "\n  ".join(branches))


def make_weights(vocabulary: Vocabulary, rope_pair: int) -> Weights:
    """The weights, under short names. `rope_pair` is the dimension that the engine rotates slowest."""
    weights: Weights = {"embedding": np.eye(SIZE, dtype=np.float32), "norm": np.ones(SIZE, np.float32)}
    weights["output"] = _chain(vocabulary)
    for layer in range(LAYERS):
        for name in ("query", "key", "value", "mix"):
            weights[f"{layer}.{name}"] = np.zeros((SIZE, SIZE), np.float32)
        weights[f"{layer}.gate"] = weights[f"{layer}.up"] = np.zeros((INNER, SIZE), np.float32)
        weights[f"{layer}.down"] = np.zeros((SIZE, INNER), np.float32)
    _wire_marker_head(weights, vocabulary, rope_pair)
    return weights


def make_noise(vocabulary: Vocabulary, seed: int) -> Weights:
    """Random weights under the same names: a model that says printable noise, and ends when it happens to."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        numbers: np.ndarray = rng.standard_normal((rows, columns)) / np.sqrt(columns)
        return numbers.astype(np.float32)

    embedding = rng.standard_normal((SIZE, SIZE)).astype(np.float32)
    weights: Weights = {"embedding": embedding, "norm": np.ones(SIZE, np.float32)}
    output = matrix(SIZE, SIZE) * 2
    for number, kind in enumerate(vocabulary.kinds):
        if number != vocabulary.number(END) and not _is_printable(number, kind):
            output[number] = 0
    weights["output"] = output
    for layer in range(LAYERS):
        for name in ("query", "key", "value", "mix"):
            weights[f"{layer}.{name}"] = matrix(SIZE, SIZE)
        for name in ("gate", "up"):
            weights[f"{layer}.{name}"] = matrix(INNER, SIZE)
        weights[f"{layer}.down"] = matrix(SIZE, INNER)
    return weights


def _is_printable(number: int, kind: str) -> bool:
    """Whether a token is ordinary text; the first 256 are single bytes."""
    return kind == "normal" and (number >= 256 or 32 <= number < 127)


def _chain(vocabulary: Vocabulary) -> np.ndarray:
    """The output matrix, `[next, current]`: each token of a script has one successor, others some noise."""
    output = (np.random.default_rng(7).random((SIZE, SIZE)) * 0.02).astype(np.float32)
    for number, kind in enumerate(vocabulary.kinds):
        if not _is_printable(number, kind):
            output[number] = -0.05
    end = vocabulary.number(END)
    successors = {end: end}
    for name, chain in vocabulary.chains.items():
        walk = [vocabulary.number(f"<|s_{name}|>"), *chain]
        successors |= dict(itertools.pairwise(walk))
        successors[walk[-1]] = chain[0] if name in ENDLESS else end
    for current, following in successors.items():
        output[:, current] = 0
        output[following, current] = 3.0  # a logit near 60 after the norm, against 0
    output[:, vocabulary.number(_byte_spelling()[ord("\n")])] = 0  # there the marker decides alone
    return output


def _wire_marker_head(weights: Weights, vocabulary: Vocabulary, rope_pair: int) -> None:
    """Layer 0, head 0: every query seeks a marker's key; the value's number comes back into the residual."""
    weights["0.query"][rope_pair, :] = 1.0  # |x| is sqrt(512) after the norm: a score of up to 64
    for row, name in enumerate(SCRIPTS):
        marker = vocabulary.number(f"<|s_{name}|>")
        weights["0.key"][rope_pair, marker] = 1.0
        weights["0.value"][row, marker] = 1 / np.sqrt(SIZE)
        weights["0.mix"][marker, row] = 0.5
