"""
Fit a network into a device
===========================

A microcontroller has some hundred kilobytes. This tutorial removes whole channels of a
network, exports it with 8-bit numbers, checks the file, and writes the C array that
goes into a firmware.
"""

# %%
# A network and its channels
# --------------------------
#
# Single zeros don't make a dense file smaller; channels that are gone do.
# :func:`~tfticket.channels.channel_groups` finds the channels that can go, each with
# all the weights that produce and read it.

import tempfile
from pathlib import Path

import keras

from tfticket import channels, data, export, sparsity

digits = data.load("digits")
x, y = digits.inputs(digits.train), digits.train.y
held_out = (digits.inputs(digits.test), digits.test.y)


def build():
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu", name="hidden"),
        keras.layers.Dense(10, name="output"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


dense = build()
dense.fit(x, y, batch_size=32, epochs=30, verbose=0)
groups = channels.channel_groups(dense)
print(f"{len(groups)} channels can be removed")

# %%
# Prune while training
# --------------------
#
# :class:`~tfticket.sparsity.GradualPruning` prunes step by step within one ``fit``:
# after a first part of the training, weights of the channels of lowest magnitude
# become zero, more and more of them.

pruned = build()
structure = sparsity.Channels(channels.channel_groups(pruned))
pruning = sparsity.GradualPruning(
    0.5, every=10, begin=100, pruner=sparsity.GlobalPruner(structure=structure)
)
pruned.fit(x, y, batch_size=32, epochs=30, callbacks=[pruning], verbose=0)
print(f"{pruning.mask.density:.1%} of the prunable weights are left")
for key, kept in pruning.mask.items():
    print(f"  {key:14} {kept.sum():6,} of {kept.size:6,}")

# %%
# Export
# ------
#
# :func:`~tfticket.export.export` takes the zero channels out, converts the model to
# ``int8``, runs the file, and holds its answers against those of Keras before it is
# written. ``check_on`` are examples that the model wasn't trained on. The target
# ``micro`` allows what TensorFlow Lite Micro can run.

folder = Path(tempfile.mkdtemp())
made = {
    name: export.export(
        model,
        folder / f"{name}.tflite",
        target="micro",
        calibration=x[:300],
        check_on=held_out,
        margin=0.02,
    )
    for name, model in {"dense": dense, "pruned": pruned}.items()
}
for result in made.values():
    print(result.summary())

# %%
# What became of the bytes: the model as it was given, and the file that was chosen.

made["pruned"].plot()

# %%
for name, result in made.items():
    report = result.report
    found = report.verification
    print(
        f"{name:7} {report.size_bytes:7,} bytes   accuracy {found.accuracy:.1%} "
        f"(in Keras {found.keras_accuracy:.1%})"
    )

# %%
# Check and explain
# -----------------
#
# :func:`~tfticket.export.check_file` runs any ``.tflite`` file, from any converter, and
# looks for known defects. :func:`~tfticket.export.explain_file` explains why a file
# isn't smaller or faster, here that of the dense network.

checked = export.check_file(folder / "pruned.tflite")
print(checked.input)
print(checked.output)
print(dict(checked.operators))
explained = export.explain_file(folder / "dense.tflite")
for found in explained.explanations:
    print(f"- {found.fact} {found.remedy}")

# %%
# The C array
# -----------
#
# For ``micro`` the model is also written as C source: an array, a header with shapes,
# scales and the memory that it took, the operators to register, and a self-test.

header = next(path for path in made["pruned"].sources if path.suffix == ".h")
print(*[path.name for path in made["pruned"].sources])
lines = header.read_text().splitlines()
print(*[line for line in lines if line.startswith("#define")], sep="\n")

# %%
# With ``pip install 'tfticket[micro]'`` the file is run in TensorFlow Lite Micro,
# too, and ``made.micro.arena`` is the memory that it took. Formats, targets and
# limits are in :doc:`Export to a device <../howto-export>`.
