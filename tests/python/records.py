"""Prints what py-rattler's gateway knows of packages, one JSON record a line, sorted.

records.py URL shards|whole CACHE NAME...
"""

import asyncio
import os
import sys

from rattler import Channel, Client, Gateway
from rattler.repo_data.gateway import SourceConfig


async def main(url: str, form: str, cache: str, names: list[str]) -> None:
    config = SourceConfig(sharded_enabled=form == "shards")
    gateway = Gateway(cache_dir=cache, default_config=config, client=Client())
    found = await gateway.query([Channel(url)], ["linux-64", "noarch"], names, recursive=True)
    records = [record for records in found for record in records]
    print("\n".join(sorted(f"{record.url} {record.indexed_timestamp} {record.to_json()}" for record in records)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], sys.argv[4:]))
    # As in install.py: py-rattler 0.28 may abort while the interpreter is being finalised.
    sys.stdout.flush()
    os._exit(0)
