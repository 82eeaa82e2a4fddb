"""The documents that the API answers with, as types: the OpenAPI document is made of them, and tests hold them."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

__all__ = [
    "ActivityDocument",
    "ActivityEntry",
    "Checked",
    "ComparisonDocument",
    "Deleted",
    "FileChange",
    "Freed",
    "JobDocument",
    "JobsDocument",
    "Link",
    "LiveModel",
    "Losses",
    "Made",
    "ModelDocument",
    "ModelsDocument",
    "PanelDocument",
    "Problem",
    "ProblemDocument",
    "Pruned",
    "RemoteDocument",
    "RemotesDocument",
    "RestorePlanDocument",
    "SnapshotDocument",
    "SnapshotsDocument",
    "Thinned",
    "UsageDocument",
    "WatchDocument",
    "WholeSnapshot",
]


class Problem(TypedDict):
    """What went wrong: ``type`` as in `casvault.errors`, the exit code of the command line, and a sentence."""

    type: str
    exit_code: int
    message: str


class ProblemDocument(TypedDict):
    """What every refusal and every error is answered with."""

    error: Problem


class PanelDocument(TypedDict):
    """The panel: its version, and its vault; without one ``vault`` is null and ``place`` where it would be made."""

    version: str
    vault: str | None
    place: str


class Made(TypedDict):
    """A vault, and whether it was made just now."""

    vault: str
    made: bool


class Link(TypedDict):
    """Where to open the panel in another browser: a path with a token that opens it once."""

    path: str


class WatchDocument(TypedDict):
    """Whether automatic snapshots are on, and the last event of the watch, as `casvault watch --json` prints it."""

    on: bool
    last: dict[str, Any] | None


class ModelDocument(TypedDict):
    """A model that the panel knows; ``key`` names it in other requests."""

    key: str
    name: str
    type: str | None
    folder: str
    watch: WatchDocument


class ModelsDocument(TypedDict):
    """All models that the panel knows."""

    models: list[ModelDocument]


class ModelName(TypedDict):
    """What a model is called, and where it is or was."""

    name: str
    type: str | None


class SnapshotDocument(TypedDict):
    """A snapshot's head, as `casvault list --json` prints it, and the key of its model; all sizes in bytes."""

    id: str
    created: str
    saved_at: str | None
    kind: str
    model: ModelName
    model_key: str
    iteration: int | None
    loss: dict[str, float | None] | None
    incomplete: bool
    health: dict[str, Any] | None
    preview: dict[str, Any] | None
    name: str | None
    notes: str | None
    pinned: bool
    tags: list[str]
    thinned: list[str]
    deleted: bool
    logical_bytes: int
    file_count: int


class SnapshotsDocument(TypedDict):
    """Snapshots, the newest first."""

    snapshots: list[SnapshotDocument]


class FileDocument(TypedDict):
    """A file of a snapshot: its path, its name without the model's, its size in bytes, and its BLAKE3 digest."""

    path: str
    role: str
    size: int
    digest: str


class WholeSnapshot(SnapshotDocument):
    """A snapshot with its options and files, and what the objects it needs take."""

    options: dict[str, Any] | None
    files: list[FileDocument]
    stored_bytes: int


class LiveModel(TypedDict):
    """How a live model stands to its snapshots, as `casvault status --json` prints it."""

    key: str
    model: dict[str, Any]
    iteration: int | None
    loss: dict[str, float | None] | None
    saved_at: str | None
    logical_bytes: int
    incomplete: str | None
    problems: list[str]
    doubts: list[str]
    newest: dict[str, Any] | None
    equals: str | None
    iterations_not_snapshotted: int | None
    trainers: list[dict[str, Any]] | None
    watch: WatchDocument


class Curve(TypedDict):
    """One loss: for each point the lowest and the highest value, and the mean of what led up to it."""

    name: str
    low: list[float | None]
    high: list[float | None]
    mean: list[float | None]


class LossMark(TypedDict):
    """A snapshot of the model; ``on_curve`` says whether the history leads through it."""

    id: str
    name: str | None
    kind: str
    created: str
    iteration: int | None
    run: int
    loss: dict[str, float | None] | None
    health: str
    on_curve: bool


class Losses(TypedDict):
    """Curves of losses. The history goes from the iteration ``first`` to ``last``; the points of the curves end with
    the ``iterations``, and a mean is over ``window`` of them. Where there is no history ``reason`` says why.
    """

    title: str
    snapshot: str | None
    model: str
    first: int | None
    last: int | None
    window: int
    reason: str | None
    iterations: list[int]
    curves: list[Curve]
    marks: list[LossMark]


class FileChange(TypedDict):
    """What a restore does with one file."""

    action: Literal["add", "replace", "remove", "keep"]
    path: str
    size: int


class RestorePlanDocument(TypedDict):
    """What a restore would do, as `casvault restore --dry-run --json` prints it, and what stands against it."""

    snapshot: dict[str, Any]
    folder: str
    model: str
    changes: list[FileChange]
    trainers: list[dict[str, Any]]
    nothing_to_do: bool
    staged_bytes: int


class Deleted(TypedDict):
    """What was deleted, or would be, and what gc frees for it; null where that cannot be told."""

    deleted: list[str]
    frees_bytes: int | None
    leaned_bytes: int | None
    reclaimable_bytes: int | None
    dry_run: bool


class Thinned(TypedDict):
    """What was thinned, or would be: id -> paths; and what gc frees for it."""

    thinned: dict[str, list[str]]
    frees_bytes: int
    leaned_bytes: int
    dry_run: bool


class Pruned(TypedDict):
    """What stays and why, and what was deleted, or would be."""

    snapshots: list[dict[str, Any]]
    deleted: list[str]
    frees_bytes: int
    leaned_bytes: int
    excess_bytes: int
    dry_run: bool


class Freed(TypedDict):
    """What gc freed, or would."""

    dry_run: bool
    deleted_objects: int
    freed_bytes: int
    recoded_objects: int
    recoding_freed_bytes: int
    forgotten_snapshots: list[str]
    remaining_bytes: int
    base_bytes: int
    unfinished: str | None


class Checked(TypedDict):
    """What is known of when stored bytes were last read; ``oldest`` is the time of the check that is longest ago."""

    objects: int
    never: int
    oldest: str | None


class UsageDocument(TypedDict):
    """What everything takes, as `casvault usage --json` prints it."""

    vault: dict[str, int]
    models: list[dict[str, Any]]
    snapshots: list[dict[str, Any]]
    chosen: dict[str, Any]
    growth: list[dict[str, Any]]


class RemoteDocument(TypedDict):
    """Another vault that has a name here; ``program`` is casvault on its machine."""

    name: str
    url: str
    program: str


class RemotesDocument(TypedDict):
    """All remotes, by name."""

    remotes: list[RemoteDocument]


class ComparisonDocument(TypedDict):
    """What is only here, only there, newer on one side, or in conflict; sizes in bytes, null where not asked for."""

    remote: str
    both: int
    only_here: list[dict[str, Any]]
    only_there: list[dict[str, Any]]
    refused: Any
    conflicts: Any
    bytes_to_send: int | None
    bytes_to_receive: int | None


class JobSummary(TypedDict):
    """An operation, and how far it is: amounts in bytes, ``rate`` in bytes per second, ``eta`` in seconds."""

    id: str
    kind: str
    title: str
    command: str | None
    model: str | None
    key: str | None
    snapshot: str | None
    state: Literal["running", "done", "failed", "cancelled"]
    stopping: bool
    started: str
    ended: str | None
    task: str | None
    done: int
    total: int | None
    rate: float | None
    eta: float | None
    progress: str
    messages: list[str]
    told: str
    error: Problem | None


class JobDocument(JobSummary):
    """An operation with its result: what the command of its ``kind`` prints with `--json`."""

    result: dict[str, Any] | None


class JobsDocument(TypedDict):
    """Operations, the newest first."""

    jobs: list[JobSummary]


class ActivityEntry(TypedDict):
    """Something that was done, by this ``panel``, by its ``watch`` or ``elsewhere``."""

    number: int
    time: str
    by: Literal["panel", "watch", "elsewhere"]
    what: str
    text: str
    outcome: Literal["done", "failed", "cancelled"]
    command: str | None
    model: str | None
    snapshot: str | None
    job: str | None


class ActivityDocument(TypedDict):
    """What was done, the newest first."""

    activity: list[ActivityEntry]
