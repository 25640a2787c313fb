"""Starts a Prometheus and queries it."""

import contextlib
import json
import urllib.parse
import urllib.request
from pathlib import Path

import exposition
from alertmanager import SECONDS, free_address, program


@contextlib.contextmanager
def prometheus(work: Path, configuration: dict, *flags: str):
    """A Prometheus with its data in `work`. Yields its address once it is ready."""
    # JSON is YAML.
    (work / "prometheus.yml").write_text(json.dumps(configuration))
    address = free_address()
    with program(
        "prometheus",
        f"--config.file={work}/prometheus.yml",
        f"--storage.tsdb.path={work}/data",
        f"--web.listen-address={address}",
        *flags,
    ):
        exposition.await_status(f"http://{address}/-/ready", 200, SECONDS)
        yield address


def ask(address: str, path: str, **parameters) -> dict:
    """The result of an API request."""
    url = f"http://{address}/api/v1/{path}?" + urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(url, timeout=SECONDS) as reply:
        return json.load(reply)
