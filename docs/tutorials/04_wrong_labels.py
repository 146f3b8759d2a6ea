"""
Which labels are wrong?
=======================

Most data sets hold wrong labels. An **audit** finds those that are probably wrong, and
suggests the right ones, by models that predict examples they weren't trained on. To
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

from tfticket import noise

labeled = noise.LabeledData.load("digits")
labeled = labeled.corrupted(noise.symmetric(10, 0.1), seed=0, exact=True)
wrong = labeled.corruption.changed
print(f"{wrong.sum()} of {len(labeled):,} labels are wrong ({wrong.mean():.1%})")

# %%
# The audit
# ---------
#
# :func:`~tfticket.noise.audit_labels` deals the data to folds. Models trained on the
# others predict each. Small images such as these need no network: simple learners see
# their pixels in seconds. From how often predictions and given labels differ, and
# where, the audit estimates how many labels are wrong.

split = noise.audit_labels(labeled, say=print)
print(split.estimate.summary())

# %%
# The list
# --------
#
# Every label has an **issue score**, by which all are ranked, the most suspicious
# first. Those at the top are label issues: as many as the estimated noise rate bears
# out.

issues = split.label_issues()
print(issues.summary())
print("\n    id  given  suggested  issue score")
for id in issues.ids[:8]:
    given, suggested = issues.given[id], issues.suggested[id]
    print(f"{id:6}  {given:5}  {suggested:9}  {issues.score[id]:11.4f}")
issues.plot()

# %%
# These are the first ten:

figure, places = plt.subplots(2, 5, figsize=(6.5, 3.2), layout="constrained")
images = labeled.inputs()[..., 0]
for place, id in zip(places.flat, issues.ids, strict=False):
    place.imshow(images[id], cmap="gray_r")
    place.set_title(f"{issues.given[id]}, rather {issues.suggested[id]}", fontsize=9)
    place.axis("off")

# %%
# How many were found?
# --------------------
#
# **Precision** is the share of the issues that are wrong labels; **recall** is the
# share of the wrong labels that are issues. A list drawn by chance would have a
# precision of the noise rate.

found = wrong & issues.is_issue
precision = found.sum() / len(issues)
recall = found.sum() / wrong.sum()
right = (issues.suggested == labeled.corruption.true)[issues.ids].mean()
print(f"precision {precision:.1%}, by chance {wrong.mean():.1%}")
print(f"expected without knowing: {issues.precision:.1%}")
print(f"recall {recall:.1%}")
print(f"the suggested label is the true one in {right:.1%} of the issues")

# %%
# :func:`~tfticket.noise.write_label_report` writes the list as a table and as a page
# with images. From the command line it is ``tfticket noise clean folder:photos -o
# photos-labels``. A person should look at the list before anything is deleted: rare
# examples look like wrong labels. :doc:`The next tutorial <05_train_on_wrong_labels>`
# trains on such labels as they are.
