"""The folder can be copied into an application: it needs httpx, and nothing of onpaper."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import onpaper.backends

FOLDER = Path(onpaper.backends.__file__).parent


def test_the_backends_import_only_httpx_the_standard_library_and_themselves() -> None:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level < 2, f"{path.name} imports from outside the folder"
                names = [node.module or ""] if node.level == 0 else []
            else:
                continue
            for name in names:
                root = name.partition(".")[0]
                assert root == "httpx" or root in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_a_copy_of_the_folder_works_without_onpaper(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    script = (
        "import sys; sys.modules['onpaper'] = None\n"
        "import mine; print(mine.make_backend('litellm'), 'onpaper.backends' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("LiteLLMBackend(model='openai/gpt-4o-mini'"), done.stderr
    assert done.stdout.strip().endswith("False")
