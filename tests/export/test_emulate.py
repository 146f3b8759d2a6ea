import platform
import shutil
import sys

import numpy as np
import pytest
from sparse_networks import layers, mobile, narrow_head, sparsely_stored, with_between, with_ending
from tflite_files import answers, dense_net, file_of, inputs_for

from tfticket.errors import ExportError
from tfticket.export import emulate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("seeded")]
emulated = pytest.mark.skipif(
    emulate.why_not() is not None, reason=f"nothing can be emulated: {emulate.why_not()}"
)


@emulated
def test_a_dense_file_answers_alike():
    content = file_of(dense_net(8, 4))
    x = inputs_for(content, 3)
    outputs = emulate.run_without_avx(content, x, source="it")
    np.testing.assert_allclose(outputs, answers(content, x), atol=1e-5)


@emulated
def test_what_the_linter_lets_through_is_right_where_sparse_kernels_run():
    content = sparsely_stored(mobile())
    found = emulate.check_without_avx(content, inputs_for(content, 4), source="it")
    assert (found.cpu, found.count) == ("Nehalem", 4)
    assert found.relative_difference < 1e-5


@emulated
def test_a_file_that_is_right_here_and_wrong_there_is_caught():
    content = sparsely_stored(with_between(layers.MaxPooling2D()))
    x = inputs_for(content, 4)
    here = [answers(content, x, delegate=delegate) for delegate in (True, False)]
    np.testing.assert_allclose(*here, atol=1e-5)
    with pytest.raises(ExportError, match=r"without AVX \(Nehalem\), must answer .* differ by"):
        emulate.check_without_avx(content, x, source="it")


@emulated
def test_a_file_that_loads_here_and_not_there_is_caught():
    content = sparsely_stored(with_ending(narrow_head))
    x = inputs_for(content, 2)
    assert np.isfinite(answers(content, x)).all()
    with pytest.raises(ExportError, match=r"(?s)must run on an emulated .*failed to prepare"):
        emulate.check_without_avx(content, x, source="it")


@emulated
def test_what_takes_too_long_is_stopped():
    content = file_of(dense_net(8, 4))
    with pytest.raises(ExportError, match=r"within 0 s"):
        emulate.run_without_avx(content, inputs_for(content), source="it", timeout=0)


def test_without_an_emulator_it_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert emulate.why_not() is not None
    with pytest.raises(ExportError, match="An emulator is needed"):
        emulate.run_without_avx(b"", np.zeros((1, 1)), source="it")


def test_on_other_machines_it_says_so(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "not Linux on aarch64" in (emulate.why_not() or "") or sys.platform != "linux"
