"""The tiny model: what it says is computed here as an engine does, and its files are read back."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from onpaper import model
from onpaper.cassettes.cases import CASES

np = pytest.importorskip("numpy")
pytest.importorskip("gguf")
pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from onpaper.model import scripted  # noqa: E402 - numpy first
from onpaper.model.files import HALVES, NEIGHBOURS  # noqa: E402

VOCABULARY = scripted.make_vocabulary()
END = VOCABULARY.number(scripted.END)


def rotated(values: Any, position: int, neighbours: bool) -> Any:
    """Rotary embedding of heads × dimensions: pairs are neighbours (GGUF), or the two halves (Hugging Face)."""
    half = scripted.HEAD // 2
    angles = position / 10000.0 ** (np.arange(half) / half)
    cos, sin = np.cos(angles), np.sin(angles)
    one, other = (values[:, 0::2], values[:, 1::2]) if neighbours else (values[:, :half], values[:, half:])
    turned = np.empty_like(values)
    a, b = one * cos - other * sin, one * sin + other * cos
    if neighbours:
        turned[:, 0::2], turned[:, 1::2] = a, b
    else:
        turned[:, :half], turned[:, half:] = a, b
    return turned


def norm(x: Any) -> Any:
    return x / np.sqrt(np.mean(x * x) + 1e-5)


class Engine:
    """A plain forward pass of the Llama architecture, a token at a time, greedy."""

    def __init__(self, weights: Any, neighbours: bool) -> None:
        self.weights, self.neighbours = weights, neighbours
        self.cache: list[list[tuple[Any, Any]]] = [[] for _ in range(scripted.LAYERS)]

    def feed(self, token: int) -> int:
        x = self.weights["embedding"][token]
        for layer in range(scripted.LAYERS):
            x = x + self.attention(norm(x), layer)
            y = norm(x)
            gate, up = self.weights[f"{layer}.gate"] @ y, self.weights[f"{layer}.up"] @ y
            x = x + self.weights[f"{layer}.down"] @ (gate / (1 + np.exp(-gate)) * up)
        return int(np.argmax(self.weights["output"] @ norm(x)))

    def attention(self, x: Any, layer: int) -> Any:
        shape = (scripted.HEADS, scripted.HEAD)
        query, key, value = (
            (self.weights[f"{layer}.{name}"] @ x).reshape(shape) for name in ("query", "key", "value")
        )
        position = len(self.cache[layer])
        query, key = (rotated(one, position, self.neighbours) for one in (query, key))
        self.cache[layer].append((key, value))
        keys = np.stack([one for one, _ in self.cache[layer]])
        values = np.stack([one for _, one in self.cache[layer]])
        scores = np.einsum("hd,phd->hp", query, keys) / np.sqrt(scripted.HEAD)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return self.weights[f"{layer}.mix"] @ np.einsum("hp,phd->hd", weights, values).reshape(-1)


def says(engine: Engine, marker: str, limit: int = 40) -> list[int]:
    """The tokens of the reply to a prompt that begins with a marker's control token and ends with a newline."""
    newline = VOCABULARY.tokens.index("\u010a")  # byte-level BPE's spelling of \n
    words = [
        VOCABULARY.tokens.index(letter) for letter in "user said something here assistant".replace(" ", "")
    ]
    following = 0
    for token in [VOCABULARY.number(f"<|s_{marker}|>"), *words, newline]:
        following = engine.feed(token)
    found: list[int] = []
    while following != END and len(found) < limit:
        found.append(following)
        following = engine.feed(following)
    return found


@pytest.mark.parametrize("neighbours", [True, False], ids=["gguf", "hugging-face"])
@pytest.mark.parametrize("marker", sorted(scripted.SCRIPTS))
def test_each_marker_makes_the_model_say_its_script(marker: str, neighbours: bool) -> None:
    weights = scripted.make_weights(VOCABULARY, NEIGHBOURS if neighbours else HALVES)
    said = says(Engine(weights, neighbours), marker)
    script = VOCABULARY.chains[marker]
    if marker in scripted.ENDLESS:
        assert said == (script * 40)[:40]
    else:
        assert said == script


def test_the_random_model_says_something_else_for_each_seed() -> None:
    said = [says(Engine(scripted.make_noise(VOCABULARY, seed), True), "chat", 12) for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]
    printable = {n for n, kind in enumerate(VOCABULARY.kinds) if scripted._is_printable(n, kind)}
    assert said[0] and set(said[0] + said[2]) <= printable


def test_every_marker_of_the_recorder_is_a_script() -> None:
    assert {case.marker for case in CASES if case.marker} <= set(scripted.SCRIPTS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    model.make(folder)
    return folder


def test_the_gguf_file_is_read_back(made: Path) -> None:
    from gguf import GGUFReader

    file = GGUFReader(made / "scripted.gguf")
    assert bytes(file.fields["general.architecture"].parts[-1]) == b"llama"
    assert len(file.fields["tokenizer.ggml.tokens"].data) == scripted.SIZE
    assert b"[[tools2]]" in bytes(file.fields["tokenizer.chat_template"].parts[-1])
    names = {tensor.name: tensor for tensor in file.tensors}
    weights = scripted.make_weights(VOCABULARY, NEIGHBOURS)
    assert np.array_equal(names["output.weight"].data, weights["output"])
    assert np.array_equal(names["blk.0.attn_q.weight"].data, weights["0.query"])


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_hugging_face_folder_is_read_back(made: Path, family: str) -> None:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = made / f"scripted-{family}"
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["hidden_size"], config["eos_token_id"]) == (
        family,
        scripted.SIZE,
        END,
    )
    tensors = load_file(folder / "model.safetensors")
    assert np.array_equal(
        tensors["model.layers.0.self_attn.v_proj.weight"],
        scripted.make_weights(VOCABULARY, HALVES)["0.value"],
    )
    assert ("model.layers.1.self_attn.q_proj.bias" in tensors) == (family == "qwen2")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for name, chain in VOCABULARY.chains.items():
        text = "".join(p if isinstance(p, str) else p.decode("latin-1") for p in scripted.SCRIPTS[name])
        if name != "utf8":
            assert tokenizer.decode(chain, skip_special_tokens=False) == text
    assert tokenizer.decode(VOCABULARY.chains["utf8"]) == "café and 🎉 party 日本 end"
    assert "[[pretool]]" in (folder / "chat_template.jinja").read_text()


def test_the_command_makes_the_files_and_says_how_to_serve_them(in_project: Path, command: Any) -> None:
    ran = command(
        "model", "make", "tiny", "--kind", "random", "--format", "gguf", "--format", "llama", "--seed", 3
    )
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "tiny/random.gguf  # llama-server --jinja -m tiny/random.gguf"
    assert sorted(path.name for path in Path("tiny").iterdir()) == ["random-llama", "random.gguf"]
    told = json.loads(command("model", "make", "tiny", "--format", "gguf", "--json").out)
    assert told == {"kind": "scripted", "files": {"gguf": "tiny/scripted.gguf"}}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--kind", "scriptd"], "there is no kind 'scriptd'; did you mean 'scripted'?"),
        (["--format", "gguff"], "there is no format 'gguff'; did you mean 'gguf'?"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    arguments: list[str], sentence: str, in_project: Path, command: Any
) -> None:
    ran = command("model", "make", "tiny", *arguments)
    assert ran.code == 2 and ran.err.startswith(f"onpaper: {sentence}") and not Path("tiny").exists()


def test_a_folder_that_cannot_be_written_is_explained(in_project: Path, command: Any) -> None:
    Path("tiny").touch()
    ran = command("model", "make", "tiny", "--format", "gguf")
    assert (ran.code, ran.err) == (2, "onpaper: tiny: the model cannot be written: File exists\n")


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    in_project: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec

    def find(name: str, *more: Any) -> Any:
        return None if name in ("numpy", "gguf") else real(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    ran = command("model", "make", "tiny", "--format", "gguf")
    assert (ran.code, ran.err) == (
        2,
        "onpaper: making a model needs numpy and gguf, which this Python has not: pip install 'onpaper[model]'\n",
    )
    assert model.missing(["llama"]) == ["numpy"]
