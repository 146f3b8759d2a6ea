import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """One trained network in all formats; see `exports.Exported`."""
    from exports import train_and_export  # imported late: most tests need no TensorFlow

    return train_and_export(tmp_path_factory.mktemp("exported"))
