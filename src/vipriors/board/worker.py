"""Scores what is due, on any number of processes on any number of hosts.

DBOS keeps the jobs: it hands each to one process, and again when a process with a name of its own comes back
after it was killed. The rest is done here, several times a second or now and then:

* what is due becomes a job (an acknowledged submission is a row of the database, so none is lost between);
* a process says that it lives, and jobs of one that has not for a while go back to the queue;
* a job that ended without an outcome, because the database was away for instance, is replaced by another.

A job may so run twice. `jobs` makes the outcome count once.
"""

from __future__ import annotations

import logging
import secrets
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions
from dbos import error as dbos_error
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from vipriors.board import jobs, pictured, scoring
from vipriors.board.core import Board
from vipriors.board.database import VERSION
from vipriors.board.models import SCORED, Submission, Worker, now
from vipriors.problems import BadInput

log = logging.getLogger(__name__)

QUEUE = "scoring"
WORKFLOW = "score"

LOOK_EVERY = 0.25
"""Seconds between two looks for what is due, here and in DBOS."""

HEARTBEAT = 5.0
"""Seconds between two signs of life."""

LOST_AFTER = 30.0
"""Seconds without one after which a process is taken for dead."""

MOST_JOBS = 100
"""Due submissions that are jobs at a time; the others wait in the database, in their order."""

_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")

RETRY_AFTER = 10.0
"""Seconds until a second attempt after one that failed by the board's fault; twice that until a third."""

_running: Process | None = None


class Process:
    """What scores in this process; at most one at a time, as DBOS is one.

    Args:
        board: the board.
        lost_after: seconds of silence after which another process is taken for dead.
        retry_after: seconds until a second attempt.
    """

    def __init__(self, board: Board, lost_after: float = LOST_AFTER, retry_after: float = RETRY_AFTER):
        self.board = board
        self.name = board.settings.worker
        self._lost_after = timedelta(seconds=lost_after)
        self._retry_after = retry_after
        self._beats = min(HEARTBEAT, lost_after / 4)
        self._started = now()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="board-worker", daemon=True)

    def start(self) -> None:
        """Begins to score, on threads."""
        global _running
        _running = self
        config: DBOSConfig = {
            "name": "vipriors-board",
            "system_database_url": jobs_database(self.board),
            "executor_id": self.name,
            "application_version": str(VERSION),  # else every change of the code strands what is under way
            "serializer": DBOSPortableJSONSerializer(),  # the default pickles
            "log_level": "WARNING",
        }
        self._beat()
        DBOS(config=config)
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=self.board.settings.workers,
            polling_interval_sec=LOOK_EVERY,
            on_conflict="always_update",
        )
        self._thread.start()

    def stop(self, patience: int = 10) -> None:
        """Ends scoring; what is under way goes back to the queue, within `patience` seconds."""
        global _running
        self._stopping.set()
        self._thread.join(patience)  # DBOS does not give up while a database is away
        DBOS.destroy(workflow_completion_timeout_sec=patience)
        _running = None

    def score(self, submission: str, version: int) -> None:
        """Scores a submission, if it is still due."""
        if self._stopping.is_set():
            return
        database = self.board.database
        work = jobs.begin(database, submission, version)
        if work is None:
            return
        try:
            outcome = self._outcome(work)
        except scoring.NotWanted:
            jobs.give_back(database, work, counts=False)
        except (scoring.ScorerFault, OSError) as error:
            log.error("submission %s, attempt %d: %s", submission, work.attempt, error)
            jobs.give_back(database, work)
        else:
            if outcome.problems:
                jobs.fail(database, work, outcome.problems)
            else:
                jobs.finish(database, work, outcome.scores, pictured.keep(self.board, outcome.pictures))

    def _outcome(self, work: jobs.Work) -> scoring.Outcome:
        def is_wanted() -> bool:
            return not self._stopping.is_set() and jobs.is_wanted(self.board.database, work)

        files = self.board.files
        with ExitStack() as stack:
            file, labels = (stack.enter_context(files.local(key)) for key in (work.file_key, work.labels_key))
            images = stack.enter_context(files.local(work.images_key)) if work.images_key else ""
            job = scoring.Job(
                file=str(file),
                name=work.file_name,
                task=work.task,
                labels=str(labels),
                classes=work.classes,
                seed=work.split_seed,
                public_share=work.public_share,
                images=str(images),
            )
            return scoring.run(job, self.board.limits, is_wanted)

    def _tend(self) -> None:
        """Does what the module's docstring lists, until it is told to stop."""
        waited = 0.0
        while not self._stopping.wait(LOOK_EVERY):
            waited += LOOK_EVERY
            try:
                self._hand_over()
                if waited >= self._beats:
                    waited = 0.0
                    self._beat()
                    self._take_from_the_dead()
                    self._replace_ended()
            except (SQLAlchemyError, dbos_error.DBOSException) as error:
                log.error("will be tried again: %s", error)

    def _beat(self) -> None:
        with self.board.database.writing() as session, session.begin():
            session.merge(
                Worker(name=self.name, started=self._started, heartbeat=now(), version=str(VERSION))
            )

    def _hand_over(self) -> None:
        """Makes jobs of what is due, new submissions before those that are scored anew."""
        waiting = (
            select(Submission)
            .where(Submission.due.is_not(None), Submission.job.is_(None))
            .order_by(Submission.state == SCORED, Submission.id)
            .limit(MOST_JOBS)
        )
        with self.board.database.reading() as session:
            if session.scalars(waiting).first() is None:
                return
        with self.board.database.writing() as session, session.begin():
            taken = select(func.count()).where(Submission.due.is_not(None), Submission.job.is_not(None))
            room = MOST_JOBS - (session.scalar(taken) or 0)
            rows = session.scalars(waiting.limit(max(room, 0)).with_for_update(skip_locked=True)).all()
            for row in rows:
                row.job = f"{row.id}-{secrets.token_hex(4)}"
        for row in rows:
            self._enqueue(row)

    def _enqueue(self, row: Submission) -> None:
        """Gives a job to DBOS, which keeps it once however often it is given."""
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": str(row.job),
            "app_version": str(VERSION),
            "priority": 2 if row.state == SCORED else 1,
        }
        if row.attempts:
            options["delay_seconds"] = self._retry_after * row.attempts
        DBOS.enqueue_workflow_with_options(options, row.id, row.due)

    def _take_from_the_dead(self) -> None:
        """Puts the jobs of processes that are not heard of any more back into the queue."""
        if not self._jobs_of_the_dead(self._living()):
            return
        with self.board.database.writing() as session, session.begin():
            # One process does it at a time: else the second might take from the first what it took.
            session.execute(select(Worker.name).with_for_update())
            if lost := self._jobs_of_the_dead(self._living()):
                log.warning("jobs of processes that are gone: %s", ", ".join(lost))
                DBOS.resume_workflows(lost, queue_name=QUEUE)

    def _living(self) -> set[str]:
        with self.board.database.reading() as session:
            heard = select(Worker.name).where(Worker.heartbeat >= now() - self._lost_after)
            return {self.name, *session.scalars(heard)}

    def _jobs_of_the_dead(self, living: set[str]) -> list[str]:
        begun = DBOS.list_workflows(status="PENDING", queue_name=QUEUE, load_input=False, load_output=False)
        return [job.workflow_id for job in begun if job.executor_id not in living]

    def _replace_ended(self) -> None:
        """Frees what is due although its job has ended, is unknown, or is of another version of the board."""
        with self.board.database.reading() as session:
            rows = session.scalars(
                select(Submission).where(Submission.due.is_not(None), Submission.job.is_not(None))
            ).all()
        known = {
            job.workflow_id: job
            for job in DBOS.list_workflows(
                workflow_ids=[str(row.job) for row in rows], load_input=False, load_output=False
            )
        }
        for row in rows:
            job = known.get(str(row.job))
            if job is None:
                self._enqueue(row)
            elif job.status in _ENDED or job.app_version != str(VERSION):
                with self.board.database.writing() as session, session.begin():
                    still = (Submission.id == row.id, Submission.job == row.job, Submission.due.is_not(None))
                    session.execute(update(Submission).where(*still).values(job=None))


@DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
def _score(submission: str, version: int) -> None:
    if _running is not None:
        _running.score(submission, version)


def run(board: Board, lost_after: float = LOST_AFTER, retry_after: float = RETRY_AFTER) -> None:
    """Scores until the process is told to end (SIGTERM or Ctrl-C).

    Raises:
        BadInput: the board's settings say that nothing is scored.
    """
    if board.settings.workers == 0:
        raise BadInput.single("board setting workers", "0 scores nothing; expected at least 1")
    told = threading.Event()
    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, lambda *_: told.set())
    process = Process(board, lost_after, retry_after)
    process.start()
    # Where the system hands the signal to another thread, the main one, which has to act on it, sleeps on.
    while not told.wait(1):
        pass
    process.stop()


def jobs_database(board: Board) -> str:
    """Where DBOS keeps the jobs: beside the board's database, in a schema or file of its own."""
    url = board.database.engine.url
    if url.get_backend_name() == "sqlite":
        file = Path(str(url.database))
        return f"sqlite:///{file.with_name(f'{file.stem}-jobs.db')}"
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def living(board: Board, lost_after: float = LOST_AFTER) -> Sequence[Worker]:
    """The processes that score, as far as is known."""
    with board.database.reading() as session:
        heard = Worker.heartbeat >= now() - timedelta(seconds=lost_after)
        return session.scalars(select(Worker).where(heard).order_by(Worker.name)).all()
