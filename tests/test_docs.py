"""The pages are held to the code: what one says and the other does not is an error in one of them."""

from __future__ import annotations

import inspect
import json
import os
import re
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from blake3 import blake3

import casvault
from casvault import api, errors
from casvault.capture import Patience
from casvault.chunking.parameters import ChunkingParameters
from casvault.cli.main import COMMANDS, main
from casvault.codecs import CODEC_IDS, Layout, codec_of
from casvault.demo.model import SampleModel
from casvault.objects import HEADER_SIZE, Frame, store
from casvault.objects.store import MAX_CHAIN
from casvault.snapshot.bases import BRANCHES, PERIOD, radix_of
from casvault.vault.config import VaultConfig
from tests.support.second_reader import read_chunk

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
_WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def section(text: str, title: str) -> str:
    """Return what stands under the heading ``title``, up to the next one of its level or above."""
    match = re.search(rf"(?m)^(#+) {re.escape(title)}$", text)
    assert match is not None, title
    rest = text[match.end() :]
    end = re.search(rf"(?m)^#{{1,{len(match[1])}}} ", rest)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row in ``text``."""
    lines = [line for line in text.split("\n") if line.startswith("|") and not line.startswith("|--")]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def options_of(command: click.Command) -> dict[str, str]:
    """Return every long or short option of a command, but for its help, with its sentence."""
    found = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            found.update(dict.fromkeys([*parameter.opts, *parameter.secondary_opts], parameter.help or ""))
    return found


def options_in(text: str) -> dict[str, str]:
    """Return the options that the tables of ``text`` have in their first column, with the sentence beside them."""
    found: dict[str, str] = {}
    for cells in rows(text):
        for name in re.findall(r"`(--?[a-z-]+)", cells[0], re.IGNORECASE):
            assert name not in found, name
            found[name] = cells[1]
    return found


def command_of(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


# The command line


def test_every_command_has_a_section_and_no_other() -> None:
    headings = re.findall(r"(?m)^### (\w+)$", section(page("cli.md"), "Commands"))
    assert headings == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_those_of_the_command(name: str) -> None:
    written = options_in(section(page("cli.md"), name))
    common = options_in(page("cli.md").split("## Where the vault is")[0].split("Every command but `demo`")[1])
    real = options_of(command_of(name))
    assert written == {option: told for option, told in real.items() if option not in common}
    assert {option: real[option] for option in common if option in real} == (
        {} if name in ("demo", "serve") else common
    )


def test_options_before_the_command() -> None:
    written = options_in(page("cli.md").split("Every command has")[0])
    help_names = set(main.get_help_option_names(click.Context(main, help_option_names=["-h", "--help"])))
    assert written.keys() - help_names == options_of(main).keys()
    assert help_names <= written.keys()


def test_no_page_speaks_of_an_option_that_is_not_there() -> None:
    known = {"--help", "--version", *options_of(main)}
    for name in COMMANDS:
        known |= options_of(command_of(name)).keys()
    for path in PAGES:
        text = path.read_text("utf-8")
        commands = re.findall(r"(?m)`casvault [^`]*`|^\$? ?casvault .*$|^!.*casvault .*$|`-?-[a-z][^`]*`", text)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", "\n".join(commands)):
            assert option in known, f"{path.name}: {option}"


def test_the_default_of_wait_is_told() -> None:
    seconds = f"{Patience().seconds:g}"
    assert f"`--wait` is {seconds} if not given" in page("cli.md")
    wait = next(option for option in command_of("snapshot").params if option.name == "wait")
    assert isinstance(wait, click.Option)
    assert f": {seconds} by default" in str(wait.help)
    still = f"nothing has moved for {Patience().still:g} seconds"
    assert still in section(page("cli.md"), "snapshot").replace("\n", " ")


def test_exit_codes() -> None:
    real = {0, *(kind.exit_code for kind in all_errors())}
    assert [int(cells[0]) for cells in rows(section(page("cli.md"), "Exit codes"))[1:]] == sorted(real)


def all_errors() -> list[type[errors.CasvaultError]]:
    kinds = [getattr(errors, name) for name in errors.__all__]
    return [kind for kind in kinds if issubclass(kind, errors.CasvaultError)]


def test_environment_variables() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "casvault").rglob("*.py"))
    real = set(re.findall(r'environ\.get\("(CASVAULT_\w+)"', code))
    written = {cells[0].strip("`") for cells in rows(section(page("cli.md"), "Environment"))[1:]}
    assert written == real | {"NO_COLOR"}


# Python


def test_every_public_name_is_told() -> None:
    names = {re.split(r"\W", cells[0].strip("`"))[0] for cells in rows(section(page("python.md"), "The names"))[1:]}
    assert names == set(casvault.__all__)


@pytest.mark.parametrize("kind", [casvault.Patience, casvault.RestoreOptions, casvault.Rhythm, casvault.Rules])
def test_defaults_are_told(kind: type) -> None:
    parameters = inspect.signature(kind).parameters.values()
    written = ", ".join(f"{parameter.name}={parameter.default!r}" for parameter in parameters)
    names = [cells[0] for cells in rows(section(page("python.md"), "The names"))[1:]]
    assert f"`{kind.__name__}({written})`" in names


def test_every_method_is_told_with_its_parameters() -> None:
    real = {
        name: [parameter for parameter in inspect.signature(value).parameters if parameter != "self"]
        for kind in api.Vault.__mro__
        if kind.__module__.startswith("casvault.api")
        for name, value in vars(kind).items()
        if callable(value) and not name.startswith("_")
    }
    written = {}
    for cells in rows(section(page("python.md"), "Vault"))[1:]:
        match = re.fullmatch(r"`(\w+)\((.*)\)`", cells[0])
        assert match is not None, cells[0]
        given = [part.partition("=")[0].strip().removeprefix("*") for part in match[2].split(",")]
        written[match[1]] = [name for name in given if name != ""]
    assert written == real


def test_every_method_of_a_vault_elsewhere_is_told() -> None:
    real = {
        name: [parameter for parameter in inspect.signature(value).parameters if parameter != "self"]
        for name, value in vars(api.RemoteVault).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    written = {}
    for cells in rows(section(page("python.md"), "Other vaults"))[1:]:
        match = re.fullmatch(r"`(\w+)\((.*)\)`", cells[0])
        assert match is not None, cells[0]
        given = [part.partition("=")[0].strip().removeprefix("*") for part in match[2].split(",")]
        written[match[1]] = [name for name in given if name != ""]
    assert written == real


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"(?s)```python\n(.*?)```", page("python.md"))
    assert len(blocks) > 5
    scope: dict[str, object] = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), scope)


def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"(?s)```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"))
    model = SampleModel(tmp_path / "workspace" / "model", "new_SAEHD", size=60_000)
    model.save()
    casvault.init(".casvault")
    scope: dict[str, object] = {"__name__": "example"}
    exec(compile(block, "README.md", "exec"), scope)
    (head,) = casvault.open(".casvault").snapshots()
    assert (head.name, head.label.notes) == ("before GAN", "batch 8, lr 5e-5")


# The format


def test_codec_ids() -> None:
    table = rows(section(page("format.md"), "Codec ids"))[1:]
    assert {cells[1]: int(cells[0]) for cells in table} == CODEC_IDS
    for number, name, today in table:
        if today.startswith(("written", "read")):
            assert codec_of(int(number)).name == name
        else:
            with pytest.raises(errors.FormatError):
                codec_of(int(number))


def test_a_frame_lies_as_the_page_says() -> None:
    base = "ab" * 32
    frame = Frame(3, Layout(4, 512), 9, base, b"payload", flags=0x12)
    data = b"".join(frame.pieces())
    expected = [b"CVOB", 1, 3, 0x12, 4, 512, 9, len(b"payload"), bytes.fromhex(base)]
    table = rows(section(page("format.md"), "Objects"))[1:11]
    position = 0
    for cells, value in zip(table, expected, strict=False):
        offset, length = int(cells[0]), int(cells[1])
        assert offset == position
        found = data[offset : offset + length]
        assert (found if isinstance(value, bytes) else struct.unpack(f"<{_WIDTHS[length]}", found)[0]) == value
        position += length
    assert (int(table[9][0]), int(table[9][1])) == (position, HEADER_SIZE - position)
    assert f"a header of {HEADER_SIZE} bytes" in page("format.md")


@pytest.mark.parametrize(("title", "codec"), [("turned-planes (8)", 8), ("delta (4)", 4), ("planes (3)", 3)])
def test_the_examples_of_payloads(title: str, codec: int) -> None:
    text = section(page("format.md"), f"Payload of {title}")
    data, *base = [bytes.fromhex(found) for found in re.findall(r"the 9 bytes `([0-9a-f ]+)`", text)]
    block = re.search(r"(?s)```\n(.*?)```", text)
    assert block is not None
    payload = bytes.fromhex(
        "".join(re.findall(r"\b[0-9a-f]{2,8}\b", re.sub(r"rotation|heads|planes|tail", "", block[1])))
    )
    assert len(data) == 9
    assert codec_of(codec).decode(payload, 9, Layout(4, 0), *base) == data
    if codec != 3:
        # The sample chooses rotation and widths; what it chose is in the payload.
        assert codec_of(codec).encode(data, Layout(4, 0), *base) == payload


class Reader:
    """A second reader, written from docs/format.md alone, with nothing of casvault in it."""

    def __init__(self, vault: Path) -> None:
        self.vault = vault

    def document(self, path: Path) -> dict[str, Any]:
        data = path.read_bytes()
        assert data[-80:] == b',"checksum":"' + blake3(data[:-80]).hexdigest().encode() + b'"}\n'
        parsed: dict[str, Any] = json.loads(data)
        return parsed

    def file(self, entry: dict[str, Any]) -> bytes:
        data = b"".join(read_chunk(self.vault, chunk["digest"]) for chunk in entry["chunks"])
        assert blake3(data).hexdigest() == entry["digest"]
        assert len(data) == entry["size"]
        return data


def test_a_vault_can_be_read_from_the_page_alone(tmp_path: Path) -> None:
    model = SampleModel(tmp_path / "workspace" / "model", size=3_000_000)
    model.train(300)
    model.save()
    (model.folder / f"{model.name}_GAN.npy").write_bytes(b"")
    wanted = {path.name: path.read_bytes() for path in model.paths()}
    taken = casvault.init(tmp_path / ".casvault").snapshot(model.folder, name="one", notes="a\nb")
    reader = Reader(tmp_path / ".casvault")
    manifest = reader.document(reader.vault / "snapshots" / f"{taken.head.id}.json")
    assert {entry["path"]: reader.file(entry) for entry in manifest["files"]} == wanted
    assert (manifest["iteration"], manifest["model"]["name"], manifest["parent"]) == (300, "demo_SAEHD", None)
    (label,) = (reader.vault / "labels").glob(f"{taken.head.id}.*.json")
    assert (reader.document(label)["name"], reader.document(label)["notes"]) == ("one", "a\nb")
    lines = "".join(
        f"{entry['digest']} {entry['path']}\n" for entry in sorted(manifest["files"], key=lambda e: e["path"])
    )
    assert taken.head.contents == blake3(lines.encode()).hexdigest()


def test_a_line_of_deltas_can_be_read_from_the_page_alone(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    shapes = {"<f2": (256, 130), "<f4": (130, 128), "<f8": (130, 64)}
    sides = random.random((130, 1)) ** 4, random.random((1, 128)) ** 4
    values = {dtype: random.standard_normal(shape) * 0.05 for dtype, shape in shapes.items()}
    folder = tmp_path / "run"
    folder.mkdir()
    vault = casvault.init(tmp_path / ".casvault")
    saves = {}
    for number in range(7):
        for dtype, shape in shapes.items():
            values[dtype] += random.standard_normal(shape) * 1e-5
            np.save(folder / f"{dtype[1:]}.npy", values[dtype].astype(dtype))
        moments = sides[0] * sides[1] * (1 + 0.02 * random.random((130, 128))) * 0.9**number
        np.save(folder / "moments.npy", moments.astype("<f4"))
        taken = vault.snapshot(folder, model_name="run", iteration=number, patience=Patience(0.0))
        saves[taken.head.id] = {path.name: path.read_bytes() for path in folder.iterdir()}
    reader = Reader(tmp_path / ".casvault")
    for number, (id, wanted) in enumerate(saves.items()):
        manifest = reader.document(reader.vault / "snapshots" / f"{id}.json")
        assert {entry["path"]: reader.file(entry) for entry in manifest["files"]} == wanted
        assert manifest["since_key"] == number
    bases = {path.name[:64]: path.name[65:] for path in (reader.vault / "objects").rglob("*.*")}
    assert any(base in bases for base in bases.values()), "no base has a base itself"
    objects = [path for path in (reader.vault / "objects").rglob("*") if path.is_file()]
    codecs = {(data[5], data[8]) for data in map(Path.read_bytes, objects)}
    assert {(8, 2), (8, 4), (8, 8), (4, 2), (4, 4), (4, 8)} <= codecs
    assert {codec for codec, _ in codecs} & {5, 6}


def test_the_numbers_of_a_vault_and_of_bases() -> None:
    text = page("format.md").replace("\n", " ")
    parameters = [f"{number:,}" for number in asdict(ChunkingParameters()).values()]
    assert f"The chunking parameters are {', '.join(parameters[:-1])} and {parameters[-1]}." in text
    depth = VaultConfig().max_depth
    radix = radix_of(depth)
    assert f"how many bases a writer may put behind an object; {depth}." in text
    assert f"reaches {PERIOD} or more: {radix} for a `max_depth` of {depth}" in text
    assert f"at most {radix**depth - 1} later snapshots of a line lean on one object" in text
    assert f"one with {BRANCHES} children already" in text
    assert f"at {MAX_CHAIN} bases behind one object, and at {store._MAX_READS} objects opened" in text


def test_every_promise_names_a_test_that_is_there() -> None:
    promises = rows(section(page("format.md"), "Promises"))[1:]
    assert [cells[0] for cells in promises] == [f"P{number}" for number in range(1, len(promises) + 1)]
    assert len(promises) > 10
    for number, _, named in promises:
        tests = re.findall(r"`(test_\w+)\.py::(test_\w+)`", named)
        assert tests, number
        for file, test in tests:
            path = ROOT / "tests" / f"{file}.py"
            assert path.is_file(), f"{number}: {path.name}"
            assert re.search(rf"(?m)^ *def {test}\(", path.read_text("utf-8")), f"{number}: {test}"


# The rest


def test_layers_are_those_of_the_contract() -> None:
    contract = re.search(r"(?s)\nlayers = \[\n(.*?)\n\]", (ROOT / "pyproject.toml").read_text("utf-8"))
    drawn = re.search(r"(?s)```\n(.*?)```", section(page("architecture.md"), "Layers"))
    assert contract is not None
    assert drawn is not None
    assert re.findall(r'"(.*)"', contract[1]) == drawn[1].replace("casvault.", "").strip().split("\n")


def test_every_module_of_the_invariants_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)`", page("architecture.md"))
    assert len(named) > 20
    for name in named:
        assert (ROOT / "casvault" / name).is_file(), name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text("utf-8")):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        place = path.parent / name if name else path
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", place.read_text("utf-8"))
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_are_tidy(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    assert text.count("```") % 2 == 0
    for line in text.split("\n"):
        assert line == line.rstrip(), line
        assert len(line) <= 120 or line.startswith("|"), line


def test_the_version_is_in_the_changelog() -> None:
    assert f"## [{casvault.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_no_path_of_a_machine_is_in_a_page() -> None:
    for path in PAGES:
        assert os.path.expanduser("~") not in path.read_text("utf-8").replace("~/", ""), path.name
