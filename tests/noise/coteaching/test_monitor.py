from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, compiled, mlp
from small_pair import compiled_pair, fit, samples

from tfticket.errors import ModelError
from tfticket.noise.coteaching.monitor import SelectionMonitor

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def kinds(monitor):
    return {event.kind for event in monitor.events}


def test_a_healthy_epoch_is_reported_and_nothing_is_done():
    x, y = samples(32)
    monitor, model = SelectionMonitor(), compiled_pair(forget_rate=0.25)
    logs = fit(model, x, {"given": y, "true": y}, callbacks=[monitor], validation_data=(x, y))
    assert monitor.events == []
    assert logs["relief"] == [1.0]
    assert logs["label_precision"] == [1.0]
    assert logs["label_recall"] == [0.75]
    rates, seen = [logs[f"keep_rate/{c}"][0] for c in range(3)], np.bincount(y, minlength=3)
    assert np.dot(rates, seen) / 32 == pytest.approx(0.75)  # validation didn't count
    (summary,) = monitor.summaries
    assert summary.class_seen.tolist() == seen.tolist()


def test_starving_steps_make_the_forget_rate_back_off_and_that_is_saved(tmp_path):
    x, y = samples(32)
    told = []
    monitor, model = SelectionMonitor(on_event=told.append), compiled_pair(forget_rate=0.9)
    logs = fit(model, x, y, epochs=3, callbacks=[monitor])
    assert monitor.events == told
    assert "starvation" in kinds(monitor)
    assert told[0].action == ("The forget rate is multiplied by 0.5 from now on, before by 1.")
    assert logs["forget_rate"] == pytest.approx([0.9, 0.45, 0.45])
    model.save(tmp_path / "pair.keras")
    assert float(keras.models.load_model(tmp_path / "pair.keras").relief.numpy()) == 0.5


def test_a_vanishing_class_is_named():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6)).astype("float32")
    y = np.where(np.arange(200) % 8 == 0, 1, 0)  # the rare class has no pattern: it looks noisy
    monitor, model = SelectionMonitor(), compiled_pair(forget_rate=0.5)
    fit(model, x, y, epochs=3, batch_size=40, callbacks=[monitor])
    event = next(event for event in monitor.events if event.kind == "vanishing_class")
    assert event.classes == (1,)
    assert event.relief == 0.5
    assert event.value < event.limit


def test_watching_only_changes_nothing():
    x, y = samples()
    monitor, model = SelectionMonitor(back_off=1.0, per_class=False), compiled_pair(forget_rate=0.9)
    logs = fit(model, x, y, callbacks=[monitor])
    assert "starvation" in kinds(monitor)
    assert logs["relief"] == [1.0]
    assert not any(name.startswith("keep_rate/") for name in logs)


def test_networks_that_became_one_and_a_drifting_rate_are_noted():
    x, y = samples()
    model = compiled_pair(forget_rate=0.25, class_floor=1.0)  # the floor keeps everything
    model.second.set_weights([w * 1.001 for w in model.first.get_weights()])
    monitor = SelectionMonitor(max_drift=0.2)
    fit(model, x, y, callbacks=[monitor])
    assert kinds(monitor) == {"agreement", "drift"}
    assert all(event.action.startswith("Nothing was done") for event in monitor.events)


def test_losses_that_are_not_finite_are_noted_and_not_selected():
    x, y = samples()
    x[0] = np.nan
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)  # what is in memory is refused
    monitor, model = SelectionMonitor(), compiled_pair(forget_rate=0.25)
    with pytest.warns(UserWarning, match="losses of epoch 1 were NaN"):
        fit(model, data, None, batch_size=None, callbacks=[monitor])
    assert "not_finite" in kinds(monitor)


def test_settings_and_models_are_checked():
    with pytest.raises(ModelError, match="back_off"):
        SelectionMonitor(back_off=0.0)
    with pytest.raises(ModelError, match="CoTeaching"):
        compiled(mlp()).fit(*batch(), verbose=0, callbacks=[SelectionMonitor()])
