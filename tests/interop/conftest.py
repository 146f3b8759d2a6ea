import functools

import pytest
from legacy_files import legacy_files, quick_reader


@pytest.fixture(scope="session")
def legacy(tmp_path_factory):
    """The folder of the legacy model files."""
    return legacy_files(tmp_path_factory)


@pytest.fixture(scope="session")
def reader(legacy):
    """`read_in_child` that starts no child."""
    return quick_reader(legacy)


@pytest.fixture(scope="session")
def brought(legacy, reader):
    """Name of a legacy file to what it is in Keras 3; each is imported once."""
    from tfticket.interop import import_tfmot  # imported late: most tests need no TensorFlow

    @functools.cache
    def bring(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tfticket.interop.tfmot.read_in_child", reader)
            return import_tfmot(legacy / name)

    return bring
