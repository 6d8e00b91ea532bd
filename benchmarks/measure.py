"""Time several tasks in turn, in short batches and many rounds, and compare them within each round.

The speed of a machine changes from minute to minute, and a shared one from second to second. Two batches of a few
milliseconds, one right after the other, meet the same machine. So every round times every task once, every second round
backwards, and the ratio is the median of the ratios of the rounds; the microseconds beside it are for orientation.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

POOL: Final = 4096
"""How many different inputs count as "always another one": four times what the cache of verified signatures holds."""


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: Of a comparison that a target depends on.
        fewer: Rounds of any other comparison.
        batch: Seconds that one batch should last.
        repeats: Runs of a whole process, or of a server under load.
        seconds: Of one run under load.
    """

    rounds: int
    fewer: int
    batch: float
    repeats: int
    seconds: float


FULL: Final = Effort(rounds=400, fewer=100, batch=0.002, repeats=15, seconds=0.3)
QUICK: Final = Effort(rounds=50, fewer=9, batch=0.001, repeats=5, seconds=0.1)


class Task:
    """One thing to time: a function of one argument, and the arguments that it is given in turn."""

    def __init__(self, call: Callable[[Any], object], inputs: Sequence[Any] = (None,)) -> None:
        self.call = call
        self._turn: Iterator[Any] = itertools.cycle(list(inputs))

    def timed(self, calls: int) -> float:
        """Seconds of one call, from a batch of `calls`."""
        return self.batch(list(itertools.islice(self._turn, calls))) / calls

    def batch(self, inputs: list[Any]) -> float:
        """Seconds of one call for each of the inputs."""
        call = self.call
        began = time.perf_counter()
        for argument in inputs:
            call(argument)
        return time.perf_counter() - began


@dataclass(frozen=True)
class Figure:
    """The times of a task.

    Attributes:
        microseconds: Of one call, the median of all rounds.
        ratio: To the base, the median of the ratios within each round.
        low: The lower quartile of these ratios.
        high: The upper quartile.
    """

    microseconds: float
    ratio: float
    low: float
    high: float


def compare(tasks: Mapping[str, Task], rounds: int, batch: float, base: str | None = None) -> dict[str, Figure]:
    """Time tasks in turn.

    Args:
        tasks: By name.
        rounds: How often.
        batch: Seconds that one batch should last.
        base: The task that the others are divided by; the first when None.
    """
    base = next(iter(tasks)) if base is None else base
    times = times_in_turn(tasks, rounds, batch)
    return {name: figure(times[name], times[base]) for name in tasks}


def times_in_turn(tasks: Mapping[str, Task], rounds: int, batch: float) -> dict[str, list[float]]:
    """Seconds of one call of each task, one number for each round."""
    settle()
    calls = {name: calls_within(task, batch) for name, task in tasks.items()}
    times: dict[str, list[float]] = {name: [] for name in tasks}
    order = list(tasks)
    for _ in range(rounds):
        for name in order:
            times[name].append(tasks[name].timed(calls[name]))
        # What comes first in one round comes last in the next, so that no task always follows the same one.
        order.reverse()
    return times


def figure(times: Sequence[float], base: Sequence[float]) -> Figure:
    """The figure of a task from its times and those of the base, round by round."""
    low, ratio, high = quartiles([mine / other for mine, other in zip(times, base, strict=True)])
    return Figure(statistics.median(times) * 1e6, ratio, low, high)


def less(times: Sequence[float], bare: Sequence[float] | None) -> list[float]:
    """Subtract the bare time of each round; without a bare time, return the times unchanged."""
    return list(times) if bare is None else [mine - other for mine, other in zip(times, bare, strict=True)]


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(mine / other for mine, other in zip(numerators, denominators, strict=True))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def calls_within(task: Task, seconds: float) -> int:
    """How many calls of `task` take about `seconds`; never more than half of a pool of inputs."""
    task.timed(5)
    estimate = min(task.timed(20) for _ in range(3))
    return max(5, min(POOL // 2, round(seconds / estimate)))


def settle() -> None:
    """Put what exists out of the garbage collector's sight, so that its sweeps cost every task the same, and little."""
    gc.collect()
    gc.freeze()
