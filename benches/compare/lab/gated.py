"""Channels that are not for everybody: what a token, a JWT and a flood of unknown tokens cost, beside nginx asking for each request."""

import hashlib
import json
import os
import pathlib
import random
import shutil
import sqlite3
import statistics
import subprocess
import threading
import time
import urllib.error
import urllib.request

from . import channel, peers
from .procs import Failed, anon, answers, free_port, tree
from .report import mib

# Behind the channel's name; the file itself is made by `channel.hits`.
FILE = channel.hit_path("2 KB").removeprefix("/bench")
RULES = 'access:\n  - {id: gated, channels: [bench], read: ["group:lab"]}\n'
PASSWORD = "a long enough passphrase for the bench"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MANY = 1_000_000


def token(seed):
    """A well-formed token, as `src/auth/token.rs` makes them."""
    rng = random.Random(seed)
    body = "cg-" + "".join(rng.choices(BASE62, k=43))
    rest, digits = int.from_bytes(hashlib.sha256(body.encode()).digest()[:4], "big"), ""
    for _ in range(6):
        digits, rest = BASE62[rest % 62] + digits, rest // 62
    return body + digits


def command(binary, server, *args, stdin=""):
    """`condagate …` beside a running gate."""
    argv = [binary, *args, "--data", server.data, "--config", server.dir / "condagate.yaml"]
    done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failed(f"condagate {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def people(binary, server):
    """Somebody who may read the gated channel, and a token."""
    command(binary, server, "user", "create", "--username", "ada", "--password-stdin", stdin=PASSWORD)
    command(binary, server, "group", "create", "lab")
    command(binary, server, "group", "add", "lab", "ada")
    return json.loads(command(binary, server, "token", "create", "--user", "ada", "--scope", "read:*", "--json"))


def ask(address, path, authorization=None, body=None, seconds=30):
    """Status and body of one request."""
    request = urllib.request.Request(f"http://{address}{path}", data=body)
    if authorization:
        request.add_header("Authorization", authorization)
    if body:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def wrk(bench, address, path, seconds, authorization=None, connections=32):
    """Requests per second, every one of them answered with the file."""
    header = ["-H", f"Authorization: {authorization}"] if authorization else []
    argv = [peers.find("wrk"), "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", *header, "-s", peers.HERE / "peers" / "wrk.lua",
            f"http://{address}{path}"]
    totals = json.loads(bench.run(argv, seconds + 60).strip().splitlines()[-1])
    if totals["errors"] or not totals["requests"]:
        raise Failed(f"wrk against {address}{path}: {totals}")
    return totals["requests"] / (totals["us"] / 1e6)


def nginx(bench, upstream, secret):
    """nginx with a cache, asking a second server of its own for every request."""
    folder, (address, kept, judge) = bench.sub("nginx-auth"), (f"127.0.0.1:{free_port()}" for _ in range(3))
    user = "user root;" if os.geteuid() == 0 else ""
    conf = peers.fill("nginx-auth.conf", folder / "nginx.conf", DIR=folder, LISTEN=address, LISTEN_KEPT=kept, JUDGE=judge, ORIGIN=upstream.address,
                      CORES=peers.CORES, USER=user, TOKEN=secret)
    child = bench.start("nginx-auth", [peers.find("nginx"), "-c", conf, "-e", folder / "error.log"])
    bench.until(child, 10, lambda: answers(address), "nginx answers", 0.05)
    server = peers.Server("nginx auth_request", address, child, folder)
    server.kept = kept
    return server


def flood(bench, server, made, seconds, report):
    """Known callers while strangers try tokens as fast as the rate allows."""
    tokens = bench.dir / "unknown-tokens"
    tokens.write_text("\n".join(token(i) for i in range(200_000)))
    known = f"Bearer {made['token']}"
    alone = wrk(bench, server.address, f"/bench{FILE}", seconds, known)
    argv = [peers.find("wrk"), "-t1", "-c32", f"-d{seconds + 2}s", "-s", peers.HERE / "peers" / "flood.lua", f"http://{server.address}/bench{FILE}",
            "--", tokens]
    attack = bench.start("flood", argv)
    time.sleep(1)
    beside = wrk(bench, server.address, f"/bench{FILE}", seconds, known)
    attack.wait(30)
    bench.stop(attack)
    told = bench.said("flood", 30)
    rate = next((line.split()[-1] for line in told.splitlines() if "Requests/sec" in line), "?")
    return alone, beside, rate


def rates(bench, server, other, made, jwt, quick, report):
    """Gated and ungated hits in alternating rounds."""
    rounds, seconds = (1, 2) if quick else (5, 4)
    cells = {
        "ungated": (server.address, f"/free{FILE}", None),
        "token": (server.address, f"/bench{FILE}", f"Bearer {made['token']}"),
        "jwt": (server.address, f"/bench{FILE}", f"Bearer {jwt}"),
    }
    if other:
        cells["nginx"] = (other.address, f"/bench{FILE}", f"Bearer {made['token']}")
        cells["kept"] = (other.kept, f"/bench{FILE}", f"Bearer {made['token']}")
    found = {name: [] for name in cells}
    for turn in range(rounds):
        for name in cells if turn % 2 == 0 else reversed(cells):
            where, path, authorization = cells[name]
            found[name].append(wrk(bench, where, path, seconds, authorization))
    median = {name: statistics.median(values) for name, values in found.items()}
    if other:
        ratio = median["token"] / median["nginx"]
        report.row("token-gated 2 KB hit beside nginx auth_request and cache", f"{ratio:.1f} × ({median['token'] / 1e3:.1f} k/s)", "≥ 6 ×", ratio >= 6)
        ratio = median["token"] / median["kept"]
        report.row("… where nginx keeps its connections to the judge", f"{ratio:.1f} × ({median['kept'] / 1e3:.1f} k/s)")
    for name, least in (("token", 0.9), ("jwt", 0.8)):
        ratio = median[name] / median["ungated"]
        report.row(f"{name}-gated 2 KB hit beside ungated", f"{ratio:.2f} × ({median[name] / 1e3:.1f} k/s)", f"≥ {least} ×", ratio >= least)


def fill(store, tokens):
    """Puts a million tokens into a store that nobody has open."""
    db = sqlite3.connect(store)
    owner = db.execute("SELECT id FROM users").fetchone()[0]
    value = db.execute("SELECT value FROM counter").fetchone()[0]
    scopes = json.dumps([{"right": "read", "channels": ["*"], "packages": []}])
    rows = ((f"bench{i:011}", hashlib.sha256(token(i).encode()).digest(), owner, "bench", scopes, 0, None, None, None, None, 1, value + 1)
            for i in range(tokens))
    db.executemany("INSERT INTO tokens VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
    db.execute("UPDATE counter SET value = ?", (value + 1,))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def many(bench, binary, upstream, quick, report, say):
    """A store with a million tokens: start, memory, first uses."""
    count = 50_000 if quick else MANY
    first = gate(bench, binary, upstream)
    people(binary, first)
    first.stop(bench)
    say(f"{count} tokens")
    fill(first.data / "store.db", count)
    server = gate(bench, binary, upstream, first.data)
    begin = time.monotonic()
    while ask(server.address, f"/bench{FILE}", f"Bearer {token(7)}")[0] != 200:
        if time.monotonic() - begin > 120:
            raise Failed("the tokens were never known")
        time.sleep(0.1)
    report.row(f"{count:,} tokens, read for the first time", f"{time.monotonic() - begin + server.ready_seconds:.1f} s")
    time.sleep(3)
    server.stop(bench)
    server = gate(bench, binary, upstream, first.data)
    report.row(f"{count:,} tokens: start to ready", f"{server.ready_seconds * 1000:.0f} ms", "≤ 2 s", server.ready_seconds <= 2)
    waits = []
    for i in random.Random(1).sample(range(count), 200):
        begin = time.monotonic()
        status, _ = ask(server.address, f"/bench{FILE}", f"Bearer {token(i)}")
        waits.append(time.monotonic() - begin)
        if status != 200:
            raise Failed(f"token {i} is answered with {status}")
    report.row("… the slowest first use of 200, connection included", f"{max(waits) * 1000:.1f} ms", "≤ 20 ms", max(waits) <= 0.02)
    resident = rss(tree(server.child.pid))
    report.row("… memory (RSS; RssAnon)", f"{mib(resident)}; {mib(anon(tree(server.child.pid)))}", "≤ 120 MiB", resident <= 120 << 20)
    server.stop(bench)


def rss(pids):
    """Resident memory, files included, in bytes."""
    return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * os.sysconf("SC_PAGE_SIZE")


def gate(bench, binary, upstream, data=None, settings=""):
    """A gate with the access rules."""
    server = peers.condagate(bench, binary, upstream, data, rules=RULES, settings=settings)
    return server


def revocation(bench, binary, upstream, report, say):
    """A token is revoked through one gate's store; another gate on the same MongoDB learns of it."""
    found = peers.HERE.parent.parent / ".venv" / "bin" / "secantusd-py"
    server = str(found) if found.is_file() else shutil.which("secantusd-py")
    if not server:
        say("no secantusd-py (tests/run makes .venv); revocation over MongoDB is not measured")
        return
    folder, port = bench.sub("mongodb"), free_port()
    child = bench.start("mongodb", [server, "--host", "127.0.0.1", "--port", port, "--storage-path", folder / "data", "--log-level", "ERROR"])
    bench.until(child, 60, lambda: answers(f"127.0.0.1:{port}"), "the MongoDB server answers", 0.1)
    settings = f"store: {{mongodb: {{uri: \"mongodb://127.0.0.1:{port}/\"}}}}\n"
    config = folder / "setup.yaml"
    config.write_text(settings)
    bench.run([binary, "db", "setup", "--execute", "--config", config, "--data", folder], 60)
    one, two = (gate(bench, binary, upstream, settings=settings) for _ in range(2))
    waits = []
    made = people(binary, one)
    for turn in range(5):
        if turn:
            made = json.loads(command(binary, one, "token", "create", "--user", "ada", "--scope", "read:*", "--json"))
        secret = f"Bearer {made['token']}"
        if any(ask(server.address, f"/bench{FILE}", secret)[0] != 200 for server in (one, two)):
            raise Failed("the token is not good on both gates")
        command(binary, one, "token", "revoke", made["id"])
        begin = time.monotonic()
        while ask(two.address, f"/bench{FILE}", secret)[0] == 200:
            if time.monotonic() - begin > 20:
                raise Failed("the revocation never arrived")
            time.sleep(0.02)
        waits.append(time.monotonic() - begin)
    report.row("revocation seen by a second gate on one MongoDB, slowest of 5", f"{max(waits):.2f} s", "≤ 2 s", max(waits) <= 2)
    for server in (one, two):
        server.stop(bench)
    bench.stop(child)


def measure(bench, tool, binary, report, quick, say):
    """All of it."""
    if not binary:
        return
    root = bench.sub("www")
    channel.hits(root)
    shutil.copytree(root / "bench", root / "free")
    upstream = peers.origin(bench, tool, root)
    server = gate(bench, binary, upstream)
    made = people(binary, server)
    login = json.dumps({"username": "ada", "password": PASSWORD}).encode()
    status, body = ask(server.address, "/-/api/v1/session", body=login)
    if status != 200:
        raise Failed(f"logging in is answered with {status}: {body.decode()}")
    jwt = json.loads(body)["access_token"]
    if ask(server.address, f"/bench{FILE}")[0] != 401:
        raise Failed("the gated channel is open")
    for path, secret in ((f"/free{FILE}", None), (f"/bench{FILE}", made["token"]), (f"/bench{FILE}", jwt)):
        index = path.split("/")[1]
        ask(server.address, f"/{index}/linux-64/repodata.json", secret and f"Bearer {secret}")
        if ask(server.address, path, secret and f"Bearer {secret}")[0] != 200:
            raise Failed(f"{path} can't be had")
    other = nginx(bench, upstream, made["token"]) if peers.find("nginx") else None
    for address in (other.address, other.kept) if other else ():
        if ask(address, f"/bench{FILE}", f"Bearer {made['token']}")[0] != 200 or ask(address, f"/bench{FILE}")[0] != 401:
            raise Failed("nginx does not tell the token from none")
    rates(bench, server, other, made, jwt, quick, report)
    alone, beside, rate = flood(bench, server, made, 2 if quick else 6, report)
    report.row(f"known callers beside unknown tokens ({rate} of them a second)", f"{beside / alone:.2f} × ({beside / 1e3:.1f} k/s)", "≥ 0.8 ×",
               beside / alone >= 0.8)
    for one in [server, *([other] if other else [])]:
        one.stop(bench)
    revocation(bench, binary, upstream, report, say)
    many(bench, binary, upstream, quick, report, say)
    upstream.stop(bench)
