"""Which file belongs to which DeepFaceLab model, judged by names alone."""

from __future__ import annotations

import pytest

from casvault.errors import UsageError
from casvault.models import DeepFaceLab, Generic, State

DFL = DeepFaceLab()
WEIGHTS = {
    "df": {"encoder.npy", "inter.npy", "decoder_src.npy", "decoder_dst.npy"},
    "liae": {"encoder.npy", "inter_AB.npy", "inter_B.npy", "decoder.npy"},
}

# names in one folder -> model: (class, roles, leftovers)
FOLDERS: dict[str, tuple[list[str], dict[str, tuple[str, set[str], set[str]]]]] = {
    "one model": (
        ["new_SAEHD_data.dat", "new_SAEHD_summary.txt", "new_SAEHD_encoder.npy", "new_SAEHD_src_dst_opt.npy"],
        {"new_SAEHD": ("SAEHD", {"data.dat", "summary.txt", "encoder.npy", "src_dst_opt.npy"}, set())},
    ),
    "names with underscores": (
        ["my_best_face_AMP_data.dat", "my_best_face_AMP_inter_src.npy", "my_best_data.dat"],
        {"my_best_face_AMP": ("AMP", {"data.dat", "inter_src.npy"}, set())},
    ),
    "a name that holds a class": (
        ["a_SAEHD_AMP_data.dat", "SAEHD_Quick96_data.dat", "SAEHD_Quick96_inter.npy"],
        {
            "a_SAEHD_AMP": ("AMP", {"data.dat"}, set()),
            "SAEHD_Quick96": ("Quick96", {"data.dat", "inter.npy"}, set()),
        },
    ),
    "a name that is another one's prefix": (
        ["a_SAEHD_data.dat", "a_SAEHD_encoder.npy", "a_SAEHD_x_AMP_data.dat", "a_SAEHD_x_AMP_encoder.npy"],
        {
            "a_SAEHD": ("SAEHD", {"data.dat", "encoder.npy"}, set()),
            "a_SAEHD_x_AMP": ("AMP", {"data.dat", "encoder.npy"}, set()),
        },
    ),
    "one name in two classes": (
        ["x_SAEHD_data.dat", "x_AMP_data.dat", "x_AMP_decoder.npy"],
        {"x_SAEHD": ("SAEHD", {"data.dat"}, set()), "x_AMP": ("AMP", {"data.dat", "decoder.npy"}, set())},
    ),
    "XSeg beside SAEHD, and a SAEHD called XSeg": (
        [
            "XSeg_data.dat",
            "XSeg_256.npy",
            "XSeg_256_opt.npy",
            "XSeg_default_options.dat",
            "SAEHD_default_options.dat",
            "XSeg_SAEHD_encoder.npy",
            "new_SAEHD_summary.txt",
        ],
        {
            "XSeg": ("XSeg", {"data.dat", "256.npy", "256_opt.npy"}, set()),
            "XSeg_SAEHD": ("SAEHD", {"encoder.npy"}, set()),
            "new_SAEHD": ("SAEHD", {"summary.txt"}, set()),
        },
    ),
    "what is never part of a model": (
        [
            "new_SAEHD_data.dat",
            "new_SAEHD_preview_SAEHD.jpg",
            "new_SAEHD_model.dfm",
            "new_SAEHD_model.onnx",
            "new_SAEHD_merger_session.dat",
            "new_SAEHD_autobackups",
            "new_SAEHD_history",
            "new_SAEHD_notes.txt",
            "new_SAEHD_model.dfm.tmp",
            "new_SAEHD_summary.txt.tmp",
            "new_SAEHD_.npy",
            "new_SAEHD.npy",
            "._new_SAEHD_data.dat",
            ".old_SAEHD_data.dat",
        ],
        {"new_SAEHD": ("SAEHD", {"data.dat"}, set())},
    ),
    "stale files of a GAN, and weights nobody knows": (
        ["n_SAEHD_data.dat", "n_SAEHD_GAN.npy", "n_SAEHD_GAN_opt.npy", "n_SAEHD_superres.npy"],
        {"n_SAEHD": ("SAEHD", {"data.dat", "GAN.npy", "GAN_opt.npy", "superres.npy"}, set())},
    ),
    "half deleted": (
        ["n_SAEHD_inter_AB.npy", "q_Quick96_src_dst_opt.npy", "XSeg_256.npy", "k_AMP_other.npy"],
        {
            "n_SAEHD": ("SAEHD", {"inter_AB.npy"}, set()),
            "q_Quick96": ("Quick96", {"src_dst_opt.npy"}, set()),
            "XSeg": ("XSeg", {"256.npy"}, set()),
        },
    ),
    "only a .tmp is left": (
        ["n_SAEHD_data.dat.tmp", "XSeg_256_opt.npy.tmp", "m_AMP_GAN.npy.tmp"],
        {
            "n_SAEHD": ("SAEHD", set(), {"n_SAEHD_data.dat.tmp"}),
            "XSeg": ("XSeg", set(), {"XSeg_256_opt.npy.tmp"}),
            "m_AMP": ("AMP", set(), {"m_AMP_GAN.npy.tmp"}),
        },
    ),
    "a class nobody knows": (
        [
            "x_Fork2_data.dat",
            "x_Fork2_net.npy",
            "x_Fork2_net.npy.tmp",
            "y_Fork2_summary.txt",
            "y_Fork2_a.npy",
            "me_XSeg_data.dat",
            "me_XSeg_summary.txt",
        ],
        {
            "me_XSeg": ("XSeg", {"data.dat", "summary.txt"}, set()),
            "x_Fork2": ("Fork2", {"data.dat", "net.npy"}, {"x_Fork2_net.npy.tmp"}),
            "y_Fork2": ("Fork2", {"summary.txt", "a.npy"}, set()),
        },
    ),
    "other programs' files": (
        ["my_train_summary.txt", "my_test_data.dat", "encoder.npy", "data.dat", "_SAEHD_data.dat", "SAEHD_data.dat"],
        {},
    ),
    "a user's copy under the name of a model": (
        ["n_SAEHD_data.dat", "n_SAEHD_old_data.dat", "n_SAEHD_old_summary.txt", "n_SAEHD_old_encoder.npy"],
        {"n_SAEHD": ("SAEHD", {"data.dat", "old_encoder.npy"}, set())},
    ),
    "case twins": (
        ["n_SAEHD_data.dat", "n_SAEHD_A.npy", "n_SAEHD_a.npy", "N_SAEHD_encoder.npy"],
        {
            "n_SAEHD": ("SAEHD", {"data.dat", "A.npy", "a.npy"}, set()),
            "N_SAEHD": ("SAEHD", {"encoder.npy"}, set()),
        },
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_files_go_to_their_models(case: str) -> None:
    names, expected = FOLDERS[case]
    for order in (names, names[::-1]):
        found = DFL.split(order)
        assert {
            name: (parts.type, {file.role for file in parts.files}, set(parts.leftovers))
            for name, parts in found.items()
        } == expected
        for name, parts in found.items():
            assert all(DFL.path_of(file.role, name) == file.path for file in parts.files)


@pytest.mark.parametrize(
    ("name", "new", "expected"),
    [
        ("small_SAEHD", "big", "big_SAEHD"),
        ("small_SAEHD", "big_SAEHD", "big_SAEHD"),
        ("a_b_AMP", "c_d", "c_d_AMP"),
        ("x_Fork2", "y", "y_Fork2"),
        ("small_SAEHD", "лицо", "лицо_SAEHD"),
    ],
)
def test_rename(name: str, new: str, expected: str) -> None:
    assert DFL.rename(name, new) == expected


@pytest.mark.parametrize(
    "new",
    [
        "",
        "_SAEHD",
        ".x",
        "..",
        "a/b",
        "a\\b",
        "a:b",
        "x\0",
        "CON",
        "x ",
        "x.",
        " x",
        "x_AMP",
        "XSeg",
        "\udcff",
        "x" * 250,
        "../x_SAEHD",
        ".casvault_x",
        "a\nb",
    ],
)
def test_rename_refuses_what_is_no_name(new: str) -> None:
    with pytest.raises(UsageError):
        DFL.rename("small_SAEHD", new)


def test_an_xseg_has_no_name_of_its_own() -> None:
    with pytest.raises(UsageError, match="XSeg"):
        DFL.rename("XSeg", "mine")


def test_generic_names() -> None:
    generic = Generic()
    assert generic.rename("old", "new") == "new"
    assert generic.path_of("unet/model.safetensors", "new") == "unet/model.safetensors"
    with pytest.raises(UsageError):
        generic.rename("old", "a/b")
    assert generic.last_role is None
    assert generic.missing([], None, State()) == []
    assert not generic.is_optimizer("optimizer.pt")
    assert not generic.forgot("src_dst_opt.npy", "ms_encoder/weight:0", 1_000)


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("src_dst_opt.npy", True),
        ("256_opt.npy", True),
        ("GAN_opt.npy", True),
        ("D_code_opt.npy", True),
        ("opt.npy", True),
        ("encoder.npy", False),
        ("adopt.npy", False),
        ("data.dat", False),
        ("256.npy", False),
    ],
)
def test_optimizers(role: str, expected: bool) -> None:
    assert DFL.is_optimizer(role) is expected


@pytest.mark.parametrize(
    ("role", "tensor", "iterations", "expected"),
    [
        ("src_dst_opt.npy", "ms_encoder/weight:0", 100, True),
        ("src_dst_opt.npy", "ms_encoder/weight:0", 99, False),
        ("src_dst_opt.npy", "ms_encoder/weight:0", -500, False),
        ("src_dst_opt.npy", "vs_encoder/weight:0", 1_000, False),
        ("src_dst_opt.npy", "acc_encoder/weight:0", 1_000, False),
        ("encoder.npy", "ms_weight:0", 1_000, False),
    ],
)
def test_only_first_moments_are_forgotten(role: str, tensor: str, iterations: int, expected: bool) -> None:
    assert DFL.forgot(role, tensor, iterations) is expected


def _archi(archi: str) -> State:
    return State(options={"archi": archi})


ALL_DF = {"data.dat", *WEIGHTS["df"]}
ALL_LIAE = {"data.dat", *WEIGHTS["liae"]}
AMP = {"data.dat", "encoder.npy", "inter_src.npy", "inter_dst.npy", "decoder.npy"}


@pytest.mark.parametrize(
    ("type_", "roles", "state", "expected"),
    [
        ("SAEHD", ALL_DF, _archi("df-udt"), set()),
        ("SAEHD", ALL_LIAE, _archi("liae-ud"), set()),
        ("SAEHD", ALL_LIAE | {"src_dst_opt.npy"}, _archi("df"), {"inter.npy", "decoder_src.npy", "decoder_dst.npy"}),
        ("SAEHD", ALL_LIAE, _archi("df-udt"), WEIGHTS["df"] - {"encoder.npy"}),
        ("SAEHD", ALL_DF, _archi("liae"), {"inter_AB.npy", "inter_B.npy", "decoder.npy"}),
        ("SAEHD", ALL_LIAE - {"inter_B.npy"}, State(), {"inter_B.npy"}),
        ("SAEHD", ALL_DF - {"decoder_dst.npy"}, _archi("new"), {"decoder_dst.npy"}),
        ("SAEHD", WEIGHTS["df"], State(), {"data.dat"}),
        ("AMP", AMP, State(), set()),
        ("AMP", AMP - {"inter_dst.npy"}, _archi("df"), {"inter_dst.npy"}),
        ("Quick96", ALL_DF, State(), set()),
        ("Quick96", ALL_DF - {"inter.npy"}, State(), {"inter.npy"}),
        ("XSeg", {"data.dat", "256.npy"}, State(), set()),
        ("XSeg", {"data.dat", "256_opt.npy"}, State(), {"256.npy"}),
        ("Fork2", {"data.dat", "net.npy"}, State(), set()),
        ("Fork2", {"data.dat"}, State(), {"*.npy"}),
        ("Fork2", {"net.npy", "summary.txt"}, State(), {"data.dat"}),
        (None, set(), State(), {"data.dat", "*.npy"}),
    ],
)
def test_missing(type_: str | None, roles: set[str], state: State, expected: set[str]) -> None:
    found = DFL.missing(roles, type_, state)
    assert set(found) == expected
    assert len(found) == len(expected)
