"""The life of a gate: upgrades and reloads under load, idle connections, the time to readiness."""

import http.client
import json
import os
import pathlib
import resource
import signal
import socket
import statistics
import threading
import time

from . import channel, hits, peers
from .procs import Failed, anon
from .report import mib

CONNECTIONS = 64
IDLE = 10_000
ROUNDS = 5
# Idle connections must outlive the measurement.
SETTINGS = "limits: {idle_timeout: 15m}\n"


class Line:
    """A gate and the processes that take over from it, one after the other."""

    def __init__(self, bench, binary, server):
        self.bench, self.binary, self.server, self.pid = bench, binary, server, server.child.pid

    def tell(self, command):
        """Runs a command that the running gate obeys; what it printed."""
        config = self.server.dir / "condagate.yaml"
        return self.bench.run([self.binary, command, "--data", self.server.data, "--config", config], 180)

    def upgrade(self):
        before = self.pid
        self.pid = int(self.tell("upgrade").split()[-1])
        self.wait_for_end(before)

    def wait_for_end(self, pid):
        # Its answers are short, and its idle connections are asked again at once.
        self.bench.until(None, 90, lambda: not is_there(pid), f"the end of process {pid}", 0.05)

    def stop(self):
        if self.pid != self.server.child.pid and is_there(self.pid):
            os.kill(self.pid, signal.SIGTERM)
            self.wait_for_end(self.pid)
        self.server.stop(self.bench)


def is_there(pid):
    """Whether a process lives; one that has ended and that nobody has asked about does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Asking(threading.Thread):
    """One client that asks for a file again and again and remembers the longest wait."""

    def __init__(self, address, path):
        super().__init__(daemon=True)
        self.address, self.path, self.done = address, path, threading.Event()
        self.longest, self.failed = 0.0, []

    def run(self):
        while not self.done.is_set():
            begin = time.monotonic()
            try:
                hits.get(self.address, self.path)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(str(error))
            self.longest = max(self.longest, time.monotonic() - begin)


def loaded(bench, line, report, quick):
    """Upgrades and reloads while wrk asks; every answer has to be right."""
    seconds, least = (10, 100_000) if quick else (40, 1_000_000)
    url = f"http://{line.server.address}{channel.hit_path('2 KB')}"
    script = peers.HERE / "peers" / "wrk.lua"
    argv = [peers.find("wrk"), "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", script, url]
    printed, trouble = [], []

    def load():
        try:
            printed.append(bench.run(argv, seconds + 60))
        except Failed as error:
            trouble.append(error)

    wrk, asking = threading.Thread(target=load), Asking(line.server.address, channel.hit_path("2 KB"))
    end, upgrades, reloads = time.monotonic() + seconds - 2, 0, 0
    wrk.start()
    asking.start()
    try:
        while time.monotonic() < end and wrk.is_alive():
            time.sleep(1)
            line.tell("reload")
            reloads += 1
            line.upgrade()
            upgrades += 1
    finally:
        wrk.join()
        asking.done.set()
        asking.join()
    if trouble:
        raise trouble[0]
    totals = json.loads(printed[0].strip().splitlines()[-1])
    failed = totals["errors"] + len(asking.failed)
    what = f"{upgrades} upgrades and {reloads} reloads under wrk -c{CONNECTIONS}: failed requests"
    good = failed == 0 and totals["requests"] >= least and upgrades > 0
    report.row(what, f"{failed} of {totals['requests']:,}", f"0 of ≥ {least:,}", good)
    report.row("… the longest that a request waited", f"{asking.longest * 1000:.0f} ms")
    report.row("… requests a second meanwhile", f"{totals['requests'] / (totals['us'] / 1e6) / 1e3:.1f} k/s")


def idle(line, report, quick):
    """Connections that have asked once and stay open."""
    count = 1_000 if quick else IDLE
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < count + 200:
        raise Failed(f"{count} connections need a limit of open files above {count + 200}; it is {most} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    host, port = line.server.address.rsplit(":", 1)
    request = f"GET /-/healthz HTTP/1.1\r\nHost: {line.server.address}\r\n\r\n".encode()
    before, open_ones = rss(line.pid), []
    try:
        for _ in range(count):
            one = socket.create_connection((host, int(port)), 30)
            one.sendall(request)
            if not one.recv(4096).startswith(b"HTTP/1.1 200"):
                raise Failed("an idle connection was not answered")
            open_ones.append(one)
        time.sleep(2)
        after = rss(line.pid)
        target = f"≤ {mib(120 << 20)}" if not quick else ""
        report.row(f"memory with {count:,} idle keep-alive connections (RSS)", mib(after), target, None if quick else after <= 120 << 20)
        report.row("… of it for each of them", f"{(after - before) / count / 1024:.1f} KiB")
        report.row("… RssAnon", mib(anon([line.pid])))
        for one in open_ones[:: max(count // 100, 1)]:
            one.sendall(request)
            if not one.recv(4096).startswith(b"HTTP/1.1 200"):
                raise Failed("an idle connection was no longer answered")
    finally:
        for one in open_ones:
            one.close()


def rss(pid):
    """VmRSS in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} has no memory")


def forget_pages():
    """Empties the page cache where that is allowed; whether it was."""
    try:
        os.sync()
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
        return True
    except OSError:
        return False


def ready(bench, binary, upstream, data, report):
    """Start to readiness with a data directory that is there."""
    times, cold = [], True
    for _ in range(ROUNDS):
        cold = forget_pages() and cold
        server = peers.condagate(bench, binary, upstream, data=data)
        times.append(server.ready_seconds)
        server.stop(bench)
    how = "nothing of it in the page cache" if cold else "page cache warm"
    figure = statistics.median(times)
    report.row(f"start to ready with an existing data directory ({how})", f"{figure * 1000:.0f} ms", "≤ 300 ms", figure <= 0.3)


def measure(bench, tool, binary, report, quick, say):
    """All of it on one origin."""
    if not binary:
        raise Failed("this part is about condagate alone")
    root = bench.sub("www")
    channel.hits(root)
    upstream = peers.origin(bench, tool, root)
    server = peers.condagate(bench, binary, upstream, settings=SETTINGS)
    hits.prime(server, root)
    line = Line(bench, binary, server)
    try:
        say("upgrades and reloads under load")
        loaded(bench, line, report, quick)
        say("idle connections")
        idle(line, report, quick)
    finally:
        line.stop()
    say("start to ready")
    ready(bench, binary, upstream, server.data, report)
    upstream.stop(bench)
