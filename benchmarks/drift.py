"""A generated model that moves as a real training does, so that benchmarks need no model of anybody's.

Its files, names and pickles are those of `casvault.demo.model.SampleModel`; its numbers follow what was seen in saves
of a real SAEHD training, and `benchmarks.calibration` holds the two side by side:

- weights begin uniform and walk at random; a part of each step goes on in the direction of the one before;
- ``ms``, a mean over ten iterations of noisy gradients, is new noise in every save;
- ``vs``, a mean over a thousand iterations of squared gradients, is an outer product of rows and columns times noise,
  and all three move slowly.

`python -m benchmarks.drift FOLDER` writes saves into FOLDER, in a process of its own: a process that was started by a
large one counts that one's memory as its own peak.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from casvault.demo.model import SampleModel

__all__ = ["APART", "Drift"]

APART = 500
"""Iterations between two saves, about 25 minutes of training; all paces below are per so many iterations."""

_NAME = "bench_SAEHD"
_BEGIN = 1000

_PACE = 0.037
"""How far a weight moves, in standard deviations of its tensor: the middle of the tensors, which spread by _PACES."""
_PACES = 0.45
_LASTING = 1000.0
"""Iterations for which a direction lasts."""
_DIRECTED = 0.35
"""The part of a step's variance that is in the lasting direction."""
_UNEVEN = 0.25
"""How unevenly rows and columns move, as the standard deviation of a logarithm to base 2."""

_MS_SHARE = 0.3
"""Size of ``ms`` relative to the root of ``vs``."""
_MS_MEMORY = 0.9

_LEVEL = -15.0
"""``vs`` begins at two to this power; all that follows of it are also logarithms to base 2."""
_ROWS, _COLUMNS, _REST = 1.0, 1.1, 0.85
"""How much rows, columns and single numbers of ``vs`` differ."""
_LEVEL_PACE, _ROW_PACE, _COLUMN_PACE, _REST_PACE = 0.32, 0.09, 0.11, 0.145
"""How far the level, rows, columns and single numbers of ``vs`` move."""
_RETURN = 0.009
"""The part of its way from the level that a number of ``vs`` goes back."""


class Drift:
    """A SAEHD model with AdaBelief of about ``size`` bytes, equal for equal ``seed``; it begins at iteration 1,000."""

    def __init__(self, folder: Path, size: int, seed: int = 1) -> None:
        self.model = SampleModel(folder, _NAME, size, seed)
        self.model.iteration = 0
        self._random = np.random.default_rng(seed)
        parts = [
            (tensor, f"{file}/{name}") for file, group in self.model.weights.items() for name, tensor in group.items()
        ]
        seeds = np.random.SeedSequence(seed).spawn(len(parts))
        self._tensors = [
            _Tensor(
                tensor,
                self.model.first[f"ms_{name}"],
                self.model.second[f"vs_{name}"],
                _spread(number),
                np.random.default_rng(own),
            )
            for number, ((tensor, name), own) in enumerate(zip(parts, seeds, strict=True))
        ]
        self._each(_Tensor.begin)
        self._count(_BEGIN)

    def move(self, iterations: int = APART) -> None:
        """Move every number as that many iterations of training do."""
        self._each(lambda tensor: tensor.move(iterations))
        self._count(iterations)

    def save(self, folder: Path) -> None:
        """Write all files into ``folder``."""
        self.model.folder = folder
        self.model.save()

    def _each(self, work: Callable[[_Tensor], None]) -> None:
        # Every tensor has its own random numbers, so the threads cannot change the outcome.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(work, self._tensors))

    def _count(self, iterations: int) -> None:
        rows = np.arange(self.model.iteration, self.model.iteration + iterations) + 1
        level = 0.2 + 2.0 / (1 + rows / 200)
        losses = level[:, None] * self._random.normal((1.0, 0.9), 0.1, (iterations, 2))
        self.model.losses.extend(losses.tolist())
        self.model.iteration += iterations


@dataclass
class _Slow:
    """Numbers that walk at random, each step partly in the direction of the one before; for rows and columns."""

    pace: float
    direction: Any

    def step(self, iterations: int, random: np.random.Generator) -> Any:
        """Return how far they move."""
        move, kept = _pulled(iterations)
        noise = random.standard_normal(np.shape(self.direction), dtype=np.float32)
        self.direction = np.float32(kept) * self.direction + np.float32(math.sqrt(1 - kept**2)) * noise
        return np.float32(self.pace) * (np.float32(move[0]) * noise + np.float32(move[1]) * self.direction)


@dataclass
class _Tensor:
    """A tensor of weights with its two moments, as matrices whose columns are the last axis; changed in place."""

    weights: Any
    first: Any
    second: Any
    pace: float
    random: np.random.Generator

    def __post_init__(self) -> None:
        shape = self.weights.shape
        fans = math.prod(shape[:-2]) * sum(shape[-2:]) if len(shape) > 1 else 0
        self.scale = math.sqrt(2 / fans) if fans else 0.01
        columns = shape[-1]
        self.weights, self.first, self.second = (
            array.reshape(-1, columns) for array in (self.weights, self.first, self.second)
        )
        rows = len(self.weights)
        self.direction = self._noise(rows, columns)
        self.uneven = np.exp2(_UNEVEN * self._noise(rows, 1)), np.exp2(_UNEVEN * self._noise(1, columns))
        self.slow = [
            _Slow(pace, self._noise(*size))
            for pace, size in ((_LEVEL_PACE, (1, 1)), (_ROW_PACE, (rows, 1)), (_COLUMN_PACE, (1, columns)))
        ]

    def begin(self) -> None:
        """Give all numbers the values of a training that has run for a while."""
        rows, columns = self.weights.shape
        self.weights[...] = self.random.random((rows, columns), dtype=np.float32) * 2 - 1
        self.weights *= np.float32(self.scale * math.sqrt(3))
        self.level = _LEVEL + float(self.random.normal(0, 1.5))
        lines = np.float32(_ROWS) * self._noise(rows, 1) + np.float32(_COLUMNS) * self._noise(1, columns)
        self.second[...] = np.exp2(np.float32(_REST) * self._noise(rows, columns) + (lines + np.float32(self.level)))
        self.first[...] = self._noise(rows, columns) * np.sqrt(self.second) * np.float32(_MS_SHARE)

    def move(self, iterations: int) -> None:
        """Move weights and moments."""
        self._move_weights(iterations)
        self._move_second(iterations)
        kept = _MS_MEMORY**iterations
        self.first *= np.float32(kept)
        fresh = self._noise(*self.first.shape) * np.sqrt(self.second)
        self.first += fresh * np.float32(_MS_SHARE * math.sqrt(1 - kept**2))

    def _move_weights(self, iterations: int) -> None:
        step, kept = _pulled(iterations)
        noise = self._noise(*self.weights.shape)
        self.direction *= np.float32(kept)
        self.direction += noise * np.float32(math.sqrt(1 - kept**2))
        noise *= np.float32(step[0])
        noise += self.direction * np.float32(step[1])
        noise *= self.uneven[0] * np.float32(self.scale * self.pace)
        noise *= self.uneven[1]
        self.weights += noise

    def _move_second(self, iterations: int) -> None:
        part = iterations / APART
        change = self._noise(*self.second.shape)
        change *= self.uneven[0] * np.float32(_REST_PACE * math.sqrt(part))
        change *= self.uneven[1]
        level, rows, columns = (each.step(iterations, self.random) for each in self.slow)
        change += rows + level
        change += columns
        # The bits of a positive float, read as a number, are nearly its logarithm.
        away = self.second.view(np.int32).astype(np.float32)
        away *= np.float32(2.0**-23)
        away -= np.float32(127 + self.level)
        away *= np.float32(min(1.0, _RETURN * part))
        change -= away
        self.second *= np.exp2(change, out=change)

    def _noise(self, *shape: int) -> Any:
        return self.random.standard_normal(shape, dtype=np.float32)


def _pulled(iterations: int) -> tuple[tuple[float, float], float]:
    """Return what a step takes of fresh noise and of the direction, and what is kept of the direction.

    A direction that lasts for a while carries as far as an Ornstein-Uhlenbeck velocity does.
    """

    def reach(count: float) -> float:
        return 2 * _LASTING * (count - _LASTING * -math.expm1(-count / _LASTING))

    fresh = math.sqrt((1 - _DIRECTED) * iterations / APART)
    directed = math.sqrt(_DIRECTED * reach(iterations) / reach(APART))
    return (fresh, directed), math.exp(-iterations / _LASTING)


def _spread(number: int) -> float:
    """Return the pace of the tensor with this number: evenly spread, so that also few tensors have the same mean."""
    return _PACE * math.exp(_PACES * (2 * (number * 0.6180339887 % 1) - 1))


def main() -> None:
    """Write saves that are APART iterations apart, unless told otherwise, as FOLDER/00, FOLDER/01 and so on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=40_000_000, help="bytes of the model")
    parser.add_argument("--saves", type=int, default=3)
    parser.add_argument("--apart", type=int, default=APART, help="iterations between two saves")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    drift = Drift(options.folder, options.size, options.seed)
    for number in range(options.saves):
        if number:
            drift.move(options.apart)
        drift.save(options.folder / f"{number:02}")


if __name__ == "__main__":
    main()
