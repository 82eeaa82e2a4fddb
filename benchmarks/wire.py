"""Push and pull over a real OpenSSH server on this machine, beside rsync: ``python -m benchmarks.wire FOLDER``.

FOLDER holds a folder for each save of a model. Says how fast `push` and `pull` of snapshots of them all are, as a part
of ``rsync -a --inplace`` with the same objects; the three take turns, so that whatever else runs hits each alike.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

from benchmarks.__main__ import compile_casvault
from tests.support.sshd import Sshd, sshd

_CASVAULT = (sys.executable, "-m", "casvault", "--vault")


def main() -> None:
    """Make the vault, measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire", description=__doc__)
    parser.add_argument("saves", type=Path, metavar="FOLDER", help="a folder of folders: saves of a model")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="how often each is done (9)")
    options = parser.parse_args()
    compile_casvault()
    with tempfile.TemporaryDirectory(prefix="casvault_bench_") as made, sshd(Path(made)) as server:
        folder = Path(made)
        _run([*_CASVAULT, str(folder / "full"), "init", str(folder / "full")], server)
        for save in sorted(one for one in options.saves.iterdir() if one.is_dir()):
            _run([*_CASVAULT, str(folder / "full"), "snapshot", str(save), "-q"], server)
        rounds = []
        for _ in range(options.rounds):
            moved = {verb: _move(folder, server, verb) for verb in ("push", "pull")}
            rounds.append({"rsync": _rsync(folder, server), **moved})
    for name in rounds[0]:
        parts = [one["rsync"] / one[name] for one in rounds]
        low, _, high = quantiles(parts, n=4) if len(parts) > 1 else parts * 3
        print(
            f"{name}: {median(one[name] for one in rounds):.2f} s, {median(parts):.2f} of rsync's speed "
            f"(quartiles {low:.2f} to {high:.2f})"
        )


def _rsync(folder: Path, server: Sshd) -> float:
    target = folder / "copied"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    there = f"{getpass.getuser()}@127.0.0.1:{target}/"
    ssh = f"{server.ssh} -p {server.port}"
    return _run(["rsync", "-a", "--inplace", "-e", ssh, f"{folder / 'full' / 'objects'}/", there], server)


def _move(folder: Path, server: Sshd, verb: str) -> float:
    """Push the full vault into a fresh one, or pull it."""
    full, fresh = folder / "full", folder / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    _run([*_CASVAULT, str(fresh), "init", str(fresh)], server)
    here, there = (full, fresh) if verb == "push" else (fresh, full)
    (here / "remotes.json").unlink(missing_ok=True)
    far = ["remote", "add", "far", server.url(there), "--program", str(server.program)]
    _run([*_CASVAULT, str(here), *far], server)
    return _run([*_CASVAULT, str(here), verb, "far", "-q"], server)


def _run(command: Sequence[str], server: Sshd) -> float:
    """Return the seconds that a command takes; one that fails ends the benchmark."""
    os.sync()
    begun = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, "CASVAULT_SSH": server.ssh}, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode('utf-8', 'replace')}")
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
