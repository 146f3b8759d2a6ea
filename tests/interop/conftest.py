import functools

import pytest
from legacy_files import legacy_files, read_once


@pytest.fixture(scope="session")
def legacy(tmp_path_factory):
    """The folder of the legacy model files."""
    return legacy_files(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def brought(legacy):
    """Name of a legacy file to what it is in Keras 3; each is imported once."""
    from tfticket.interop import import_tfmot  # imported late: most tests need no TensorFlow

    @functools.cache
    def bring(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tfticket.interop.tfmot.read_in_child", read_once)
            return import_tfmot(legacy / name)

    return bring
