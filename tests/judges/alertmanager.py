"""An Alertmanager with the example configuration, and its alerts."""

import contextlib
import json
import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import exposition

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "alerts" / "alertmanager.example.yml"
RULES = [ROOT / "alerts" / f"unitwatch.{kind}.yml" for kind in ("recording", "alerts")]
SECONDS = 60
MILLISECONDS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


# No process may listen there yet.
GIVEN = set()


def free_address() -> str:
    """A free address, a new one each time."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "127.0.0.1:%d" % free.getsockname()[1]
        if address not in GIVEN:
            GIVEN.add(address)
            return address


def replaced(text: str, old: str, new: str) -> str:
    """Replaces text that must be there."""
    if old not in text:
        raise exposition.Unacceptable(f"there is no {old!r} in {text[:60]!r}...")
    return text.replace(old, new)


def hurried(text: str) -> str:
    """Rules, or a configuration of Alertmanager, with every time in it a sixtieth of itself: what takes a
    minute takes a second. Nothing else is changed, and so each time keeps its proportion to the
    others."""
    less = lambda found: f"{int(found[1]) * MILLISECONDS[found[2]] // 60}ms"
    text, times = re.subn(r"\b(\d+)([smhd])\b", less, text)
    # As a number of seconds it is written as a product.
    text = re.sub(r"\b(\d+) \* 60\b", r"\1", text)
    if not times:
        raise exposition.Unacceptable(f"there is no time in {text[:60]!r}...")
    return text


@contextlib.contextmanager
def program(*command: str):
    """A server for the length of the block. Its log is shown if the block fails."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
        except BaseException:
            log.seek(0)
            print(log.read()[-4000:])
            raise
        finally:
            server.kill()
            server.wait()


@contextlib.contextmanager
def alertmanager(work: Path, webhook: str):
    """An Alertmanager with the example configuration, but with short times: pages go to `webhook`,
    mails to `webhook`mail. Yields its address."""
    text = replaced(EXAMPLE.read_text(), "https://pager.example.org/alerts", webhook)
    text = replaced(text, "email_configs", "webhook_configs")
    text = replaced(text, "to: operators@example.org", f"url: {webhook}mail")
    (work / "alertmanager.yml").write_text(hurried(text))
    address = free_address()
    with program(
        "prometheus-alertmanager",
        f"--config.file={work}/alertmanager.yml",
        f"--storage.path={work}/alertmanager",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ):
        exposition.await_status(f"http://{address}/-/ready", 200, SECONDS)
        yield address


def send(address: str, alerts: list[dict]) -> None:
    request = urllib.request.Request(
        f"http://{address}/api/v2/alerts",
        data=json.dumps([{"labels": labels} for labels in alerts]).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


def states(address: str) -> list[tuple[dict, bool]]:
    """Each alert's labels, and whether another one inhibits it. Until Alertmanager has thought
    about an alert it is not listed."""
    with urllib.request.urlopen(f"http://{address}/api/v2/alerts", timeout=10) as reply:
        alerts = json.load(reply)
    return [
        (alert["labels"], bool(alert["status"]["inhibitedBy"]))
        for alert in alerts
        if alert["status"]["state"] != "unprocessed"
    ]


def until(what, why: str):
    """Polls until there is a result, and returns it."""
    end = time.monotonic() + SECONDS
    while not (answer := what()):
        if time.monotonic() > end:
            raise exposition.Unacceptable(f"not within {SECONDS} s: {why}")
        time.sleep(0.2)
    return answer
