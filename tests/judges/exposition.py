"""Shared by the judges: fetches an exposition and parses its samples."""

import re
import sys
import time
import urllib.error
import urllib.request

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
FETCH_SECONDS = 30

LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)')


class Unacceptable(Exception):
    """The judge's verdict that the exporter failed."""


def fetch(url: str, accept: str, seconds: float = FETCH_SECONDS) -> str:
    """The body, which must be in the requested format."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=seconds) as reply:
        given = reply.headers["Content-Type"].replace(" ", "")
        if not given.startswith(accept):
            raise Unacceptable(f"{url}: asked for {accept} and got {given}")
        return reply.read().decode()


def samples(text: str) -> dict:
    """Value by name and labels of the text format. prometheus_client has a parser
    too, but that one adds `_total` to the counters that lack it. A label without
    an empty value is the same as no label to Prometheus, and is dropped."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        parts = SAMPLE.fullmatch(line)
        if not parts:
            raise Unacceptable(f"not a sample: {line}")
        name, labels, value = parts.groups()
        labels = frozenset((key, unescape(text)) for key, text in LABEL.findall(labels or "") if text)
        if (name, labels) in found:
            raise Unacceptable(f"twice: {line}")
        found[name, labels] = float(value)
    return found


def unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda escaped: {"n": "\n"}.get(escaped[1], escaped[1]), text)


def types(text: str) -> dict:
    """Type by family."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def show(family: str, labels: frozenset, value: float) -> str:
    """A sample in the text format."""
    return family + "{" + ",".join(f'{key}="{text}"' for key, text in sorted(labels)) + "} " + repr(value)


def gather(url: str, prefix: str, scrapes: int) -> tuple[dict, dict]:
    """All values that several scrapes give each sample of the families that begin like that, and
    the types of all families."""
    values, known = {}, {}
    for _ in range(scrapes):
        text = fetch(url, TEXT)
        known |= types(text)
        for key, value in samples(text).items():
            if key[0].startswith(prefix):
                values.setdefault(key, set()).add(value)
    return values, known


def await_status(url: str, wanted: int, seconds: float) -> None:
    """Waits until a server that is still starting answers as it should."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as reply:
                answer = reply.status
        except urllib.error.HTTPError as error:
            answer = error.code
        except OSError as error:
            answer = error
        if answer == wanted:
            return
        if time.monotonic() > deadline:
            raise Unacceptable(f"{url}: still {answer} and not {wanted} after {seconds} s")
        time.sleep(0.02)


def judge(verdict) -> None:
    """Runs a judge on the command line's arguments, and turns its verdict into
    an exit status."""
    try:
        verdict(*sys.argv[1:])
    except Unacceptable as error:
        sys.exit(f"{sys.argv[0]}: {error}")
