"""Tickets in your own model
=========================

A **ticket** is a subnetwork that can be trained from its early weights to the accuracy of the whole
network. This tutorial looks for tickets in a small network of plain Keras, compares them with a
control, and keeps one. It takes less than a minute.
"""

# %%
# A model and data
# ----------------
#
# The search takes any model that ``fit`` can train: Sequential, Functional or subclassed. Here
# it is a dense network for scikit-learn's images of digits.

import keras
import matplotlib.pyplot as plt
import numpy as np

from tfticket import data, lottery, schedules
from tfticket.lottery import verdict

digits = data.load("digits")
train, validation, test = (
    (digits.inputs(split), split.y) for split in (digits.train, digits.validation, digits.test)
)


def build(seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(100, activation="relu", name="hidden"),
            keras.layers.Dense(10, activation="softmax", name="output"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


print(
    len(train[0]),
    "images to train on,",
    len(validation[0]),
    "to validate,",
    len(test[0]),
    "to test",
)

# %%
# A search in one ``fit``
# -----------------------
#
# :class:`~tfticket.lottery.TicketSearch` is a callback. It trains the dense network (level 0),
# prunes the weights of lowest magnitude, sets the others back to their initial values, and
# trains again, level by level. At the first and the last level it trains the same mask with new
# initial weights too: the control that tells whether the *initial weights* matter, or the mask
# alone.


def search_with(seed):
    model = build(seed)
    search = lottery.TicketSearch(
        schedules.IterativePruning(0.5, levels=3),  # half of the surviving weights, three times
        level_steps=210,
        controls=[lottery.RandomReinit()],
        control_levels=(1, 3),
        test_data=test,
        seed=seed,
    )
    model.fit(
        *train,
        batch_size=64,
        epochs=search.epochs(steps_per_epoch=21),
        validation_data=validation,
        callbacks=[search],
        verbose=0,
    )
    return search


searches = {seed: search_with(seed) for seed in range(3)}
for result in searches[0].results:
    accuracy = result.at_early_stop["accuracy"]
    print(f"{result.trial.branch:8} {result.density:6.1%} of the weights: {accuracy:.1%}")

# %%
# What three seeds show
# ---------------------
#
# One seed says little: its next one may say the opposite. Lines are means over three seeds,
# with a mark for each seed.

branches = {"ticket": "tab:blue", "reinit": "tab:orange"}
figure, axes = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for branch, color in branches.items():
    points = [
        (100 * result.density, 100 * result.at_early_stop["accuracy"])
        for search in searches.values()
        for result in search.results
        if result.trial.branch == branch
    ]
    left, accuracy = np.array(points).T
    axes.plot(left, accuracy, "o", color=color, markersize=3, alpha=0.6)
    levels = np.unique(left.round(1))[::-1]
    means = [accuracy[left.round(1) == level].mean() for level in levels]
    axes.plot(levels, means, color=color, label=branch)
axes.set(xscale="log", xlabel="weights left (%)", ylabel="test accuracy (%)")
axes.invert_xaxis()
axes.legend(frameon=False)

# %%
# Verdicts with intervals
# -----------------------
#
# :func:`~tfticket.lottery.verdict.judge` compares each level with the dense network and with
# its control, seed by seed, and says what the intervals show. With three seeds and so few test
# images it often can't tell; :attr:`~tfticket.lottery.verdict.LevelVerdict.more_seeds`
# estimates how many more would settle it.


def outcomes(branch, level):
    found = {}
    for seed, search in searches.items():
        for result in search.results:
            if (result.trial.branch, result.trial.level) == (branch, level):
                found[seed] = verdict.Outcome(
                    result.at_early_stop["accuracy"],
                    result.at_end["accuracy"],
                    result.early_stop_step,
                    (result.validation_loss,),
                )
    return found


levels = [
    verdict.LevelOutcomes(
        level,
        searches[0].tickets[level].mask.density,
        outcomes("ticket", level),
        {"reinit": outcomes("reinit", level)},
    )
    for level in (1, 2, 3)
]
for found in verdict.judge(levels, outcomes("ticket", 0)):
    gain = found.against_dense.gain
    print(
        f"{found.density:6.1%}: {found.verdict}, accuracy {100 * gain.mean:+.1f} points "
        f"({100 * gain.lower:+.1f} to {100 * gain.upper:+.1f})"
    )

# %%
# Keep a ticket
# -------------
#
# A :class:`~tfticket.lottery.Ticket` holds the mask, the weights that training begins from, and
# where they came from. It is one file, without pickles. :func:`~tfticket.sparsity.sparsify` and
# :class:`~tfticket.sparsity.KeepMask` train it elsewhere.

ticket = searches[0].tickets[2]
for key, kept in ticket.mask.items():
    print(f"{key:16} {kept.sum():5,} of {kept.size:5,} weights")
