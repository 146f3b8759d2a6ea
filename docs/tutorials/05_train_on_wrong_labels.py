"""
Train on wrong labels
=====================

A network that trains long enough learns wrong labels by heart. If they can't be
corrected, you can still find out how many are wrong, train on the examples that are
probably clean, or have two networks select examples for each other.
"""

# %%
# Digits, four labels in ten of them wrong
# ----------------------------------------
#
# The labels of the test data stay right: they tell what was learned. With your own
# data the given labels are all you have.

import keras
import matplotlib.pyplot as plt
import numpy as np

from tfticket import data, noise

digits = data.load("digits")
x, true = digits.inputs(digits.train), digits.train.y
test = (digits.inputs(digits.test), digits.test.y)
given = noise.corrupt(true, noise.symmetric(10, 0.4), seed=0).given


def build(seed):
    start = keras.initializers.HeNormal(seed)
    hidden = keras.layers.Dense(200, activation="relu", kernel_initializer=start)
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        hidden,
        keras.layers.Dense(10),
    ]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(4e-3), loss, metrics=["accuracy"])
    return model


print(f"{(given != true).mean():.1%} of {len(given):,} labels are wrong")

# %%
# How many are wrong?
# -------------------
#
# :class:`~tfticket.noise.INCV` (iterative noisy cross-validation) trains networks on
# one half of the data and predicts the other. It needs the given labels alone, and
# estimates the noise rate with its interval and the transition matrix: how often each
# class was given for each.

split = noise.INCV(build, epochs=8, iterations=2, batch_size=32).select(x, given)
print(split.estimate.summary())
split.estimate.plot()

# %%
# A clean part
# ------------
#
# It also divides the examples: *clean*, where held-out networks predict the given
# label; *removed*, where that label fits least; *candidate*, the rest.

for name in ("clean", "candidate", "removed"):
    ids = getattr(split, name)
    print(
        f"{name:9} {len(ids):5} examples, {(given[ids] != true[ids]).mean():6.1%} wrong"
    )
split.plot()

# %%
# Three ways to train
# -------------------
#
# Plain cross-entropy on all labels is the baseline; then the same on the clean part;
# then :class:`~tfticket.noise.CoTeaching` on all labels. Its two networks select the
# samples of small loss for each other, and forget as many as the estimate says are
# wrong. None of them sees a true label.

settings = {"epochs": 40, "batch_size": 64, "validation_data": test, "verbose": 0}
keras.utils.set_random_seed(0)
curves = {}

plain = build(0)
curves["cross-entropy"] = plain.fit(x, given, **settings).history["val_accuracy"]

cleaned = build(0)
fit = cleaned.fit(x[split.clean], given[split.clean], **settings)
curves["cross-entropy, clean part"] = fit.history["val_accuracy"]

pair = noise.CoTeaching(build(0), build(1), forget_rate=split.estimate.rate)
pair.compile(keras.optimizers.Adam(4e-3), plain.loss, metrics=["accuracy"])
curves["co-teaching"] = pair.fit(x, given, **settings).history["val_accuracy"]

figure, axes = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for name, accuracy in curves.items():
    axes.plot(range(1, len(accuracy) + 1), 100 * np.array(accuracy), label=name)
axes.set(xlabel="epoch", ylabel="accuracy on true labels (%)")
axes.legend(frameon=False)

# %%
# After the last epoch, on test images with true labels, and on the wrong labels of
# the training data: how many of these the networks give back.

networks = {
    "cross-entropy": plain,
    "cross-entropy, clean part": cleaned,
    "co-teaching": pair,
}
for name, network in networks.items():
    accuracy = curves[name][-1]
    answers = network.predict(x, verbose=0).argmax(axis=1)
    memorized = (answers == given)[given != true].mean()
    print(
        f"{name:26} accuracy {accuracy:6.1%}   wrong labels memorized {memorized:6.1%}"
    )

# %%
# ``pair.peers[0]`` is a plain Keras model, ``pair.ensemble()`` both as one,
# ``pair.distill(...)`` one trained by both. The test data only watched: nothing was
# chosen by them. What the estimate can't know, and where selection fails, is
# explained in :doc:`Wrong labels <../concepts-noise>`.
