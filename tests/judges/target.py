"""An exporter that is scraped at an interval."""

import re
import subprocess
import time

import exposition
import storm

# The longest wait for one condition.
SECONDS = 60
# What unitwatch counts. What systemd counts goes with the unit, and what an exporter
# says of itself starts from 0 with it.
EVENTS = re.compile(r"systemd_((unit_)?(transitions|failures)|unit_starts|service_restart|jobs_completed|restarts|reloads)_total")


class Target:
    """An exporter, and what it said at each scrape."""

    def __init__(self, url: str):
        self.url = url
        self.scrapes = []

    def scrape(self) -> dict:
        text = exposition.fetch(self.url, exposition.TEXT)
        self.scrapes.append(exposition.samples(text))
        return self.scrapes[-1]

    def settle(self) -> dict:
        """Scrapes once everything that happened before has arrived: signals come in order,
        and so all is there once the last is."""
        last = "storm-last.service"
        run = ("systemd-run", "--quiet", f"--unit={last}", "--property=RemainAfterExit=yes", "true")
        subprocess.run(run, check=True, timeout=SECONDS)
        state = ("systemd_unit_state", frozenset({"name": last, "type": "service", "state": "active"}.items()))
        deadline = time.monotonic() + SECONDS
        while exposition.samples(exposition.fetch(self.url, exposition.TEXT)).get(state) != 1:
            if time.monotonic() > deadline:
                raise exposition.Unacceptable(f"{self.url}: {last} is not active after {SECONDS} s")
            time.sleep(0.1)
        storm.stop_all()
        return self.scrape()

    def judge_constancy(self) -> None:
        """A counter of events that is known stays, and never goes down. One that counted
        nothing goes with its unit."""
        for number, (before, after) in enumerate(zip(self.scrapes, self.scrapes[1:]), 2):
            for (family, labels), value in before.items():
                if not EVENTS.fullmatch(family):
                    continue
                later = after.get((family, labels))
                if value > 0 and (later is None or later < value):
                    raise exposition.Unacceptable(f"scrape {number}: {family} {dict(labels)} went from {value:.0f} to {later}")
