"""Input that makes no sense, or nearly none: a clear error or a right answer, never a crash.

What a single module refuses is in the tests of that module; here stands what goes through several.
"""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from helpers import logits_loss, mlp
from small_pair import compiled_pair, fit, pair, samples
from tiny_labels import OPTIONS, write_images

from tfticket.cli import main
from tfticket.errors import DataError, ModelError
from tfticket.noise import (
    INCV,
    Corruption,
    Network,
    corrupt,
    estimate_noise,
    find_label_issues,
    symmetric,
)
from tfticket.noise import pair as pair_noise

pytestmark = pytest.mark.slow

SIX, EVEN = np.arange(6) % 3, np.full((6, 3), 1 / 3)
WORDS = [["a", "b"], ["c", "d"]]
NETWORK = [*OPTIONS, "--epochs", "1"]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("make", [symmetric, pair_noise])
@pytest.mark.parametrize(("rate", "wrong"), [(0, 0), (1, 1)])
def test_one_example_of_one_class(exact, make, rate, wrong):
    corruption = corrupt([1], make(3, rate), seed=0, exact=exact)
    assert corruption.realized_rate == wrong
    assert (corruption.given != 1).sum() == wrong


@pytest.mark.parametrize("make", [symmetric, pair_noise])
@pytest.mark.parametrize(
    ("classes", "rate", "rule"),
    [
        (2.5, 0.2, "whole number"),
        ("3", 0.2, "whole number"),
        (0, 0.2, "at least 2"),
        (3, None, "never percent"),
        (3, "0.2", "never percent"),
        (3, [0.1, 0.2], "never percent"),
        (3, float("inf"), "never percent"),
    ],
)
def test_classes_and_rates_that_are_none(make, classes, rate, rule):
    with pytest.raises(DataError, match=f"{rule}.*Received"):
        make(classes, rate)


def test_numbers_of_numpy_are_numbers():
    assert symmetric(np.int64(3), np.float32(0.5)).rate() == pytest.approx(0.5)


@pytest.mark.parametrize("matrix", [WORDS, [[1], [0, 1]], "symmetric", None])
def test_what_is_no_matrix(matrix):
    with pytest.raises(DataError, match=r"transition matrix must.*Received"):
        corrupt([0, 1], matrix, seed=0)
    if matrix is None:  # is estimated
        return
    with pytest.raises(DataError, match=r"transition matrix must.*Received"):
        find_label_issues([0, 1], pred_probs=np.full((2, 2), 0.5), transition=matrix)


@pytest.mark.parametrize(
    ("labels", "probabilities", "folds"),
    [
        ([], np.zeros((0, 3)), None),
        ([[0], [0, 1]], EVEN[:2], None),
        ([0, 1], [[0.5, 0.5], [1.0]], None),
        ([0, 1], WORDS, None),
        ([0, 1], EVEN, None),
        (SIX, EVEN[:, :, None], None),
        (SIX, EVEN[0], None),
        (SIX.astype(float), EVEN, None),
        (np.eye(3)[SIX], EVEN, None),
        (SIX - 1, EVEN, None),
        (SIX + 1, EVEN, None),
        (SIX, EVEN * np.nan, None),
        (SIX, EVEN * 0, None),
        (SIX, EVEN, [0]),
        (SIX, EVEN, [np.nan] * 6),
    ],
)
def test_what_can_not_be_judged(labels, probabilities, folds):
    with pytest.raises(DataError, match="Received"):
        estimate_noise(labels, probabilities, folds=folds)
    missing_or_whole = isinstance(labels, np.ndarray) and labels.shape == (6,) and labels.min() < 2
    if folds is None and not (probabilities is EVEN and missing_or_whole):
        with pytest.raises(DataError, match="Received"):
            find_label_issues(labels, pred_probs=probabilities, transition=symmetric(3, 0.2))


@pytest.mark.parametrize("count", [1, 60, 3000])
def test_one_class_tells_nothing_about_its_noise(count):
    # A network that was taught one class agrees with every label, right or wrong.
    rows = np.tile([0.01, 0.98, 0.01], (count, 1))
    estimate = estimate_noise(np.ones(count, int), rows)
    assert not estimate.identifiable
    assert "Only one label occurs, 1" in estimate.reason
    assert (estimate.low, estimate.high) == (0, 1)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("agree", [True, False])
def test_few_examples_are_judged_as_too_few(count, agree):
    labels = np.arange(count) % 2
    rows = np.eye(2)[labels if agree else 1 - labels]
    estimate = estimate_noise(labels, rows)
    assert not estimate.identifiable
    assert estimate.low <= (0 if agree else 1) <= estimate.high


@pytest.mark.parametrize("rate", [0, 0.5, 1])
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("make", [symmetric, pair_noise])
def test_suspects_at_any_rate(make, rate, classes):
    # At 1/2 and 1 some of the mixtures that are tried for two and four classes have no inverse.
    labels = np.arange(40) % classes
    for predicted in (labels, (labels + 1) % classes):
        rows = 0.9 * np.eye(classes)[predicted] + 0.1 / classes
        suspects = find_label_issues(labels, pred_probs=rows, transition=make(classes, rate))
        assert np.isfinite(suspects.score).all()
        if rate == 0:
            assert len(suspects) == 0
        if rate == 1:
            assert len(suspects) == 40
            np.testing.assert_allclose(suspects.score, 1)


def test_the_estimate_of_a_network_that_learned_nothing_of_two_classes():
    # Its matrix has no inverse: `noise clean` ended in a LinAlgError of NumPy.
    labels = np.arange(600) % 2
    rows = np.tile([0.5, 0.5], (600, 1))
    estimate = estimate_noise(labels, rows)
    np.testing.assert_allclose(estimate.matrix, 0.5)
    suspects = find_label_issues(labels, pred_probs=rows, transition=estimate.matrix)
    assert len(suspects) == 0  # either class is as probable as the other
    np.testing.assert_allclose(suspects.score, 0.5)


def test_equal_probabilities_make_no_suspect():
    assert len(find_label_issues(SIX, pred_probs=EVEN, transition=symmetric(3, 2 / 3))) == 0


def incv(learning_rate=0.05, **changes):
    def build(seed):
        model = mlp((6, 3))
        # Step by step in Python: a trace takes longer than the few steps.
        model.compile(keras.optimizers.Adam(learning_rate), logits_loss(), run_eagerly=True)
        return model

    return INCV(build, **{"epochs": 1, "iterations": 2, "batch_size": 8, **changes})


@pytest.mark.parametrize(
    ("x", "rule"),
    [
        (np.float32(3), r"numbers of shape \(n, ...\)"),
        (np.full((24, 6), "a"), "numbers of shape"),
        (np.zeros((24, 6), object), "numbers of shape"),
        (np.zeros((0, 6), "float32"), "0 inputs, 24 labels"),
        (np.where(np.arange(24)[:, None] == 5, np.nan, np.ones((24, 6))), "in example 5"),
    ],
)
def test_inputs_that_can_not_be_selected_from(x, rule):
    with pytest.raises(DataError, match=rule):
        incv().select(x, np.arange(24) % 3)


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        (np.arange(4) % 3, {"batch_size": 128}),
        (np.arange(24) % 2, {}),  # the model knows a third class
        (np.r_[1, np.zeros(23, int)], {"epochs": 8, "learning_rate": 0.3}),
        (np.arange(12) % 3, {"folds": 6, "iterations": 1}),  # the most folds that there can be
    ],
)
def test_little_to_select_from(labels, settings):
    x = np.random.default_rng(0).normal(size=(len(labels), 6)).astype("float32")
    split = incv(**settings).select(x, labels)
    ids = np.concatenate([split.clean, split.candidate, split.removed])
    np.testing.assert_array_equal(np.sort(ids), np.arange(len(labels)))
    assert len(split.clean)
    assert 0 <= split.estimate.low <= split.estimate.rate <= split.estimate.high <= 1


FAR = {"float": np.array([0.0, 1, 7] * 5), "nan": np.full(15, np.nan), "half": np.full(15, 0.5)}
FAR |= {"tensor": tf.constant([0, 1, 3] * 5), "column": np.full((15, 1), -2)}
FAR |= {
    "series": pd.Series([0, 1, 3] * 5),
    "nullable": pd.Series([0, 1, 3] * 5, dtype="Int64"),
    "missing": pd.Series([0, 1, None] * 5),
    "frame": pd.DataFrame({"label": [0, 1, -2] * 5}),
}


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("labels", FAR.values(), ids=FAR)
def test_labels_of_any_type_are_looked_at_before_training(labels):
    # TensorFlow refuses them on a CPU only; it took 0.5 for class 0.
    model = compiled_pair()
    before = model.get_weights()
    for y in (labels, {"given": np.zeros(15, int), "true": labels}):
        with pytest.raises(DataError, match=r"in \[(0|-1), 3\).*Received"):
            fit(model, samples(15)[0], y)
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("form", [np.asarray, tf.constant, pd.DataFrame, lambda x: {"a": x}])
def test_one_input_that_is_not_finite_is_named_before_training(form):
    x, y = samples(15)
    x[7, 2] = np.inf
    model = compiled_pair()
    before = model.get_weights()
    with pytest.raises(DataError, match=r"finite.*in example 7"):
        fit(model, form(x), y)
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("loss", ["hinge", keras.losses.SquaredHinge()])
def test_hinge_losses_take_labels_of_both_signs(loss):
    x, y = samples(8)
    model = pair(mlp((6, 1)), mlp((6, 1)))
    model.compile("sgd", loss, run_eagerly=True)
    assert np.isfinite(fit(model, x, 2 * (y % 2) - 1)["loss"]).all()
    with pytest.raises(DataError, match=r"in \[-1, 2\)"):
        fit(model, x, 4 * (y % 2) - 2)


@pytest.mark.usefixtures("seeded")
def test_the_true_label_of_an_example_may_be_that_it_has_none():
    x, y = samples(8)
    with pytest.raises(DataError, match=r"in \[0, 3\)"):
        fit(compiled_pair(), x, {"given": np.full(8, -1), "true": y})
    model = compiled_pair()
    fit(model, x, {"given": y, "true": np.full(8, -1)})
    assert model.selection().label_precision == 0


@pytest.mark.usefixtures("seeded")
def test_float_labels_and_shares_of_two_classes_are_labels():
    x, y = samples(8)
    assert fit(compiled_pair(), x, y.astype("float32"))["keep_rate"] == [0.5]
    model = pair(mlp((6, 1)), mlp((6, 1)))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=True)
    assert np.isfinite(fit(model, x, np.full((8, 1), 0.9, "float32"))["loss"]).all()
    with pytest.raises(DataError, match=r"in \[0, 2\)"):
        fit(model, x, np.full((8, 1), 1.5, "float32"))


@pytest.mark.usefixtures("seeded")
def test_no_samples_and_samples_of_wrong_shape():
    x, y = samples(8)
    with pytest.raises(DataError, match="at least one sample"):
        fit(compiled_pair(), x[:0], y[:0])
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 6"):
        fit(compiled_pair(), x[:, :4], y)
    with pytest.raises(ValueError, match="same number of samples"):
        fit(compiled_pair(), x, y[:5])


def test_networks_of_different_classes_are_refused():
    with pytest.raises(ModelError, match="Received: outputs of size 3 and 4"):
        pair(mlp((6, 3)), mlp((6, 4)))


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("update", ["coteaching", "coteaching_plus", "jocor", "decoupling"])
@pytest.mark.parametrize("count", [1, 3])
def test_every_rule_learns_from_one_class_and_less_than_a_batch(update, count):
    model = compiled_pair(update=update, forget_rate=0.99)
    before = [network.get_weights()[0] for network in model.peers]
    logs = fit(model, samples(count)[0], np.zeros(count, int), epochs=2)
    assert np.isfinite(logs["loss"]).all()
    assert min(logs["keep_rate"]) * count > 0.99  # one sample at least
    for network, weights in zip(model.peers, before, strict=True):
        assert not np.array_equal(network.get_weights()[0], weights)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Data that is out of order in one way each."""
    monkeypatch.chdir(tmp_path)
    write_images("ok.npz", count=40)
    x = np.random.default_rng(0).integers(0, 255, (40, 4, 4)).astype("uint8")
    y = np.arange(40) % 3
    save("one.npz", x, 0 * y)
    save("few.npz", x[:3], y[:3])
    save("empty.npz", x[:0], y[:0])
    save("range.npz", x, y - 2)
    save("shape.npz", x, y[:5])
    save("flat.npz", x[:, 0, 0], y)
    save("two.npz", x, y % 2)
    np.save("one.npy", np.zeros(40, int))
    np.save("range.npy", np.full(40, 3))
    return tmp_path


@pytest.fixture
def uncompiled(monkeypatch):
    """Networks aren't compiled, which takes longer than their few steps."""
    build = Network.build

    def eager(self, labeled, seed):
        model = build(self, labeled, seed)
        model.compile(model.optimizer, model.loss, run_eagerly=True)
        return model

    monkeypatch.setattr(Network, "build", eager)


def save(path, x, y):
    np.savez(path, x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])


ASKED = {
    "estimate": NETWORK,
    "clean": [*NETWORK, "-o", "out"],
    "corrupt": ["--rate", "0.5", "-o", "made.npz"],
    "diagnose": [*NETWORK, "--rate", "0.5"],
}
REFUSED = {"one": "two classes or more", "empty": "must not be empty"}
REFUSED |= {"shape": "one example a label", "flat": "one example a label"}


@pytest.mark.parametrize("command", ASKED)
@pytest.mark.parametrize("name", REFUSED)
def test_data_that_no_command_takes(folder, capsys, command, name):
    assert main(["noise", command, f"npz:{name}.npz", *ASKED[command]]) == 1
    streams = capsys.readouterr()
    assert REFUSED[name] in streams.err
    assert "Received" in streams.err
    assert streams.out == ""
    assert not Path("out").exists()
    assert not Path("made.npz").exists()


@pytest.mark.usefixtures("uncompiled")
def test_when_every_label_is_wrong_there_is_none_to_recall(folder, capsys):
    asked = ["noise", "diagnose", "npz:ok.npz", *NETWORK, "--rate", "1", "--keep", "kept"]
    assert main(asked) == 0
    (recall,) = [line for line in capsys.readouterr().out.splitlines() if "label recall" in line]
    assert recall.split()[-1] == "-"
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert told["observed"]["recall"] is None


@pytest.mark.parametrize("command", ["estimate", "clean", "diagnose"])
def test_fewer_examples_than_folds_need(folder, capsys, command):
    assert main(["noise", command, "npz:few.npz", *ASKED[command]]) == 1
    assert "at least 4 examples for 2 folds" in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.parametrize("command", ["estimate", "clean", "diagnose"])
@pytest.mark.parametrize(
    ("labels", "message"),
    [("one.npy", "2 labels or more"), ("range.npy", "number of classes, 3")],
)
def test_label_files_that_can_not_be_looked_at(folder, capsys, command, labels, message):
    asked = [*NETWORK, *(["-o", "out"] if command == "clean" else [])]
    assert main(["noise", command, "npz:ok.npz", "--labels", labels, *asked]) == 1
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_three_examples_and_rates_of_nothing_and_of_everything(folder, capsys):
    for rate, wrong in (("0", 0), ("1", 3)):
        made = ["noise", "corrupt", "npz:few.npz", "--rate", rate, "-o", f"{rate}.npz"]
        assert main(made) == 0
        assert f"{wrong} of 3" in capsys.readouterr().out
        assert Corruption.load(f"{rate}.npz").changed.sum() == wrong
    assert main(["noise", "corrupt", "npz:few.npz", "--rate", "nan", "-o", "nan.npz"]) != 0
    assert "[0, 1]" in capsys.readouterr().err


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("limit", ["4", "40"])
def test_two_classes_that_were_not_learned_are_said_not_to_be(folder, capsys, limit):
    asked = ["npz:two.npz", *NETWORK, "--limit", limit, "-o", "out", "--json"]
    assert main(["noise", "clean", *asked]) == 0
    told = json.loads(capsys.readouterr().out)
    assert not told["estimate"]["identifiable"]
    assert told["estimate"]["reason"]
    assert (folder / "out" / "suspects.csv").is_file()


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Rows of numbers that are out of order in one way each."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    np.savez("ok.npz", x=x, y=y)
    np.savez("two.npz", x=x[:2], y=[0, 1])
    np.savez("equal.npz", x=np.ones((60, 4), "float32"), y=np.arange(60) % 2)
    np.savez("few.npz", x=np.repeat(x[:4], 15, axis=0), y=np.repeat([0, 1, 0, 1], 15))
    np.savez("many.npz", x=rng.normal(size=(10_000, 2)).astype("float32"), y=np.arange(10_000))
    Path("empty.csv").write_text("a,label\n")
    Path("blank.csv").write_text("a,b,label\n" + ",,\n" * 20)
    Path("unlabeled.csv").write_text("a,label\n" + "1,\n2,\n" * 10)
    Path("one.csv").write_text("a,label\n" + "".join(f"{value},cat\n" for value in x[:, 0]))
    np.save("short.npy", y[:50])
    np.save("other.npy", y + 1)
    np.save("names.npy", np.array(["cat", "dog"])[y])
    np.save("none.npy", np.full(60, -1))


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("command", ["estimate", "clean"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("csv:empty.csv", "a header and no rows"),
        ("csv:blank.csv", "dropped: a, b (empty)"),
        ("csv:unlabeled.csv", "None of the 20 training examples"),
        ("csv:one.csv", "two classes or more"),
        ("npz:two.npz", "at least 4 examples"),
        ("npz:many.npz", "10,000 classes"),
        ("npz:ok.npz --labels short.npy", "each of the 60 training examples"),
        ("npz:ok.npz --labels other.npy", "number of classes, 2"),
        ("npz:ok.npz --labels names.npy", "among the 2 classes: 0, 1"),
        ("npz:ok.npz --labels none.npy", "Received: 0 examples"),
    ],
)
def test_rows_and_labels_that_can_not_be_looked_at(capsys, command, data, message):
    asked = ["-o", "out"] if command == "clean" else []
    assert main(["noise", command, *data.split(), *asked]) == 1
    streams = capsys.readouterr()
    assert message in streams.err
    assert streams.out == ""
    assert not Path("out").exists()


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("name", ["equal", "few"])
def test_duplicates_alone_are_told_and_nobody_is_accused(capsys, name):
    assert main(["noise", "clean", f"npz:{name}.npz", "-o", "out"]) == 0
    said = capsys.readouterr().out
    assert ("nothing was learned" if name == "equal" else "0 of 60") in said
    with Path("out/labels.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 60
    assert {row["is_issue"] for row in table} == {"false"}
    equal = {int(row["id"]): row["duplicate_of"].split() for row in table}
    if name == "few":
        assert equal[0] == [str(place) for place in range(1, 15)]
    assert all(equal.values())
    assert main(["noise", "apply", "out/labels.csv", "-o", "same.csv", "--yes"]) == 0
