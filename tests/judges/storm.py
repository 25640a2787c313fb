"""Drives the units of tests/containers/storm: starts, reloads and resets them again and
again, except for those that restart by themselves."""

import contextlib
import itertools
import re
import socket
import subprocess
import threading
import time

import exposition

SECONDS = 60
OURS = re.compile(r"(run-)?storm-.+")
# The period in seconds of each action below.
SCHEDULE = (
    (0.2, "connect"),
    (0.7, "forgive_one"),
    (1.0, "restart"),
    (0.8, "start_limited"),
    (1.9, "mount"),
    (3.0, "start_collected"),
    (4.0, "run_transient"),
    (5.0, "trigger"),
    (5.5, "release"),
    (12.0, "forgive_all"),
    (17.0, "reload"),
)


def systemctl(*arguments: str, fails: bool = False) -> str:
    """Its output. With `fails` it may fail, as many of the units are meant to."""
    ran = subprocess.run(["systemctl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=SECONDS)
    if ran.returncode != 0 and not fails:
        raise exposition.Unacceptable(f"systemctl {' '.join(arguments)}: {ran.stderr}")
    return ran.stdout


# After these, systemd's NRestarts is 0 again.
FORGETTING = {"forgive_one", "forgive_all", "release"}


class Storm:
    """Runs for the length of the block, and then stops all units."""

    def __init__(self, without: set = frozenset()):
        self.without = without
        self.numbers = itertools.count()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.broken = None

    def __enter__(self):
        systemctl("start", "--no-block", "storm-auto.target")
        systemctl("start", "--no-block", "storm-restarted.service", "storm-stubborn.service", "storm-forgiven.service")
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join(SECONDS)
        stop_all()
        if self.broken and kind is None:
            raise self.broken

    def run(self) -> None:
        periods = {name: period for period, name in SCHEDULE if name not in self.without}
        due = {name: time.monotonic() + period for name, period in periods.items()}
        try:
            while True:
                name = min(due, key=due.get)
                if self.over.wait(max(0.0, due[name] - time.monotonic())):
                    return
                getattr(self, name)()
                # Without catching up: a busy machine runs fewer actions.
                due[name] = time.monotonic() + periods[name]
        except Exception as error:  # raised at the end, in the judge's own thread
            self.broken = error

    # === The actions ===

    def connect(self) -> None:
        """Starts an instance for this connection."""
        knock("accept")

    def forgive_one(self) -> None:
        """Resets it between each crash and the next restart."""
        systemctl("reset-failed", "storm-forgiven.service", fails=True)

    def restart(self) -> None:
        systemctl("restart", "--no-block", "storm-restarted.service", "storm-stubborn.service")

    def start_limited(self) -> None:
        systemctl("start", "storm-limited.service", "storm-limited-by-hand.service", fails=True)

    def release(self) -> None:
        systemctl("reset-failed", "storm-limited.service", "storm-limited-by-hand.service", fails=True)

    def mount(self) -> None:
        systemctl("start", "run-storm-mount.mount", fails=True)

    def start_collected(self) -> None:
        number = next(self.numbers)
        names = [f"storm-collected{kind}@{number}-{each}.service" for kind in ("", "-well") for each in range(10)]
        systemctl("start", "--no-block", *names)

    def run_transient(self) -> None:
        number = next(self.numbers)
        run = ("systemd-run", "--quiet", "--collect")
        stubborn = "trap : TERM; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; done"
        limits = ("--property=RuntimeMaxSec=100ms", "--property=TimeoutStopSec=100ms")
        commands = [(*run, f"--unit=storm-transient-{number}-{each}", "false") for each in range(4)]
        commands.append((*run, "--scope", f"--unit=storm-scope-{number}", "true"))
        commands.append((*run, "--scope", *limits, f"--unit=storm-scope-late-{number}", "sh", "-c", stubborn))
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        for process in [subprocess.Popen(command, **silent) for command in commands]:
            process.wait(SECONDS)

    def trigger(self) -> None:
        """Makes a socket reach its trigger limit."""
        systemctl("start", "storm-trigger.socket")
        knock("trigger")

    def forgive_all(self) -> None:
        systemctl("reset-failed")

    def reload(self) -> None:
        systemctl("daemon-reload")


def knock(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.settimeout(SECONDS)
        client.connect(f"/run/storm/{name}")


def stop_all() -> None:
    """Stops all units and waits until none is active and no job is queued."""
    deadline = time.monotonic() + SECONDS
    units = ("storm-*", "run-storm-*")
    while True:
        # A timer may start a unit that is being stopped and so cancel the stop; the next round stops it.
        systemctl("stop", *units, fails=True)
        at_work = systemctl("list-units", "--state=active,activating,deactivating,reloading", "--no-legend", "--plain", *units)
        if not at_work and not systemctl("list-jobs", "--no-legend", *units):
            return
        if time.monotonic() > deadline:
            raise exposition.Unacceptable(f"these do not stop within {SECONDS} s:\n{at_work}")
