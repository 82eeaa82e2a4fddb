"""DeepFaceLab: SAEHD, AMP, Quick96 and XSeg models, and whatever other class saves the same way.

One folder holds many models; a file is ``<Name>_<Class>_<role>``, an XSeg's ``XSeg_<role>``. Names may hold
underscores and may even look like another model's prefix, so names are parsed from the right and a file
belongs to the longest prefix that is known. Owns the invariant that nothing but a model's weights,
optimizers, ``data.dat`` and ``summary.txt`` is ever taken for a part of it: what is not part of it is never
captured, replaced or removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from casvault.errors import FormatError, UsageError
from casvault.files.names import model_path_problem
from casvault.files.source import ByteSource
from casvault.formats import Region
from casvault.formats.pickles import scan_pickle
from casvault.models.data_dat import read_history, read_state, summary_iteration
from casvault.models.kind import Kind, Parts, check_name
from casvault.models.model import History, Model, ModelFile, State
from casvault.models.previews import face_batches, trainer_pictures

__all__ = ["DeepFaceLab"]

_PICKLE, _STOP, _NUMPY = b"\x80", b".", b"\x93"
DATA = "data.dat"
SUMMARY = "summary.txt"
_TEMPORARY = ".tmp"
_FORGETS = 100
"""Iterations after which first moments have 0.9 to that power of what they were: three parts in 100,000."""

_LONGEST_ROLE = "code_discriminator.npy.tmp"

_WEIGHTS: dict[str, dict[str, tuple[str, ...]]] = {
    "SAEHD": {
        "df": ("encoder.npy", "inter.npy", "decoder_src.npy", "decoder_dst.npy"),
        "liae": ("encoder.npy", "inter_AB.npy", "inter_B.npy", "decoder.npy"),
    },
    "AMP": {"": ("encoder.npy", "inter_src.npy", "inter_dst.npy", "decoder.npy")},
    "Quick96": {"": ("encoder.npy", "inter.npy", "decoder_src.npy", "decoder_dst.npy")},
    "XSeg": {"": ("256.npy",)},
}
"""What a whole model must have, by class and architecture; the trainer starts a missing one from noise."""

_OPTIONAL: dict[str, tuple[str, ...]] = {
    "SAEHD": ("src_dst_opt.npy", "code_discriminator.npy", "D_code_opt.npy", "GAN.npy", "GAN_opt.npy"),
    "AMP": ("src_dst_opt.npy", "GAN.npy", "GAN_opt.npy"),
    "Quick96": ("src_dst_opt.npy",),
    "XSeg": ("256_opt.npy",),
}


def _known_roles(type: str) -> frozenset[str]:
    saved = {DATA, *_OPTIONAL[type], *(role for roles in _WEIGHTS[type].values() for role in roles)}
    return frozenset({SUMMARY} | saved | {role + _TEMPORARY for role in saved})


_ROLES = {type: _known_roles(type) for type in _WEIGHTS}
_KNOWN = re.compile(r"(?s)(?P<prefix>.+_(?P<type>SAEHD|AMP|Quick96)|(?P<xseg>XSeg))_(?P<role>.+)")
_OTHER = re.compile(rf"(?s)(?P<prefix>.+_(?P<type>[^_]+))_(?:{re.escape(DATA)}|{re.escape(SUMMARY)})")


class DeepFaceLab(Kind):
    """Models of the DeepFaceLab trainer and its forks."""

    name = "deepfacelab"
    last_role = DATA
    knows_trainers = True
    save_now = "press s in the trainer's preview window"

    def split(self, names: Collection[str]) -> dict[str, Parts]:
        """Sort names into models, those of which only some files or a ``.tmp`` is left among them."""
        # hidden names are other programs' temporary copies: .new_SAEHD_data.dat.Xy1, ._new_SAEHD_data.dat
        shown = [name for name in names if not name.startswith(".")]
        types = _prefixes(shown)
        models = {prefix: Parts(type, [], []) for prefix, type in types.items()}
        for name in shown:
            owner = next((prefix for prefix in _prefixes_of(name) if prefix in models), None)
            if owner is None:
                continue
            role = name[len(owner) + 1 :]
            if _is_own(role):
                models[owner].files.append(ModelFile(name, role))
            elif role.endswith(_TEMPORARY) and _is_saved_by_rename(role.removesuffix(_TEMPORARY)):
                models[owner].leftovers.append(name)
        return {prefix: parts for prefix, parts in models.items() if parts.files or parts.leftovers}

    def path_of(self, role: str, name: str) -> str:
        """Return ``name`` and ``role`` joined as the trainer does: "new_SAEHD_encoder.npy"."""
        return f"{name}_{role}"

    def rename(self, name: str, new: str) -> str:
        """Return ``new`` with the class of ``name``: "big" or "big_SAEHD" for "small_SAEHD" is "big_SAEHD"."""
        own, _, type = name.rpartition("_")
        if not own:
            raise UsageError(f"{name} cannot be renamed: the trainer knows it by no other name.")
        base = new.removesuffix(f"_{type}")
        other = base.rpartition("_")[2]
        if other in _WEIGHTS or base == "":
            raise UsageError(f"a model of class {type} cannot be named {new!r}; say only the part before _{type}.")
        check_name(base)
        if model_path_problem(self.path_of(_LONGEST_ROLE, f"{base}_{type}")) is not None:
            raise UsageError(f"a model cannot be named {new[:40]!r}...: that is too long.")
        return f"{base}_{type}"

    def state(self, read: Callable[[str], ByteSource | None], type: str | None) -> State:
        """Return what ``data.dat`` says; without it nothing is known, whatever the summary claims."""
        source = read(DATA)
        if source is None:
            return State(problems=(f"{DATA} is not there, so iteration, losses and options are unknown.",))
        return read_state(source)

    def history(self, read: Callable[[str], ByteSource | None], type: str | None) -> History:
        """Return the loss history in ``data.dat``."""
        source = read(DATA)
        return read_history(source) if source is not None else History(reason=f"{DATA} is not there.")

    def missing(self, roles: Collection[str], type: str | None, state: State) -> list[str]:
        """Return ``data.dat`` and weights that are not there; "*.npy" are those of an unknown class."""
        if type not in _WEIGHTS:
            needed: tuple[str, ...] = () if any(role.endswith(".npy") for role in roles) else ("*.npy",)
        else:
            needed = _weights_of(_WEIGHTS[type], roles, state)
        return [role for role in (DATA, *needed) if role not in roles]

    def torn(self, read: Callable[[str], ByteSource | None], state: State) -> str | None:
        """Compare the iterations of the summary, written first, and of ``data.dat``, written last."""
        source = read(SUMMARY)
        if source is None:
            return None
        told = summary_iteration(source)
        if told is None:
            return f"{SUMMARY} is empty or half-written"
        if state.iteration is not None and told != state.iteration:
            return f"{SUMMARY} is of iteration {told}, {DATA} of {state.iteration}"
        return None

    def damage(self, read: Callable[[str], ByteSource | None], roles: Collection[str]) -> list[str]:
        """Name weight files that do not begin and end as a pickle does: the traces of a power cut or a full disk."""
        cut = [role for role in sorted(roles) if role.endswith(".npy") and _is_cut(read(role))]
        return [f"{role} is empty, cut short or overwritten." for role in cut]

    def unreadable(self, role: str, source: ByteSource) -> str | None:
        """Follow a weight file's pickle to its end, which takes time: the bytes at both ends may look right."""
        if not role.endswith(".npy") or _is_cut(source) or source.read_at(0, 1) != _PICKLE:
            return None
        try:
            scan_pickle(source)
        except (FormatError, OSError) as error:
            return f"{role} cannot be read: {str(error).rstrip('. ')}."
        return None

    def is_record(self, role: str) -> bool:
        """Tell it by the name: the pictures in ``data.dat`` may be black all over."""
        return not role.endswith(".npy")

    def is_optimizer(self, role: str) -> bool:
        """Tell it by the name: "src_dst_opt.npy", "256_opt.npy"."""
        return role == "opt.npy" or role.endswith("_opt.npy")

    def forgot(self, role: str, tensor: str, iterations: int) -> bool:
        """Tell it of first moments, which keep nine tenths from each iteration to the next."""
        return iterations >= _FORGETS and tensor.startswith("ms_") and self.is_optimizer(role)

    def holds_pictures(self, role: str) -> bool:
        """Tell that it is ``data.dat``, in which the trainer keeps samples for its preview."""
        return role == DATA

    def pictures(self, folder: Path, name: str, *, copied: bool = False) -> list[Path]:
        """Return previews and the last pictures of the history; they are no part of the model."""
        return trainer_pictures(folder, name, copied)

    def faces(self, role: str, regions: Sequence[Region]) -> list[Region]:
        """Return the samples in ``data.dat`` that the trainer makes its previews of."""
        return face_batches(regions) if role == DATA else []

    def may_train(self, arguments: Sequence[str], cwd: Callable[[], str], model: Model) -> bool:
        """Tell it by ``main.py train``, its ``--model-dir``, and the class and name where it says them."""
        from casvault.models.train_command import may_train

        return may_train(arguments, cwd, model)


def _is_cut(source: ByteSource | None) -> bool:
    """Tell whether a weight file lacks a pickle's first or last byte; a real ``.npy`` has no last one."""
    if source is None:
        return False
    first = source.read_at(0, 1)
    return first != _NUMPY and (first != _PICKLE or source.read_at(source.size - 1, 1) != _STOP)


def _is_saved_by_rename(role: str) -> bool:
    return role == DATA or (role.endswith(".npy") and role != ".npy")


def _is_own(role: str) -> bool:
    return role == SUMMARY or _is_saved_by_rename(role)


def _prefixes_of(name: str) -> list[str]:
    """Return what may be the prefix of ``name``, the longest first."""
    return [name[:at] for at in range(len(name) - 1, 0, -1) if name[at] == "_"]


def _prefixes(names: list[str]) -> dict[str, str]:
    """Return the models that ``names`` give evidence of: prefix -> class."""
    found = {}
    rest = []
    for name in names:
        match = _KNOWN.fullmatch(name)
        type = match and (match["type"] or match["xseg"])
        if match and type and match["role"] in _ROLES[type]:
            found[match["prefix"]] = type
        else:
            rest.append(name)
    return {**_other_prefixes([n for n in rest if found.keys().isdisjoint(_prefixes_of(n))]), **found}


def _other_prefixes(names: list[str]) -> dict[str, str]:
    """Return the models of classes that nobody knows: prefix -> class.

    Many programs write files called x_train_summary.txt: it takes two signs of a save to believe in a model.
    """
    present = set(names)
    weights = {prefix for name in names if name.endswith(".npy") for prefix in _prefixes_of(name)}
    found = {}
    for match in filter(None, map(_OTHER.fullmatch, names)):
        prefix = match["prefix"]
        if (prefix in weights) + (f"{prefix}_{DATA}" in present) + (f"{prefix}_{SUMMARY}" in present) > 1:
            found[prefix] = match["type"]
    return found


def _weights_of(archis: dict[str, tuple[str, ...]], roles: Collection[str], state: State) -> tuple[str, ...]:
    archi = (state.options or {}).get("archi")
    for name, weights in archis.items():
        if isinstance(archi, str) and name and archi.startswith(name):
            return weights
    return max(archis.values(), key=lambda weights: sum(role in roles for role in weights))
