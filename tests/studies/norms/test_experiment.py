import keras
import numpy as np
import pytest
from tiny_norms import recipe

from tfticket.errors import ModelError
from tfticket.models import SummedSquares
from tfticket.state import prunable_variables
from tfticket.studies.norms.conditions import conditions
from tfticket.studies.norms.schema import Multipliers
from tfticket.studies.norms.study import NormsStudy, multipliers

pytestmark = pytest.mark.slow

ALL = '["none", "batch", "group", "ws_group", "l1_batch", "noisy_batch", "filter_response"]'


def experiment(*changes):
    return NormsStudy.load(recipe(*changes))


def test_all_norms_of_a_seed_begin_with_the_same_kernels():
    made = experiment(f"arms=[{{norms={ALL}}}]")
    kernels = []
    for cell in conditions(made.recipe):
        model = made.model(3, cell)
        kernels.append({key: v.numpy() for key, v in prunable_variables(model).items()})
    for other in kernels[1:]:
        assert other.keys() == kernels[0].keys()
        for key, value in other.items():
            np.testing.assert_array_equal(value, kernels[0][key])


def test_all_batch_sizes_of_a_seed_see_the_examples_in_the_same_order():
    made = experiment('arms=[{norms=["batch"], batch_sizes=[16, 8, 2]}]')
    orders = [
        made.feed(1, cell).indices(0, 160 // cell.batch_size).ravel()
        for cell in conditions(made.recipe)
    ]
    for order in orders[1:]:
        np.testing.assert_array_equal(order, orders[0])


def test_options_of_norm_and_network_reach_them():
    made = experiment(
        'arms=[{norms=[{name="group", channels_per_group=4}]}]',
        "model={name='vgg', depth=13, width=0.125, initializer='glorot_uniform'}",
        "data.name=digits",
    )
    (cell,) = conditions(made.recipe)
    with pytest.raises(ModelError, match="at least 16x16"):
        made.model(0, cell)
    other = experiment('arms=[{norms=[{name="batch", groups=4}]}]')
    with pytest.raises(ModelError, match="Received: 'groups'"):
        other.model(0, *conditions(other.recipe))


def test_executions_end_where_something_is_measured():
    made = experiment(
        "train.steps=24", "train.evaluate_every=12", "landscape={every=8}", "shift={every=6}"
    )
    assert made.steps_per_execution(conditions(made.recipe)[0]) == 2


def test_what_is_not_asked_for_is_not_measured():
    made = experiment()
    (cell, _) = conditions(made.recipe)
    assert made.landscape(0, cell) is None
    assert made.shift(cell) is None


def test_a_fixed_batch_is_the_first_one():
    made = experiment("landscape={every=2, batch='fixed', direction='update'}")
    (cell, _) = conditions(made.recipe)
    tracker = made.landscape(0, cell)
    assert tracker.direction == "update"
    x, y = next(iter(made.feed(0, cell).dataset()))
    model = made.model(0, cell)
    model.fit(**made.feed(0, cell).fit_arguments(), epochs=1, verbose=0, callbacks=[tracker])
    expected = made.model(0, cell).evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert tracker.record.loss[0] == pytest.approx(expected, rel=1e-5)


def test_all_that_is_trained_with_a_seed_is_given_the_same_wrong_labels():
    made = experiment("noise={kind='symmetric', rate=0.4, exact=true}", "last=1")
    corruption = made.corruption(1)
    assert corruption.realized_rate == pytest.approx(0.4, abs=0.01)
    for cell in conditions(made.recipe):
        feed = made.feed(1, cell)
        order = feed.indices(0, 1)[0]
        _, labels = next(iter(feed.dataset()))
        np.testing.assert_array_equal(labels, corruption.given[order])
    given = made.given(1)
    np.testing.assert_array_equal(given.train.y, corruption.given)
    labels = np.concatenate([y for _, y in made.validation(1)])
    np.testing.assert_array_equal(labels, given.validation.y)
    assert (labels != made.data.validation.y).mean() == pytest.approx(0.4, abs=0.01)
    assert (made.given(0).train.y != given.train.y).any()


def test_test_labels_are_never_wrong():
    made = experiment("noise={kind='symmetric', rate=0.4}", "last=1")
    labels = np.concatenate([y for _, y in made.test()])
    np.testing.assert_array_equal(labels, made.data.test.y)
    assert made.given(0).test is made.data.test


def test_without_noise_the_data_is_given_as_it_is():
    made = experiment()
    assert made.given(0) is made.data
    assert made.corruption(0) is None


def test_a_regression_is_compiled_with_summed_squares():
    made = experiment("data={name='linear', batch_size=20, limit=20}", "model.name=dln")
    model = made.model(0, conditions(made.recipe)[1])
    assert isinstance(model.loss, SummedSquares)
    assert model.output_shape == (None, 10)
    assert isinstance(model.optimizer, keras.optimizers.SGD)


def test_multipliers_are_spaced_as_the_table_says():
    np.testing.assert_allclose(multipliers(Multipliers(points=8)), np.arange(1, 9) / 2)
    log = multipliers(Multipliers(low=0.01, high=100.0, points=5, spacing="log"))
    np.testing.assert_allclose(log, [0.01, 0.1, 1, 10, 100])
