"""A wheel, a wheel built from the sdist and an editable install find the same contracts, mocks and cassettes."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"contracts": "*.toml", "mocks": "*.toml", "cassettes": "**/*.yaml"}
LIST = """
from onpaper import folders
for kind, pattern in {kinds!r}.items():
    root = folders.bundled(kind)
    for path in sorted(root.glob(pattern)):
        print(kind, path.relative_to(root).as_posix())
print("entry point", [one.value for one in __import__("importlib.metadata").metadata.entry_points(group="pytest11") if one.name == "onpaper"])
print("typed", (__import__("pathlib").Path(__import__("onpaper").__file__).parent / "py.typed").is_file())
"""


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checkout() -> list[str]:
    return [
        f"{kind} {path.relative_to(ROOT / kind).as_posix()}"
        for kind, pattern in KINDS.items()
        for path in sorted((ROOT / kind).glob(pattern))
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is checked in, or would be: a build must not depend on what else lies about."""
    folder = tmp_path_factory.mktemp("source")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if name.startswith(("tests/", "benchmarks/", "recipes/", "docs/")) or not (ROOT / name).is_file():
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return folder


def built(source: Path, tmp_path: Path, *options: str) -> Path:
    run(sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(tmp_path / "dist"), str(source), cwd=tmp_path)
    return next((tmp_path / "dist").glob("*.whl"))


def seen_by(tmp_path: Path, *install: str) -> list[str]:
    """What an installation finds. The libraries are those of this environment; onpaper itself is not."""
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", str(venv), cwd=tmp_path)
    python = venv / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", *install, cwd=tmp_path)
    libraries = sysconfig.get_path("purelib")
    script = f"import sys; sys.path.append({libraries!r})\n" + LIST.format(kinds=KINDS)
    return run(str(python), "-c", script, cwd=tmp_path).splitlines()


def must_be_whole(found: list[str]) -> None:
    assert [line for line in found if line.split()[0] in KINDS] == checkout()
    assert "entry point ['onpaper.plugin']" in found or any("onpaper.plugin" in line for line in found)
    assert "typed True" in found


def test_a_wheel_carries_the_data(source: Path, tmp_path: Path) -> None:
    must_be_whole(seen_by(tmp_path, str(built(source, tmp_path, "--wheel"))))


def test_a_wheel_built_from_the_sdist_carries_the_data(source: Path, tmp_path: Path) -> None:
    must_be_whole(seen_by(tmp_path, str(built(source, tmp_path))))


def test_an_editable_install_finds_the_data_of_the_checkout(source: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--system-site-packages", str(venv), cwd=tmp_path)
    pth = tmp_path / "editable.pth"
    pth.write_text(str(source / "src"))
    script = f"import sys; sys.path.insert(0, {str(source / 'src')!r})\n" + LIST.format(kinds=KINDS)
    found = run(sys.executable, "-c", script, cwd=tmp_path).splitlines()
    assert [line for line in found if line.split()[0] in KINDS] == checkout()
