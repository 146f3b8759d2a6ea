import json

from tfticket.interop.tfmot import ImportReport

PLAIN = {
    "source": "m.h5",
    "sha256": "0",
    "mask_from": "wrappers",
    "kept": {"a/kernel": 1},
    "total": {"a/kernel": 4},
    "cleared": 0,
    "unmasked": (),
    "left_behind": (),
    "renamed": {},
    "max_difference": 0.0,
    "versions": {},
}


def test_nothing_worth_a_remark_but_the_difference():
    report = ImportReport(**PLAIN)
    assert report.remarks() == ["Outputs differ by at most 0 on random inputs."]
    assert json.loads(json.dumps(report.to_dict()))["kept"] == {"a/kernel": 1}


def test_what_is_not_as_it_was_is_said():
    report = ImportReport(
        **PLAIN
        | {
            "mask_from": "zeros",
            "cleared": 1200,
            "unmasked": ("e/embeddings",),
            "left_behind": ("the loss",),
            "renamed": {"a/b": "a_b"},
        }
    )
    _, zeros, cleared, unmasked, renamed, left = report.remarks()
    assert zeros.startswith("The wrappers were stripped")
    assert cleared.startswith("1,200 weights under the masks weren't zero")
    assert unmasked.startswith("Not masked: e/embeddings.")
    assert renamed == "Renamed: a/b is a_b."
    assert left == "Left behind: the loss."
