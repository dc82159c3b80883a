"""Cache hits beside the peers: wrk in alternating rounds, the median of each cell."""

import json
import statistics
import time
import urllib.request

from . import channel, peers
from .procs import Failed, anon, tree
from .report import mib

# size → unit that counts, and the least ratio to each peer
TARGETS = {
    "2 KB": ("requests", {"nginx": 0.65, "Varnish": 1.0}),
    "20 KB": ("requests", {}),
    "1 MB": ("bytes", {"nginx": 1.3, "Varnish": 1.0}),
    "50 MB": ("bytes", {"nginx": 1.8, "Varnish": 0.95}),
}


def get(address, path, seconds=60):
    """One request through the standard library; returns the body."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=seconds) as answer:
        return answer.read()


def prime(server, root):
    """Brings every file into a server's cache and checks that it hands out the right bytes."""
    if server.name == "condagate":
        get(server.address, "/bench/linux-64/repodata.json")
    for label in channel.HITS:
        want = (root / channel.hit_path(label).lstrip("/")).read_bytes()
        for _ in range(3):
            if get(server.address, channel.hit_path(label)) != want:
                raise Failed(f"{server.name} answers {channel.hit_path(label)} with other bytes than the origin")
        time.sleep(0.2)


def wrk(bench, server, label, seconds):
    """One cell: a dictionary of wrk's totals."""
    script = peers.HERE / "peers" / "wrk.lua"
    url = f"http://{server.address}{channel.hit_path(label)}"
    printed = bench.run([peers.find("wrk"), "-t2", "-c32", f"-d{seconds}s", "--timeout", "30s", "-s", script, url], seconds + 60)
    totals = json.loads(printed.strip().splitlines()[-1])
    if totals["errors"] or not totals["requests"]:
        raise Failed(f"wrk against {server.name}, {label}: {totals}")
    return totals


def measure(bench, tool, binary, report, quick, say):
    """Starts all servers on one origin and fills the report's table of hits."""
    root = bench.sub("www")
    channel.hits(root)
    upstream = peers.origin(bench, tool, root)
    servers = ([peers.condagate(bench, binary, upstream)] if binary else []) + peers.available(bench, upstream, say)
    for server in servers:
        prime(server, root)
    asked = {label: upstream.asked(channel.hit_path(label)) for label in channel.HITS}
    figures = {(server.name, label): [] for server in servers for label in TARGETS}
    rounds, seconds = (1, 2) if quick else (5, 4)
    for turn in range(rounds):
        say(f"round {turn + 1} of {rounds}")
        for label, (unit, _) in TARGETS.items():
            # Every second round goes backwards, so that no server always follows the same one.
            for server in servers if turn % 2 == 0 else reversed(servers):
                totals = wrk(bench, server, label, seconds)
                figures[server.name, label].append(totals[unit] / (totals["us"] / 1e6))
    for label, (unit, targets) in TARGETS.items():
        medians = {server.name: statistics.median(figures[server.name, label]) for server in servers}
        report.hit(label, unit, medians, targets)
        more = upstream.asked(channel.hit_path(label)) - asked[label]
        if more:
            report.notes.append(f"{label}: upstream was asked {more} times during the rounds, so these were not all hits.")
    for server in servers:
        report.row(f"memory of {server.name} after the rounds (RssAnon)", mib(anon(tree(server.child.pid))))
    for server in [*servers, upstream]:
        server.stop(bench)
