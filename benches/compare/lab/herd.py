"""A cold herd: one hundred clients, one package of 200 MB that nobody has yet, an upstream of 20 MB/s."""

import hashlib
import json
import statistics

from . import channel, peers
from .hits import get
from .procs import Failed, Peak
from .report import mib

RATE = 20_000_000
CLIENTS = 100


def clients(bench, tool, address, count, limit):
    """Runs the tool's herd; returns its outcome."""
    argv = [tool, "herd", "--addr", address, "--path", channel.HERD_PATH, "--clients", count, "--seconds", limit]
    return json.loads(bench.run(argv, limit + 30))


def slowest(outcome):
    """Seconds until the last client had everything."""
    return (max(c["end"] for c in outcome["clients"]) - outcome["start"]) / 1e9


def whole(outcome):
    """How many clients got a 200 and every byte."""
    return sum(1 for c in outcome["clients"] if c["status"] == 200 and c["bytes"] == channel.HERD_SIZE)


def through(bench, tool, begin, root, limit):
    """One server with an origin of its own, cold; returns what the herd met."""
    upstream = peers.origin(bench, tool, root, RATE)
    server = begin(bench, upstream)
    if server.name == "condagate":
        for _ in range(2):
            get(server.address, "/herd/linux-64/repodata.json")
    with Peak(server.child.pid) as peak:
        outcome = clients(bench, tool, server.address, CLIENTS, limit)
    first = upstream.first_byte(channel.HERD_PATH)
    delays = [(c["first"] - first) / 1e6 for c in outcome["clients"] if c["first"]]
    found = {
        "asked": upstream.asked(channel.HERD_PATH),
        "whole": whole(outcome),
        "seconds": slowest(outcome),
        "median": statistics.median(delays) if delays else float("inf"),
        "latest": max(delays, default=float("inf")),
        "memory": peak.most - peak.before,
        "server": server,
        "upstream": upstream,
    }
    return found


def measure(bench, tool, binary, report, quick, say):
    """The gate against a direct download; then the peers, for comparison."""
    root = bench.sub("www")
    record = channel.herd(root)
    direct = peers.origin(bench, tool, root, RATE)
    alone = clients(bench, tool, direct.address, 1, 60)
    if whole(alone) != 1:
        raise Failed(f"the direct download is not whole: {alone}")
    base = slowest(alone)
    direct.stop(bench)
    report.row("one direct download of 200 MB at 20 MB/s", f"{base:.2f} s")
    if binary:
        found = through(bench, tool, lambda b, u: peers.condagate(b, binary, u), root, 60)
        judge(report, found, base)
        body = hashlib.sha256(get(found["server"].address, channel.HERD_PATH)).hexdigest()
        report.row("herd: a later hit has the right digest", body[:12], "the record's", body == record["sha256"])
        report.row("herd: upstream GETs after that hit", str(found["upstream"].asked(channel.HERD_PATH)))
        stop(bench, found)
    if quick:
        return
    for program, begin in (("nginx", peers.nginx), ("varnishd", peers.varnish), ("squid", peers.squid)):
        if not peers.find(program):
            continue
        try:
            found = through(bench, tool, begin, root, 40)
        except Failed as error:
            say(f"{program} is left out of the herd. {error}")
            continue
        text = f"{found['whole']} whole, {found['seconds']:.1f} s, first byte {found['median']:.0f} ms, {found['asked']} GETs, +{mib(found['memory'])}"
        report.row(f"herd beside it: {found['server'].name} (ends at 40 s)", text)
        stop(bench, found)


def judge(report, found, base):
    """The rows of the gate."""
    report.row("herd: clients with the whole file", f"{found['whole']} of {CLIENTS}", f"{CLIENTS}", found["whole"] == CLIENTS)
    report.row("herd: upstream GETs", str(found["asked"]), "1", found["asked"] == 1)
    ratio = found["seconds"] / base
    report.row("herd: slowest client", f"{found['seconds']:.2f} s = {ratio:.3f} × direct", "≤ 1.05 × direct", ratio <= 1.05)
    report.row("herd: first byte after upstream's, median client", f"{found['median']:.1f} ms")
    report.row("herd: first byte after upstream's, last client", f"{found['latest']:.1f} ms", "≤ 20 ms", found["latest"] <= 20)
    report.row("herd: memory grows by (RssAnon)", mib(found["memory"]), "≤ 32 MiB", found["memory"] <= 32 << 20)


def stop(bench, found):
    found["server"].stop(bench)
    found["upstream"].stop(bench)
