"""The main job as a story: three snapshots of a training, an accident, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from casvault.demo.model import SampleModel
from casvault.digest import digest_of
from casvault.errors import DamageError

__all__ = ["Story"]


class Story:
    """Tells itself in ``folder``, which must be empty; ``tell`` is given a line, ``run`` a command line to perform."""

    def __init__(self, folder: Path, tell: Callable[[str], None], run: Callable[[list[str]], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._run = run
        self.model = SampleModel(folder / "workspace" / "model")

    def play(self) -> None:
        """Perform the story; raises DamageError if a byte comes back wrong."""
        vault = self._folder / ".casvault"
        name = str(self.model.folder / self.model.name)
        self._tell("A training begins. Its model lies in workspace/model; the vault goes beside the workspace.")
        self._run(["init", str(vault)])
        self._train(500, "The first evening: 500 iterations, and a snapshot.")
        self._run(["snapshot", name, "--name", "first evening"])
        self._train(500, "500 iterations later, before an experiment:")
        self._run(["snapshot", name, "--name", "before GAN", "--notes", "batch 8, lr_dropout n\nlooks good at 1,000"])
        wanted = self._digests()
        self._train(200, "The experiment runs for 200 iterations:")
        self._run(["snapshot", name, "--name", "GAN 0.1", "--notes", "gan_power 0.1, patch 16"])
        self._tell("What is in the vault:")
        self._run(["list"])
        self._tell("What one of them is, and what it takes:")
        self._run(["show", "before GAN"])
        self._accident()
        self._tell("One command brings back the evening before, and keeps the wreck:")
        self._run(["restore", "before GAN", "-y"])
        self._prove(wanted)
        self._tell("Every stored byte is checked:")
        self._run(["verify", "--read-data"])

    def _train(self, iterations: int, words: str) -> None:
        self._tell(words)
        self.model.train(iterations)
        self.model.save()

    def _accident(self) -> None:
        self._tell("Then a power cut: two weight files are gone, one is half-written.")
        for role in ("decoder.npy", "inter_B.npy"):
            (self.model.folder / f"{self.model.name}_{role}").unlink()
        (self.model.folder / f"{self.model.name}_encoder.npy.tmp").write_bytes(b"\x80\x04 half a file")

    def _digests(self) -> dict[str, str]:
        return {path.name: digest_of(path.read_bytes()) for path in self.model.paths()}

    def _prove(self, wanted: dict[str, str]) -> None:
        if self._digests() != wanted:
            raise DamageError("the demo's model came back with other bytes; please report this as a bug.")
        self._tell(f"Proof: all {len(wanted)} files have the BLAKE3 digests that they had then, byte for byte.")
