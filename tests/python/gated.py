"""Reads a channel that is not for everybody with py-rattler, which finds its credentials where users have put them.

gated.py URL CACHE NAME...

Exit code 0 and the file names of the records, or 3 and the error.
"""

import asyncio
import os
import sys

from rattler import Channel, Client, Gateway
from rattler.networking import AuthenticationMiddleware


async def main(url: str, cache: str, names: list[str]) -> int:
    gateway = Gateway(cache_dir=cache, client=Client([AuthenticationMiddleware()]))
    try:
        found = await gateway.query([Channel(url)], ["linux-64", "noarch"], names, recursive=True)
    except Exception as error:  # noqa: BLE001 - whatever the client says of a refusal
        print(error)
        return 3
    print("\n".join(sorted(record.file_name for records in found for record in records)))
    return 0


if __name__ == "__main__":
    code = asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
    sys.stdout.flush()
    os._exit(code)
