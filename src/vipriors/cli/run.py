"""`run`, `report` and `audit`: a method on a challenge."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from vipriors.cli.output import Commands, add_command, add_execution, add_subset, answer, execution, progress
from vipriors.problems import BadInput, Problem


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    run = add_command(commands, "run", run_, "train a method on a challenge, predict, check and score")
    run.add_argument("challenge", help="its name, or the path of its YAML file")
    run.add_argument("method", nargs="?", default="baseline", help="`vipriors list methods` names them")
    run.add_argument("--preset", default="tiny", help="tiny, small or full (default: tiny)")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a hyper-parameter")
    run.add_argument("--seed", type=int, default=0, help="of the initial weights and all random draws")
    add_subset(run)
    run.add_argument(
        "--data", type=Path, metavar="DIR", help="prepared folder (default: data/CHALLENGE-nN-sS)"
    )
    run.add_argument("--fit", choices=("train", "train+val"), default="train+val", help="images to fit to")
    run.add_argument("--rehearse", action="store_true", help="first train without the validation images")
    run.add_argument("--floors", action="store_true", help="also run the challenge's classical floors")
    run.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: runs/CHALLENGE-METHOD-…)")
    run.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    run.add_argument("--overwrite", action="store_true", help="delete the run that is in --out")
    add_execution(run)

    report = add_command(commands, "report", report_, "write the report of a run or of a grid, one HTML file")
    report.add_argument("run", type=Path, help="a finished run folder, or a folder of records of `bench`")
    report.add_argument("--data", type=Path, metavar="DIR", help="prepared folder, for the pictures of a run")
    report.add_argument(
        "--reference", metavar="CONTENDER", help="to compare a grid's methods with (default: the baseline)"
    )
    report.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in the folder")

    audit = add_command(commands, "audit", audit_, "make a run again and say whether it is what it claims")
    audit.add_argument("run", type=Path, help="a finished run folder; it is only read")
    audit.add_argument("--data", type=Path, metavar="DIR", help="prepared folder (default: made anew)")
    audit.add_argument("--source", type=Path, metavar="DIR", help="your copy of the source")


def run_(arguments: argparse.Namespace) -> int:
    """`vipriors run`"""
    from vipriors import methods
    from vipriors.challenges import find
    from vipriors.challenges.schema import read_challenge
    from vipriors.report import write_report
    from vipriors.runs.prepared import find_data
    from vipriors.runs.run import Plan, run, run_floors

    challenge = read_challenge(find(arguments.challenge))
    rule = challenge.rule(arguments.images_per_class, arguments.subset_seed)
    plan = Plan(
        method=challenge.baseline if arguments.method == "baseline" else arguments.method,
        preset=arguments.preset,
        overrides=overrides(arguments.set),
        seed=arguments.seed,
        fit_on=arguments.fit,
        rehearse=arguments.rehearse,
        challenge_file=arguments.challenge,
    )
    size = "all" if rule.images_per_class is None else f"n{rule.images_per_class}"
    name = f"{challenge.name}-{plan.method}-{plan.preset}-{size}-s{rule.seed}-{plan.seed}"
    out = arguments.out or Path("runs") / name
    if arguments.overwrite and (out / "recipe.json").is_file():
        shutil.rmtree(out)
    methods.configure(plan.method, plan.preset, plan.overrides)  # before anything is written
    how = execution(arguments)
    with progress(arguments) as tell:
        data = find_data(challenge, rule, data=arguments.data, source=arguments.source, progress=tell)
        score = run(data, plan, out, execution=how, resume=arguments.resume, progress=tell)
        floors = run_floors(data, plan.seed, out, tell) if arguments.floors else {}
    report = write_report(out, data.root)
    lines = [_line(plan.method, score)] + [_line(floor, result) for floor, result in floors.items()]
    value = {
        "run": str(out),
        "report": str(report),
        "score": score.to_json() if score else None,
        "floors": {floor: result.to_json() for floor, result in floors.items() if result},
    }
    return answer(arguments, value, "\n".join([*lines, f"run     {out}", f"report  {report}"]))


def overrides(settings: list[str]) -> dict[str, str]:
    """Hyper-parameters by name from `--set NAME=VALUE`."""
    wrong = [Problem(f"--set {text}", "expected NAME=VALUE") for text in settings if "=" not in text]
    if wrong:
        raise BadInput(wrong)
    return dict(text.split("=", 1) for text in settings)


def _line(method: str, score: object) -> str:
    from vipriors.tasks.score import Score

    if not isinstance(score, Score):
        return f"{method:24} no test labels at hand: predictions.csv is checked and ready to submit"
    estimate = score.estimates[score.headline]
    interval = f"95 % interval {estimate.low:.3f} to {estimate.high:.3f}"
    return f"{method:24} {score.headline} {estimate.value:.3f}  ({interval})"


def report_(arguments: argparse.Namespace) -> int:
    """`vipriors report`"""
    from vipriors.bench.measured import holds_records
    from vipriors.report import write_grid_report, write_report

    if holds_records(arguments.run):
        file = write_grid_report(arguments.run, arguments.reference, arguments.out)
    else:
        file = write_report(arguments.run, arguments.data, arguments.out)
    return answer(arguments, {"report": str(file)}, str(file))


def audit_(arguments: argparse.Namespace) -> int:
    """`vipriors audit`"""
    import dataclasses

    from vipriors.runs.audit import audit

    found = audit(arguments.run, data=arguments.data, source=arguments.source)
    lines = [f"{'passed' if found.passed else 'FAILED'}: {found.verdict}"]
    lines += [f"  {'same' if same else 'DIFFERENT':9}  {what}" for what, same in found.checks.items()]
    lines += [f"  score {which}: {value}" for which, value in found.scores.items()]
    lines += [f"  read or started while learning, and not listed: {what}" for what in found.foreign_reads]
    value = dataclasses.asdict(found) | {"passed": found.passed}
    answer(arguments, value, "\n".join(lines))
    return 0 if found.passed else 1
