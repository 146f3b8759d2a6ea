"""
Tickets in your own model
=========================

A **ticket** is a subnetwork that can be trained from its initial weights to the
accuracy of the whole network. This tutorial looks for tickets in a small network of
plain Keras, compares them with a control over five seeds, and keeps one.
"""

# %%
# A study in a few lines
# ----------------------
#
# :func:`~tfticket.lottery.study` takes a function that returns a new, compiled Keras
# model, and data. Any model that ``fit`` can train will do: Sequential, Functional or
# subclassed. The data are a data set of :mod:`tfticket.data`, or your own arrays for
# training, validation and test: ``[(x, y), (x_val, y_val), (x_test, y_test)]``.

import keras

from tfticket import data, lottery


def build():
    hidden = [keras.layers.Dense(units, activation="relu") for units in (300, 100)]
    output = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((40,)), *hidden, output])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


signals = data.load("mnist1d")  # 40 points each, in 10 classes; generated on the spot
options = {"seeds": 5, "schedule": 0.6, "levels": 1, "steps": 800, "margin": 0.01}
found = lottery.study(build, signals, **options, verbose=0)
print(found.summary())

# %%
# For each seed the study trains the dense network (level 0), prunes the weights of
# lowest magnitude, sets the others back to their initial values, and trains again,
# level by level. Beside each ticket it trains a **control**, the same mask with new
# initial weights, which tells whether the *initial weights* matter or the mask alone.
#
# Here there is one level, which prunes 60 % of each layer: the published study
# ``lth_mnist1d`` found winning tickets of about that size. Looking at many levels and
# naming the best would need more seeds.
#
# The figure
# ----------
#
# To the right fewer weights are left. On the left panel higher is faster: how much
# sooner than the dense network a validation loss is reached. On the right panel
# higher is more accurate. Lines are means over seeds. ``save`` writes the figure as
# ``.svg``, ``.png`` or ``.html``.

found.plot()

# %%
# Verdicts
# --------
#
# One seed says little: the next one may say the opposite. So each level is compared
# with the dense network and with its control, seed by seed. A ticket is *matching*
# when it is as accurate as the dense network, and *winning* when it learns no later,
# too, and its reinitialized twin is shown to be behind. Where the seeds can't tell,
# :attr:`~tfticket.lottery.verdict.LevelVerdict.more_seeds` estimates how many more
# would.

for level in found.verdicts:
    gain = level.against_dense.gain
    print(
        f"{level.density:6.1%}: {level.verdict}, "
        f"accuracy {100 * gain.mean:+.1f} points "
        f"({100 * gain.lower:+.1f} to {100 * gain.upper:+.1f}), "
        f"more seeds: {level.more_seeds}"
    )

# %%
# ``found.to_dataframe()`` is the table behind this; ``found.to_rows()`` is the same
# without pandas.
#
# Keep a ticket
# -------------
#
# A :class:`~tfticket.lottery.Ticket` holds the mask, the weights that training begins
# from, and where they came from. ``ticket.save("ticket.npz")`` writes one file,
# without pickles. :func:`~tfticket.sparsity.sparsify` and
# :class:`~tfticket.sparsity.KeepMask` train it elsewhere.

ticket = found.tickets[0, 1]  # of seed 0, level 1
print(ticket.summary())
for row in ticket.to_rows():
    print(f"{row['key']:14} {row['kept']:5,} of {row['weights']:5,} weights")

# %%
# A longer study gets a folder, ``study(..., directory="runs/mine")``: an interrupted
# one goes on from there, and a finished one can be given more seeds. The next
# tutorial, :doc:`02_initialization`, looks at the controls.
