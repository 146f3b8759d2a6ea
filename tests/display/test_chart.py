import json
import re

from tfticket.display.chart import Chart
from tfticket.display.charts import Axis, Panel, rows
from tfticket.display.palette import Look
from tfticket.display.plots import bars


def identifiers(svg):
    return set(re.findall(r'\bid="([^"]+)"', svg))


def clipped(name):
    """A line that leaves its panel, for which an SVG needs a named clip path."""
    panel = Panel(Axis("step", (0, 1)), Axis("loss", (0, 1)), {name: Look("blue")})
    return panel.draw(panel.line(rows(x=[0, 1], y=[0.5, 2.0], name=name)))


def test_two_charts_on_a_page_share_no_identifier():
    one, other = (Chart(clipped(name)).svg for name in ("a", "b"))
    assert identifiers(one)
    assert not identifiers(one) & identifiers(other)
    assert one == Chart(clipped("a")).svg


def test_a_saved_specification_draws_itself_without_the_colors_of_a_page(tmp_path):
    path = Chart(bars({"hidden": 0.25}, "density")).save(tmp_path / "layers.json")
    found = json.loads(path.read_text())
    assert found["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert "var(--" not in path.read_text()
