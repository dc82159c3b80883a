"""Processes of one run: started, watched, measured, and stopped whatever happens. Knows nothing of what they are."""

import atexit
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time


class Failed(Exception):
    """A step that could not be done; the message says which and why."""


class Bench:
    """The scratch directory and the processes of one run."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="condagate-compare-"))
        self.dir.chmod(0o755)
        self.running = []
        atexit.register(self.clean)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupted)

    def _interrupted(self, number, _frame):
        raise SystemExit(128 + number)

    def sub(self, name):
        """A new directory below the scratch directory."""
        made = pathlib.Path(tempfile.mkdtemp(prefix=name + "-", dir=self.dir))
        made.chmod(0o755)
        return made

    def start(self, name, argv, cwd=None, env=None):
        """Starts a process in a session of its own, so that its children can be found and stopped with it."""
        out = open(self.dir / f"{name}.out", "ab")
        try:
            child = subprocess.Popen([str(a) for a in argv], cwd=cwd or self.dir, env=env, stdin=subprocess.DEVNULL,
                                     stdout=out, stderr=out, start_new_session=True)
        except OSError as error:
            raise Failed(f"{name} does not start: {error}") from error
        finally:
            out.close()
        child.name = name
        self.running.append(child)
        return child

    def stop(self, child, patience=10):
        """SIGTERM, then SIGKILL for the whole session. Returns the seconds that it took."""
        begin = time.monotonic()
        family = tree(child.pid)
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        took = time.monotonic() - begin
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        child.wait()
        if child in self.running:
            self.running.remove(child)
        return took

    def clean(self):
        """Stops what still runs and removes the scratch directory."""
        for child in list(reversed(self.running)):
            self.stop(child, patience=3)
        shutil.rmtree(self.dir, ignore_errors=True)

    def said(self, name, lines=15):
        """The last lines that a process printed, for error messages."""
        try:
            text = (self.dir / f"{name}.out").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join("    " + line for line in text.splitlines()[-lines:])

    def run(self, argv, seconds):
        """Runs a command to its end, within a limit, and returns what it printed."""
        try:
            done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=seconds, cwd=self.dir)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{argv[0]} did not end within {seconds} s") from error
        if done.returncode:
            raise Failed(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout

    def until(self, child, seconds, test, what, step=0.002):
        """Waits until `test()` is true. The process must live meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = test()
            if answer:
                return answer
            if child is not None and child.poll() is not None:
                raise Failed(f"{child.name} ended with {child.returncode} before {what}:\n{self.said(child.name)}")
            time.sleep(step)
        said = self.said(child.name) if child is not None else ""
        raise Failed(f"{what}: not within {seconds} s\n{said}")


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(address):
    """Whether something accepts connections there."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 0.2).close()
        return True
    except OSError:
        return False


def tree(root):
    """A process and all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def anon(pids):
    """RssAnon of the processes together, in bytes."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as f:
                for line in f:
                    if line.startswith("RssAnon:"):
                        total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


class Peak:
    """Samples RssAnon of a process tree in the background: `with Peak(pid) as peak: …`, then `peak.before`, `peak.most`."""

    def __init__(self, pid, every=0.05):
        self.pids, self.every, self.done = tree(pid), every, threading.Event()
        self.before = self.most = anon(self.pids)
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self.done.wait(self.every):
            self.most = max(self.most, anon(self.pids))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.most = max(self.most, anon(self.pids))
