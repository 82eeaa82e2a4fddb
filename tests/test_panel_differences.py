"""A comparison in words: what is told, and that a page stays small whatever a model claims."""

from __future__ import annotations

import math

from casvault.api import Diff, FileChange, TensorChange, ValueChange
from casvault.diff.report import Side
from casvault.panel.pages.differences import differences_of

SIDE = Side("snapshot 'a'", "id", "new_SAEHD", "workspace/model", 10, None, None)
FLOATS = ("float32", (3, 3, 8, 16))


def tensor(
    name: str, relative: float | None, part: str = "weights", change: str = "changed", **more: float
) -> TensorChange:
    return TensorChange("decoder.npy", name, part, change, FLOATS, FLOATS, relative=relative, **more)  # type: ignore[arg-type]


def diff(*tensors: TensorChange, values: tuple[ValueChange, ...] = (), options: tuple[ValueChange, ...] = ()) -> Diff:
    file = FileChange("decoder.npy", "changed", 10, 2_000_000, len(tensors), len(tensors))
    return Diff(SIDE, SIDE, (file,), tensors, values, options)


def test_losses_say_by_how_much_and_whether_that_is_better() -> None:
    values = (
        ValueChange("loss src", 0.5, 0.25),
        ValueChange("loss dst", 0.2, 0.3),
        ValueChange("last loss src", None, 0.3),
        ValueChange("loss odd", 0.0, math.inf),
        ValueChange("iteration", 1500, 20_000),
    )
    found = differences_of(diff(values=values))
    assert [(one.name, one.a, one.b, one.by, one.better) for one in found.losses] == [
        ("src", "0.5000", "0.2500", "-50.0%", True),
        ("dst", "0.2000", "0.3000", "+50.0%", False),
        ("last loss src", "not set", "0.3", "", None),
        ("odd", "0", "inf", "", None),
    ]
    assert [(one.name, one.a, one.b, one.by) for one in found.state] == [("Iteration", "1,500", "20,000", "+18,500")]


def test_options_are_told_as_people_say_them() -> None:
    options = (ValueChange("gan", False, True), ValueChange("archi", None, "liae"), ValueChange("text", "x" * 999, 4))
    found = differences_of(diff(options=options)).options
    assert [(one.name, one.a, one.b) for one in found] == [
        ("gan", "no", "yes"),
        ("archi", "not set", "liae"),
        ("text", "x" * 300, "4"),
    ]


def test_what_moved_most_is_the_longest_bar() -> None:
    found = differences_of(
        diff(tensor("a", 0.5), tensor("b", 0.25), tensor("c", None, change="added"), tensor("d", None, rms_a=0.0))
    )
    (part,) = found.parts
    assert [(one.name, one.text, one.length) for one in part.first] == [
        ("a", "50.00%", 100.0),
        ("b", "25.00%", 50.0),
        ("c", "added", 0.0),
        ("d", "from zero", 0.0),
    ]
    assert part.told == "4 of 4 changed"
    assert part.first[0].shape == "3x3x8x16"
    (file,) = found.files
    assert (file.sizes, file.tensors, file.typical, file.length) == ("10 B → 2.0 MB", "4 of 4", "37.50%", 100.0)


def test_a_model_of_ten_thousand_tensors_makes_no_endless_page() -> None:
    found = differences_of(diff(*(tensor(f"t{number}", 0.1) for number in range(10_000))))
    (part,) = found.parts
    assert len(part.first) + len(part.rest) == 500
    assert part.left_out == 9_500


def test_unchanged_records_are_not_spoken_of() -> None:
    found = differences_of(diff(tensor("a", 0.1), tensor("picture", 0.0, part="records", change="same")))
    assert [part.title for part in found.parts] == ["Weights"]
