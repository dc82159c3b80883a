"""Rules and first indexes at conda-forge's size: what a cold client waits for, how fast a recall acts, what an unchanged upstream costs."""

import json
import os
import pathlib
import subprocess
import time
import urllib.error
import urllib.request

from . import channel, peers
from .index import drain
from .procs import Failed, answers, free_port

# What a line of 160 Mbit/s gives.
RATE = 20_000_000
CHANNEL = "/large/linux-64/"
ZST = CHANNEL + "repodata.json.zst"
COOLDOWN = "policy:\n  - {id: cooldown, channels: [large], hide: {younger_than: 7d}, unless: {names: [ca-certificates]}}\n"
# As many shards as a solve of conda itself touches.
NAMES = 137
STEMS = ["arrow", "boost", "curl", "geo", "gtk", "jupyter", "lib", "numpy", "py", "r-base", "rust", "zstd"]


def name(i):
    """The name of package number `i`, as `tool/synth.rs` has it."""
    return f"{STEMS[i % 12]}-{i:05}-{STEMS[i // 12 % 12]}"


def gate(bench, binary, upstream, extra=""):
    """A gate with more rules than the usual ones."""
    return peers.condagate(bench, binary, upstream, rules=extra)


def status(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def cpu(pid):
    """Seconds of processor time that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cold(bench, tool, binary, root, report):
    """The first client of a channel, with rules and without, behind a line of limited speed."""
    upstream = peers.origin(bench, tool, root, RATE)
    _, direct, size = drain(upstream.address, ZST, 120)
    server = gate(bench, binary, upstream)
    first, took, got = drain(server.address, ZST, 120)
    report.row(f"cold .zst of {size / 1e6:.0f} MB at 20 MB/s, direct", f"{direct:.2f} s")
    rate = (got / took) / (size / direct)
    report.row("… through the gate, no rules: rate", f"{rate:.2f} × direct ({took:.2f} s)", "≥ 0.9 ×", rate >= 0.9)
    report.row("… first byte", f"{first:.2f} s")
    server.stop(bench)
    for file in ("repodata.json.zst", "repodata.json"):
        server = gate(bench, binary, upstream, COOLDOWN)
        first, took, _ = drain(server.address, CHANNEL + file, 300)
        report.row(f"cold {file} under a cooldown: first byte", f"{first:.2f} s", "≤ 10 s", first <= 10)
        report.row("… whole", f"{took:.2f} s")
        server.stop(bench)
    upstream.stop(bench)


def recall(bench, server, package, report):
    """A deny rule is saved while 32 connections pull a cached file."""
    if status(server.address, package) != 200:
        raise Failed(f"{package} can't be had")
    wrk = bench.start("wrk", [peers.find("wrk"), "-t2", "-c32", "-d8s", f"http://{server.address}{package}"])
    time.sleep(2)
    denied = package.rsplit("/", 1)[1]
    (server.dir / "rules" / "recall.yaml").write_text(f"policy:\n  - {{id: recall, deny: {{files: [\"{denied}\"]}}, reason: bench}}\n")
    begin = time.monotonic()
    while status(server.address, package) != 403:
        if time.monotonic() - begin > 30:
            raise Failed("the recall never acted")
        time.sleep(0.01)
    refused = time.monotonic() - begin
    report.row("deny rule saved → download refused, under load", f"{refused:.2f} s", "≤ 2 s", refused <= 2)
    wrk.wait()
    bench.stop(wrk)


def unchanged(bench, server, upstream, report):
    """The channel's time is over, and upstream has nothing new."""
    asked = upstream.asked(ZST)
    time.sleep(3)
    before, begin = cpu(server.child.pid), time.monotonic()
    status(server.address, CHANNEL + "repodata_shards.msgpack.zst")
    while upstream.asked(ZST) == asked and time.monotonic() - begin < 10:
        time.sleep(0.05)
    time.sleep(0.5)
    took = cpu(server.child.pid) - before
    report.row("unchanged upstream: requests, CPU", f"{upstream.asked(ZST) - asked}, {took * 1000:.0f} ms", "1, < 50 ms",
               upstream.asked(ZST) - asked == 1 and took < 0.05)


def closure(bench, server, root, report, say):
    """A real client gets shards from the gate, and the same files from nginx."""
    nginx = peers.find("nginx")
    if not nginx:
        say("nginx is not installed; the shards stand alone")
        return
    say("cargo bench --no-run --bench closure")
    here = peers.HERE.parent.parent
    built = subprocess.run(["cargo", "bench", "--no-run", "--bench", "closure", "--message-format", "json"], cwd=here, check=True,
                           capture_output=True, text=True, timeout=3000)
    lines = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    binary = next(line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == "closure")
    files = bench.sub("shards")
    subdir = files / "large" / "linux-64"
    (subdir / "shards").mkdir(parents=True)
    copy_shards(server, subdir)
    address = f"127.0.0.1:{free_port()}"
    conf = files / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    conf.write_text(f"{user} daemon off; pid {files}/pid; error_log {files}/error.log; worker_processes {peers.CORES}; events {{}}\n"
                    f"http {{ access_log {files}/access.log; sendfile on; keepalive_requests 100000;\n"
                    f"server {{ listen {address}; root {files}; }} }}\n")
    child = bench.start("nginx-shards", [nginx, "-c", conf, "-e", files / "error.log"])
    bench.until(child, 10, lambda: answers(address), "nginx answers", 0.05)
    names = files / "names"
    names.write_text("\n".join(name(i * 200) for i in range(NAMES)))
    gate_url, nginx_url = (f"http://{a}/large" for a in (server.address, address))
    found = json.loads(bench.run([binary, "--names", names, gate_url, nginx_url], 300).splitlines()[-1])
    ratio = found[gate_url] / found[nginx_url]
    report.row(f"shard index and {NAMES} shards, rattler's client", f"{ratio:.2f} × nginx ({found[gate_url] * 1000:.0f} ms)", "≤ 1.2 ×",
               ratio <= 1.2)
    bench.stop(child)


def copy_shards(server, subdir):
    """The gate's own shard files, as a static server would have them."""
    index = urllib.request.urlopen(f"http://{server.address}{CHANNEL}repodata_shards.msgpack.zst", timeout=120).read()
    (subdir / "repodata_shards.msgpack.zst").write_bytes(index)
    raw = subprocess.run(["zstd", "-dc"], input=index, capture_output=True, check=True).stdout
    for i in range(NAMES):
        # Behind its name stand two bytes of MessagePack (`bin 8`, 32) and the digest.
        wanted = name(i * 200).encode()
        at = raw.index(bytes([0xA0 | len(wanted)]) + wanted if len(wanted) < 32 else b"\xd9" + bytes([len(wanted)]) + wanted)
        digest = raw[at:][len(wanted) + (1 if len(wanted) < 32 else 2) + 2:][:32].hex()
        body = urllib.request.urlopen(f"http://{server.address}{CHANNEL}shards/{digest}.msgpack.zst", timeout=30).read()
        (subdir / "shards" / f"{digest}.msgpack.zst").write_bytes(body)


def measure(bench, tool, binary, report, quick, say):
    """All of it, on one document."""
    if not binary:
        return
    records = 50_000 if quick else 500_000
    root = bench.sub("www")
    channel.large(root, tool, records)
    channel.hits(root)
    cold(bench, tool, binary, root, report)
    upstream = peers.origin(bench, tool, root)
    server = gate(bench, binary, upstream, COOLDOWN + "channels:\n  - {name: large, upstream: lab, ttl: 2s}\n")
    begin = time.monotonic()
    drain(server.address, CHANNEL + "repodata_shards.msgpack.zst", 300)
    report.row("first shard index under a cooldown", f"{time.monotonic() - begin:.2f} s")
    unchanged(bench, server, upstream, report)
    closure(bench, server, root, report, say)
    recall(bench, server, channel.hit_path("20 KB"), report)
    server.stop(bench)
    upstream.stop(bench)
