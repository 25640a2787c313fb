"""What the judges of the cost share: starting an exporter, scraping it, and the CPU time that this takes."""

import contextlib
import ctypes
import gzip
import os
import platform
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import exposition

USER = "unitwatch"
# The longest wait for one condition.
SECONDS = 120
# Asked for as Prometheus does, but in the one format that all have.
HEADERS = {"Accept": exposition.TEXT, "Accept-Encoding": "gzip"}

# === What systemd says ===


def systemctl(*arguments: str) -> str:
    command = ["systemctl", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS).stdout


def loaded_units() -> set:
    """The names of those that both exporters have series for by default."""
    lines = systemctl("list-units", "--all", "--plain", "--full", "--no-legend").splitlines()
    rows = [line.split(maxsplit=2) for line in lines]
    return {name for name, load, _ in rows if load == "loaded" and not name.endswith(".device")}


def count_units(pattern: str, *wanted: str) -> int:
    """How many loaded units of these names have properties with values, or with another than one
    after an exclamation mark."""
    names = [word.lstrip("!").partition("=")[0] for word in wanted]
    shown = systemctl("show", "--all", "--property=LoadState", *(f"--property={name}" for name in names), pattern)
    units = [set(unit.splitlines()) for unit in shown.split("\n\n")]
    has = {word for word in wanted if not word.startswith("!")} | {"LoadState=loaded"}
    hasnt = {word[1:] for word in wanted if word.startswith("!")}
    return sum(has <= unit and not hasnt & unit for unit in units)


def allowed_calls(accounted: str = "*.service") -> tuple[int, str]:
    """What a scrape may ask while no connection comes, where IP accounting is on for no other
    services than these: only what systemd never signals."""
    sockets = count_units("*.socket", "Accept=yes", "!NConnections=0")
    services = count_units(accounted, "IPAccounting=yes")
    watched = count_units("*.service", "SubState=running", "!WatchdogUSec=0", "!WatchdogUSec=infinity")
    watchdog = bool(systemctl("show", "--value", "--property=WatchdogDevice").strip())
    what = f"SystemState, {sockets} sockets with connections, {services} IPAccounting=yes services, {watched} with a watchdog"
    return 1 + 3 * watchdog + 3 * sockets + 4 * services + watched, what


def machine() -> list[str]:
    """The machine that the figures depend on."""
    model = next((line.partition(": ")[2] for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    pids = "pids" in Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    return [
        f"CPU: {os.cpu_count()} x {model.strip()}",
        f"kernel {platform.release()}, {systemctl('--version').splitlines()[0]}",
        f"tasks are {'counted' if pids else 'NOT counted: no pids controller in the unified hierarchy'}",
    ]


# === Processes ===


class Clock:
    """The CPU time of a process, threads that have ended included, to the nanosecond
    that the scheduler counts in and not to the 10 ms of /proc."""

    def __init__(self, pid: int):
        clock = ctypes.c_int()
        error = ctypes.CDLL(None).clock_getcpuclockid(ctypes.c_int(pid), ctypes.byref(clock))
        if error:
            raise OSError(error, os.strerror(error), f"process {pid}")
        self.clock = clock.value

    def seconds(self) -> float:
        return time.clock_gettime(self.clock)


def others() -> dict:
    """The CPU clocks of PID 1, the bus and the exporter."""
    bus = int(systemctl("show", "--value", "--property=MainPID", "dbus.service"))
    return {"PID 1": Clock(1), "dbus-daemon": Clock(bus)}


@dataclass
class Answer:
    """To a scrape, as it was sent."""

    body: bytes
    packed: bool

    def plain(self) -> bytes:
        return gzip.decompress(self.body) if self.packed else self.body

    def samples(self) -> dict:
        return exposition.samples(self.plain().decode())


class Exporter:
    """A running exporter, as the unprivileged user that it should be."""

    def __init__(self, address: str, command: list[str], log):
        self.url = f"http://{address}"
        self.metrics = f"{self.url}/metrics"
        self.clocks = others()
        self.cpu_at_start = self.cpu() | {"exporter": 0}
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, user=USER, group=USER, extra_groups=[], stdout=log, stderr=log)
        self.clocks["exporter"] = Clock(self.process.pid)

    def cpu(self) -> dict:
        return {name: clock.seconds() for name, clock in self.clocks.items()}

    def cpu_since(self, before: dict, runs: float = 1) -> dict:
        used = {name: (after - before[name]) / runs for name, after in self.cpu().items()}
        return used | {"together": sum(used.values())}

    def memory(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    def scrape(self, seconds: float = SECONDS) -> Answer:
        request = urllib.request.Request(self.metrics, headers=HEADERS)
        with urllib.request.urlopen(request, timeout=seconds) as reply:
            return Answer(reply.read(), reply.headers["Content-Encoding"] == "gzip")


@contextlib.contextmanager
def started(address: str, *command: str):
    """An exporter for the length of the block; its log if the block fails."""
    with tempfile.TemporaryFile("w+") as log:
        exporter = Exporter(address, list(command), log)
        try:
            yield exporter
        except BaseException:
            log.seek(0)
            print(f"the last that {command[0]} said:")
            print("".join(log.readlines()[-20:]))
            raise
        finally:
            exporter.process.terminate()
            exporter.process.wait(SECONDS)


# === Samples ===


def total(samples: dict, family: str, **labels: str) -> float:
    """Of the samples of a family that have these labels."""
    return sum(value for (name, has), value in samples.items() if name == family and labels.items() <= set(has))


def await_rest(exporter: Exporter, allowed: int, seconds: float = SECONDS) -> None:
    """What nothing waits for is read after the start: until that is over, scrapes are not all
    that asks."""
    deadline = time.monotonic() + seconds
    asked = None
    while True:
        samples = exporter.scrape().samples()
        before, asked = asked, total(samples, "systemd_exporter_dbus_calls_total")
        if before is not None and asked - before <= allowed:
            return
        if time.monotonic() > deadline:
            raise exposition.Unacceptable(f"it still asks more than scrapes do after {seconds} s")
        # A unit that has become inactive is asked within two seconds.
        time.sleep(2)
