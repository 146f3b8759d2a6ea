"""
Tickets in your own model
=========================

A **ticket** is a subnetwork that can be trained from its initial weights to the accuracy of the
whole network. This tutorial looks for tickets in a small network of plain Keras, compares them with
a control over five seeds, and keeps one. It takes less than a minute.
"""

# %%
# A model and data
# ----------------
#
# Any model that ``fit`` can train will do: Sequential, Functional or subclassed. Here it is a dense
# network for MNIST-1D, signals of 40 points that are generated on the spot. ``build`` returns a new
# model each time it is called.

import keras

from tfticket import data, lottery, schedules

signals = data.load("mnist1d")


def build():
    model = keras.Sequential(
        [
            keras.Input((40,)),
            keras.layers.Dense(300, activation="relu", name="hidden1"),
            keras.layers.Dense(100, activation="relu", name="hidden2"),
            keras.layers.Dense(10, activation="softmax", name="output"),
        ]
    )
    optimizer = keras.optimizers.Adam(0.0012)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


build().count_params()

# %%
# One search, in one ``fit``
# --------------------------
#
# :class:`~tfticket.lottery.TicketSearch` is a callback. It trains the dense network (level 0),
# prunes the weights of lowest magnitude, sets the others back to their initial values, and trains
# again, level by level.

train, validation, test = (
    (signals.inputs(split), split.y) for split in (signals.train, signals.validation, signals.test)
)
keras.utils.set_random_seed(0)
model = build()
search = lottery.TicketSearch(
    schedules.IterativePruning(0.6, levels=2),  # 60 % of the surviving weights, twice
    level_steps=360,
    test_data=test,
)
model.fit(
    *train,
    batch_size=60,
    epochs=search.epochs(steps_per_epoch=60),
    validation_data=validation,
    callbacks=[search],
    verbose=0,
)
for result in search.results:
    print(f"{result.density:6.1%} of the weights: {result.at_early_stop['accuracy']:.1%}")

# %%
# Several seeds, with a control
# -----------------------------
#
# One seed says little: the next one may say the opposite. :func:`~tfticket.lottery.study` repeats
# the search for several seeds. Beside each ticket it trains the same mask with new initial weights,
# the control that tells whether the *initial weights* matter or the mask alone. What comes out says
# what the intervals over seeds show.

found = lottery.study(
    build, signals, seeds=5, schedule=0.6, levels=2, steps=1000, margin=0.01, verbose=0
)
found

# %%
# The figure
# ----------
#
# Lines are means over seeds. To the right fewer weights are left; on the left panel higher is
# faster, on the right panel higher is more accurate. ``save`` writes it as ``.svg``, ``.png`` or
# ``.html``.

found.plot()

# %%
# Verdicts
# --------
#
# A ticket is *winning* when it is as accurate as the dense network, learns no later, and its
# reinitialized twin is shown to be behind. Where the seeds can't tell,
# :attr:`~tfticket.lottery.verdict.LevelVerdict.more_seeds` estimates how many more would.

for level in found.verdicts:
    gain = level.against_dense.gain
    print(
        f"{level.density:6.1%}: {level.verdict}, accuracy {100 * gain.mean:+.1f} points "
        f"({100 * gain.lower:+.1f} to {100 * gain.upper:+.1f}), more seeds: {level.more_seeds}"
    )

# %%
# Keep a ticket
# -------------
#
# A :class:`~tfticket.lottery.Ticket` holds the mask, the weights that training begins from, and
# where they came from: one file, without pickles. :func:`~tfticket.sparsity.sparsify` and
# :class:`~tfticket.sparsity.KeepMask` train it elsewhere.

ticket = found.tickets[0, 1]  # of seed 0, level 1
for key, kept in ticket.mask.items():
    print(f"{key:16} {kept.sum():5,} of {kept.size:5,} weights")
