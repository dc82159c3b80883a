"""Makes the channels that the origin serves: files of noise and the indexes that list them."""

import hashlib
import json
import os
import shutil
import subprocess

HITS = {"2 KB": 2 << 10, "20 KB": 20 << 10, "1 MB": 1 << 20, "50 MB": 50 << 20}
HERD_SIZE = 200_000_000


def hit_path(label):
    """Where the file of that size is, below the gate or the origin."""
    return f"/bench/linux-64/bench-1.0-{label.replace(' ', '').lower()}_0.conda"


HERD_PATH = "/herd/linux-64/herd-1.0-0.conda"


def noise_file(path, size):
    """A file of random bytes; returns its record's digests and size."""
    sha256, md5 = hashlib.sha256(), hashlib.md5()
    with open(path, "wb") as f:
        left = size
        while left:
            chunk = os.urandom(min(left, 1 << 20))
            f.write(chunk)
            sha256.update(chunk)
            md5.update(chunk)
            left -= len(chunk)
    return {"sha256": sha256.hexdigest(), "md5": md5.hexdigest(), "size": size}


def record(name, version, build, digests):
    """A record as an index has it."""
    return {"name": name, "version": version, "build": build, "build_number": 0, "depends": [], "subdir": "linux-64", **digests}


def write_index(channel, records):
    """`repodata.json` and `.zst` of linux-64, and an empty noarch."""
    for subdir, found in (("linux-64", records), ("noarch", {})):
        folder = channel / subdir
        folder.mkdir(parents=True, exist_ok=True)
        doc = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": found, "removed": [], "repodata_version": 1}
        (folder / "repodata.json").write_text(json.dumps(doc, separators=(",", ":")))
        pack(folder / "repodata.json")


def pack(path):
    """`<path>.zst` beside a file."""
    subprocess.run(["zstd", "-q", "-f", "-T0", str(path), "-o", f"{path}.zst"], check=True, timeout=300)


def hits(root):
    """Channel `bench`: one file for each size of hit."""
    folder = root / "bench" / "linux-64"
    folder.mkdir(parents=True)
    records = {}
    for label, size in HITS.items():
        name = hit_path(label).rsplit("/", 1)[1]
        build = name.removesuffix(".conda").rsplit("-", 1)[1]
        records[name] = record("bench", "1.0", build, noise_file(folder / name, size))
    write_index(root / "bench", records)


def herd(root):
    """Channel `herd`: one package of 200 MB. Returns its record."""
    folder = root / "herd" / "linux-64"
    folder.mkdir(parents=True)
    found = record("herd", "1.0", "0", noise_file(folder / "herd-1.0-0.conda", HERD_SIZE))
    write_index(root / "herd", {"herd-1.0-0.conda": found})
    return found


def many(root, count):
    """Channel `many`: the index of files that the origin makes up (`tool/tiny.rs` has the same names and bytes)."""
    records = {}
    for i in range(count):
        body = b"condagate bench payload %d\n" % i
        digests = {"sha256": hashlib.sha256(body).hexdigest(), "md5": hashlib.md5(body).hexdigest(), "size": len(body)}
        records[f"tiny{i // 10}-1.0-{i % 10}.conda"] = record(f"tiny{i // 10}", "1.0", str(i % 10), digests)
    write_index(root / "many", records)


def large(root, tool, records):
    """Channel `large`: an index of half a million records. Returns the path of its `repodata.json`."""
    write_index(root / "large", {})
    target = root / "large" / "linux-64" / "repodata.json"
    subprocess.run([str(tool), "synth", "--records", str(records), "--out", str(target)], check=True, timeout=120)
    pack(target)
    return target


def room(path, wanted):
    """Whether the disk has that many bytes free."""
    return shutil.disk_usage(path).free > wanted
