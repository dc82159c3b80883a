"""Ten minutes of everything at once, in front of an origin with faults: memory and descriptors of the gate must stay flat.

Hits, cold files, ranges, listings in two encodings, clients that leave in the middle, requests that are refused; the origin answers with
errors, cuts bodies off, sends other bytes than the index says, and is slow. The cache is half as large as what is asked for, so files come and go.
"""

import hashlib
import http.server
import json
import os
import pathlib
import random
import socket
import socketserver
import statistics
import threading
import time

from . import channel, peers
from .life import rss
from .procs import Failed
from .report import mib

FILES, SIZE = 400, 512 * 1024
CLIENTS = 12
SECONDS, QUICK = 600, 40
SETTINGS = "cache: {size: 100MiB, keep_free: 1%, memory: 16MiB}\n"
SUBDIR = "/mixed/linux-64/"


def body(number):
    """The bytes of a file; nothing of it is kept."""
    return random.Random(number).randbytes(SIZE)


def name(number):
    return f"file{number}-1.0-0.conda"


def listing():
    packages = {}
    for number in range(FILES):
        data = body(number)
        packages[name(number)] = {
            "name": f"file{number}", "version": "1.0", "build": "0", "build_number": 0, "depends": [], "subdir": "linux-64",
            "size": SIZE, "sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest(),
        }
    return json.dumps({"info": {"subdir": "linux-64"}, "packages": {}, "packages.conda": packages}).encode()


class Origin(http.server.BaseHTTPRequestHandler):
    """An upstream with which something is wrong one time in twelve, each time something else."""

    protocol_version = "HTTP/1.1"
    index = b""

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path
        if path.endswith("/linux-64/repodata.json"):
            return self.send(200, self.index)
        if not path.startswith(SUBDIR + "file"):
            return self.send(404, b"")
        data = body(int(path.removeprefix(SUBDIR + "file").split("-")[0]))
        fault = random.random()
        if fault < 0.01:
            return self.send(random.choice([500, 502, 503]), b"trouble")
        if fault < 0.03:
            return self.send(200, data, cut=random.randrange(SIZE))
        if fault < 0.035:
            return self.send(200, bytes(SIZE))
        if fault < 0.08:
            time.sleep(random.random())
        return self.send(200, data)

    def send(self, status, data, cut=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(data if cut is None else data[:cut])
        if cut is not None:
            self.close_connection = True

    do_HEAD = do_GET


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        """The gate leaves when it has heard enough."""


class Client(threading.Thread):
    """Asks for one thing after the other; what comes whole has to be right."""

    def __init__(self, address, until, seed):
        super().__init__(daemon=True)
        self.host, self.port = address.rsplit(":", 1)
        self.until, self.random = until, random.Random(seed)
        self.done, self.refused, self.wrong = 0, 0, []

    def run(self):
        while time.monotonic() < self.until:
            try:
                self.one()
            except OSError:
                self.refused += 1
            self.done += 1

    def one(self):
        roll, number = self.random.random(), self.random.randrange(FILES)
        path, headers, whole = SUBDIR + name(number), "", True
        if roll < 0.05:
            path = SUBDIR + "repodata.json"
        elif roll < 0.10:
            path, whole = SUBDIR + "repodata.json.zst", False
        elif roll < 0.20:
            headers, whole = f"Range: bytes={self.random.randrange(SIZE)}-\r\n", False
        elif roll < 0.25:
            path, whole = "/t/made-up-token" + path, False
        elif roll < 0.28:
            path, whole = SUBDIR + "nothing-1-0.conda", False
        with socket.create_connection((self.host, int(self.port)), 30) as stream:
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: gate\r\n{headers}Connection: close\r\n\r\n".encode())
            if 0.28 <= roll < 0.35:
                # It leaves in the middle.
                stream.recv(self.random.randrange(1, 100_000))
                return
            got = b"".join(iter(lambda: stream.recv(1 << 18), b""))
        head, _, data = got.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            self.refused += 1
        elif whole and path.endswith(".conda") and len(data) == SIZE and data != body(number):
            self.wrong.append(path)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def anonymous(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} has no memory")


def watch(pid, until):
    """What the gate has, every second: RSS, RssAnon, descriptors."""
    seen = []
    while time.monotonic() < until:
        time.sleep(1)
        seen.append((rss(pid), anonymous(pid), descriptors(pid)))
    return seen


def measure(bench, tool, binary, report, quick, say):
    """One origin, one gate, twelve clients."""
    if not binary:
        raise Failed("this part is about condagate alone")
    del tool
    Origin.index = listing()
    origin = Server(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()

    class Upstream:
        address = f"127.0.0.1:{origin.server_port}"

    server = peers.condagate(bench, binary, Upstream, settings=SETTINGS)
    seconds = QUICK if quick else SECONDS
    say(f"mixed load with faults for {seconds} s")
    until = time.monotonic() + seconds
    clients = [Client(server.address, until, seed) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    seen = watch(server.child.pid, until)
    for client in clients:
        client.join(60)
    wrong = [path for client in clients for path in client.wrong]
    done, refused = sum(c.done for c in clients), sum(c.refused for c in clients)
    report.row(f"{seconds // 60} minutes of mixed load with faults: wrong bodies", f"{len(wrong)} of {done:,}", "0", not wrong)
    report.row("… answers other than 200, or broken off", f"{refused:,}")
    minute = len(seen) // 10
    # The second minute against the last: caches are full by then.
    for what, at, shown in (("RSS", 0, mib), ("RssAnon", 1, mib), ("descriptors", 2, str)):
        early = statistics.median(s[at] for s in seen[minute : 2 * minute])
        late = statistics.median(s[at] for s in seen[-minute:])
        good = None if quick or what == "RssAnon" else late <= early * 1.1
        target = "≤ + 10 %" if what != "RssAnon" else ""
        report.row(f"… {what} in the second tenth and in the last", f"{shown(int(early))} → {shown(int(late))}", target, good)
    server.stop(bench)
    origin.shutdown()
