"""A run that was stopped, in whatever way, ends as if it had not been."""

import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import small_job
import torch
from small_job import RECIPE, STEPS, job, log, loss

from vipriors.train import Interrupted, weights_hash


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> tuple[str, list[dict[str, float]]]:
    """Weights and log of the run that nothing disturbs."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("reference")
    return weights_hash(job(folder)), log(folder)


def outcome(network: torch.nn.Module, folder: Path) -> tuple[str, list[dict[str, float]]]:
    return weights_hash(network), log(folder)


class Signalling:
    """The job's loss, which sends this process signals at a step."""

    def __init__(self, step: int, *signals: int):
        self.left, self.signals = step, signals

    def __call__(self, *arguments) -> torch.Tensor:
        self.left -= 1
        if self.left == 0:
            for number in self.signals:
                signal.raise_signal(
                    number
                )  # in this thread, at once: sent to the process, two may become one
        return loss(*arguments)


def test_the_same_seed_gives_the_same_run(reference, tmp_path):
    torch.rand(7)
    assert outcome(job(tmp_path), tmp_path) == reference
    assert weights_hash(job(None)) == reference[0]


def test_another_seed_gives_another_run(reference):
    assert weights_hash(job(None, seed=2)) != reference[0]


def test_the_reference_draws_random_numbers(reference):
    """Else the tests here would say little: each source of chance changes the weights."""
    smooth = lambda network, images, labels, generator: loss(network.eval(), images, labels, generator)  # noqa: E731
    still = lambda network, images, labels, _: loss(network, images, labels, torch.Generator())  # noqa: E731
    hashes = [weights_hash(job(None, **o)) for o in ({"loss": smooth}, {"loss": still})]
    hashes.append(weights_hash(job(None, recipe=replace(RECIPE, ema=0.0))))
    assert len({*hashes, reference[0]}) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 3, 4, 17, 29])
def test_interrupted_and_resumed(reference, tmp_path, step, number):
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    # No checkpoint is due, so what is resumed from was written because of the signal.
    with pytest.raises(Interrupted, match=f"^stopped after step {step} of {STEPS}$") as caught:
        job(tmp_path, loss=Signalling(step, number), checkpoint_seconds=1e9)
    assert caught.value.step == step
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert outcome(job(tmp_path, resume=True), tmp_path) == reference


def test_interrupted_over_and_over(reference, tmp_path):
    for _ in range(STEPS // 5 - 1):
        with pytest.raises(Interrupted):
            job(tmp_path, loss=Signalling(5, signal.SIGINT), resume=True)
    assert outcome(job(tmp_path, resume=True), tmp_path) == reference


def test_a_signal_in_the_last_step_lets_the_run_end(reference, tmp_path):
    assert outcome(job(tmp_path, loss=Signalling(STEPS, signal.SIGINT)), tmp_path) == reference


@pytest.fixture
def usual_interrupt():
    """Python's own handler: a process that was started in the background ignores interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_interrupt_acts_at_once(usual_interrupt, tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught:
        job(tmp_path, loss=Signalling(3, signal.SIGINT, signal.SIGINT), checkpoint_seconds=1e9)
    assert not isinstance(caught.value, Interrupted)
    assert not (tmp_path / "checkpoint.pt").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_killed_and_resumed(reference, tmp_path):
    process = subprocess.Popen([sys.executable, small_job.__file__, str(tmp_path)])
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "checkpoint.pt").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.4))
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert outcome(job(tmp_path, resume=True), tmp_path) == reference


def test_what_a_kill_may_leave_half_written_is_put_right(reference, tmp_path):
    with pytest.raises(Interrupted):
        job(tmp_path, loss=Signalling(10, signal.SIGINT))
    # Two steps further on the next line was written in part, and so was the checkpoint.
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 12, "loss": 0.5, "lr": 0.1, "seconds": 3}\n{"step": 16, "lo')
    (tmp_path / "checkpoint.pt.tmp").write_bytes(b"PK")
    assert outcome(job(tmp_path, resume=True), tmp_path) == reference
    assert not (tmp_path / "checkpoint.pt.tmp").exists()


def test_a_run_killed_before_its_first_checkpoint_starts_again(reference, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 4, "loss": 9.0, "lr": 0.1, "seconds": 1}\n{"st')
    assert outcome(job(tmp_path, resume=True), tmp_path) == reference


def test_a_finished_run_resumes_to_itself(reference, tmp_path):
    job(tmp_path)
    calls: list[object] = []
    assert outcome(job(tmp_path, resume=True, loss=calls.append), tmp_path) == reference
    assert not calls


def test_without_resume_the_run_starts_afresh(reference, tmp_path):
    with pytest.raises(Interrupted):
        job(tmp_path, loss=Signalling(10, signal.SIGINT))
    assert outcome(job(tmp_path), tmp_path) == reference


def test_the_time_of_both_parts_is_counted(tmp_path):
    with pytest.raises(Interrupted):
        job(tmp_path, loss=Signalling(10, signal.SIGINT))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save(state | {"seconds": 1000.0}, tmp_path / "checkpoint.pt")
    job(tmp_path, resume=True)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert '"seconds": 1000.' in lines[-1]


def test_checkpoints_are_written_when_due(tmp_path):
    written = []

    def count(step: int, steps: int, text: str) -> None:
        written.append((tmp_path / "checkpoint.pt").exists())

    job(tmp_path, checkpoint_seconds=1e9, progress=count, log_every=1)
    assert not any(written)
    job(tmp_path, checkpoint_seconds=0.0, progress=count, log_every=1)
    assert all(written[STEPS:])


def test_outside_the_main_thread_signals_are_left_alone(reference):
    before, hashes = signal.getsignal(signal.SIGINT), []
    during = []

    def observed(*arguments):
        during.append(signal.getsignal(signal.SIGINT) is before)
        return loss(*arguments)

    def work() -> None:
        torch.set_num_threads(1)
        hashes.append(weights_hash(job(None, loss=observed)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert hashes == [reference[0]]
    assert all(during)
