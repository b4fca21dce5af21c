#!/usr/bin/env python3
"""The table "10,000 connections, 50,000 deliveries a second" of PERFORMANCE.md.

    cargo build --release -p ringway -p loadgen
    bench/ten-thousand.py [--rounds 3] [--conns 10000] [--rate 510] [--duration 20s] [--binaries target/release]

Starts a gateway for each run, on both drivers in turns, and lets loadgen meet it; prints the medians over the rounds as a
Markdown table, then what each run says for itself. Ends with 1 when a run failed a check. Standard library only.
"""

import argparse
import json
import os
import resource
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

DRIVERS = ["uring", "epoll"]
NAMES = {"uring": "io_uring", "epoll": "epoll"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def started(gateway, port):
    """Waits until the gateway takes connections."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if gateway.poll() is not None:
            raise SystemExit(f"the gateway ended with {gateway.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the gateway did not become ready within 20 s")


def run(options, driver, folder):
    """One run; gives loadgen's result."""
    port = free_port()
    environment = {**os.environ, "JWT_SECRET": secrets.token_hex(32)}
    serve = ["serve", "--host", "127.0.0.1", "--port", str(port), "--driver", driver, "--log-level", "warn"]
    gateway = subprocess.Popen(
        [f"{options.binaries}/ringway", *serve], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        started(gateway, port)
        result = os.path.join(folder, "result.json")
        load = ["--conns", options.conns, "--rate", options.rate, "--duration", options.duration]
        target = ["--url", f"ws://127.0.0.1:{port}/ws", "--pid", gateway.pid, "--json", result, "--quiet"]
        words = [str(word) for word in [f"{options.binaries}/loadgen", "run", *load, *target]]
        status = subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, check=False).returncode
        if status == 3:
            raise SystemExit("loadgen made no run")
        with open(result, encoding="utf-8") as text:
            return json.load(text)
    finally:
        gateway.send_signal(signal.SIGTERM)
        try:
            gateway.wait(timeout=60)
        except subprocess.TimeoutExpired:
            gateway.kill()
            gateway.wait()


def ms(us):
    return "–" if us is None else f"{us / 1000:.2f}" if us < 10_000 else f"{us / 1000:.1f}"


def times(runs, kind, percentiles):
    """Medians over runs of percentiles in µs, as milliseconds."""
    medians = []
    for percentile in percentiles:
        values = [run["latency"][kind][percentile] for run in runs]
        medians.append(None if None in values else statistics.median(values))
    return " / ".join(map(ms, medians)) + " ms"


def wrong(run):
    return sum(run["deliveries"][what] for what in ("lost", "duplicated", "reordered", "corrupt", "misrouted"))


def rows(runs):
    """Name and value of each figure for the runs of one driver."""
    median = lambda of: statistics.median([of(run) for run in runs])
    cpu_us = lambda run: run["server"]["cpu_s"] * 1e6 / max(run["deliveries"]["delivered"], 1)
    own = lambda run: sum(thread["cpu_ratio"] or 0 for thread in run["generator"]["threads"])
    measured = lambda run: run["server"]["cpu_per_delivery_us"] or 0
    return [
        ("lost, duplicated, reordered, corrupt, misrouted (of all rounds)", f"{sum(map(wrong, runs)):,}"),
        ("deliveries per second", f"{median(lambda run: run['throughput']['delivered_per_s']):,.0f}"),
        ("latency p50 / p99 / p99.9", times(runs, "delivery", ["p50_us", "p99_us", "p99_9_us"])),
        ("of this, sent late by loadgen p50 / p99", times(runs, "lag", ["p50_us", "p99_us"])),
        ("CPU of the gateway per delivery, connecting included", f"{median(cpu_us):.1f} µs"),
        ("the same, measured phase only", f"{median(measured):.1f} µs"),
        ("connecting p50 / p99", times(runs, "connect", ["p50_us", "p99_us"])),
        ("CPU of the generator", f"{median(own) * 100:.0f} % of a core"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--conns", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=510)
    parser.add_argument("--duration", default="20s")
    parser.add_argument("--binaries", default="target/release")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    runs = {driver: [] for driver in DRIVERS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            # Who comes first changes, so that nobody always has the warmer machine.
            for driver in DRIVERS if number % 2 == 0 else reversed(DRIVERS):
                print(f"round {number + 1} of {options.rounds}, {NAMES[driver]}", file=sys.stderr)
                runs[driver].append(run(options, driver, folder))

    columns = [rows(runs[driver]) for driver in DRIVERS]
    print("| | " + " | ".join(NAMES[driver] for driver in DRIVERS) + " |")
    print("| --- " * (len(DRIVERS) + 1) + "|")
    for cells in zip(*columns):
        print(f"| {cells[0][0]} | " + " | ".join(value for _, value in cells) + " |")
    print()
    passed = True
    for driver in DRIVERS:
        for number, result in enumerate(runs[driver], 1):
            passed = passed and result["passed"]
            said = result["problems"] + [f"generator limited: {it}" for it in result["generator"]["limited"]]
            said += result["warnings"]
            p99 = ms(result["latency"]["delivery"]["p99_us"])
            words = "; ".join(said) or "nothing to say"
            print(f"{NAMES[driver]}, round {number}: {result['deliveries']['delivered']:,} deliveries, p99 {p99} ms; {words}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
