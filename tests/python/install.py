"""Solves and installs with py-rattler through a gate.

install.py MODE GATE CHANNEL[,CHANNEL] PREFIX SPEC...

MODE  channel: the channel's URL is the gate's
      auth:    the same, with the credentials in $HOME/.rattler
      mirror:  the channel keeps its own URL, a mirror setting leads to the gate
      proxy:   the channel keeps its own URL, $http_proxy leads to the gate
"""

import asyncio
import os
import sys
from pathlib import Path

from rattler import Channel, Client, Gateway, GenericVirtualPackage, PackageName, Version, install, solve
from rattler.package import BuildString
from rattler.networking import AuthenticationMiddleware, MirrorMiddleware

ORIGINAL = "http://conda.example.org"


async def main(mode: str, gate: str, channels: str, prefix: str, specs: list[str]) -> None:
    cache = Path(os.environ["RATTLER_CACHE_DIR"])
    base = gate if mode in ("channel", "auth") else ORIGINAL
    ways = {"mirror": [MirrorMiddleware({f"{ORIGINAL}/": [f"{gate}/"]})], "auth": [AuthenticationMiddleware()]}
    client = Client(ways[mode]) if mode in ways else Client()
    gateway = Gateway(cache_dir=cache / "repodata", client=client)
    records = await solve(
        sources=[Channel(f"{base}/{channel}") for channel in channels.split(",")],
        specs=specs,
        gateway=gateway,
        platforms=["linux-64", "noarch"],
        virtual_packages=virtual_packages(),
    )
    for record in records:
        assert record.url.startswith(f"{base}/"), record.url
    await install(
        records,
        target_prefix=prefix,
        cache_dir=cache / "packages",
        client=client,
        show_progress=False,
    )
    print("\n".join(sorted(record.file_name for record in records)))


def virtual_packages() -> list:
    """What packages of real channels may ask of the machine."""
    known = {"__glibc": "2.36", "__linux": "6.1", "__unix": "0"}
    return [GenericVirtualPackage(PackageName(n), Version(v), BuildString("0")) for n, v in known.items()]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5], sys.argv[5:]))
    # py-rattler 0.28 sometimes still has a thread that wants the interpreter back while it is being finalised, and
    # then aborts the process. All is done and written here: leave without finalising.
    sys.stdout.flush()
    os._exit(0)
