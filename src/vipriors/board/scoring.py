"""Checks or scores one file in a process of its own, whose memory and CPU time are limited.

The process gets no environment but what it needs, so no credentials, and on Linux no network where the system
lets it give that up; it dies with the process that started it. What it reads are two files, predictions and
labels; what it answers is JSON.

Once a file is scored its pictures are drawn and its errors diagnosed, within the same limits. Should that
fail, the scores stand: the process answers after each step, and its last whole answer counts.

On systems that cannot limit the memory of a process (macOS) only its CPU time is.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from vipriors import tasks
from vipriors.board.intake import unwrap
from vipriors.board.parts import ALL, Positions, restrict, split
from vipriors.board.picturing import pictures_of
from vipriors.diagnose import predictions as diagnosing
from vipriors.problems import BadInput, Problem
from vipriors.tasks.protocol import Truth

log = logging.getLogger(__name__)

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
        images: a file of test images (see `samples`), on which predictions are drawn; none if empty.
    """

    file: str
    name: str
    task: str
    labels: str
    classes: Sequence[str] = ()
    seed: str = ""
    public_share: float = 1.0
    score: bool = True
    images: str = ""


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
        scores: of each part, as `Score.to_json` gives them; None where a part has nothing to score. Those of
            tasks that find objects may have `tide`, as `Diagnosis.to_json` gives it.
        pictures: of predictions, each a `caption` and a `png` in base64.
    """

    problems: list[Problem] = field(default_factory=list)
    scores: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    pictures: list[dict[str, str]] = field(default_factory=list)


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
                ended = _wait(process, limits, wanted)
            finally:
                process.kill()
                process.wait()
        answers = answer.read_bytes()
        if process.returncode == 0:
            return _outcome_of(job, limits, answers)
        whole = answers.rpartition(b"\n")[0]
        said = errors.read_text("utf-8", "replace")[-4000:].strip()
        if whole:
            log.warning("what is told beside a score failed with %d: %s", process.returncode, said)
            return _outcome_of(job, limits, whole)
        if not ended:
            raise ScorerFault(f"the scorer took more than {limits.wall_seconds:.0f} s")
        if process.returncode == -signal.SIGXCPU:
            return _too_much(job, f"{limits.cpu_seconds:,} seconds of CPU time")
        raise ScorerFault(f"the scorer ended with {process.returncode}: {said}")


def child_main(work: Callable[[Job], Outcome | Iterator[Outcome]]) -> None:
    """What the process does: limits itself, reads its order, works, answers.

    Args:
        work: gives an outcome, or one after the other: each takes the place of the one before.
    """
    order = json.load(sys.stdin)
    limits = Limits(**order["limits"])
    _limit_this_process(limits)
    answered = False
    try:
        outcomes = work(Job(**order["job"]))
        for outcome in [outcomes] if isinstance(outcomes, Outcome) else outcomes:
            problems = [asdict(problem) for problem in outcome.problems]
            _answer({"problems": problems, "scores": _finite(outcome.scores), "pictures": outcome.pictures})
            answered = True
    except MemoryError:
        if not answered:
            _answer({"memory": True})


def work(job: Job) -> Iterator[Outcome]:
    """Checks a file, scores it on each part of the test, draws pictures and tells where precision is lost."""
    task = tasks.load(job.task)
    try:
        truth = task.open_truth(Path(job.labels), job.classes or None)
    except BadInput as error:
        raise ScorerFault(f"the labels cannot be used: {error}") from None
    try:
        data, name = unwrap(Path(job.file).read_bytes(), job.task, job.name)
    except BadInput as error:
        yield Outcome(error.problems)
        return
    predictions, problems = task.check(data, truth.index, name)
    if problems or not job.score:
        yield Outcome(problems)
        return
    parts = split(truth.index.ids, job.seed, job.public_share)

    def score(some: Truth, of_some: Any) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = task.score(of_some, some.labels, some.index, some.classes).to_json()
        except BadInput as error:
            if some is truth:
                raise ScorerFault(f"the labels cannot be used: {error}") from None
            return None  # a part may have no label that counts
        return found

    outcome = Outcome([], _of_parts(score, parts, truth, predictions))
    yield outcome
    if job.images:
        outcome = replace(outcome, pictures=pictures_of(truth, predictions, Path(job.images)))
        yield outcome
    if job.task in diagnosing.TASKS:

        def lost(some: Truth, of_some: Any) -> dict[str, Any]:
            return diagnosing.diagnose(some.labels, of_some).to_json()

        tides = _of_parts(lost, parts, truth, predictions)
        told = {part: found and {**found, "tide": tides[part]} for part, found in outcome.scores.items()}
        yield replace(outcome, scores=told)


Told = TypeVar("Told")


def _of_parts(
    what: Callable[[Truth, Any], Told], parts: Mapping[str, Positions], truth: Truth, predictions: Any
) -> dict[str, Told]:
    """Something of each part, made once where parts are the same."""
    done: dict[bytes, Told] = {}
    for part, which in parts.items():
        if which.tobytes() not in done:
            some = (truth, predictions) if part == ALL else restrict(truth, predictions, which)
            done[which.tobytes()] = what(*some)
    return {part: done[which.tobytes()] for part, which in parts.items()}


def _answer(said: dict[str, Any]) -> None:
    json.dump(said, sys.stdout, allow_nan=False)
    sys.stdout.write("\n")
    sys.stdout.flush()


def _wait(process: subprocess.Popen[bytes], limits: Limits, wanted: Callable[[], bool] | None) -> bool:
    """Waits for a process to end, and says whether it did in time."""
    end = time.monotonic() + limits.wall_seconds
    while True:
        try:
            process.wait(ASK_EVERY)
            return True
        except subprocess.TimeoutExpired:
            if wanted is not None and not wanted():
                raise NotWanted from None
            if time.monotonic() > end:
                return False


def _outcome_of(job: Job, limits: Limits, answer: bytes) -> Outcome:
    try:
        said = [json.loads(line) for line in answer.splitlines()][-1]
        if said.get("memory"):
            return _too_much(job, f"{limits.memory_bytes / 2**20:,.0f} MiB of memory")
        problems = [Problem(**problem) for problem in said["problems"]]
        return Outcome(problems, said["scores"], said["pictures"])
    except (ValueError, TypeError, LookupError, AttributeError):
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
