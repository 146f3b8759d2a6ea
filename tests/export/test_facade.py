"""`export`: a model or a ticket, a target, and one file."""

import json
import shutil
import subprocess

import keras
import numpy as np
import pytest
from exports import layers
from helpers import mlp

from tfticket.errors import ExportError
from tfticket.export import TARGETS, check_file, export, read_provenance
from tfticket.export.micro import has_micro, run_on_micro
from tfticket.export.runtime import Session
from tfticket.lottery.ticket import Ticket
from tfticket.sparsity import get_mask, strip
from tfticket.state import named_variables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


@pytest.fixture(scope="module")
def options(exported):
    x, y = exported.x, exported.y
    return {"calibration": x[:200], "check_on": (x[1000:1300], y[1000:1300]), "margin": 0.02}


@pytest.fixture(scope="module")
def made(exported, options, tmp_path_factory):
    """Target to what was exported for it, in one folder. Not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    few = {"phone": ["fp32", "int8"], "fastest": ["fp32", "int8"]}  # each is timed for a while
    return {
        target: export(
            exported.model,
            folder / f"{target}.tflite",
            target=target,
            formats=few.get(target),
            **options,
        )
        for target in TARGETS
    }


def test_each_target_gets_the_best_of_what_it_allows(made):
    folder = made["micro"].report.path.parent
    for target, found in made.items():
        assert found.report.path == folder / f"{target}.tflite"
        assert found.report.path.stat().st_size == found.report.size_bytes
        assert read_provenance(found.report.path)["format"] == found.report.format
        assert found.report.verification.accuracy > found.report.verification.keras_accuracy - 0.021
    enough = [
        attempt
        for attempt in made["smallest"].comparison.passed[1:]
        if attempt.accuracy >= made["smallest"].comparison.baseline.accuracy - 0.02
    ]
    sizes = [attempt.draft.report.size_bytes for attempt in enough]
    assert made["smallest"].report.size_bytes == min(sizes)
    speeds = {a.format: a.latency.speedup for a in made["fastest"].comparison.passed[1:]}
    assert made["fastest"].report.latency.speedup == speeds[made["fastest"].report.format]
    assert made["micro"].report.format == "int8"
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{t}.{end}" for t in TARGETS for end in ("tflite", "report.json")} | {
        "micro.c",
        "micro.h",
        "micro_ops.h",
        "micro_selftest.cc",
    }


def test_the_micro_export_compiles_and_runs_in_its_runtime(exported, made, tmp_path):
    micro = made["micro"]
    assert [path.name for path in micro.sources] == [
        "micro.h",
        "micro.c",
        "micro_ops.h",
        "micro_selftest.cc",
    ]
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, "the tests need a C compiler"
    subprocess.run(
        [compiler, "-std=c11", "-Wall", "-Werror", "-c", "micro.c", "-o", tmp_path / "micro.o"],
        cwd=micro.report.path.parent, check=True, capture_output=True,
    )  # fmt: skip
    assert has_micro(), "the dev extra has TensorFlow Lite Micro"
    content, x = micro.report.path.read_bytes(), exported.x[1000:1050]
    ours = Session(content, source="net").run(x)
    theirs = run_on_micro(content, x).outputs
    assert np.mean(ours.argmax(-1) == theirs.argmax(-1)) >= 0.98
    assert np.abs(ours - theirs).max() <= 2.1 * micro.report.output.scale
    assert micro.micro is not None
    np.testing.assert_array_equal(micro.micro.outputs, theirs)
    arena = f"#define MICRO_ARENA_SIZE {micro.micro.arena.arena_bytes}\n"
    assert arena in micro.sources[0].read_text()


def test_a_file_for_micro_is_slim_and_its_report_says_where_it_is_from(exported, made, tmp_path):
    micro = made["micro"]
    int8 = next(a for a in micro.comparison.attempts if a.format == "int8").draft
    assert micro.report.size_bytes < int8.report.size_bytes - 1000
    assert f"from {int8.report.size_bytes:,} to {micro.report.size_bytes:,} bytes" in micro.reason
    raw, y = exported.x[1000:1300], exported.y[1000:1300]
    seen = check_file(micro.report.path, raw=raw, y=y)
    assert seen.provenance == micro.report.provenance
    assert seen.accuracy == pytest.approx(micro.report.verification.accuracy, abs=0.01)
    alone = shutil.copy(micro.report.path, tmp_path / "alone.tflite")
    assert check_file(alone).provenance is None
    other = json.loads(micro.report.report_path.read_text()) | {"sha256": "0" * 64}
    (tmp_path / "alone.report.json").write_text(json.dumps(other))  # of another file
    with pytest.raises(ExportError, match="holds no provenance"):
        read_provenance(alone)


def test_without_calibration_nothing_is_int8(exported, options, tmp_path):
    x, y = exported.x, exported.y
    made = export(
        exported.model, tmp_path / "a.tflite", target="phone",
        check_on=(x[1000:1300], y[1000:1300]), margin=0.02,
    )  # fmt: skip
    assert {attempt.format for attempt in made.comparison.attempts} == {
        "fp32", "fp16", "dynamic", "sparse_fc", "sparse_fc_fast",
    }  # fmt: skip
    with pytest.raises(ExportError, match="must be calibrated"):
        export(exported.model, tmp_path / "b.tflite", target="micro")
    assert not (tmp_path / "b.tflite").exists()


def test_a_ticket_is_exported_with_the_model_that_was_trained_with_it(exported, options, tmp_path):
    plain = strip(exported.model)
    weights = {key: variable.numpy() for key, variable in named_variables(plain).items()}
    ticket = Ticket(get_mask(exported.model), weights, 4, 0, {"recipe": "mine"})
    with pytest.raises(ExportError, match="the network that was trained with it must be given"):
        export(ticket, tmp_path / "a.tflite", **options)
    made = export(ticket, tmp_path / "a.tflite", model=plain, formats=["int8"], **options)
    about = read_provenance(made.report.path)
    assert about["mask_sha256"] == ticket.mask.sha256
    assert about["provenance"]["ticket_sha256"] == ticket.sha256
    assert (about["provenance"]["recipe"], about["provenance"]["level"]) == ("mine", 4)


def test_exporting_twice_gives_the_same_bytes(exported, made, options, tmp_path):
    again = export(exported.model, tmp_path / "micro.tflite", target="micro", **options)
    assert again.report.path.read_bytes() == made["micro"].report.path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "watch"}, r"must be one of .*'watch'"),
        (
            {"target": "micro", "formats": ["fp32"]},
            r"formats int8, int16x8\. Received: fp32",
        ),
        ({"path": "a.onnx"}, r"must end in \.tflite"),
    ],
)
def test_what_makes_no_sense_is_refused(exported, options, tmp_path, changes, message):
    path = tmp_path / changes.pop("path", "a.tflite")
    with pytest.raises(ExportError, match=message):
        export(exported.model, path, **options, **changes)
    assert list(tmp_path.iterdir()) == []


def test_what_micro_can_not_run_is_refused_and_nothing_is_left(tmp_path):
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(4), layers.LayerNormalization(), layers.Dense(2)]
    )
    x = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    with pytest.raises(ExportError, match="TensorFlow Lite Micro"):
        export(
            model, tmp_path / "a.tflite", target="micro", calibration=x, check_on=(x, None),
            min_agreement=0.0,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_no_file_that_is_accurate_enough_is_an_error_with_every_reason(tmp_path):
    model = mlp((6, 5, 4, 3))
    model.layers[0].kernel.assign(model.layers[0].kernel.numpy() * 1e6)  # too large for float16
    x = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    with pytest.raises(ExportError, match=r"None did: .*fp16"):
        export(model, tmp_path / "a.tflite", formats=["fp16"], check_on=(x, None))
    assert list(tmp_path.iterdir()) == []
