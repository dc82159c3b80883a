"""Publishes packages with real clients, one call of a client's own function each.

usage: publish.py WAY GATE CHANNEL TOKEN FILE...

The way is one of `quetz`, `artifactory`, `prefix`, `anaconda`, `cloudsmith` (py-rattler-build's upload functions) and `quetz-client`.
"""

import pathlib
import sys


def main() -> None:
    way, gate, channel, token, *files = sys.argv[1:]
    if way == "quetz-client":
        from quetz_client.client import QuetzClient

        client = QuetzClient.from_token(gate, token)
        for file in files:
            client.post_file_to_channel(channel, pathlib.Path(file))
        return
    from rattler_build import upload

    if way == "quetz":
        upload.upload_package_to_quetz(files, gate, channel, api_key=token)
    elif way == "artifactory":
        upload.upload_package_to_artifactory(files, gate, channel, token=token)
    elif way == "prefix":
        upload.upload_package_to_prefix(files, gate, channel, api_key=token)
    elif way == "prefix-skipping":
        upload.upload_package_to_prefix(files, gate, channel, api_key=token, skip_existing=True)
    elif way == "anaconda":
        upload.upload_package_to_anaconda(files, channel, channel=["main", "rc"], api_key=token, url=gate)
    elif way == "anaconda-force":
        upload.upload_package_to_anaconda(files, channel, channel=["main"], api_key=token, url=gate, force=True)
    elif way == "cloudsmith":
        owner, _, repo = channel.rpartition("/")
        upload.upload_package_to_cloudsmith(files, owner or "-", repo, api_key=token, url=f"{gate}/api/cloudsmith")
    else:
        sys.exit(f"unknown way {way}")


main()
