"""A run as programs read it: JSON, JUnit XML, and the job summary of GitHub Actions."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from onpaper.driving.verdict import Verdict
from onpaper.errors import BadInput
from onpaper.report.summary import is_red, line, topics


def as_json(verdicts: Sequence[Verdict]) -> str:
    """One JSON array, an object per verdict."""
    return json.dumps([one.as_json() for one in verdicts], indent=1, ensure_ascii=False) + "\n"


def check_writable(path: str) -> None:
    """Raise BadInput when a report could not be written there: a run takes long, and would be lost."""
    found = next(one for one in (Path(path), *Path(path).absolute().parents) if one.exists())
    problem = ""
    if found.is_dir() == (found == Path(path)):
        problem = f"{found} is {'a folder' if found.is_dir() else 'not a folder'}"
    elif not os.access(found, os.W_OK):
        problem = f"{found} cannot be written to"
    if problem:
        raise BadInput(f"{path}: the report cannot be written: {problem}; choose another file")


def write(path: str, text: str, mode: str = "w") -> None:
    """Write a report, or with mode `a` append it. Raises BadInput in one sentence when that is not possible."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, mode, encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"{path}: the report cannot be written: {error.strerror}") from None


_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _xml(text: str) -> str:
    """Text without what XML 1.0 cannot hold (§2.2)."""
    return _FORBIDDEN.sub("\ufffd", text)


def as_junit(verdicts: Sequence[Verdict], strict: bool) -> str:
    """JUnit XML: one test case per verdict, one suite per backend."""
    root = ET.Element("testsuites")
    for backend in dict.fromkeys(one.backend for one in verdicts):
        rows = [one for one in verdicts if one.backend == backend]
        bad = sum(is_red(one, strict) for one in rows)
        skipped = sum(one.verdict == "not-applicable" or (one.verdict in ("known", "broken") and not is_red(one, strict)) for one in rows)
        suite = ET.SubElement(
            root, "testsuite", name=f"onpaper.{backend}", tests=str(len(rows)), failures=str(bad), errors="0",
            skipped=str(skipped), time=f"{sum(one.seconds for one in rows):.3f}",
        )  # fmt: skip
        for one in rows:
            case = ET.SubElement(suite, "testcase", classname=f"onpaper.{backend}.{one.clause.replace('/', '.')}", name=_xml(f"{one.clause}[{one.case}]"), time=f"{one.seconds:.3f}")
            if is_red(one, strict):
                ET.SubElement(case, "failure", message=_xml(one.message.splitlines()[0][:300])).text = _xml(f"{one.message}\n{one.source}")
            elif one.verdict != "kept":
                ET.SubElement(case, "skipped", message=_xml(f"{one.verdict}: {one.message}"[:300]))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def as_markdown(verdicts: Sequence[Verdict], strict: bool) -> str:
    """A job summary: topics × backends, then what is broken."""
    backends = list(dict.fromkeys(one.backend for one in verdicts))
    rows = [f"### onpaper: {line(verdicts)}", "", "| topic | " + " | ".join(backends) + " |", "|---|" + "---|" * len(backends)]
    for topic, row in topics(verdicts).items():
        shown = []
        for backend in backends:
            counts = row.get(backend, {})
            mark = "❌" if counts.get("broken") else "✅" if counts.get("kept") else "–"
            shown.append(f"{mark} {counts.get('kept', 0)}" + (f", {counts['broken']} broken" if counts.get("broken") else ""))
        rows.append(f"| {topic} | " + " | ".join(shown) + " |")
    broken = [one for one in verdicts if is_red(one, strict)]
    if broken:
        rows += ["", "| broken | found |", "|---|---|"]
        rows += [f"| `{one.id}` | {_cell(one.message)} |" for one in broken[:50]]
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.splitlines()[0][:200].replace("|", "\\|").replace("<", "&lt;")


def job_summary(verdicts: Sequence[Verdict], strict: bool) -> None:
    """Append the summary to the job's page on GitHub Actions; elsewhere do nothing. Raises BadInput."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        write(path, as_markdown(verdicts, strict), "a")
