import pytest

from tfticket.errors import ExportError
from tfticket.export import latency
from tfticket.machine import processor

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("timed_in_full")]


def test_both_files_are_measured(exported):
    content = {name: report.path.read_bytes() for name, report in exported.reports.items()}
    found = latency.against(content["int8"], content["fp32"], exported.x[0])
    assert found.host == processor()
    assert min(found.microseconds, found.baseline_microseconds, found.speedup) > 0


def test_the_host_is_named():
    assert processor().strip()


def test_a_baseline_that_does_not_run_is_named(exported):
    content = exported.reports["fp32"].path.read_bytes()
    with pytest.raises(ExportError, match=r"^The baseline must load"):
        latency.against(content, content[:100], exported.x[0])


def test_many_files_are_measured_in_one_run_against_one_of_them(exported):
    content = {name: report.path.read_bytes() for name, report in exported.reports.items()}
    found = latency.measure(content, exported.x[0], baseline="fp32")
    assert found.keys() == content.keys()
    assert found["fp32"].speedup == 1.0
    assert {seen.baseline_microseconds for seen in found.values()} == {found["fp32"].microseconds}
