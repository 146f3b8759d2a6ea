"""
Swap a norm and see the landscape
=================================

Why does batch normalization help? One answer is that it makes the loss smoother along
the direction of training, so that the gradient says more about the next step (Santurkar
et al. 2018, arXiv:1805.11604). This tutorial measures that on a network of your own,
with and without it.
"""

# %%
# One network, three normalizations
# ---------------------------------
#
# :func:`~tfticket.norms.swap_norm` copies a model with another normalization. All
# other weights stay the same, so the networks begin with the same kernels. The report
# says what became of each layer.

import keras
import numpy as np

from tfticket import data, norms

digits = data.load("digits")
x, y = digits.inputs(digits.train), digits.train.y


def network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for block in range(2):
        model.add(keras.layers.Conv2D(16, 3, padding="same", use_bias=False))
        model.add(keras.layers.BatchNormalization(name=f"norm_{block}"))
        model.add(keras.layers.ReLU())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(10, activation="softmax"))
    return model


swapped = {
    "batch": norms.swap_norm(network(), "batch"),
    "group": norms.swap_norm(network(), "group", groups=4),
    "none": norms.swap_norm(network(), "none"),
}
for kind, (_, report) in swapped.items():
    print(kind, report, sep="\n")

# %%
# Measure while training
# ----------------------
#
# :class:`~tfticket.norms.LandscapeTracker` is a callback. Every 10 steps it moves
# along the gradient of the step's own batch, without changing the model, and notes
# the loss and the gradient there. Training stays bit-identical;
# :func:`~tfticket.norms.assert_no_trace` proves it.

records = {}
for kind, (model, _) in swapped.items():
    tracker = norms.LandscapeTracker(10, verbose=0)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    keras.utils.set_random_seed(0)  # the same order of the data
    model.fit(x, y, batch_size=64, epochs=6, callbacks=[tracker], verbose=0)
    records[kind] = tracker.record
    print(f"{kind}: {tracker.record.summary()}")

# %%
# The loss along the gradient
# ---------------------------
#
# The figures show the loss at each step, and the smallest and largest loss on the way
# along the gradient. The closer the band, the more a step of another length would
# have done the same.

records["batch"].plot()

# %%
# Without normalization:

records["none"].plot()

# %%
# Three measures
# --------------
#
# The **loss band** is the width of that band. **Gradient predictiveness** is how far
# the gradient moves on the way, and **effective beta** how far it moves for each unit
# of distance: the smoother, the lower. Medians over the measured steps:

for kind, record in records.items():
    band = np.median(record.loss_band[:, 1] - record.loss_band[:, 0])
    change = np.median(record.gradient_predictiveness[:, 1])
    beta = np.median(record.effective_beta)
    print(f"{kind:6} loss band {band:7.4f}   gradient {change:7.4f}   beta {beta:7.4f}")

# %%
# A single small network decides nothing. :doc:`Results: normalization
# <../results-norms>` has studies over seeds and learning rates, :doc:`Normalization
# and smoothness <../concepts-landscape>` the definitions.
# ``record.save("landscape.npz")`` keeps the whole curve over step sizes, to be read
# without TensorFlow.
