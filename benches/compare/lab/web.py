"""The pages: a channel of 31,000 names, what a page weighs, and what people who click cost those who download."""

import gzip
import html.parser
import http.client
import re
import statistics
import threading
import time
import urllib.parse

from . import channel, gated, hits, index, peers
from .procs import Failed

PATIENCE = 600
# What people open, one after the other; the last two are for administrators.
WALK = ["/", "/-/ui/channels", "/-/ui/channels/large", "/-/ui/channels/large?q=numpy", "/-/ui/channels/large?page=150&sort=newest",
        "/-/ui/channels/large/-/{name}", "/-/ui/search?q=arrow-0", "/-/ui/tokens", "/-/ui/admin/users", "/-/ui/admin/cache"]
PEOPLE = 8
# Seconds between two clicks of one person: hurried people, and programs that never wait.
PAUSES = {"people who click four times a second": 0.25, "programs that open pages without a pause": 0.0}


class Browser:
    """One connection that stays open, with cookies, as a browser has them."""

    def __init__(self, address):
        self.line = http.client.HTTPConnection(address, timeout=60)
        self.cookies = {}

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and body, as they came over the wire, and the seconds until the last byte."""
        sent = {"Accept-Encoding": "gzip", **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        begin = time.perf_counter()
        self.line.request(method, path, body, sent)
        answer = self.line.getresponse()
        body = answer.read()
        took = time.perf_counter() - begin
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, value = line.split(";", 1)[0].split("=", 1)
            self.cookies[name] = value
        return answer.status, answer.headers, body, took

    def page(self, path):
        """The text of a page, its bytes on the wire, and the seconds that it took."""
        status, headers, body, took = self.ask("GET", path)
        if status != 200:
            raise Failed(f"{path} is answered with {status}")
        text = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        return text.decode(), len(body), took

    def sign_in(self, user, password):
        text, _, _ = self.page("/-/ui/sign-in")
        token = re.search(r'name="csrf" value="([^"]+)"', text).group(1)
        form = urllib.parse.urlencode({"csrf": token, "username": user, "password": password})
        status, _, _, _ = self.ask("POST", "/-/ui/sign-in", form, {"Content-Type": "application/x-www-form-urlencoded"})
        if status != 303:
            raise Failed(f"signing in is answered with {status}")


class Parts(html.parser.HTMLParser):
    """What a page has the browser fetch."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag in ("script", "img") and attrs.get("src"):
            self.found.add(attrs["src"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "icon", "preload"):
            self.found.add(attrs["href"])


def weight(browser, path):
    """Bytes of a page and of all that it has a browser fetch that knows nothing yet."""
    text, total, _ = browser.page(path)
    parts = Parts()
    parts.feed(text)
    for part in sorted(parts.found):
        status, _, body, _ = browser.ask("GET", part)
        if status != 200:
            raise Failed(f"{part} is answered with {status}")
        total += len(body)
    return total


def ruled(server, path, rounds):
    """Seconds of each of many looks at the pages of the list, in every order, and with something typed."""
    browser, took = Browser(server.address), []
    for turn in range(rounds):
        for query in (f"?page={turn * 7 % 310 + 1}", f"?sort=newest&page={turn * 11 % 310 + 1}", f"?sort=size&page={turn + 1}", f"?q={'lnpa'[turn % 4]}"):
            took.append(browser.page(path + query)[2])
    return took


class Person(threading.Thread):
    """Somebody who clicks."""

    def __init__(self, address, account, walk, pause):
        super().__init__(daemon=True)
        self.browser, self.walk, self.pause = Browser(address), walk, pause
        self.browser.sign_in(*account)
        self.done, self.took, self.trouble = threading.Event(), [], None

    def run(self):
        try:
            while not self.done.is_set():
                for path in self.walk:
                    self.took.append(self.browser.page(path)[2])
                    if self.done.wait(self.pause):
                        return
        except (Failed, OSError, http.client.HTTPException) as error:
            self.trouble = error


def crowded(bench, server, account, walk, seconds, pause):
    """Hits a second while people click, and how long they wait."""
    people = [Person(server.address, account, walk, pause) for _ in range(PEOPLE)]
    for person in people:
        person.start()
    try:
        rate = gated.wrk(bench, server.address, channel.hit_path("2 KB"), seconds)
    finally:
        for person in people:
            person.done.set()
        for person in people:
            person.join(60)
    for person in people:
        if person.trouble:
            raise Failed(f"a page was not shown: {person.trouble}")
    return rate, [took for person in people for took in person.took]


def beside(bench, server, account, walk, report, quick, who, pause):
    """Downloads with and without visitors, in alternating rounds."""
    rounds, seconds = (1, 3) if quick else (5, 6)
    alone, together, waits = [], [], []
    for _ in range(rounds):
        alone.append(gated.wrk(bench, server.address, channel.hit_path("2 KB"), seconds))
        rate, took = crowded(bench, server, account, walk, seconds, pause)
        together.append(rate)
        waits += took
    ratio = statistics.median(together) / statistics.median(alone)
    pages = len(waits) / (rounds * seconds)
    report.row(f"2 KB hits, 32 connections, beside {PEOPLE} {who}: {pages:.0f} pages a second", f"{ratio:.2f} × ({statistics.median(together) / 1e3:.1f} k/s)",
               "≥ 0.9 ×", ratio >= 0.9)
    report.row("… their pages: half within, 95 of 100 within", f"{statistics.median(waits) * 1000:.0f} ms, {p95(waits) * 1000:.0f} ms")


def p95(values):
    return sorted(values)[min(len(values) - 1, len(values) * 95 // 100)]


def opened(browser, path):
    """Seconds until a page and all of its parts are there, for a browser that knows nothing."""
    begin = time.perf_counter()
    weight(browser, path)
    return time.perf_counter() - begin


def measure(bench, tool, binary, report, quick, say):
    """All of it."""
    if not binary:
        return
    root = bench.sub("www")
    channel.hits(root)
    channel.large(root, tool, 50_000 if quick else 500_000)
    upstream = peers.origin(bench, tool, root)
    server = peers.condagate(bench, binary, upstream)
    say("the index is fetched")
    index.drain(server.address, "/large/linux-64/repodata.json.zst", PATIENCE)
    bench.until(server.child, PATIENCE, lambda: index.generation(server.data), "the generation", 0.1)
    hits.get(server.address, "/bench/linux-64/repodata.json")
    hits.get(server.address, channel.hit_path("2 KB"))
    account = ("root", gated.PASSWORD)
    gated.command(binary, server, "user", "create", "--username", account[0], "--superuser", "--password-stdin", stdin=account[1])
    text, _, first = Browser(server.address).page("/-/ui/channels/large")
    names = re.search(r"([\d,]+) packages", text) or re.search(r"of ([\d,\u202f\u00a0 ]+)", text)
    report.row(f"page of a channel of {names.group(1) if names else '?'} names: the first look after its index came", f"{first * 1000:.0f} ms")
    took = ruled(server, "/-/ui/channels/large", 10 if quick else 75)
    report.row(f"… {len(took)} looks, every order, anywhere in the list, 95 of 100 within", f"{p95(took) * 1000:.1f} ms", "≤ 50 ms", p95(took) <= 0.05)
    name = re.search(r"/-/ui/channels/large/-/([A-Za-z0-9._-]+)", text).group(1)
    walk = [path.format(name=name) for path in WALK]
    browser = Browser(server.address)
    browser.sign_in(*account)
    heavy = max((weight(browser, path), path) for path in walk)
    report.row(f"the heaviest of {len(walk)} pages, with all its parts, cold ({heavy[1]})", f"{heavy[0] / 1000:.0f} KB", "≤ 120 KB", heavy[0] <= 120_000)
    server.stop(bench)
    server = peers.condagate(bench, binary, upstream, server.data)
    cold = opened(Browser(server.address), "/-/ui/channels/large")
    report.row("the channel's page opens, with all its parts, after a restart", f"{cold * 1000:.0f} ms", "≤ 200 ms", cold <= 0.2)
    hits.get(server.address, channel.hit_path("2 KB"))
    for who, pause in PAUSES.items():
        beside(bench, server, account, walk, report, quick, who, pause)
    server.stop(bench)
    upstream.stop(bench)
