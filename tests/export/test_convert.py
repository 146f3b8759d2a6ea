import pytest
from exports import convnet, digits

from tfticket.errors import ExportError
from tfticket.export import flatbuffer
from tfticket.export.convert import convert
from tfticket.export.static import static_copy

pytestmark = pytest.mark.usefixtures("seeded")


def test_no_weight_is_ever_stored_sparsely(exported):
    for report in exported.reports.values():
        model = flatbuffer.parse(report.path.read_bytes(), source="it")
        assert "DENSIFY" not in flatbuffer.operators(model)
        assert all(t.sparsity is None for graph in model.subgraphs for t in graph.tensors)


def test_calibration_data_that_does_not_fit_is_an_export_error():
    with pytest.raises(ExportError, match="could not convert the model to int8"):
        convert(static_copy(convnet()), "int8", digits()[0][:5, :4])
