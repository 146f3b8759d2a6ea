"""Rules: which axes of a layer's weights are channels, and which argument is their number."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple

import keras
import numpy as np

from tfticket.errors import ModelError
from tfticket.layer_kinds import CONVOLUTIONS, DEPTHWISE, SEPARABLE, TRANSPOSED
from tfticket.remaking import described
from tfticket.state import known_class

Axes = tuple[str | None, ...]
Width = Mapping[str, str] | Callable[[Any, Mapping[str, int]], dict[str, Any]]

_RECURRENT = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)
_GATES = {keras.layers.LSTMCell: "4*", keras.layers.GRUCell: "3*", keras.layers.SimpleRNNCell: ""}
_ELEMENTWISE = frozenset(
    {
        "celu",
        "elu",
        "exponential",
        "gelu",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "hard_tanh",
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "soft_shrink",
        "softplus",
        "softsign",
        "sparse_plus",
        "squareplus",
        "swish",
        "tanh",
        "tanh_shrink",
        "threshold",
    }
)


class Axis(NamedTuple):
    """Units along one axis of a weight.

    Attributes:
        name: Which units.
        times: How often all of them stand there, one set after another: the gates of an LSTM.
        groups: Of how many groups only the first stands there: the inputs of a grouped convolution.
    """

    name: str
    times: int = 1
    groups: int = 1

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return the value at each place of the axis, from the values of the units."""
        return np.tile(values, self.times)[: len(values) * self.times // self.groups]


@dataclass(frozen=True)
class Rule:
    """Rule of a layer: the units along the axes of its weights.

    An axis is `None` where it holds none, or names them: `in` for the channels of the layer's first
    argument, the name of another argument of `call` for its channels, `out` for those of the
    output, and any other name for units inside the layer, such as `heads`. Of the axes of one
    weight that aren't an argument's, the last is made, and the others are read to make it. `4*out`
    is an axis on which all units stand four times, one set after another.

    Where no weight has an axis `out`, the layer changes each channel of its first argument for
    itself.

    Attributes:
        weights: Attribute of the layer (`kernel`, `query_dense.kernel`) to axes. Weights that the
            layer doesn't have (`None`) are passed over.
        width: Argument of the constructor to the name of the units whose number it is; or a
            function of the layer and the number of units by name, which returns arguments.
        outputs: Names of the units that are the channels of the output, side by side.
        together: Name to the number of groups, for units that go with those at the same place in
            the other groups.

    Raises:
        ModelError: when an axis can't be read.

    Example:
        >>> Rule({"kernel": ("in", "out"), "bias": ("out",)}, {"units": "out"}).makes
        True
    """

    weights: Mapping[str, Axes]
    width: Width = field(default_factory=dict)
    outputs: tuple[str, ...] = ("out",)
    together: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path, axes in self.weights.items():
            for axis in axes:
                if axis is not None and not re.fullmatch(r"([1-9]\d*\*)?\w+(/[1-9]\d*)?", axis):
                    raise ModelError(
                        f"The axis {axis!r} of `{path}` is no name of units. An axis of a rule is "
                        "None, a name such as 'in', 'out' or 'heads', or a name with the number "
                        "of its sets, '4*out'."
                    )

    @property
    def makes(self) -> bool:
        """True if the output has other channels than the input."""
        return bool(self.names & set(self.outputs))

    @property
    def names(self) -> set[str]:
        """Names of all units."""
        return {axis.name for path in self.weights for axis in self.axes(path) if axis is not None}

    def axes(self, path: str) -> tuple[Axis | None, ...]:
        """Return the axes of a weight."""
        return tuple(None if text is None else _parsed(text) for text in self.weights[path])

    def variables(self, layer: Any) -> Iterator[tuple[keras.Variable, tuple[Axis | None, ...]]]:
        """Yield the weights of a layer with their axes.

        Raises:
            ModelError: when the layer has no such attribute, or it has another rank.
        """
        for path in self.weights:
            try:
                variable = reduce(_attribute, path.split("."), layer)
            except (AttributeError, IndexError) as error:
                raise ModelError(
                    f"{described(layer)} has no attribute `{path}`, which the rule of its class "
                    f"names. It has the weights {[each.path for each in layer.weights]}. Register "
                    "the rule with the attributes that hold them."
                ) from error
            if variable is None:
                continue
            axes = self.axes(path)
            if len(variable.shape) != len(axes):
                raise ModelError(
                    f"The rule of {type(layer).__name__} gives `{path}` the axes "
                    f"{self.weights[path]}. Each axis of a weight needs an entry, and that of "
                    f"{layer.name!r} has the shape {tuple(variable.shape)}."
                )
            yield variable, axes

    def reads(
        self, axes: tuple[Axis | None, ...], inputs: Mapping[str, Any]
    ) -> tuple[list[int], int | None]:
        """Return the axes of a weight that are read, and the one that is made, if there is one."""
        named = [place for place, axis in enumerate(axes) if axis is not None]
        made = [place for place in named if axes[place].name not in inputs]  # type: ignore[union-attr]
        target = made[-1] if made else None
        return [place for place in named if place != target], target

    def resize(self, layer: Any, counts: Mapping[str, int]) -> dict[str, Any]:
        """Return the arguments of the constructor that have these numbers of units."""
        if callable(self.width):
            return self.width(layer, counts)
        return {argument: counts[name] for argument, name in self.width.items()}


_OWN: dict[type, Rule] = {}


def register_rule(
    kind: type[keras.Layer], weights: Mapping[str, Axes], width: Width | None = None
) -> None:
    """Tell how the weights of your own layer carry channels, so that its units can be removed.

    Without a rule the channels that a layer of unknown kind reads or makes stay. What is registered
    holds for the class itself, not for its children, and until the process ends. A removed unit is
    cut out of all weights of the rule; `remove_units` and `shrink` compare the smaller model with
    the larger one, so a wrong rule is an error and no wrong model.

    Args:
        kind: Class of the layer. Its config must let the constructor make it anew.
        weights: Attribute that holds a weight to its axes, see `Rule`; all weights that have an
            axis of channels.
        width: Argument of the constructor to the units whose number it is, see `Rule`; none for a
            layer that changes each channel for itself.

    Raises:
        ModelError: when `kind` is no class of layers, or an axis can't be read.

    Example:
        >>> @keras.saving.register_keras_serializable("docs")
        ... class Gated(keras.layers.Layer):
        ...     def __init__(self, units, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.units = units
        ...     def build(self, shape):
        ...         self.kernel = self.add_weight(shape=(shape[-1], self.units))
        ...         self.gate = self.add_weight(shape=(shape[-1], self.units))
        ...     def call(self, x):
        ...         return keras.ops.matmul(x, self.kernel) * keras.ops.sigmoid(x @ self.gate)
        ...     def get_config(self):
        ...         return {**super().get_config(), "units": self.units}
        >>> register_rule(
        ...     Gated, {"kernel": ("in", "out"), "gate": ("in", "out")}, {"units": "out"}
        ... )
        >>> model = keras.Sequential([keras.Input((4,)), Gated(6), keras.layers.Dense(2)])
        >>> from tfticket.channels import remove_units
        >>> remove_units(model, keep=0.5).model.layers[0].units
        3
    """
    if not (isinstance(kind, type) and issubclass(kind, keras.Layer)):
        raise ModelError(f"A rule is registered for a class of layers. Received: {kind!r}")
    _OWN[kind] = Rule(weights, {} if width is None else width)


def rule_of(layer: Any, inputs: Mapping[str, Any]) -> Rule | None:
    """Return the rule of a layer; None where none is known.

    Args:
        layer: A built layer, or another operation.
        inputs: Name to tensor, for the arguments that it is called with; `in` is the first.
    """
    kind = known_class(layer)
    if kind in _OWN:
        return _OWN[kind]
    known = kind in _BUILT_IN and (is_affine(layer) or is_elementwise(activation_of(layer)))
    return _BUILT_IN[kind](layer, inputs) if known else None


def activation_of(layer: Any) -> Any:
    """Return the activation of a layer; None without."""
    return getattr(layer, "activation", None)


def has_own_rule(layer: Any) -> bool:
    """Tell whether the rule of a layer was registered by the user."""
    return type(layer) in _OWN


def is_elementwise(activation: Any) -> bool:
    """Tell whether an activation is known to be elementwise (softmax isn't)."""
    return activation is None or getattr(activation, "__name__", "") in _ELEMENTWISE


def is_affine(layer: Any) -> bool:
    """Tell whether a layer adds up its inputs, so that constant ones can go into its bias."""
    kind = known_class(layer)
    plain = kind in CONVOLUTIONS and layer.groups == 1
    return kind is keras.layers.Dense or plain or kind in TRANSPOSED


def is_transposed(layer: Any) -> bool:
    """Tell whether a layer is a transposed convolution."""
    return type(layer) in TRANSPOSED


def is_depthwise(layer: Any) -> bool:
    """Tell whether a layer is a depthwise convolution."""
    return type(layer) in DEPTHWISE


def by_group(layer: Any) -> bool:
    """Tell whether a layer is a grouped convolution of one input channel a group."""
    return known_class(layer) in CONVOLUTIONS and layer.groups > 1 and layer.kernel.shape[-2] == 1


def _parsed(text: str) -> Axis:
    times, _, rest = text.rpartition("*")
    name, _, groups = rest.partition("/")
    return Axis(name, int(times or 1), int(groups or 1))


def _attribute(thing: Any, name: str) -> Any:
    return operator.getitem(thing, int(name)) if name.isdigit() else getattr(thing, name)


def _dense(layer: Any, inputs: Mapping[str, Any]) -> Rule:
    return Rule({"kernel": ("in", "out"), "bias": ("out",)}, {"units": "out"})


def _convolution(layer: Any, inputs: Mapping[str, Any]) -> Rule:
    taps: Axes = (None,) * layer.rank
    if layer.groups == 1:
        return Rule({"kernel": (*taps, "in", "out"), "bias": ("out",)}, {"filters": "out"})
    if by_group(layer):  # then whole groups go
        width = {"filters": "out", "groups": "in"}
        return Rule({"kernel": (*taps, None, "out"), "bias": ("out",)}, width)
    return Rule(
        {"kernel": (*taps, f"in/{layer.groups}", "out"), "bias": ("out",)},
        {"filters": "out"},
        together={"in": layer.groups, "out": layer.groups},
    )


def _transposed(layer: Any, inputs: Mapping[str, Any]) -> Rule:
    taps: Axes = (None,) * layer.rank
    return Rule({"kernel": (*taps, "out", "in"), "bias": ("out",)}, {"filters": "out"})


def _depthwise(layer: Any, inputs: Mapping[str, Any]) -> Rule:
    return Rule({"kernel": (*(None,) * layer.rank, "in", None), "bias": ("out",)})


def _separable(layer: Any, inputs: Mapping[str, Any]) -> Rule | None:
    if layer.depth_multiplier != 1:
        return None
    taps: Axes = (None,) * layer.rank
    weights = {
        "depthwise_kernel": (*taps, "in", None),
        "pointwise_kernel": (*taps, "in", "out"),
        "bias": ("out",),
    }
    return Rule(weights, {"filters": "out"})


def _batch_norm(layer: Any, inputs: Mapping[str, Any]) -> Rule:
    return Rule({v.name: ("in",) for v in layer.variables if len(v.shape)})


def _prelu(layer: Any, inputs: Mapping[str, Any]) -> Rule:
    return Rule({"alpha": (*(None,) * (len(layer.alpha.shape) - 1), "in")})


def _embedding(layer: Any, inputs: Mapping[str, Any]) -> Rule:
    return Rule({"embeddings": (None, "out")}, {"output_dim": "out"})


def _attention(layer: Any, inputs: Mapping[str, Any]) -> Rule | None:
    if len(layer.output_dense.kernel.shape) != 3 or getattr(layer, "_use_gate", False):
        return None
    key = "key" if "key" in inputs else "value"
    weights: dict[str, Axes] = {}
    for part, source in {"query": "query", "key": key, "value": "value"}.items():
        weights[f"{part}_dense.kernel"] = (source, "heads", None)
        if layer.use_bias:
            weights[f"{part}_dense.bias"] = ("heads", None)
    weights["output_dense.kernel"] = ("heads", None, "out")
    weights["output_dense.bias"] = ("out",)
    return Rule(weights, {"num_heads": "heads", "output_shape": "out"})


def _recurrent(layer: Any, inputs: Mapping[str, Any]) -> Rule | None:
    """Return the rule of a layer over a cell, or over several that read one another."""
    if layer.stateful or layer.return_state or "initial_state" in inputs:
        return None
    stacked = known_class(layer.cell) is keras.layers.StackedRNNCells
    cells = {f"cell.cells.{n}": cell for n, cell in enumerate(layer.cell.cells)} if stacked else {}
    names = [*(f"cell_{n}" for n in range(len(cells) - 1)), "out"]
    weights: dict[str, Axes] = {}
    source = "in"
    for (path, cell), units in zip((cells or {"cell": layer.cell}).items(), names, strict=True):
        own = _cell(cell, path, source, units)
        if own is None:
            return None
        weights |= own
        source = units
    return Rule(weights, _recurrent_width)


def _cell(cell: Any, path: str, source: str, units: str) -> dict[str, Axes] | None:
    gates = _GATES.get(known_class(cell))
    inside = [getattr(cell, name, None) for name in ("activation", "recurrent_activation")]
    if gates is None or not all(map(is_elementwise, inside)):
        return None
    two_biases = cell.bias is not None and len(cell.bias.shape) == 2  # a GRU with `reset_after`
    return {
        f"{path}.kernel": (source, f"{gates}{units}"),
        f"{path}.recurrent_kernel": (units, f"{gates}{units}"),
        f"{path}.bias": (*(None,) * two_biases, f"{gates}{units}"),
    }


def _recurrent_width(layer: Any, counts: Mapping[str, int]) -> dict[str, Any]:
    if known_class(layer) in _RECURRENT:
        return {"units": counts["out"]}
    cell = layer.get_config()["cell"]
    stacked = cell["config"].get("cells")
    for number, each in enumerate(stacked or [cell]):
        _set_units(each, counts.get(f"cell_{number}", counts["out"]))
    cell.pop("build_config", None)
    return {"cell": cell}


def _set_units(config: dict[str, Any], units: int) -> None:
    """Change the serialized config of a layer, which would be built for the old shapes."""
    config["config"]["units"] = units
    config.pop("build_config", None)


def _bidirectional(layer: Any, inputs: Mapping[str, Any]) -> Rule | None:
    weights: dict[str, Axes] = {}
    both = layer.merge_mode == "concat"
    for name in ("forward", "backward"):
        inner = getattr(layer, f"{name}_layer")
        rule = rule_of(inner, inputs) if known_class(inner) in _RECURRENT else None
        if rule is None:
            return None
        for path, axes in rule.weights.items():
            weights[f"{name}_layer.{path}"] = tuple(
                axis and axis.replace("out", name if both else "out") for axis in axes
            )
    return Rule(
        weights, _bidirectional_width, outputs=("forward", "backward") if both else ("out",)
    )


def _bidirectional_width(layer: Any, counts: Mapping[str, int]) -> dict[str, Any]:
    config = layer.get_config()
    for entry, name in {"layer": "forward", "backward_layer": "backward"}.items():
        _set_units(config[entry], counts[name] if name in counts else counts["out"])
    return {entry: config[entry] for entry in ("layer", "backward_layer")}


_BUILT_IN: dict[type, Callable[[Any, Mapping[str, Any]], Rule | None]] = {
    keras.layers.Dense: _dense,
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys(TRANSPOSED, _transposed),
    **dict.fromkeys(DEPTHWISE, _depthwise),
    **dict.fromkeys(SEPARABLE, _separable),
    keras.layers.BatchNormalization: _batch_norm,
    keras.layers.PReLU: _prelu,
    keras.layers.Embedding: _embedding,
    keras.layers.MultiHeadAttention: _attention,
    **dict.fromkeys((*_RECURRENT, keras.layers.RNN), _recurrent),
    keras.layers.Bidirectional: _bidirectional,
}
