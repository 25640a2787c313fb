"""The starts, restarts and failures of a unit: in the journal and in unitwatch's counters."""

import json
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import exposition

SECONDS = 120

# === The IDs of systemd's messages ===

FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
RESTARTED = "5eb03494b6584870a536b337290809b3"
# The result of a start that is refused because there were too many.
REFUSED = "start-limit-hit"
# journald's own message about dropped messages.
DROPPED = "a596d6fe7bfa4994828e72309e95d61e"

FIELDS = ("MESSAGE", "MESSAGE_ID", "UNIT", "UNIT_RESULT", "INVOCATION_ID", "N_RESTARTS", "JOB_ID", "JOB_TYPE", "JOB_RESULT")


@dataclass
class Account:
    """The counts of one unit since some time."""

    starts: int = 0
    restarts: int = 0
    failures: Counter = field(default_factory=Counter)

    def __add__(self, other: "Account") -> "Account":
        return Account(self.starts + other.starts, self.restarts + other.restarts, self.failures + other.failures)

    def __sub__(self, earlier: "Account") -> "Account":
        failures = Counter({result: count - earlier.failures[result] for result, count in self.failures.items()})
        return Account(self.starts - earlier.starts, self.restarts - earlier.restarts, +failures)

    def __str__(self) -> str:
        failures = ", ".join(f"{count} {result}" for result, count in sorted(self.failures.items()))
        return f"{self.starts} starts, {self.restarts} restarts, failures: {failures or 'none'}"


# === The journal ===


@dataclass
class Run:
    """An invocation: when it was first heard of, and how it failed, in seconds since 1970."""

    began: float
    failed: dict = field(default_factory=dict)
    # The starts after it that were refused because there were too many.
    refused: list = field(default_factory=list)

    def failures(self) -> list[tuple[str, float]]:
        return [*self.failed.items(), *((REFUSED, moment) for moment in self.refused)]


@dataclass
class History:
    """One unit's messages in the journal."""

    runs: dict = field(default_factory=dict)
    # When each was scheduled.
    restarts: list = field(default_factory=list)
    restart_number: int = 0
    # The restarts that were scheduled before the run of the one before had begun: before version
    # 254 a daemon-reload makes systemd forget that a restart is queued, and count it again.
    repeated: list = field(default_factory=list)
    # How many runs there were when a restart was scheduled last.
    runs_then: int | None = None

    def account(self) -> Account:
        failures = Counter(result for run in self.runs.values() for result, _ in run.failures())
        return Account(len(self.runs), len(self.restarts), failures)


def demand(journal: Account) -> None:
    """Fails if there is nothing to compare."""
    if not (journal.starts and journal.restarts and journal.failures.total()):
        raise exposition.Unacceptable(f"too little has happened to judge by: {journal}")


class Journal:
    """The messages of PID 1 about units since a cursor."""

    def __init__(self, after: str):
        self.units = defaultdict(History)
        # The last that was said of each job: a restart ends as two, first itself and then a start.
        self.jobs = {}
        for line in journalctl("--output=json", f"--output-fields={','.join(FIELDS)}", f"--after-cursor={after}", "_PID=1"):
            entry = json.loads(line)
            if "UNIT" in entry:
                self.take_in(entry)
        dropped = journalctl(f"--after-cursor={after}", "--output=cat", f"MESSAGE_ID={DROPPED}")
        if dropped:
            raise exposition.Unacceptable(f"the journal is not complete: {dropped}")

    def take_in(self, entry: dict) -> None:
        unit = self.units[entry["UNIT"]]
        when = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        kind = entry.get("MESSAGE_ID")
        # Of what never ran there is a message too, but no invocation.
        if run := entry.get("INVOCATION_ID"):
            run = unit.runs.setdefault(run, Run(when))
        if kind == FAILED:
            result = entry["UNIT_RESULT"]
            if run is None:
                raise exposition.Unacceptable(f"the journal knows no run for: {entry['MESSAGE']}")
            # No run fails twice for the same reason. What is refused is said to have failed as
            # the last run did before systemd 253, and as what it is since.
            if result == REFUSED or result in run.failed:
                run.refused.append(when)
            else:
                run.failed[result] = when
        elif kind == RESTARTED:
            number = int(entry["N_RESTARTS"])
            # Otherwise a missing message would not be noticed.
            if number not in (1, unit.restart_number + 1):
                raise exposition.Unacceptable(f"the journal is not complete before: {entry['MESSAGE']}")
            unit.restart_number = number
            unit.restarts.append(when)
            if len(unit.runs) == unit.runs_then:
                unit.repeated.append(when)
            unit.runs_then = len(unit.runs)
        if "JOB_RESULT" in entry:
            self.jobs[entry["JOB_ID"]] = (entry["JOB_TYPE"], entry["JOB_RESULT"])


def journalctl(*arguments: str) -> list[str]:
    command = ["journalctl", "--quiet", "--no-pager", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS).stdout.splitlines()


def now() -> str:
    """The journal's end at this moment, as a cursor."""
    journalctl("--sync")
    return journalctl("--lines=0", "--show-cursor")[-1].removeprefix("-- cursor: ")


# === unitwatch ===


def counted(samples: dict) -> dict[str, Account]:
    """By unit, from an exposition."""
    units = defaultdict(Account)
    for (family, labels), value in samples.items():
        labels = dict(labels)
        if family == "systemd_unit_starts_total":
            units[labels["name"]].starts = int(value)
        elif family == "systemd_service_restart_total":
            units[labels["name"]].restarts = int(value)
        elif family == "systemd_unit_failures_total":
            units[labels["name"]].failures[labels["result"]] = int(value)
    return units
