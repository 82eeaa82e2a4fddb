"""Makes the golden vault: `python -m tests.support.golden` writes tests/data/golden-2/ and golden-2.json anew.

One is made each time that something new is written, and then kept for ever: later versions must read it. golden-1 was
made before there were deltas, and nothing can make it again.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from casvault import api
from casvault.manifest.label import Label
from casvault.restore import RestoreOptions

__all__ = ["DATA", "main"]

DATA = Path(__file__).parents[1] / "data"
_DAY = 1_763_000_000


def _model(seed: int, iteration: int) -> dict[str, bytes]:
    """Return the files of a small model: numbers, text that zstd likes, and noise that nothing likes."""
    random = np.random.default_rng(seed)
    weights = (random.standard_normal((65, 257)) * 0.05).astype(np.float32)
    # A second model, as training goes on: near the first one, and with moments that are nearly an outer product.
    first = np.random.default_rng(1)
    drifting = first.standard_normal((65, 257)).astype(np.float32) * np.float32(0.05)
    drifting += np.float32(0.001) * np.float32(seed) * random.standard_normal((65, 257)).astype(np.float32)
    # Nothing but products and powers of two, which are the same on every machine.
    sides = [np.ldexp(1 + first.random(shape), first.integers(-13, -7, shape)) for shape in ((65, 1), (1, 257))]
    own = (1 + 0.2 * first.random((65, 257))) * (1 + 0.001 * random.random((65, 257)))
    moments = (sides[0] * sides[1] * own / seed).astype(np.float32)
    layers = {"conv/weight:0": weights, "conv/bias:0": np.zeros(16, np.float32)}
    data: dict[str, Any] = {
        "iter": iteration,
        "options": {"archi": "liae-ud", "resolution": 64, "batch_size": 4},
        "loss_history": [[1.0 / n, 0.5 / n] for n in range(1, iteration + 1)],
    }
    text = "== Model Summary ==\n" + f"== Current iteration: {iteration} ==\n" + "== resolution: 64 ==\n" * 20
    small = pickle.dumps({"bias:0": np.arange(seed, seed + 8, dtype=np.float32)}, 4)
    return {
        "encoder.npy": pickle.dumps(layers, 4),
        "inter.npy": pickle.dumps({"drifting/weight:0": drifting}, 4),
        "src_dst_opt.npy": pickle.dumps({"vs_drifting/weight:0": moments}, 4),
        "inter_AB.npy": pickle.dumps({"noise": random.bytes(5_000)}, 4),
        "inter_B.npy": small,
        "decoder.npy": pickle.dumps({"weight:0": np.ones((3, 8), np.float32)}, 4),
        "data.dat": pickle.dumps(data, 4),
        "summary.txt": text.encode(),
    }


def _save(folder: Path, seed: int, iteration: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, (role, content) in enumerate(_model(seed, iteration).items()):
        path = folder / f"gold_SAEHD_{role}"
        path.write_bytes(content)
        path.chmod(0o600 if role == "data.dat" else 0o644)
        os.utime(path, ns=((_DAY + iteration) * 10**9 + 100 * number,) * 2)


def main(root: Path) -> None:
    """Make the vault in ``root`` and the list of what its snapshots hold beside it."""
    work = root / "golden-2-work"
    vault = api.init(work / "golden-2")
    vault = api.open(work / "golden-2", threads=1)
    folder = work / "workspace" / "model"
    _save(folder, 1, 5)
    first = vault.snapshot(folder, name="first", notes="batch 4\nÜnï 模型").head
    _save(folder, 2, 9)
    second = vault.snapshot(folder).head
    vault.write_label(Label(second.id, "old name"))
    vault.write_label(Label(second.id, "second", "renamed", pinned=True, tags=("a", "b")))
    (folder / "gold_SAEHD_decoder.npy").unlink()
    vault.restore(first.id, RestoreOptions())
    for role, content in _model(1, 5).items():
        assert (folder / f"gold_SAEHD_{role}").read_bytes() == content
    runs = work / "runs" / "lora"
    (runs / "deep").mkdir(parents=True)
    for name, content in (("deep/weights.bin", bytes(range(256)) * 20), ("empty", b"")):
        (runs / name).write_bytes(content)
        (runs / name).chmod(0o644)
        os.utime(runs / name, ns=(_DAY * 10**9,) * 2)
    vault.snapshot(runs, model_name="lora", iteration=3, loss={"loss": 0.5}, meta={"rank": "16"}, name="generic")
    expected = {head.id: _expected(vault, work, head.id) for head in vault.snapshots()}
    for path in (root / "golden-2", *(work / "golden-2" / name for name in ("cache", "tmp", "pending"))):
        shutil.rmtree(path, ignore_errors=True)
    shutil.move(work / "golden-2", root / "golden-2")
    shutil.rmtree(work)
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (root / "golden-2.json").write_bytes(text.encode())


def _expected(vault: api.Vault, work: Path, id: str) -> dict[str, Any]:
    """Return what a snapshot holds, as it is restored; `main` has compared the first with what was saved."""
    head = vault.find(id)
    back = work / f"back-{id}"
    vault.restore(id, RestoreOptions(to=back, allow_incomplete=True))
    files = {}
    for path in sorted(path for path in back.rglob("*") if path.is_file()):
        content = path.read_bytes()
        status = path.stat()
        files[path.relative_to(back).as_posix()] = {
            "size": len(content),
            "blake3": blake3(content).hexdigest(),
            "mtime_ns": str(status.st_mtime_ns),
            "mode": status.st_mode & 0o777,
        }
    return {
        "name": head.name,
        "kind": head.kind,
        "iteration": head.iteration,
        "incomplete": head.incomplete,
        "files": files,
    }


if __name__ == "__main__":
    main(DATA)
