"""Checks or scores one file in a process of its own, whose memory and CPU time are limited.

The process gets no environment but what it needs, so no credentials, and on Linux no network where the system
lets it give that up; it dies with the process that started it. What it reads are two files, predictions and
labels; what it answers is JSON.

On systems that cannot limit the memory of a process (macOS) only its CPU time is.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vipriors import tasks
from vipriors.board.intake import unwrap
from vipriors.board.parts import ALL, restrict, split
from vipriors.problems import BadInput, Problem

LONGEST_ANSWER = 64 * 2**20
"""Bytes that the process may write."""

ASK_EVERY = 2.0
"""Seconds between two questions whether a score is still wanted."""

PROGRAM = (sys.executable, "-I", "-m", "vipriors.board.scoring")

_CLONE_NEWUSER, _CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x10000000, 0x40000000, 1


@dataclass(frozen=True)
class Job:
    """What is to be checked or scored.

    Attributes:
        file: the upload.
        name: what the sender calls it.
        task: name of the task.
        labels: a file that the other is held against.
        classes: as the task's `open_truth` takes them; empty for None.
        seed: secret of the split into parts.
        public_share: of the test.
        score: False to check only.
    """

    file: str
    name: str
    task: str
    labels: str
    classes: Sequence[str] = ()
    seed: str = ""
    public_share: float = 1.0
    score: bool = True


@dataclass(frozen=True)
class Limits:
    """What a process may use."""

    cpu_seconds: int
    memory_bytes: int

    @property
    def wall_seconds(self) -> float:
        """Ample: a process that takes longer is kept from working by something else than its file."""
        return 60 + 4 * self.cpu_seconds


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        problems: of the file; if there are any it cannot be scored.
        scores: of each part, as `Score.to_json` gives them; None where a part has nothing to score.
    """

    problems: list[Problem] = field(default_factory=list)
    scores: dict[str, dict[str, Any] | None] = field(default_factory=dict)


class ScorerFault(Exception):
    """The process failed in a way that no file may cause: the board's fault. Not for the sender's eyes."""


class NotWanted(Exception):
    """Somebody cancelled what was being scored."""


def run(
    job: Job, limits: Limits, wanted: Callable[[], bool] | None = None, program: Sequence[str] = PROGRAM
) -> Outcome:
    """Does a job in a process of its own.

    Args:
        job: the job.
        limits: of the process.
        wanted: asked now and then whether to go on.
        program: what is started.

    Raises:
        ScorerFault: the process failed, and not by a limit.
        NotWanted: `wanted` said no.
    """
    with tempfile.TemporaryDirectory(prefix="vipriors-scoring-") as folder:
        order, answer, errors = (Path(folder) / name for name in ("order", "answer", "errors"))
        order.write_text(json.dumps({"job": asdict(job), "limits": asdict(limits)}))
        environment = {"PATH": os.defpath, "LANG": "C.UTF-8"}
        environment |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        with order.open("rb") as stdin, answer.open("wb") as stdout, errors.open("wb") as stderr:
            process = subprocess.Popen(
                program, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder, env=environment
            )
            try:
                _wait(process, limits, wanted)
            finally:
                process.kill()
                process.wait()
        if process.returncode == -signal.SIGXCPU:
            return _too_much(job, f"{limits.cpu_seconds:,} seconds of CPU time")
        if process.returncode != 0:
            said = errors.read_text("utf-8", "replace")[-4000:].strip()
            raise ScorerFault(f"the scorer ended with {process.returncode}: {said}")
        return _outcome_of(job, limits, answer.read_bytes())


def child_main(work: Callable[[Job], Outcome]) -> None:
    """What the process does: limits itself, reads its order, works, answers."""
    order = json.load(sys.stdin)
    limits = Limits(**order["limits"])
    _limit_this_process(limits)
    try:
        outcome = work(Job(**order["job"]))
        answer: dict[str, Any] = {
            "problems": [asdict(problem) for problem in outcome.problems],
            "scores": _finite(outcome.scores),
        }
    except MemoryError:
        answer = {"memory": True}
    json.dump(answer, sys.stdout, allow_nan=False)


def work(job: Job) -> Outcome:
    """Checks a file, and scores it on each part of the test."""
    task = tasks.load(job.task)
    try:
        truth = task.open_truth(Path(job.labels), job.classes or None)
    except BadInput as error:
        raise ScorerFault(f"the labels cannot be used: {error}") from None
    try:
        data, name = unwrap(Path(job.file).read_bytes(), job.task, job.name)
    except BadInput as error:
        return Outcome(error.problems)
    predictions, problems = task.check(data, truth.index, name)
    if problems or not job.score:
        return Outcome(problems)
    scores: dict[str, dict[str, Any] | None] = {}
    done: dict[bytes, dict[str, Any] | None] = {}
    for part, which in split(truth.index.ids, job.seed, job.public_share).items():
        if which.tobytes() not in done:
            some, of_some = (truth, predictions) if part == ALL else restrict(truth, predictions, which)
            try:
                score = task.score(of_some, some.labels, some.index, some.classes).to_json()
            except BadInput as error:
                if part == ALL:
                    raise ScorerFault(f"the labels cannot be used: {error}") from None
                score = None  # a part may have no label that counts
            done[which.tobytes()] = score
        scores[part] = done[which.tobytes()]
    return Outcome([], scores)


def _wait(process: subprocess.Popen[bytes], limits: Limits, wanted: Callable[[], bool] | None) -> None:
    end = time.monotonic() + limits.wall_seconds
    while True:
        try:
            process.wait(ASK_EVERY)
            return
        except subprocess.TimeoutExpired:
            if wanted is not None and not wanted():
                raise NotWanted from None
            if time.monotonic() > end:
                raise ScorerFault(f"the scorer took more than {limits.wall_seconds:.0f} s") from None


def _outcome_of(job: Job, limits: Limits, answer: bytes) -> Outcome:
    try:
        said = json.loads(answer)
        if said.get("memory"):
            return _too_much(job, f"{limits.memory_bytes / 2**20:,.0f} MiB of memory")
        return Outcome([Problem(**problem) for problem in said["problems"]], said["scores"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ScorerFault(f"the scorer's answer cannot be read: {answer[:200]!r}") from None


def _too_much(job: Job, what: str) -> Outcome:
    doing = "scoring" if job.score else "checking"
    return Outcome([Problem(job.name, f"{doing} it takes more than {what}, the most that is given")])


def _limit_this_process(limits: Limits) -> None:
    for which, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, LONGEST_ANSWER),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        with contextlib.suppress(OSError, ValueError):  # see the module's docstring
            resource.setrlimit(which, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # Root may leave the network alone; others must become somebody else first.
        if system.unshare(_CLONE_NEWNET) != 0:
            system.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _finite(value: Any) -> Any:
    """JSON values with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    child_main(work)
