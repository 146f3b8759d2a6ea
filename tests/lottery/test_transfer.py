import keras
import numpy as np
import pytest
from helpers import batch, compiled, leaked, mlp, random_mask, values

from tfticket.errors import TicketError
from tfticket.lottery import Ticket
from tfticket.lottery.transfer import transfer
from tfticket.sparsity import get_mask, sparsify
from tfticket.state import Snapshot

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]


def ticket_of(model):
    return Ticket(random_mask(model), Snapshot.capture(model, step=0).variables, 1, 0)


def test_an_equal_model_gets_all_of_the_ticket():
    ticket, model = ticket_of(mlp()), mlp()
    before = values(model)
    result = transfer(ticket, model)
    assert result.misfits == {}
    assert get_mask(result.model) == ticket.mask
    for key, array in values(result.model).items():
        np.testing.assert_array_equal(array, ticket.weights[key])
    for key, array in values(model).items():
        np.testing.assert_array_equal(array, before[key])


def test_another_head_is_left_as_it_was_and_dense():
    ticket, model = ticket_of(mlp()), mlp((6, 5, 4, 7))
    result = transfer(ticket, model)
    assert result.misfits == {
        "output/kernel": ((4, 3), (4, 7)),
        "output/bias": ((3,), (7,)),
    }
    assert set(get_mask(result.model)) == {"hidden_0/kernel", "hidden_1/kernel"}
    now = values(result.model)
    np.testing.assert_array_equal(now["output/kernel"], values(model)["output/kernel"])
    np.testing.assert_array_equal(now["hidden_0/kernel"], ticket.weights["hidden_0/kernel"])


def test_missing_and_added_layers_are_misfits():
    result = transfer(ticket_of(mlp((6, 5, 4, 3))), mlp((6, 5, 3)))
    assert result.misfits["hidden_1/kernel"] == ((5, 4), None)
    assert result.misfits["output/kernel"] == ((4, 3), (5, 3))
    assert "hidden_0/kernel" in result.fitted


def test_the_mask_holds_in_further_training():
    ticket = ticket_of(mlp())
    model = compiled(transfer(ticket, mlp()).model, keras.optimizers.Adam(0.1))
    model.fit(*batch(), epochs=3, verbose=0)
    assert leaked(model, ticket.mask) == 0


def test_a_model_that_shares_no_kernel_is_refused_with_the_shapes():
    shapes = r"The ticket has `hidden_0/kernel` \(6, 5\).*the model has `hidden_0/kernel` \(8, 9\)"
    with pytest.raises(TicketError, match=shapes):
        transfer(ticket_of(mlp()), mlp((8, 9, 2)))


def test_a_model_with_masks_of_its_own_and_another_head_takes_the_mask_of_the_ticket():
    ticket, model = ticket_of(mlp()), sparsify(mlp((6, 5, 4, 7)))
    result = transfer(ticket, model)
    assert set(get_mask(result.model)) == {"hidden_0/kernel", "hidden_1/kernel"}
    assert leaked(result.model, get_mask(result.model)) == 0
