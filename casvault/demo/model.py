"""A model that is written the way the trainer writes one, with random tensors that drift as in training.

Files, names, pickle protocol, order of saving and the unlink before each rename are those that were observed of
DeepFaceLab (docs/deepfacelab.md); the numbers are noise with the magnitudes of real weights and AdaBelief moments. For
demonstrations, tests and benchmarks.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SampleModel"]

_CHANNELS = 512
_KERNEL = 3
_WEIGHTS = {"encoder": 0.15, "inter_AB": 0.1, "inter_B": 0.1, "decoder": 0.65}
_PREVIEWS = 4


class SampleModel:
    """A SAEHD liae model of about ``size`` bytes in ``folder``, called ``name`` (with its class: demo_SAEHD)."""

    def __init__(self, folder: Path, name: str = "demo_SAEHD", size: int = 12_000_000, seed: int = 1) -> None:
        self.folder = folder
        self.name = name
        self.iteration = 0
        self.losses: list[list[float]] = []
        self.options: dict[str, Any] = {
            "resolution": 128,
            "archi": "liae-ud",
            "adabelief": True,
            "batch_size": 8,
            "lr_dropout": "n",
            "gan_power": np.float64(0.0),
        }
        self._random = np.random.default_rng(seed)
        self.weights = {file: self._tensors(file, size / 3 * share) for file, share in _WEIGHTS.items()}
        names = [(f"{file}/{name}", tensor) for file, group in self.weights.items() for name, tensor in group.items()]
        self.first = {f"ms_{name}": np.zeros_like(tensor) for name, tensor in names}
        self.second = {f"vs_{name}": np.zeros_like(tensor) for name, tensor in names}
        self._previews = [
            self._random.integers(0, 256, (1, 64, 64, 3)).astype(np.float32) / 255 for _ in range(_PREVIEWS)
        ]

    def train(self, iterations: int) -> None:
        """Move every number as that many iterations of training would."""
        for _ in range(iterations):
            self.iteration += 1
            level = 0.2 + 2.0 / (1 + self.iteration / 200)
            self.losses.append(
                [float(level * self._random.normal(1, 0.1)), float(level * self._random.normal(0.9, 0.1))]
            )
        for file, group in self.weights.items():
            for name, tensor in group.items():
                group[name] = tensor + self._noise(tensor.shape) * np.float32(1e-4 * iterations**0.5)
                key = f"{file}/{name}"
                self.first[f"ms_{key}"][...] = self._noise(tensor.shape) * np.float32(1e-5)
                moments = self.second[f"vs_{key}"]
                moments[...] = moments * np.float32(0.9) + np.float32(1e-9) * self._noise(tensor.shape) ** 2

    def save(self, step: Callable[[str], None] = lambda what: None) -> None:
        """Write all files as the trainer does: the summary in place, each other by unlink and rename, data.dat last.

        ``step`` is called before each system call that changes the folder, with a word for it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        step("summary")
        (self.folder / f"{self.name}_summary.txt").write_text(self._summary(), "utf-8")
        for file, group in self.weights.items():
            self._replace(f"{file}.npy", group, 4, step)
        moments = {"iters:0": np.int64(self.iteration), **self.first, **self.second}
        self._replace("src_dst_opt.npy", moments, 4, step)
        data = {
            "iter": self.iteration,
            "options": self.options,
            "loss_history": self.losses,
            "sample_for_preview": self._previews,
            "choosed_gpu_indexes": None,
        }
        self._replace("data.dat", data, 4, step)

    def paths(self) -> list[Path]:
        """Return the model's files, sorted."""
        return sorted(self.folder.glob(f"{self.name}_*"))

    def _replace(self, role: str, content: Any, protocol: int, step: Callable[[str], None]) -> None:
        path = self.folder / f"{self.name}_{role}"
        temp = path.with_name(path.name + ".tmp")
        step(f"write {role}")
        with open(temp, "wb") as file:
            pickle.dump(content, file, protocol)
        step(f"unlink {role}")
        path.unlink(missing_ok=True)
        step(f"rename {role}")
        os.rename(temp, path)

    def _tensors(self, file: str, size: float) -> dict[str, Any]:
        """Return tensors of about ``size`` bytes altogether: convolutions of one width, and their biases."""
        outputs = max(8, min(_CHANNELS, int((size / 4 / _KERNEL**2 / 8) ** 0.5)))
        layer = _KERNEL**2 * outputs * outputs * 4
        made: dict[str, Any] = {}
        for number in range(max(1, round(size / layer))):
            shape = (_KERNEL, _KERNEL, outputs, outputs)
            made[f"conv{number}/weight:0"] = self._noise(shape) * np.float32(0.05)
            made[f"conv{number}/bias:0"] = np.zeros(outputs, np.float32)
        return made

    def _noise(self, shape: tuple[int, ...]) -> Any:
        return self._random.standard_normal(shape, dtype=np.float32)

    def _summary(self) -> str:
        lines = [("Model name", self.name), ("Current iteration", str(self.iteration))]
        lines += [(key, str(value)) for key, value in self.options.items()]
        return "\n".join(["== Model Summary =="] + [f"== {key:>20}: {value:<12} ==" for key, value in lines]) + "\n"
