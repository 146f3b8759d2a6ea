"""Transfer a ticket to another model than its own: another head, another data set."""

from __future__ import annotations

import glob
from dataclasses import dataclass

import keras

from tfticket.errors import TicketError
from tfticket.lottery.ticket import Ticket
from tfticket.sparsity.convert import masked_layers, set_mask, sparsify, strip
from tfticket.sparsity.mask import Mask
from tfticket.state import derive_anew, left_dense, named_variables, prunable_variables

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Transfer:
    """Result of `transfer`.

    Attributes:
        model: A sparsified copy of the model, with the ticket's mask and weights where they fit.
        fitted: Keys of the variables that were transferred.
        misfits: Key to its shapes in the ticket and in the model, None where it is missing; these
            variables keep the values of the model, and are not masked.
    """

    model: keras.Model
    fitted: tuple[str, ...]
    misfits: dict[str, tuple[Shape | None, Shape | None]]


def transfer(ticket: Ticket, model: keras.Model) -> Transfer:
    """Transfer a ticket to a copy of a model, as far as keys and shapes agree.

    Args:
        ticket: The mask and the weights to start from.
        model: A built Sequential or Functional model; it isn't changed.

    Raises:
        TicketError: when no masked kernel of the ticket fits.
        ModelError: when the model can't be copied layer by layer.
    """
    if masked_layers(model):
        model = strip(model)  # the ticket's mask replaces its own
    variables = named_variables(model)
    in_ticket = {key: array.shape for key, array in ticket.weights.items()}
    in_model = {key: tuple(variable.shape) for key, variable in variables.items()}
    misfits = {
        key: (in_ticket.get(key), in_model.get(key))
        for key in {**in_ticket, **in_model}
        if in_ticket.get(key) != in_model.get(key)
    }
    mask = Mask({key: kept for key, kept in ticket.mask.items() if key not in misfits})
    if not mask:
        raise TicketError(
            "A ticket must share at least one masked kernel with the model, of the same key and "
            f"shape. The ticket has {_shapes(ticket.mask.shapes)}; the model has "
            f"{_shapes({key: in_model[key] for key in prunable_variables(model)})}."
        )
    left = [key for key in (*prunable_variables(model), *left_dense(model)) if key not in mask]
    copy = sparsify(model, Mask.ones(mask.shapes), skip=[glob.escape(key) for key in left])
    fitted = tuple(key for key in in_model if key not in misfits)
    for key, variable in named_variables(copy).items():
        if key in fitted:
            variable.assign(ticket.weights[key])
    derive_anew(copy)
    set_mask(copy, mask)
    return Transfer(copy, fitted, misfits)


def _shapes(shapes: dict[str, Shape]) -> str:
    return ", ".join(f"`{key}` {shape}" for key, shape in shapes.items())
