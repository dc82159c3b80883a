"""A generation of half a million records: memory and time, beside the cheapest and the dearest way to read the same document."""

import time
import urllib.error
import urllib.request

from . import channel, peers
from .procs import Failed, Peak
from .report import mib

LIMIT = 256 << 20


def drain(address, path, seconds):
    """Reads an answer and forgets it; returns (seconds to the first byte, seconds, bytes)."""
    begin = time.monotonic()
    with urllib.request.urlopen(f"http://{address}{path}", timeout=seconds) as answer:
        total, first = len(answer.read(1)), time.monotonic() - begin
        while chunk := answer.read(1 << 20):
            total += len(chunk)
    return first, time.monotonic() - begin, total


def generation(data):
    """Whether a generation of the channel is published."""
    return any(data.glob("**/*large/linux-64/current"))


def measure(bench, tool, binary, report, quick, say):
    """One cold index through the gate."""
    records = 50_000 if quick else 500_000
    root = bench.sub("www")
    document = channel.large(root, tool, records)
    size = document.stat().st_size
    report.row(f"index of {records:,} records", f"{size / 1e6:.0f} MB, .zst {document.with_suffix('.json.zst').stat().st_size / 1e6:.0f} MB")
    begin = time.monotonic()
    bench.run(["sh", "-c", f"zstd -dc '{document}.zst' | wc -c"], 300)
    report.row("`zstd -d` into `wc -c`", f"{time.monotonic() - begin:.2f} s")
    if not binary:
        return
    upstream = peers.origin(bench, tool, root)
    server = peers.condagate(bench, binary, upstream)
    path = "/large/linux-64/repodata.json.zst"
    with Peak(server.child.pid) as peak:
        begin = time.monotonic()
        first, took, _ = drain(server.address, path, 600)
        bench.until(server.child, 600, lambda: generation(server.data), "the generation", 0.05)
        built = time.monotonic() - begin
    report.row("cold GET of repodata.json.zst: first byte", f"{first * 1000:.0f} ms")
    report.row("cold GET of repodata.json.zst: whole", f"{took:.2f} s")
    report.row("generation published, from the request on", f"{built:.2f} s")
    report.row("memory at its peak (RssAnon)", mib(peak.most), "≤ 256 MiB", peak.most <= LIMIT)
    first, took, _ = drain(server.address, path, 60)
    report.row("the same GET again: first byte, whole", f"{first * 1000:.1f} ms, {took * 1000:.0f} ms")
    for name in ("repodata.json", "repodata.json.bz2", "repodata_shards.msgpack.zst"):
        try:
            first, took, got = drain(server.address, f"/large/linux-64/{name}", 300)
        except urllib.error.HTTPError as error:
            report.row(f"then {name}", f"status {error.code}")
            continue
        report.row(f"then {name}", f"{took:.2f} s, {got / 1e6:.0f} MB")
    report.row("requests that upstream saw for repodata.json.zst", str(upstream.asked(path)))
    server.stop(bench)
    upstream.stop(bench)
