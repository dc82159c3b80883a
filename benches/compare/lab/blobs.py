"""Memory of an idle gate, empty and with very many cached files, and how soon it is ready with them."""

import json
import time

from . import channel, peers
from .hits import get
from .procs import anon, tree
from .report import mib

LIMIT = 50 << 20


def idle(report, server, what):
    """Memory after two quiet seconds."""
    time.sleep(2)
    used = anon(tree(server.child.pid))
    report.row(f"memory {what} (RssAnon)", mib(used), "≤ 50 MiB", used <= LIMIT)


def fetch(bench, tool, server, count):
    """Every small package once; returns the tool's outcome."""
    argv = [tool, "fetch", "--addr", server.address, "--count", count, "--connections", 64]
    return json.loads(bench.run(argv, 900))


def measure(bench, tool, binary, report, quick, say):
    """Fills the gate with many small packages, one download each, then starts it again."""
    if not binary:
        return
    count = 10_000 if quick else 100_000
    root = bench.sub("www")
    channel.many(root, count)
    upstream = peers.origin(bench, tool, root)
    server = peers.condagate(bench, binary, upstream)
    report.row("start to ready, nothing cached", f"{server.ready_seconds * 1000:.0f} ms")
    idle(report, server, "idle, nothing cached")
    get(server.address, "/many/linux-64/repodata.json")
    say(f"{count:,} cold packages through the gate")
    outcome = fetch(bench, tool, server, count)
    report.row(f"{count:,} cold packages of 30 bytes, each a fill", f"{count / outcome['seconds']:.0f}/s")
    report.row("… answered with the right bytes", f"{outcome['right']:,}", f"{count:,}", outcome["right"] == count)
    idle(report, server, f"idle after {count:,} fills")
    data = server.data
    took = bench.stop(server.child, 30)
    report.row("stop when idle", f"{took * 1000:.0f} ms")
    again = peers.condagate(bench, binary, upstream, data)
    report.row(f"start to ready with {count:,} cached files", f"{again.ready_seconds * 1000:.0f} ms", "≤ 1 s", again.ready_seconds <= 1)
    idle(report, again, f"idle with {count:,} cached files, restarted")
    outcome = fetch(bench, tool, again, count)
    more = (upstream.dir / "origin.log").read_text().count(" GET /many/linux-64/tiny")
    report.row("every one of them again, hits", f"{count / outcome['seconds']:.0f}/s")
    report.row("… answered with the right bytes", f"{outcome['right']:,}", f"{count:,}", outcome["right"] == count)
    report.row("… upstream asked for packages, both times together", f"{more:,}", f"{count:,}", more == count)
    idle(report, again, "idle after the hits")
    again.stop(bench)
    upstream.stop(bench)
