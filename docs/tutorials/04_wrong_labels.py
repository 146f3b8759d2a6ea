"""
Which labels are wrong?
=======================

Most data sets hold wrong labels. An **audit** finds those that are probably wrong, and
suggests the right ones, by networks that predict examples they weren't trained on. To
see how good it is, this tutorial makes some labels wrong on purpose and looks whether
they are found.
"""

# %%
# Digits with wrong labels
# ------------------------
#
# :class:`~tfticket.noise.LabeledData` is a data set whose labels are in question. Of
# your own, ``LabeledData.load("folder:photos")`` or
# ``LabeledData.load("npz:mine.npz")`` is all you need. Here one label in ten is
# replaced by another digit; the audit isn't told which, nor how many.

import matplotlib.pyplot as plt
import numpy as np

from tfticket import noise

labeled = noise.LabeledData.load("digits")
labeled = labeled.corrupted(noise.symmetric(10, 0.1), seed=0, exact=True)
wrong = labeled.corruption.changed
print(f"{wrong.sum()} of {len(labeled):,} labels are wrong ({wrong.mean():.1%})")

# %%
# The audit
# ---------
#
# :class:`~tfticket.noise.LabelAudit` deals the data to two folds. A network trained
# on one predicts the other. From how often predictions and given labels differ, and
# where, it estimates how many labels are wrong.

split = noise.LabelAudit(labeled).run()
print(split.estimate.summary())

# %%
# The list
# --------
#
# A label is an **issue** if another one is more probable, given the prediction and
# the estimated noise. The list begins with the most certain.

issues = split.label_issues()
print(issues.summary())
print("\n    id  given  suggested  issue score")
for row in issues.to_rows()[:8]:
    print("{id:6}  {given:5}  {suggested:9}  {probability:11.3f}".format(**row))
issues.plot()

# %%
# These are the first ten:

figure, places = plt.subplots(2, 5, figsize=(6.5, 3.2), layout="constrained")
images = labeled.inputs()[..., 0]
for place, row in zip(places.flat, issues.to_rows(), strict=False):
    place.imshow(images[row["id"]], cmap="gray_r")
    place.set_title(f"{row['given']}, rather {row['suggested']}", fontsize=9)
    place.axis("off")

# %%
# How many were found?
# --------------------
#
# **Precision** is the share of the issues that are wrong labels; **recall** is the
# share of the wrong labels that are issues. A list drawn by chance would have a
# precision of the noise rate.

is_issue = np.zeros(len(labeled), bool)
is_issue[issues.ids] = True
precision = (wrong & is_issue).sum() / is_issue.sum()
recall = (wrong & is_issue).sum() / wrong.sum()
right = (issues.suggested == labeled.corruption.true[issues.ids]).mean()
print(f"precision {precision:.1%}, by chance {wrong.mean():.1%}")
print(f"expected without knowing: {issues.expected_precision:.1%}")
print(f"recall {recall:.1%}")
print(f"the suggested label is the true one in {right:.1%} of the issues")

# %%
# :func:`~tfticket.noise.write_label_report` writes the list as a table and as a page
# with images. From the command line it is ``tfticket noise clean folder:photos -o
# photos-labels``. A person should look at the list before anything is deleted: rare
# examples look like wrong labels. :doc:`The next tutorial <05_train_on_wrong_labels>`
# trains on such labels as they are.
