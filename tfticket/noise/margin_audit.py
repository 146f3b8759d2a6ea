"""`MarginAudit`: a callback that finds wrong labels while a network is trained on them.

Keras shows callbacks neither batches nor predictions. For each execution, the compiled function of
`fit` is replaced by one that is made the same way of the same `train_step`: it takes the ids out of
the batch, notes what the step gave to `compute_loss`, and adds to sums that lie in variables. So
there is no second forward pass and no Python between steps, and nothing is left on the model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from tfticket.errors import DataError, ModelError
from tfticket.internals import function_of_steps, is_function_of_keras
from tfticket.noise.coteaching.outputs import Outputs, class_ids, class_logits, kind_of_outputs
from tfticket.noise.ids import split_ids, weight_of
from tfticket.noise.margins import NEVER_SEEN, MarginRecord

_SUMS = ("margin_sums", "epochs", "correct", "forgetting_events")


class MarginAudit(keras.callbacks.Callback):
    """Callback that records the logit margin of each example, averaged over epochs.

    It works under plain `fit` of any classifier with one output. Labels carry the ids of their
    examples, which the model never sees; training stays bit-identical. Of wrong labels the margin
    is negative at first and rises late, so its mean finds them: train for as long as the network
    still learns what examples have in common, and not much longer.

    In arrays or in `tf.data`, training labels are `{"given": labels, "id": ids}`; validation labels
    are as always, or have ids that are ignored (a `validation_split`). Each `fit` begins a new
    record, or goes on with `start`. Class weights can't be given beside ids (a rule of Keras);
    sample weights can, and don't change a margin.

    Args:
        examples: Number of examples n; ids are in [0, n). Those that aren't trained on stay unseen.
        outputs: What the model gives, `logits` or `probabilities`; None infers it from its last
            layer, or from the loss of a subclassed model.
        probabilities: Whether to keep the mean of the predicted probabilities, n x k floats, from
            which labels are suggested.
        repeats: Whether an example may come more than once in an epoch of `fit`: where data repeat
            themselves. Each time counts as an epoch then.
        threshold_class: Label of the threshold examples; see `with_threshold_class`.
        start: Record to go on with, of a training that is continued.

    Raises:
        DataError: when `examples` isn't a number above 0 or `start` is about other data; in `fit`,
            when labels carry no ids, or ids are out of range or repeat within an epoch.
        ModelError: in `fit`, when the predictions of a training step can't be seen.

    Sources: Pleiss et al. (2020, arXiv:2001.10528), area under the margin, which is the mean here,
    too; Toneva et al. (2019, arXiv:1812.05159), forgetting events.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
        >>> y = (x[:, 0] > 0).astype(int)
        >>> y[:10] = 1 - y[:10]
        >>> keras.utils.set_random_seed(0)
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> model.compile(keras.optimizers.Adam(0.1), loss)
        >>> audit = MarginAudit(len(x))
        >>> labels = {"given": y, "id": np.arange(len(x))}
        >>> _ = model.fit(x, labels, epochs=5, verbose=0, callbacks=[audit])
        >>> audit.record
        MarginRecord(200 examples, 5 epochs)
        >>> int((audit.record.ranking[:10] < 10).sum()) >= 9
        True
    """

    def __init__(
        self,
        examples: int,
        *,
        outputs: Outputs | None = None,
        probabilities: bool = True,
        repeats: bool = False,
        threshold_class: int | None = None,
        start: MarginRecord | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(examples, (int, np.integer)) or examples < 1:
            raise DataError(
                f"`examples` is {examples!r}; it must be the number of examples, 1 or more: ids "
                "are in [0, examples)."
            )
        if outputs not in (None, "logits", "probabilities"):
            raise ModelError(f"`outputs` is {outputs!r}; it must be 'logits' or 'probabilities'.")
        if start is not None and len(start) != examples:
            raise DataError(
                f"`start` is about {len(start):,} examples and not {examples:,}. Go on with a "
                "record of the same data."
            )
        self.examples = int(examples)
        self.outputs = outputs
        self.probabilities = probabilities
        self.repeats = repeats
        self.threshold_class = threshold_class
        self.start = start
        self._sums: _Sums | None = None
        self._record: MarginRecord | None = start
        self._made: dict[str, tuple[Any, Callable[[Any], Any]]] = {}
        self._seen_before = np.zeros(0)
        self._looked = False

    def __repr__(self) -> str:
        return f"MarginAudit({self.examples} examples)"

    @property
    def record(self) -> MarginRecord:
        """Record of the running or last `fit`.

        Raises:
            DataError: before the first step of a `fit`.
        """
        if self._sums is not None:
            return self._sums.record(self.threshold_class)
        if self._record is None:
            raise DataError("There is no record yet: no `fit` has made a step with this callback.")
        return self._record

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin a new record."""
        if self.model.distribute_strategy.num_replicas_in_sync > 1:
            raise ModelError("Margins can be recorded on one replica only, not under a strategy.")
        if getattr(self.model, "mixup", 0):
            raise ModelError(
                "Under MixUp the network sees no example as it is, so there are no margins to "
                "record. Leave out the audit, or `mixup`."
            )
        if self.outputs is None:
            _kind_of(self.model)  # tells at once
        self._sums = _Sums(self.examples, start=self.start, probabilities=self.probabilities)
        self._made, self._looked = {}, False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note how often examples were seen so far."""
        assert self._sums is not None
        self._seen_before = self._sums.seen()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Replace the function of `fit` for one call."""
        train = self.model.train_function
        if not is_function_of_keras(train):
            raise ModelError(
                "Another callback (`ChunkedFit`, `LandscapeTracker` or one like them) replaces the "
                f"training function too, by {type(train).__name__}. An audit sees predictions only "
                "where Keras trains the model: leave the other callback out."
            )
        self._replace("train_function", self._step)

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Take the ids out of the labels of a `validation_split`."""
        if self._sums is not None and is_function_of_keras(self.model.test_function):
            self._replace("test_function", self._test_step)

    def _replace(self, name: str, make_step: Callable[[], Callable[[Any], Any]]) -> None:
        """Replace a function of the model for one call."""
        model, of_keras = self.model, getattr(self.model, name)

        def ours(iterator: Any) -> Any:
            setattr(model, name, of_keras)  # an interrupted `fit` leaves nothing behind
            if self._sums is None:
                return of_keras(iterator)
            if name not in self._made or self._made[name][0] is not of_keras:
                self._made[name] = of_keras, function_of_steps(model, make_step())
            return self._made[name][1](iterator)

        setattr(model, name, ours)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the ids of the first batch; those of all are looked at when the epoch ends."""
        if not self._looked:
            self._looked = True
            self._check()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Check the ids of the epoch."""
        self._check()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Keep the record, and release the variables."""
        self._record = self.record
        self._sums, self._made = None, {}

    def _check(self) -> None:
        assert self._sums is not None
        seen = self._sums.seen()
        outside = int(seen[-1])
        if outside:
            raise DataError(
                f"{outside:,} ids were outside of [0, {self.examples:,}). The id of an example is "
                "its place in the data, from 0, and `MarginAudit` is given the number of all of "
                "them."
            )
        often = seen[:-1] - self._seen_before[:-1]
        if not self.repeats and often.max(initial=0) > 1:
            example = int(often.argmax())
            many = int(np.count_nonzero(often > 1))
            raise DataError(
                f"{many:,} ids came more than once in an epoch, such as "
                f"{example}, {int(often[example])} times. Each example has an id of its own. Where "
                "the data repeat themselves within an epoch of `fit`, say "
                f"`MarginAudit({self.examples}, repeats=True)`."
            )

    def _step(self) -> Callable[[Any], Any]:
        """The training step of the model, which also adds to the sums."""
        model, sums = self.model, self._sums
        assert sums is not None
        kind = _kind_of(model) if self.outputs is None else self.outputs

        def step(data: Any) -> Any:
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            given, ids = split_ids(y, needed_by="MarginAudit")
            sample_weight = weight_of(sample_weight)
            labels = y if getattr(model, "takes_ids", False) else given
            with _predictions(model) as seen:
                logs = model.train_step((x, labels, sample_weight))
            if not seen or keras.tree.is_nested(seen[0]) or len(seen[0].shape) != 2:
                raise ModelError(
                    f"The training step of {type(model).__name__} shows no predictions of shape "
                    "(batch, classes): an audit sees what `train_step` gives to "
                    "`self.compute_loss(x, y, y_pred, sample_weight)`, as that of Keras does, for "
                    "a model with one output."
                )
            sums.add(ids, given, seen[0], kind)
            return logs

        return step

    def _test_step(self) -> Callable[[Any], Any]:
        """The test step of the model, for labels with ids and without."""
        model = self.model

        def step(data: Any) -> Any:
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            if isinstance(y, Mapping):
                y, _ = split_ids(y, needed_by="MarginAudit")
            return model.test_step((x, y, weight_of(sample_weight)))

        return step


@contextlib.contextmanager
def _predictions(model: keras.Model) -> Iterator[list[Any]]:
    """Collect what a training step gives to `compute_loss` as predictions."""
    seen: list[Any] = []
    compute = model.compute_loss

    def compute_loss(
        x: Any = None, y: Any = None, y_pred: Any = None, *rest: Any, **more: Any
    ) -> Any:
        seen.append(y_pred)
        return compute(x, y, y_pred, *rest, **more)

    model.compute_loss = compute_loss
    try:
        yield seen
    finally:
        del model.compute_loss


def _kind_of(model: keras.Model) -> Outputs:
    """Infer what a model gives from its last layer, or from its loss."""
    if getattr(model, "kind", None) in ("logits", "probabilities"):  # one of ours
        return cast(Outputs, model.kind)
    try:
        return kind_of_outputs(model)
    except ModelError:
        loss = model.loss
        config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
        from_logits = config.get("from_logits", config.get("fn_kwargs", {}).get("from_logits"))
        if from_logits is None:
            raise
        return "logits" if from_logits else "probabilities"


class _Sums:
    """Sums over epochs in variables of the graph, with a row more for ids that are out of range.

    Args:
        examples: n.
        start: Record to go on with.
        probabilities: Whether to sum probabilities too.
    """

    def __init__(self, examples: int, *, start: MarginRecord | None, probabilities: bool) -> None:
        self._examples = examples
        sums = np.zeros((examples + 1, len(_SUMS)), np.float32)
        last = np.tile(np.array([NEVER_SEEN, 0], np.float32), (examples + 1, 1))
        self._probable: np.ndarray | None = None  # to begin with
        if start is not None:
            sums[:-1] = np.stack([getattr(start, name) for name in _SUMS], axis=1)
            last[:-1] = np.stack([start.given, start.last_correct], axis=1)
            self._probable = start.probability_sums
        self._sums = tf.Variable(sums, trainable=False)
        self._last = tf.Variable(last, trainable=False)  # given label, whether it was predicted
        self._keeps = probabilities and (start is None or self._probable is not None)
        self._probabilities: tf.Variable | None = None

    @tf.autograph.experimental.do_not_convert  # has no `if` of tensors; half of tracing otherwise
    def add(self, ids: Any, labels: Any, outputs: Any, kind: Outputs) -> None:
        """Add a batch, in the graph.

        Args:
            ids: Shape (batch,) or (batch, 1).
            labels: Integers, shape (batch,) or (batch, 1), or rows of shape (batch, k).
            outputs: Of the model, shape (batch, k), or (batch, 1) for two classes.
            kind: What they are.
        """
        logits = class_logits(outputs, kind)
        classes = logits.shape[-1]
        labels = class_ids(labels, classes)
        ids = tf.cast(tf.reshape(ids, (-1,)), tf.int64)
        inside = tf.bitcast(ids, tf.uint64) < self._examples  # negative ones become the largest
        ids = tf.where(inside, ids, self._examples)
        places = tf.stack([tf.range(tf.shape(labels)[0]), labels], axis=1)
        given = tf.gather_nd(logits, places)
        nothing = tf.fill(tf.shape(labels), -np.inf)
        other = tf.reduce_max(tf.tensor_scatter_nd_update(logits, places, nothing), axis=-1)
        margin = given - other
        correct = tf.cast(margin > 0, tf.float32)
        forgotten = tf.nn.relu(tf.gather(self._last, ids)[:, 1] - correct)
        counts = [tf.ones_like(margin), correct, forgotten]
        self._sums.scatter_add(tf.IndexedSlices(tf.stack([margin, *counts], axis=1), ids))
        now = tf.stack([tf.cast(labels, tf.float32), correct], axis=1)
        self._last.scatter_update(tf.IndexedSlices(now, ids))
        if self._keeps:
            self._of(classes).scatter_add(tf.IndexedSlices(tf.nn.softmax(logits), ids))

    def _of(self, classes: int) -> tf.Variable:
        """The sums of probabilities, made when the number of classes is known."""
        if self._probabilities is None:
            begun = np.zeros((self._examples + 1, classes), np.float32)
            if self._probable is not None:
                begun[:-1] = self._probable
                self._probable = None
            with tf.init_scope():
                self._probabilities = tf.Variable(begun, trainable=False)
        return self._probabilities

    def seen(self) -> np.ndarray:
        """Return the epochs in which each example was seen; last, the ids out of range."""
        seen: np.ndarray = self._sums[:, _SUMS.index("epochs")].numpy()
        return seen

    def record(self, threshold_class: int | None) -> MarginRecord:
        """The sums as a record."""
        sums, last = (variable.numpy()[:-1] for variable in (self._sums, self._last))
        kept = self._probabilities
        columns = dict(zip(_SUMS, sums.T, strict=True))
        return MarginRecord(
            given=last[:, 0].astype(np.int64),
            margin_sums=columns.pop("margin_sums").copy(),
            **{name: each.astype(np.int64) for name, each in columns.items()},
            last_correct=last[:, 1] == 1,
            probability_sums=self._probable if kept is None else kept.numpy()[:-1],
            threshold_class=threshold_class,
        )
