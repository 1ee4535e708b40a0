"""How fast the fake gateway is, side by side with others, in one command:

    pip install starlette uvicorn        # the baseline; stubllm, mockllm (pip) and aimock (npm) join if
    installed python benchmarks/gateway.py [--quick] [--json FILE]

Each figure of a server stands beside one of the bare Starlette+uvicorn app taken right before and after
it, so that a noisy machine disturbs both. CPU time of the server's process per request is the steadiest
figure. The load comes from wrk if it is installed (Debian: apt install wrk), else from `gateway_load.py`,
which can itself be the bottleneck; paced and held streams always come from `gateway_load.py`.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import socket
import statistics
import time
from pathlib import Path
from typing import Any

from gateway_running import CONNECTIONS, Running, body, load, requests, running
from gateway_subjects import Subject, subjects

TARGETS = {"json": 2.5, "joined": 2.5, "separate": 1.3}
IDEAL = 50 * 0.01


def measure(server: Running, workload: str, seconds: float) -> dict[str, float]:
    """Requests per second and CPU microseconds per request."""
    cpu = server.cpu()
    result = requests(server, workload, seconds)
    used = (server.cpu() - cpu) * 1e6 / max(1, result["replies"])
    return {"per_second": result["per_second"], "cpu_us": used, "errors": result["errors"]}


def throughput(found: list[Subject], seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Every server on every workload, each between two runs of the baseline."""
    rows: list[dict[str, Any]] = []
    base = found[0]
    with running(base) as baseline:
        for subject in found:
            with running(subject) as server:
                idle = server.memory()
                for workload in subject.paths:
                    if workload not in TARGETS:
                        continue
                    measure(server, workload, 0.5)
                    runs, ratios, cpu_ratios = [], [], []
                    for _ in range(rounds):
                        before = measure(baseline, workload, seconds)
                        run = measure(server, workload, seconds)
                        after = measure(baseline, workload, seconds)
                        runs.append(run)
                        ratios.append(
                            2 * run["per_second"] / max(before["per_second"] + after["per_second"], 0.1)
                        )
                        cpu_ratios.append((before["cpu_us"] + after["cpu_us"]) / 2 / max(run["cpu_us"], 0.1))
                    rows.append(
                        {
                            "server": subject.name,
                            "workload": workload,
                            "per_second": round(statistics.median(run["per_second"] for run in runs)),
                            "ratio": round(statistics.median(ratios), 2),
                            "cpu_us": round(statistics.median(run["cpu_us"] for run in runs), 1),
                            "cpu_ratio": round(statistics.median(cpu_ratios), 2),
                            "errors": sum(run["errors"] for run in runs),
                            "start_ms": round(server.start * 1000),
                            "idle_mib": round(idle, 1),
                            "mib": round(server.memory(), 1),
                        }
                    )
                    print(line(rows[-1]), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    text = f"{row['server']:10} {row['workload']:9} {row['per_second']:>7}/s  x{row['ratio']:<5}"
    text += f" cpu {row['cpu_us']:>7} us  x{row['cpu_ratio']:<5}"
    text += f" start {row['start_ms']:>5} ms  memory {row['idle_mib']} -> {row['mib']} MiB"
    return f"{text}  errors {row['errors']}"


def pacing(ours: Subject) -> list[dict[str, Any]]:
    """How late 50 events 10 ms apart are, with so many streams at once."""
    rows = []
    with running(ours) as server:
        for count in (1, 64, 256):
            how = {"port": server.port, "path": ours.paths["paced"], "body": body(True), "connections": count}
            result = load("paced", **how)
            error = 100 * (result["median"] / IDEAL - 1)
            rows.append(
                {
                    "streams": count,
                    "median_ms": round(result["median"] * 1000, 1),
                    "error_percent": round(error, 2),
                }
            )
            shown = f"median {rows[-1]['median_ms']} ms, {error:+.2f} % of {IDEAL * 1000:g} ms"
            print(f"paced, {count:>3} streams: {shown}", flush=True)
    return rows


def holding(ours: Subject, count: int) -> dict[str, Any]:
    """Whether one worker holds so many open streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 100:
        print(f"held: only {hard} open files are allowed here; raise the limit (ulimit -n {count + 100})")
        return {}
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the children inherit it
    try:
        with running(ours) as server:
            idle = server.memory()
            how = {"port": server.port, "path": ours.paths["held"], "body": body(True)}
            result = load("held", **how, connections=count, seconds=3)
            result["mib"] = round(server.memory() - idle, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f"held: {result['open']} open streams, {result['errors']} errors, {result['mib']} MiB more")
    return result


def memory(ours: Subject, wanted: int) -> list[dict[str, Any]]:
    """Memory along so many requests."""
    rows = []
    with running(ours) as server:
        done = 0
        while done < wanted:
            done += int(requests(server, "json", 2)["replies"])
            rows.append({"requests": done, "mib": round(server.memory(), 1)})
    full = next(row for row in rows if row["requests"] >= 10_000)  # the journal is full from here on
    last = rows[-1]
    print(
        f"memory: {full['mib']} MiB after {full['requests']} requests, {last['mib']} after {last['requests']}"
    )
    return rows


def embedding() -> dict[str, float]:
    """Starting and stopping inside a process, with a stream that hangs; milliseconds, medians of 20."""
    from onpaper.gateway import Gateway
    from onpaper.script import Script, Write

    starts, stops = [], []
    for _ in range(21):
        began = time.perf_counter()
        gateway = Gateway().start()
        starts.append(time.perf_counter() - began)
        gateway.play(Script(writes=(Write(b"x"),), end="hang"))
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(100)
            began = time.perf_counter()
            gateway.stop()
            stops.append(time.perf_counter() - began)
    first = starts.pop(0) * 1000
    result = {
        "first_ms": first,
        "start_ms": statistics.median(starts) * 1000,
        "stop_ms": statistics.median(stops) * 1000,
    }
    print(
        "embedded: first start {first_ms:.1f} ms, then {start_ms:.2f} ms; stop {stop_ms:.2f} ms".format(
            **result
        )
    )
    return result


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="one short round of everything")
    options.add_argument("--seconds", type=float, default=3, help="of each run")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--requests", type=int, default=1_000_000, help="of the memory run")
    options.add_argument("--held", type=int, default=5000, help="open streams")
    options.add_argument("--only", choices=["throughput", "pacing", "held", "memory", "embedding"])
    options.add_argument("--json", metavar="FILE", help="write the figures there as well")
    given = options.parse_args()
    if given.quick:
        given.seconds, given.rounds, given.requests = 1, 1, 50_000
    found = subjects()
    ours = next(subject for subject in found if subject.name == "onpaper")
    source = "wrk" if shutil.which("wrk") else "gateway_load.py"
    print(f"load from {source}, {CONNECTIONS} connections, one process each")
    for subject in found:
        print(f"  {subject.name}: {subject.about}")
    parts: dict[str, Any] = {
        "throughput": lambda: throughput(found, given.seconds, given.rounds),
        "pacing": lambda: pacing(ours),
        "held": lambda: holding(ours, given.held),
        "memory": lambda: memory(ours, given.requests),
        "embedding": embedding,
    }
    results = {name: run() for name, run in parts.items() if given.only in (None, name)}
    for row in results.get("throughput", []):
        if row["server"] == "onpaper":
            target = TARGETS[row["workload"]]
            verdict = "reached" if row["ratio"] >= target else "MISSED"
            reached = f"{verdict} (x{row['ratio']}, by CPU x{row['cpu_ratio']})"
            print(f"target {row['workload']}: x{target} of the baseline {reached}")
    if given.json:
        Path(given.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
