import pytest


@pytest.fixture(scope="session")
def exported_network():
    """Trains a sparse network and writes it as a `.keras` file, and its ticket beside it."""

    def write(folder):
        from exports import train_sparse  # imported late: most tests need no TensorFlow

        from tfticket.export import save_keras
        from tfticket.lottery.ticket import Ticket
        from tfticket.sparsity import get_mask, strip
        from tfticket.state import named_variables

        model, _, _ = train_sparse()
        keras_file = save_keras(model, folder / "net.keras")
        weights = {key: v.numpy() for key, v in named_variables(strip(model)).items()}
        ticket = Ticket(get_mask(model), weights, 2, 0, {"recipe": "mine"})
        return keras_file, ticket.save(folder / "ticket.npz")

    return write
