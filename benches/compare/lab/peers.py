"""The servers of one run: how each is configured, started and known to be ready."""

import os
import pathlib
import shutil
import time

from .procs import Failed, answers, free_port

HERE = pathlib.Path(__file__).resolve().parent.parent
CORES = os.cpu_count() or 1
# What a Debian machine needs for a full run: program → package.
PACKAGES = {"nginx": "nginx-light", "varnishd": "varnish", "squid": "squid", "wrk": "wrk", "zstd": "zstd"}


def find(program):
    """The path of a program; Debian keeps servers in /usr/sbin, which is not everybody's PATH."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def fill(template, target, **values):
    """Writes a template of `peers/` with its @NAMES@ replaced."""
    text = (HERE / "peers" / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    target.write_text(text)
    return target


class Server:
    """A server that runs: `address`, `child`, `pids()`; `extra` are helpers such as a log writer."""

    def __init__(self, name, address, child, folder, extra=()):
        self.name, self.address, self.child, self.dir, self.extra = name, address, child, folder, list(extra)
        self.ready_seconds = None

    def stop(self, bench):
        for child in [*self.extra, self.child]:
            bench.stop(child)


class Origin(Server):
    """The upstream of all others. `asked(path)` counts the GETs it saw."""

    def _lines(self, kind):
        rows = [line.split() for line in (self.dir / "origin.log").read_text().splitlines()]
        return [row for row in rows if row and row[0] == kind]

    def asked(self, path):
        return sum(1 for row in self._lines("start") if row[2] == "GET" and row[3] == path)

    def first_byte(self, path):
        """When the first body byte of a path was written, in nanoseconds since 1970."""
        return min(int(row[1]) for row in self._lines("body") if row[2] == path)


def origin(bench, tool, root, rate=0):
    folder = bench.sub("origin")
    ready = folder / "ready"
    child = bench.start("origin", [tool, "origin", "--root", root, "--log", folder / "origin.log", "--ready", ready, "--rate", rate])
    bench.until(child, 10, ready.exists, "the origin's port")
    return Origin("origin", ready.read_text().strip(), child, folder)


def condagate(bench, binary, upstream, data=None, rules="", settings=""):
    """The gate in front of an origin. `data`: a directory of an earlier run; `rules`, `settings`: more of each."""
    folder = bench.sub("condagate")
    data = data or folder / "data"
    written = folder / "rules"
    written.mkdir()
    fill("rules.yaml", written / "bench.yaml", ORIGIN=upstream.address)
    if rules:
        (written / "extra.yaml").write_text(rules)
    config = fill("condagate.yaml", folder / "condagate.yaml", DIR=folder)
    config.write_text(config.read_text() + settings)
    ready = folder / "ready"
    begin = time.monotonic()
    child = bench.start("condagate", [binary, "serve", "--listen", "127.0.0.1:0", "--ready-file", ready, "--data", data,
                                      "--rules", written, "--config", config])
    bench.until(child, 60, lambda: ready.exists() and ready.read_text().strip(), "the ready file of condagate")
    server = Server("condagate", ready.read_text().split()[0].removeprefix("http://").rstrip("/"), child, folder)
    server.ready_seconds = time.monotonic() - begin
    server.data = data
    return server


def nginx(bench, upstream):
    folder, address = bench.sub("nginx"), f"127.0.0.1:{free_port()}"
    user = "user root;" if os.geteuid() == 0 else ""
    conf = fill("nginx.conf", folder / "nginx.conf", DIR=folder, LISTEN=address, ORIGIN=upstream.address, CORES=CORES, USER=user)
    child = bench.start("nginx", [find("nginx"), "-c", conf, "-e", folder / "error.log"])
    bench.until(child, 10, lambda: answers(address), "nginx answers", 0.05)
    return Server("nginx", address, child, folder)


def varnish(bench, upstream):
    folder, address = bench.sub("varnish"), f"127.0.0.1:{free_port()}"
    host, port = upstream.address.split(":")
    vcl = fill("varnish.vcl", folder / "bench.vcl", HOST=host, PORT=port)
    jail = ["-j", "none"]
    child = bench.start("varnish", [find("varnishd"), "-F", *jail, "-n", folder / "work", "-a", address, "-f", vcl, "-s", "malloc,1g",
                                    "-p", "timeout_idle=600"])
    bench.until(child, 20, lambda: answers(address), "Varnish answers", 0.05)
    extra = []
    if find("varnishncsa"):
        extra = [bench.start("varnishncsa", [find("varnishncsa"), "-n", folder / "work", "-w", folder / "access.log"])]
    return Server("Varnish", address, child, folder, extra)


def squid(bench, upstream):
    folder, address = bench.sub("squid"), f"127.0.0.1:{free_port()}"
    host, port = upstream.address.split(":")
    user = "cache_effective_user proxy" if os.geteuid() == 0 else ""
    if user:
        shutil.chown(folder, "proxy", "proxy")
    conf = fill("squid.conf", folder / "squid.conf", DIR=folder, LISTEN=address, HOST=host, PORT=port, USER=user)
    child = bench.start("squid", [find("squid"), "-N", "-f", conf])
    bench.until(child, 20, lambda: answers(address), "Squid answers", 0.05)
    return Server("Squid", address, child, folder)


def available(bench, upstream, say):
    """Every peer that is installed and starts. A peer that does not start is named and left out."""
    found = []
    for program, begin in (("nginx", nginx), ("varnishd", varnish), ("squid", squid)):
        if not find(program):
            say(f"{program} is not installed (Debian: {PACKAGES[program]}); its column stays empty")
            continue
        try:
            found.append(begin(bench, upstream))
        except Failed as error:
            say(f"{program} is left out. {error}")
    return found
