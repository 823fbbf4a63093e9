"""Times a study's runs with one and two workers: local processes, and Ray.

Every engine performs the same runs of the SAM study at its quick preset, past the cache, in
interleaved rounds. The start (of processes, of a cluster, of their imports) is told apart from the
work: it ends with as many results as there are workers. Times are minima over the rounds.

    python benchmarks/scaling.py [--save]
"""

import argparse
import json
import os
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from joblib.externals.loky import get_reusable_executor

from reviewlib import papers
from reviewlib.evidence import provenance
from reviewlib.train import device
from reviewlib.trial import engines, runs, search

SAVED = Path(__file__).parents[1] / "book" / "scaling.json"
STUDY, PRESET = "sam", "quick"
# The book shows one and two workers of the same engine; the first line is what no engine costs.
CASES = (("local", 1), ("processes", 1), ("processes", 2), ("ray", 1), ("ray", 2))


@dataclass
class Timing:
    """Seconds until the first results, seconds of the rest, and runs a second in the rest."""

    engine: str
    workers: int
    start: float
    wall: float
    rate: float
    speedup: float = 1.0


def tasks(count: int) -> list[tuple]:
    """Return single runs of the core arms in turn, each at the middle of its ranges."""
    of = papers.find(STUDY)
    preset = of.preset(PRESET)
    places = [
        (arm, condition)
        for condition in of.conditions_of(preset)
        for arm in of.arms_in(condition, preset)
    ]
    asked = []
    for seed in range(count):
        arm, condition = places[seed % len(places)]
        (settings,) = search.trials_of(of, arm, 1)
        asked.append(runs.Run(arm, condition, settings, seed, preset, "tuning"))
    return [(of, [run], "cpu") for run in asked]


def timed(engine: str, workers: int, work: list[tuple]) -> Timing:
    """Perform the work once, on workers that start with it."""
    began = time.perf_counter()
    ended = []
    with closing(engines.map_tasks(runs.perform, work, engine=engine, jobs=workers)) as results:
        for _ in results:
            ended.append(time.perf_counter())
    get_reusable_executor().shutdown()  # joblib would keep its processes for the next round
    started = ended[workers - 1]
    wall = ended[-1] - started
    return Timing(engine, workers, started - began, wall, (len(work) - workers) / wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    parser.add_argument("--runs", type=int, default=60, help="runs a round and case")
    parser.add_argument("--save", action="store_true", help=f"write {SAVED.name} for the book")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    work = tasks(asked.runs)
    best: dict[tuple[str, int], Timing] = {}
    for _ in range(asked.rounds):
        for case in CASES:
            new = timed(*case, work)
            old = best.get(case, new)
            best[case] = Timing(
                *case, min(new.start, old.start), min(new.wall, old.wall), max(new.rate, old.rate)
            )
    print(f"{'engine':<11}{'workers':>8}{'start s':>9}{'wall s':>9}{'runs/s':>9}{'speed-up':>10}")
    for (engine, _), row in best.items():
        row.speedup = row.rate / best[engine, 1].rate
        print(
            f"{engine:<11}{row.workers:>8}{row.start:>9.2f}{row.wall:>9.2f}{row.rate:>9.2f}"
            f"{row.speedup:>10.2f}"
        )
    print(
        f"{os.cpu_count()} CPU cores, of which other programs wanted {load:.1f} at the start; "
        f"{asked.runs} runs; minimum of {asked.rounds} rounds"
    )
    if asked.save:
        found = {
            "study": STUDY,
            "preset": PRESET,
            "runs": asked.runs,
            "rounds": asked.rounds,
            "device": device.name("cpu"),
            "cpus": os.cpu_count(),
            "load": round(load, 1),
            "ray": version("ray"),
            "date": datetime.now(UTC).date().isoformat(),
            "commit": provenance.commit(),
            "rows": [
                {name: value if isinstance(value, str) else round(value, 3) for name, value in row}
                for row in (asdict(timing).items() for timing in best.values())
            ],
        }
        SAVED.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
