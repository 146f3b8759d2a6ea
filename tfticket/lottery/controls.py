"""Controls that a ticket is held against, each at the ticket's density.

A control defines where its training begins: a mask, weights, and a step. The search checks that
this differs from the ticket before it trains it, since a control that silently is the ticket is the
classic mistake.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tfticket.channels.matching import interchangeable, match_weights
from tfticket.errors import MaskError, ModelError
from tfticket.lottery.trial import TICKET
from tfticket.seeds import generator, sub_seed
from tfticket.sparsity.mask import Mask
from tfticket.sparsity.structure import UNSTRUCTURED, Structure
from tfticket.state import Snapshot, kernels_of, variable_owners
from tfticket.wording import brief, named

_INITIALIZERS = {
    "kernel": ("kernel_initializer", "depthwise_initializer"),
    "recurrent_kernel": ("recurrent_initializer",),
    "depthwise_kernel": ("depthwise_initializer",),
    "pointwise_kernel": ("pointwise_initializer",),
    "embeddings": ("embeddings_initializer",),
}


@dataclass(frozen=True)
class Start:
    """Mask and state that the training of a network begins with.

    Attributes:
        mask: The weights that are kept.
        snapshot: The state to restore before the mask is applied.
    """

    mask: Mask
    snapshot: Snapshot


@dataclass(frozen=True)
class ControlContext:
    """Inputs of a control.

    Attributes:
        model: Model of the search; only its layers' initializers are read.
        initial: State at step 0.
        ticket: Start of the ticket of this level.
        prune_dense_like: Prunes the dense network once, to the density of a mask, and rewinds it.
        seed: Seed of the search.
        level: Level of the ticket.
        final: State of a finished network after its last step, by branch and level: the ticket of
            this level, and level 0 of tickets and of this control.
        structure: Pruning structure of the ticket, and so of its controls.
    """

    model: keras.Model
    initial: Snapshot
    ticket: Start
    prune_dense_like: Callable[[Mask], Start]
    seed: int
    level: int
    final: Callable[[str, int], Snapshot]
    structure: Structure = UNSTRUCTURED


class Control(ABC):
    """Abstract base of networks of the ticket's density that lack one property of the ticket.

    Attributes:
        name: Name of the branch.
        begins_at_step_zero: Whether it begins at step 0 even where the ticket begins at step k.
        first_level: First level at which it differs from the ticket and is trained; 0 for one whose
            dense network is trained too, whatever the levels of controls are.

    Example:
        >>> isinstance(RandomMask(), Control)
        True
    """

    name: str
    begins_at_step_zero: bool = False
    first_level: int = 1

    @abstractmethod
    def start(self, context: ControlContext) -> Start:
        """Return the mask and the state that training begins with."""

    def rng(self, context: ControlContext) -> np.random.Generator:
        """Make the generator of this control and level."""
        return generator(context.seed, "control", self.name, str(context.level))


@dataclass(frozen=True)
class RandomReinit(Control):
    """Control with the ticket's mask and new initial weights from the same distributions.

    Training begins at step 0 also for a ticket rewound to step k > 0; beginning at k would take k
    steps from the control.

    Source: Frankle & Carbin (2019), "randomly reinitialize", figure 3.

    Args:
        number: Number of this control among several, each with weights of its own.

    Example:
        >>> RandomReinit(2).name
        'reinit_2'
    """

    number: int = 1
    begins_at_step_zero = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """`reinit`, `reinit_2`, ..."""
        return "reinit" if self.number == 1 else f"reinit_{self.number}"

    def start(self, context: ControlContext) -> Start:
        """See `Control`."""
        seed = sub_seed(context.seed, "control", self.name, str(context.level))
        drawn = draw_initial_weights(context.model, seed)
        variables = {**context.initial.variables, **drawn}
        return Start(context.ticket.mask, replace(context.initial, variables=variables))


@dataclass(frozen=True)
class AlignedReinit(Control):
    """Control with the ticket's mask on new initial weights, whose units are matched to the mask.

    A dense network is trained from the new weights, and its channels are permuted to those of the
    ticket's dense network. The new weights are permuted likewise, which is the same as permuting
    the mask the other way, up to the order of units. It begins at step 0, as `RandomReinit`.

    Source: Adnan et al. (2025, arXiv:2505.05143), with weight matching as Ainsworth et al. (2023,
    arXiv:2209.04836) instead of activations, and new weights from step 0.

    Raises:
        ModelError: when it starts and the channels of the model can't be matched; see
            `channels.match_channels`.

    Example:
        >>> AlignedReinit().first_level
        0
    """

    name = "aligned"
    begins_at_step_zero = True
    first_level = 0

    def start(self, context: ControlContext) -> Start:
        """See `Control`."""
        drawn = draw_initial_weights(context.model, sub_seed(context.seed, "control", self.name))
        variables = {**context.initial.variables, **drawn}
        if context.level == 0:
            interchangeable(context.model)  # refuses before anything is trained
        else:
            ours, new = (context.final(branch, 0).variables for branch in (TICKET, self.name))
            variables = match_weights(context.model, ours, new, context.seed).apply(variables)
        return Start(context.ticket.mask, replace(context.initial, variables=variables))


@dataclass(frozen=True)
class SignedReinit(Control):
    """Control with the ticket's mask and signs, and new initial magnitudes.

    Source: Zhou et al. (2019, arXiv:1905.01067) for the signs of the ticket's initial weights; Oh
    et al. (2025, arXiv:2504.05357) and Gadhikar & Burkholz (2024, arXiv:2402.19262) for those that
    its weights have after training.

    Args:
        trained: Whether the signs are those after training, or else those the ticket begins with.

    Example:
        >>> SignedReinit().name, SignedReinit(trained=True).name
        ('signs', 'trained_signs')
    """

    trained: bool = False
    begins_at_step_zero = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """`signs` or `trained_signs`."""
        return "trained_signs" if self.trained else "signs"

    def start(self, context: ControlContext) -> Start:
        """See `Control`."""
        seed = sub_seed(context.seed, "control", self.name, str(context.level))
        drawn = draw_initial_weights(context.model, seed)
        ticket = context.ticket
        state = context.final(TICKET, context.level) if self.trained else ticket.snapshot
        signed = {
            key: np.copysign(array, state.variables[key]) if key in ticket.mask else array
            for key, array in drawn.items()
        }
        variables = {**context.initial.variables, **signed}
        return Start(ticket.mask, replace(context.initial, variables=variables))


@dataclass(frozen=True)
class ShuffledMask(Control):
    """Control with the ticket's weights under its mask, shuffled within each layer.

    Units of a structure are shuffled as a whole: channels among the channels of a layer. Where
    layers are so narrow that a shuffled mask equals the ticket's, it is drawn again.

    Source: Frankle et al. (2021, arXiv:2009.08576), "randomly shuffle".

    Args:
        name: Name of the branch.
        attempts: How often a mask is drawn before the control gives up.

    Raises:
        MaskError: when it starts and no drawn mask differs from the ticket's.

    Example:
        >>> ShuffledMask().name
        'shuffle'
    """

    name: str = "shuffle"
    attempts: int = 100

    def start(self, context: ControlContext) -> Start:
        """See `Control`."""
        rng, ticket = self.rng(context), context.ticket
        for _ in range(self.attempts):
            mask = context.structure.shuffled(ticket.mask, rng)
            if mask != ticket.mask:
                break
        return Start(mask, ticket.snapshot)


@dataclass(frozen=True)
class RandomMask(Control):
    """Control with the ticket's weights under a random mask of the same overall count.

    The count is of units of the structure: for channels, the same number of channels in all layers
    together.

    Source: Frankle et al. (2020, arXiv:1912.05671), "random pruning".

    Args:
        name: Name of the branch.
        attempts: How often a mask is drawn before the control gives up.

    Raises:
        MaskError: when it starts and no drawn mask differs from the ticket's with a weight left in
            each variable.

    Example:
        >>> RandomMask().name
        'random'
    """

    name: str = "random"
    attempts: int = 100

    def start(self, context: ControlContext) -> Start:
        """See `Control`."""
        rng = self.rng(context)
        ticket = context.ticket.mask
        for _ in range(self.attempts):
            mask = context.structure.random(ticket, rng)
            if all(mask.counts().values()) and mask != ticket:
                return Start(mask, context.ticket.snapshot)
        raise MaskError(
            "A random mask must leave a weight in each variable, and differ from the ticket's. At "
            f"density {mask.density:.4f} none of {self.attempts} did; leave this control out at "
            f"level {context.level}."
        )


@dataclass(frozen=True)
class OneShotPruning(Control):
    """Control pruned from the trained dense network in one shot, and rewound as the ticket.

    It begins at level 2, since the ticket of level 1 is pruned in one shot too.

    Source: Frankle & Carbin (2019), appendix D, "one-shot pruning".

    Args:
        name: Name of the branch.

    Example:
        >>> OneShotPruning().first_level
        2
    """

    name: str = "oneshot"
    first_level = 2

    def start(self, context: ControlContext) -> Start:
        """See `Control`."""
        return context.prune_dense_like(context.ticket.mask)


CONTROLS: Mapping[str, Control] = {
    control.name: control
    for control in (
        RandomReinit(),
        ShuffledMask(),
        RandomMask(),
        OneShotPruning(),
        AlignedReinit(),
        SignedReinit(),
        SignedReinit(trained=True),
    )
}


def as_controls(controls: Iterable[Control | str]) -> tuple[Control, ...]:
    """Return controls, or those that names of `CONTROLS` stand for.

    Raises:
        ValueError: for a name that isn't known.
        TypeError: for anything else, and for a single control without a list.
    """
    if isinstance(controls, str | Control | type):
        raise TypeError(f"`controls` must be a list. Received: {brief(controls)}. Give it in [].")
    return tuple(
        named("controls", each, CONTROLS, Control, also="a control of `tfticket.lottery`")
        for each in controls
    )


def draw_initial_weights(model: keras.Model, seed: int) -> dict[str, np.ndarray]:
    """Draw new initial weights from the initializers of the model's layers.

    An initializer of Keras 3 that is made without a seed draws one then, and returns the same
    weights each time it is called; so each is made anew with a seed of its own.

    Returns:
        Key to weights, for kernels and embeddings.

    Raises:
        ModelError: when a layer doesn't say how it initializes its kernel.
    """
    drawn = {}
    kernels = kernels_of(model)
    for key, (layer, variable) in variable_owners(model).items():
        if variable.name in _INITIALIZERS or key in kernels:
            initializer = _initializer_of(layer, variable.name, key)
            config = initializer.get_config()
            if "seed" in config:
                config["seed"] = sub_seed(seed, key)
            fresh = initializer.__class__.from_config(config)
            value = fresh(tuple(variable.shape), dtype=variable.dtype)
            drawn[key] = np.array(keras.ops.convert_to_numpy(value))
    return drawn


def _initializer_of(layer: keras.Layer, name: str, key: str) -> Any:
    attributes: Mapping[str, Any] = vars(layer)
    names = _INITIALIZERS.get(name, (f"{name}_initializer",))
    for attribute in names:
        initializer = attributes.get(attribute)
        if isinstance(initializer, keras.initializers.Initializer):
            return initializer
    raise ModelError(
        "To draw a kernel's weights anew its layer must keep a Keras initializer as one of "
        f"{names}. Received: `{key}` of {type(layer).__name__}, which keeps none. "
        "Leave the control out, or store the initializer under that name."
    )
