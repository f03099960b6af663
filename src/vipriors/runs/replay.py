"""The audited process: repeats a run while writing down what is opened. Started by `vipriors.runs.audit`."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vipriors.data.prepared import ANNOTATIONS
from vipriors.data.subset import UNLABELLED
from vipriors.problems import BadInput

STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "socket.connect")
"""Audit events of Python that start a process or a connection. A method needs none of them."""

CODE = (".py", ".pyc", ".so", ".pth", ".typed", ".zip")
SYSTEM = ("/proc", "/sys", "/dev", "/etc")
PACKAGE_METADATA = ".dist-info"


def main() -> None:
    """Reads the request from standard input, repeats the run, writes `answer.json` beside it."""
    try:
        repeat(json.load(sys.stdin))
    except BadInput as error:
        sys.exit("; ".join(str(problem) for problem in error.problems))


def repeat(request: dict[str, Any]) -> None:
    """Makes `request["run"]` again in `request["scratch"]/run`."""
    from vipriors.runs.prepared import find_data
    from vipriors.runs.records import RunRecipe
    from vipriors.runs.run import Plan, finish, learn

    recipe, scratch = RunRecipe.read(Path(request["run"])), Path(request["scratch"])
    data = find_data(
        recipe.challenge,
        recipe.challenge.rule(recipe.images_per_class, recipe.subset_seed),
        data=Path(request["data"]) if request["data"] else scratch / "data",
        source=Path(request["source"]) if request["source"] else None,
        cache=False,  # decoded anew: a cache is not the training data
    )
    values = {key: as_text(value) for key, value in recipe.hyper_parameters.items()}
    plan = Plan(
        method=recipe.method,
        preset=recipe.preset,
        overrides=values,
        seed=recipe.seed,
        fit_on=recipe.fit_on,
        rehearse=recipe.rehearse,
    )
    execution = None
    if request["threads"]:
        import torch

        from vipriors.train import Execution

        torch.set_num_threads(request["threads"])
        execution = Execution(precision=recipe.precision)  # type: ignore[arg-type]

    events: list[tuple[str, str]] = []
    learning = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if learning and (event == "open" or event.startswith(STARTS)) and arguments:
            # A file that must not exist yet is written, not read.
            if event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_EXCL:
                return
            events.append(
                (event, os.fsdecode(arguments[0]) if isinstance(arguments[0], bytes) else str(arguments[0]))
            )

    sys.addaudithook(watch)
    out = scratch / "run"
    learned = learn(data, plan, out, execution=execution)
    learning = False
    assert learned is not None
    finish(data, learned, out, execution)
    allowed = {str((data.root / row.file).resolve()) for row in data.select("train", "val", UNLABELLED)}
    for split in ("train", "val", UNLABELLED):
        allowed |= {str(file.resolve()) for file in (data.root / ANNOTATIONS / split).glob("*")}
        allowed |= {str(tar.resolve()) for tar in data.root.glob(f"*/{split}.tar")}
    answer = {"foreign": foreign(events, allowed, out)}
    (scratch / "answer.json").write_text(json.dumps(answer))


def foreign(events: Iterable[tuple[str, str]], images: set[str], out: Path) -> list[str]:
    """What was opened or started that is neither a training image, nor code, nor the run's own file.

    Args:
        events: Audit events: the event and its first argument.
        images: Absolute paths of the training, validation and unlabelled images and of labels.
        out: The run's folder.
    """
    places = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), str(Path(__file__).parents[1])}
    code_roots = tuple(os.path.realpath(place) for place in places)
    own = os.path.realpath(out)
    found: dict[str, None] = {}
    for event, argument in events:
        if event != "open":
            found[f"{event} {argument}"] = None
            continue
        if argument.isdigit():  # a file descriptor that was opened, and seen, before
            continue
        path = os.path.realpath(argument)
        is_code = path.startswith(code_roots) and (path.endswith(CODE) or PACKAGE_METADATA in path)
        if not (path in images or is_code or path.startswith((own, *SYSTEM))):
            found[path] = None
    return list(found)


def as_text(value: Any) -> str:
    """A recorded hyper-parameter as `--set` takes it."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
