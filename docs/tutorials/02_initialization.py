"""
Is it the initialization?
=========================

A subnetwork that trains well proves little: perhaps any subnetwork of that size does.
The claim of the lottery ticket hypothesis is that the *initial weights* of a ticket
matter. **Controls** test it: networks of the same size that lack one property of the
ticket.
"""

# %%
# Three controls
# --------------
#
# - ``reinit`` keeps the ticket's mask and draws new initial weights: is it the
#   initialization?
# - ``shuffle`` shuffles the ticket's weights with their mask within each layer: is it
#   which weights are kept, or only how many in each layer?
# - ``random`` keeps the network's initial weights under a random mask of the same
#   density: would any subnetwork do?
#
# :func:`~tfticket.lottery.study` trains each of them beside each ticket, here on the
# signals of MNIST-1D.

import keras

from tfticket import data, lottery


def build():
    layers = [keras.layers.Dense(units, activation="relu") for units in (150, 60)]
    output = keras.layers.Dense(10, activation="softmax", name="output")
    model = keras.Sequential([keras.Input((40,)), *layers, output])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


found = lottery.study(
    build,
    data.load("mnist1d"),
    controls=["reinit", "shuffle", "random"],
    schedule=0.6,  # prunes 60 % of the surviving weights, at each of two levels
    levels=2,
    steps=400,
    evaluate_every=40,
    batch_size=100,
    verbose=0,
)
found.plot()

# %%
# The ticket against each control
# -------------------------------
#
# The verdict on a level holds a comparison of its ticket with each control, paired by
# seed. A gain above 0 favors the ticket. Where the whole interval is above 0, what
# the control lacks made a difference; where it holds 0, nothing is shown: neither
# that it matters nor that it doesn't.

for level in found.verdicts:
    print(f"{level.density:.1%} of the weights")
    for name, comparison in level.against_controls.items():
        gain, speed = comparison.gain, comparison.speedup
        print(
            f"  against {name:8} {100 * gain.mean:+5.1f} points "
            f"({100 * gain.lower:+5.1f} to {100 * gain.upper:+5.1f}), "
            f"{speed.mean:.1f} times as fast: "
            f"{'shown' if gain.lower > 0 else 'not shown'}"
        )

# %%
# What the verdict says
# ---------------------
#
# To be ahead of the controls isn't enough. A *winning* ticket must match the dense
# network first, and only then its reinitialized twin decides. The other controls tell
# more about the reasons, but never change a verdict.

for level in found.verdicts:
    gain, twin = level.against_dense.gain, level.against_controls["reinit"].gain
    print(
        f"{level.density:6.1%}: {level.verdict}. "
        f"Against the dense network {100 * gain.mean:+.1f} points "
        f"({100 * gain.lower:+.1f} to {100 * gain.upper:+.1f}), "
        f"against the reinitialized one {100 * twin.mean:+.1f}. "
        f"More seeds: {level.more_seeds}"
    )

# %%
# The rules behind the words are in :doc:`Tickets and verdicts <../concepts-tickets>`,
# studies with more seeds in :doc:`Results: lottery tickets <../results-lottery>`. A
# control of your own is a child of :class:`~tfticket.lottery.Control`.
