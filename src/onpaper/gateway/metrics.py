"""The journals of a gateway as Prometheus metrics (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from onpaper.gateway.journal import Journal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(journals: Mapping[str, Journal], open_connections: int) -> str:
    """The metrics of these journals, by the names of their sessions."""
    lines: list[str] = []

    def family(name: str, kind: str, about: str, samples: Iterable[tuple[dict[str, str], float]]) -> None:
        lines.append(f"# HELP {name} {about}")
        lines.append(f"# TYPE {name} {kind}")
        for labels, value in samples:
            shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
            lines.append(f"{name}{{{shown}}} {value!r}" if shown else f"{name} {value!r}")

    def each(value: str) -> list[tuple[dict[str, str], float]]:
        return [({"session": name}, getattr(journal.counts, value)) for name, journal in journals.items()]

    family(
        "onpaper_exchanges_total",
        "counter",
        "Exchanges that are over, by status (0: no reply) and ending.",
        [
            ({"session": name, "status": str(status), "end": end}, count)
            for name, journal in journals.items()
            for (status, end), count in sorted(journal.counts.exchanges.items())
        ],
    )
    family(
        "onpaper_faults_fired_total",
        "counter",
        "Scripted faults that reached the wire.",
        [
            ({"session": name, "fault": fault}, count)
            for name, journal in journals.items()
            for fault, count in sorted(journal.counts.fired.items())
        ],
    )
    family(
        "onpaper_problems_total",
        "counter",
        "Requests that could not be answered as scripted.",
        each("problems"),
    )
    family(
        "onpaper_reply_body_bytes_total",
        "counter",
        "Bytes of reply bodies that were sent.",
        each("body_bytes"),
    )
    family(
        "onpaper_exchange_seconds_total", "counter", "Seconds that exchanges took, summed.", each("seconds")
    )
    family(
        "onpaper_journal_dropped_total",
        "counter",
        "Exchanges dropped from memory because the journal is bounded.",
        [({"session": name}, journal.dropped) for name, journal in journals.items()],
    )
    default = next(iter(journals.values()))
    family(
        "onpaper_refused_requests_total",
        "counter",
        "Malformed or oversized requests.",
        [({}, default.counts.refused)],
    )
    family("onpaper_connections_total", "counter", "Connections accepted.", [({}, default.connections)])
    family("onpaper_open_connections", "gauge", "Connections open now.", [({}, open_connections)])
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
