import json
import sys
import xml.etree.ElementTree as ElementTree

import pandas
import pytest

from tfticket.display import Chart, Displayable
from tfticket.display.charts import Axis, Panel, rows
from tfticket.display.palette import PALETTE, Look
from tfticket.display.plots import bars, lines


class Throws(Displayable):
    def __init__(self, count):
        self.count = count

    def summary(self):
        return f"{self.count} throws <of a coin>."

    def to_rows(self):
        return [{"throw": number, "heads": number % 2 == 0} for number in range(self.count)]

    def _figure(self):
        if not self.count:
            return None
        panel = Panel(Axis("throw"), Axis("heads"), {"": Look("blue", "circle")}, named=())
        return panel.draw(panel.line(rows(x=range(self.count), y=1, name="")))


def test_a_frame_has_the_rows():
    assert Throws(3).to_dataframe().equals(pandas.DataFrame(Throws(3).to_rows()))


def test_a_missing_pandas_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # as where it isn't installed
    with pytest.raises(ImportError, match=r"`pip install pandas`.*`to_rows\(\)` gives"):
        Throws(3).to_dataframe()


def test_a_notebook_gets_sentence_figure_and_the_first_rows():
    page = Throws(20)._repr_html_()
    assert "20 throws &lt;of a coin&gt;." in page
    assert "<svg" in page
    assert page.count("<tr>") == 13  # the heading and twelve
    assert "8 more rows" in page
    assert "<svg" not in Throws(0)._repr_html_()


def test_a_chart_is_saved_by_the_ending_of_its_name(tmp_path):
    chart = Throws(3).plot()
    ElementTree.parse(chart.save(tmp_path / "x.svg"))
    assert "var(--" not in (tmp_path / "x.svg").read_text()
    assert chart.save(tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
    page = chart.save(tmp_path / "x.html").read_text()
    assert f"--blue: {PALETTE['blue'][1]};" in page
    figure = json.loads(chart.save(tmp_path / "x.json").read_text())
    assert figure["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert "var(--" not in json.dumps(figure)
    with pytest.raises(ValueError, match=r"\.svg, \.png, \.html or \.json.*Received.*x\.gif"):
        chart.save(tmp_path / "x.gif")


def test_bars_say_their_names_in_order():
    figure = bars({"hidden & more": 0.2, "output": 0.5}, "density")
    assert "hidden &amp; more" in Chart(figure).svg
    (layer,) = figure["layer"]
    bottom, top = layer["encoding"]["y"]["scale"]["domain"]
    assert abs(top) < 1 < bottom  # the first is at the top
    assert [(row["left"], row["right"]) for row in layer["data"]["values"]] == [(0, 0.2), (0, 0.5)]


def test_lines_leave_out_what_is_not_finite_and_take_a_legend_for_two():
    figure = lines({"a": ([0, 1, 2], [1.0, float("nan"), 3.0]), "b": ([0], [2.0])}, "step", "loss")
    line, points = figure["layer"]
    assert [row["y"] for row in line["data"]["values"]] == [1.0, 3.0, 2.0]
    assert points["data"]["values"][2]["name"] == "b"
    assert line["encoding"]["color"]["legend"]["values"] == ["a", "b"]
    (alone, _) = lines({"a": ([0], [1.0])}, "step", "loss")["layer"]
    assert alone["encoding"]["color"]["legend"] is None
    (wide, _) = lines({"a": ([0, 1, 2], [1e-6, 1e-3, 1.0])}, "step", "loss")["layer"]
    assert wide["encoding"]["y"]["scale"]["type"] == "log"


def test_a_chart_is_a_short_repr_and_two_of_a_notebook():
    chart = Throws(3).plot()
    assert isinstance(chart, Chart)
    assert repr(chart) == "Chart(title='Throws')"
    assert chart._repr_svg_() in chart._repr_html_()
    with pytest.raises(ValueError, match="nothing to draw of this Throws: 0 throws"):
        Throws(0).plot()
