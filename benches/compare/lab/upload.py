"""Publishing: how fast packages are taken and seen, what a channel's size costs, what a large package costs."""

import bz2
import hashlib
import http.client
import io
import json
import os
import pathlib
import queue
import random
import shutil
import sqlite3
import struct
import subprocess
import tarfile
import threading
import time
import zlib

from . import channel, gated, peers
from .procs import Failed, Peak, tree
from .report import mib

SECRET = "a long enough passphrase for the bench"


def made(name, version, payload, seed):
    """A `.tar.bz2` package of about `payload` bytes that don't compress."""
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": [], "subdir": "linux-64", "arch": "x86_64",
             "platform": "linux", "license": "MIT", "timestamp": 1_700_000_000_000 + seed}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in (("info/index.json", json.dumps(index).encode()), ("lib/payload", random.Random(seed).randbytes(payload))):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return f"{name}-{version}-0.tar.bz2", bz2.compress(out.getvalue(), 1)


def put(connection, token, path, body, length=None):
    """One upload as curl does it."""
    headers = {"Authorization": f"Bearer {token}", "Content-Length": str(length if length is not None else len(body))}
    connection.request("PUT", path, body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (200, 201):
        raise Failed(f"PUT {path}: {answer.status} {text[:300]}")


def connect(server):
    host, port = server.address.split(":")
    return http.client.HTTPConnection(host, int(port), timeout=600)


def team(binary, server, name):
    """A channel, and a token that may write to it."""
    gated.command(binary, server, "channel", "create", name, "--public")
    out = gated.command(binary, server, "token", "create", "--user", "ada", "--scope", "write:*", "--json")
    return json.loads(out)["token"]


def user(binary, server):
    gated.command(binary, server, "user", "create", "--username", "ada", "--superuser", "--password-stdin", stdin=SECRET)


def listed(server, name):
    """The files that the index lists."""
    connection = connect(server)
    connection.request("GET", f"/{name}/linux-64/repodata.json")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Failed(f"the index of {name}: {answer.status} {body[:200]}")
    return json.loads(body)["packages"]


def crowd_of(clients, packages, connecting, sending):
    """All packages from so many clients, each with a connection of its own; when that began, and when the last was acknowledged."""
    todo, wrong = queue.SimpleQueue(), []
    for package in packages:
        todo.put(package)

    def client():
        connection = connecting()
        try:
            while True:
                file, body = todo.get_nowait()
                sending(connection, file, body)
        except queue.Empty:
            pass
        except Exception as error:  # noqa: BLE001
            wrong.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    acknowledged = time.monotonic()
    if wrong:
        raise Failed(f"uploads failed: {wrong[0]}")
    return begin, acknowledged


def burst(server, token, name, packages, clients):
    """All packages from so many clients; the seconds until the last was acknowledged, and from then until the index has all."""
    begin, acknowledged = crowd_of(clients, packages, lambda: connect(server),
                                   lambda connection, file, body: put(connection, token, f"/{name}/linux-64/{file}", body))
    files = {file for file, _ in packages}
    while not files <= set(listed(server, name)):
        if time.monotonic() - acknowledged > 60:
            raise Failed("the index never listed all uploads")
    return acknowledged - begin, time.monotonic() - acknowledged


def cpu(server):
    """Seconds of CPU of a server so far."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in tree(server.child.pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / ticks


def crowd(store, name, count):
    """Puts rows of packages into a store that nobody has open; their files are nowhere, which an index does not mind."""
    db = sqlite3.connect(store)
    channel_id = db.execute("SELECT id FROM channels WHERE name = ?", (name,)).fetchone()[0]
    owner = db.execute("SELECT id FROM users").fetchone()[0]
    value = db.execute("SELECT value FROM counter").fetchone()[0]
    columns = [row[1] for row in db.execute("PRAGMA table_info(packages)")]

    def rows():
        for n in range(count):
            package, version = f"package-{n // 20:05}", f"1.{n % 20}"
            file, digest = f"{package}-{version}-0.conda", hashlib.sha256(str(n).encode()).digest()
            record = {"build": "0", "build_number": 0, "depends": ["python >=3.9", f"package-{(n // 20 + 7) % 5000:05}"], "license": "MIT",
                      "md5": digest[:16].hex(), "name": package, "sha256": digest.hex(), "size": 20_000 + n, "subdir": "linux-64",
                      "timestamp": 1_700_000_000_000 + n, "version": version}
            values = {"channel": channel_id, "subdir": "linux-64", "file": file, "sha256": digest, "size": 20_000 + n,
                      "record": json.dumps(record, separators=(",", ":")).encode(), "labels": "[]", "state": "listed", "uploaded_by": owner,
                      "uploaded_at": 1_700_000_000_000 + n, "revision": 1, "name": package, "changed_at": 1_700_000_000_000 + n,
                      "attestations": None, "changed": value + 1}
            yield [values[column] for column in columns]

    db.executemany(f"INSERT INTO packages VALUES ({','.join('?' * len(columns))})", rows())
    db.execute("UPDATE counter SET value = ?", (value + 1,))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def quetz(url, key, packages, clients):
    """The same burst into a new channel of a quetz server that runs already: the seconds until the last was acknowledged, and from then until its index
    has all."""
    host, name = url.removeprefix("http://"), f"bench-{os.getpid()}"

    def ask(connection, method, path, body=None):
        connection.request(method, path, body, {"X-API-Key": key})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Failed(f"quetz: {method} {path.split('?')[0]}: {answer.status} {text[:200]}")
        return text

    def connecting():
        return http.client.HTTPConnection(host, timeout=300)

    def sending(connection, file, body):
        ask(connection, "POST", f"/api/channels/{name}/upload/{file}?sha256={hashlib.sha256(body).hexdigest()}", body)

    connection = connecting()
    ask(connection, "POST", "/api/channels", json.dumps({"name": name, "private": False}).encode())
    begin, acknowledged = crowd_of(clients, packages, connecting, sending)
    files = {file for file, _ in packages}
    while time.monotonic() - acknowledged < 300:
        connection.request("GET", f"/get/{name}/linux-64/repodata.json")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200 and files <= set(json.loads(body)["packages"]):
            return acknowledged - begin, time.monotonic() - acknowledged
        time.sleep(0.1)
    raise Failed("the index of quetz never listed all uploads")


def one_more(bench, binary, upstream, count, report, rounds):
    """One upload into a channel that has so many packages: until it is seen, the CPU until then, and how much of that is not the final encoding."""
    server = peers.condagate(bench, binary, upstream)
    user(binary, server)
    token = team(binary, server, "team")
    server.stop(bench)
    crowd(server.data / "store.db", "team", count)
    server = peers.condagate(bench, binary, upstream, server.data)
    listed(server, "team")
    seen, spent = [], []
    for turn in range(rounds):
        file, body = made("newest", f"{turn}.0", 20_000, turn)
        time.sleep(1)
        before, begin = cpu(server), time.monotonic()
        put(connect(server), token, f"/team/linux-64/{file}", body)
        connection = connect(server)
        connection.request("GET", "/team/linux-64/repodata.json.zst")
        answer = connection.getresponse()
        packed = answer.read()
        seen.append(time.monotonic() - begin)
        text = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout
        if file.encode() not in text:
            raise Failed("the next index did not list the upload")
        spent.append(cpu(server) - before)
    # Apart from each other: taking uploads in, which the process's own clock tells, and reading what changed for the next index, which the gate times.
    # What is left is making the documents.
    ahead = 40
    packages = [made("newer", f"{turn}.0", 20_000, turn) for turn in range(ahead)]
    time.sleep(1)
    before, read = cpu(server), rows_read(server)
    for file, body in packages:
        put(connect(server), token, f"/team/linux-64/{file}", body)
    taken_in = (cpu(server) - before) / ahead
    listed(server, "team")
    reading = rows_read(server)
    if reading[0] - read[0] > 3 * ahead:
        raise Failed(f"{reading[0] - read[0]:.0f} rows were read for {ahead} uploads")
    server.stop(bench)
    report.row(f"upload into a channel of {count:,}: acknowledged and in the next index", f"{max(seen):.2f} s", "≤ 2 s", max(seen) <= 2)
    return sorted(spent)[len(spent) // 2], taken_in + (reading[1] - read[1]) / ahead


def rows_read(server):
    """Rows that were read to make indexes, and the seconds that took."""
    connection = connect(server)
    connection.request("GET", "/-/metrics")
    page = connection.getresponse().read().decode()
    names = ("condagate_hosted_rows_read_total ", "condagate_hosted_rows_read_seconds_total ")
    return [float(next(line for line in page.splitlines() if line.startswith(name)).split()[1]) for name in names]


def large(folder, size):
    """A `.conda` whose payload does not compress, of about `size` bytes, written piece by piece."""
    stem = "large-1.0-0"
    index = {"name": "large", "version": "1.0", "build": "0", "build_number": 0, "depends": [], "subdir": "linux-64", "license": "MIT"}
    inner = folder / "pkg.tar"
    with tarfile.open(inner, "w", format=tarfile.GNU_FORMAT) as tar:
        member = tarfile.TarInfo("lib/payload")
        member.size = size

        class Noise(io.RawIOBase):
            left = size

            def read(self, want=-1):
                take = min(self.left, want if want >= 0 else self.left, 1 << 20)
                self.left -= take
                # What compresses well is taken for a bomb.
                return os.urandom(take)

        tar.addfile(member, Noise())
    packed = folder / "pkg.tar.zst"
    subprocess.run(["zstd", "-q", "--fast=10", "--no-check", "-T2", "-o", packed, inner], check=True)
    inner.unlink()
    info = folder / "info.tar"
    with tarfile.open(info, "w", format=tarfile.USTAR_FORMAT) as tar:
        member, data = tarfile.TarInfo("info/index.json"), json.dumps(index).encode()
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    subprocess.run(["zstd", "-q", "-o", folder / "info.tar.zst", info], check=True)
    out = folder / f"{stem}.conda"
    parts = [("metadata.json", None), (f"pkg-{stem}.tar.zst", packed), (f"info-{stem}.tar.zst", folder / "info.tar.zst")]
    store(out, parts)
    return out


def store(out, parts):
    """A zip of stored members, sizes below 4 GiB."""
    directory, count = b"", 0
    with open(out, "wb") as zipped:
        for name, path in parts:
            data = path.read_bytes() if path else b'{"conda_pkg_format_version": 2}'
            offset, fields = zipped.tell(), struct.pack("<HHHHIIIHH", 0, 0, 0, 0x21, zlib.crc32(data), len(data), len(data), len(name), 0)
            zipped.write(b"PK\x03\x04" + struct.pack("<H", 20) + fields + name.encode())
            zipped.write(data)
            directory += b"PK\x01\x02" + struct.pack("<HH", 20, 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, offset) + name.encode()
            count += 1
        start = zipped.tell()
        zipped.write(directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), start, 0))


def heavy(bench, binary, upstream, size, report):
    """One large package, beside `cat > file; sha256sum file`."""
    folder = bench.sub("large")
    package = large(folder, size)
    length = package.stat().st_size
    server = peers.condagate(bench, binary, upstream)
    user(binary, server)
    token = team(binary, server, "team")
    begin = time.monotonic()
    subprocess.run(f"cat {package} > {folder}/copy; sync {folder}/copy; sha256sum {folder}/copy", shell=True, check=True, stdout=subprocess.DEVNULL)
    plain = time.monotonic() - begin
    (folder / "copy").unlink()
    with Peak(server.child.pid, every=0.02) as peak, open(package, "rb") as body:
        begin = time.monotonic()
        put(connect(server), token, f"/team/linux-64/{package.name}", body, length)
        took = time.monotonic() - begin
    server.stop(bench)
    shutil.rmtree(folder)
    report.row(f"a package of {length / 1e9:.1f} GB beside `cat > file; sync; sha256sum`", f"{plain / took:.2f} × ({length / took / 1e6:.0f} MB/s)",
               "≥ 0.7 ×", plain / took >= 0.7)
    grown = peak.most - peak.before
    report.row("… growth of memory (RssAnon)", mib(grown), "≤ 32 MiB", grown <= 32 << 20)


def measure(bench, tool, binary, report, quick, say):
    """All of it."""
    if not binary:
        return
    root = bench.sub("www")
    channel.hits(root)
    upstream = peers.origin(bench, tool, root)
    server = peers.condagate(bench, binary, upstream)
    user(binary, server)
    token = team(binary, server, "team")
    count = 100 if quick else 500
    say(f"{count} uploads of 20 KB")
    packages = [made(f"acme-{n % 50:02}", f"1.{n}", 20_000, n) for n in range(count)]
    took, late = burst(server, token, "team", packages, 8)
    report.row(f"{count} uploads of 20 KB by 8 clients, durable when acknowledged", f"{count / took:.0f} a second", "≥ 150", count / took >= 150)
    report.row("… all in the index behind the last", f"{late:.2f} s", "≤ 1 s", late <= 1)
    server.stop(bench)
    if "CONDAGATE_BENCH_QUETZ" in os.environ:
        url, key = os.environ["CONDAGATE_BENCH_QUETZ"].split()
        theirs, theirs_late = quetz(url, key, packages, 8)
        report.row("… beside quetz: uploads; index behind the last", f"{theirs / took:.0f} × ({count / theirs:.0f} a second); {theirs_late:.1f} s")
    say("channels of different sizes")
    rounds = 1 if quick else 5
    sizes = (1_000, 10_000) if quick else (1_000, 100_000)
    (small, least), (big, most) = (one_more(bench, binary, upstream, size, report, rounds) for size in sizes)
    report.row(f"… CPU with {sizes[1]:,} beside {sizes[0]:,} packages, final encoding aside", f"{most / least:.2f} × ({most * 1e3:.1f} ms)", "≤ 1.5 ×", most / least <= 1.5)
    report.row("… final encoding included", f"{big / max(small, 0.01):.1f} × ({big:.2f} s)")
    say("a large package")
    heavy(bench, binary, upstream, (200 << 20) if quick else (2 << 30), report)
    upstream.stop(bench)
