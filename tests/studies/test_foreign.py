import numpy as np
import pytest
from tiny_noisy import SELECTION, recipe

from tfticket import data
from tfticket.errors import DataError, RunError
from tfticket.files import read_arrays
from tfticket.recipe.noise import Noise
from tfticket.runner import runner
from tfticket.runs.rundir import RunDir
from tfticket.runs.session import writing
from tfticket.studies.labels import foreign_data, open_training, open_validation
from tfticket.studies.noisy.study import NoisyStudy

pytestmark = pytest.mark.slow


def write_foreign(path, *, count=300, shape=(8, 8, 1), dtype=np.uint8, first=0):
    """Images that are all of one value, a different one each, so that they can be told."""
    values = (first + np.arange(count)) % 17
    x = np.broadcast_to(values.reshape(-1, *[1] * len(shape)), (count, *shape)).astype(dtype)
    x[:, 0, 0] = 200  # no digit has that
    np.savez(path, x=x, y=np.arange(count) % 2)
    return f"npz:{path}"


def is_foreign(x):
    return x[:, 0, 0, 0] == 200


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", validation=40, limit=200)


@pytest.fixture
def noise(tmp_path):
    return Noise(kind="open_set", rate=0.3, foreign=write_foreign(tmp_path / "foreign.npz"))


def test_foreign_examples_take_the_place_of_a_share_under_the_old_labels(digits, noise):
    foreign = foreign_data([noise, Noise(kind="none")], digits, None)
    x, made = open_training(digits, noise, 0, foreign)
    np.testing.assert_array_equal(made.given, digits.train.y)
    np.testing.assert_array_equal(is_foreign(x), made.true == -1)
    np.testing.assert_array_equal(x[made.true >= 0], digits.train.x[made.true >= 0])
    assert made.realized_rate == 0.3
    assert not is_foreign(digits.train.x).any()
    held_out, of_validation = open_validation(digits, noise, 0, foreign)
    np.testing.assert_array_equal(of_validation.given, digits.validation.y)
    assert is_foreign(held_out).sum() == 12


def test_no_foreign_example_is_trained_on_and_held_out(digits, tmp_path):
    given = np.arange(72, dtype=np.uint8)
    x = np.broadcast_to(given.reshape(-1, 1, 1, 1), (72, 8, 8, 1))
    np.savez(tmp_path / "told.npz", x=x, y=given % 2)
    noise = Noise(kind="open_set", rate=0.3, foreign=f"npz:{tmp_path / 'told.npz'}")
    foreign = foreign_data([noise], digits, None)
    parts = []
    for make in (open_training, open_validation):
        images, made = make(digits, noise, 3, foreign)
        parts.append(images[made.true == -1, 0, 0, 0])
    assert sorted(np.concatenate(parts)) == list(range(72))
    again, _ = open_training(digits, noise, 3, foreign)
    other, _ = open_training(digits, noise, 4, foreign)
    first, _ = open_training(digits, noise, 3, foreign)
    np.testing.assert_array_equal(again, first)
    assert (again != other).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (8, 8, 3)}, r"must have the form of those of `digits`.*\(8, 8, 3\) uint8"),
        ({"dtype": np.float32}, r"must have the form.*\(8, 8, 1\) float32"),
        ({"count": 71}, r"an example for each of the 72 .* Received: 71"),
    ],
)
def test_what_can_not_take_their_place(digits, tmp_path, options, message):
    name = write_foreign(tmp_path / "foreign.npz", **options)
    with pytest.raises(DataError, match=message):
        foreign_data([Noise(kind="open_set", rate=0.3, foreign=name)], digits, None)


def test_networks_are_trained_on_what_the_labels_are_of(noise):
    given = recipe("methods=['incv']", SELECTION)
    experiment = NoisyStudy.load(given.model_copy(update={"noise": (noise,)}))
    corruption = experiment.corruption(0, noise)
    feed = experiment.feed(0, noise, corruption)
    scale = float(experiment.data.scale)
    for x, labels in feed.dataset():
        np.testing.assert_array_equal(is_foreign(np.round(x / scale)), labels["true"] == -1)
    seen = np.round(experiment.inputs(0, noise) / scale)
    np.testing.assert_array_equal(is_foreign(seen), corruption.true == -1)
    held_out = np.concatenate([x for x, _ in experiment.validation(0, noise)])
    assert is_foreign(np.round(held_out / scale)).sum() == 12


def test_a_run_ends_and_counts_foreign_labels_as_wrong(noise, tmp_path):
    methods = 'methods=[{name="incv", warmup=1, gradual=0}]'
    given = recipe(methods, SELECTION).model_copy(update={"noise": (noise,)})
    place = RunDir(tmp_path / "run")
    with writing(place, given, toml=b"") as run:
        runner.run(given, run)
    header, arrays = read_arrays(run.ticket(0, "incv", 0), kind="noisy_cell")
    assert header["receipt"]["kind"] == "open_set"
    assert header["receipt"]["realized_rate"] == 0.3
    assert arrays["confusion"].sum() == 140  # those that have a class
    # Other data under the same name isn't the noise that the run began with.
    write_foreign(tmp_path / "foreign.npz", first=1)
    with writing(place, given, toml=b"") as run:
        run.ticket(0, "incv", 0).unlink()
        with pytest.raises(RunError, match=r"foreign.npz` has changed since the run began"):
            runner.run(given, run)
