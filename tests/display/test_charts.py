import base64
import io
import re

import numpy as np
import pytest
from drawn import layers
from PIL import Image

from tfticket.display import charts, pictures
from tfticket.display.charts import Axis, Panel, rows
from tfticket.display.palette import PALETTE, Look


def drawing(title="a & b", y=(0, 1), **axis):
    panel = Panel(Axis("x"), Axis("y", **axis), {"<ticket>": Look("blue", "circle")}, title=title)
    line = rows(x=[0, 1], y=list(y), name="<ticket>")
    return panel.draw(panel.line(line), panel.points(line))


def labels(svg):
    """The labels of the vertical axis."""
    axis = re.findall(r'aria-label="Y-axis.*?role-axis-title', svg, re.DOTALL)[0]
    return re.findall(r"<text[^>]*>([^<]*)</text>", axis)


def luminance(color):
    """Relative luminance of sRGB, as WCAG 2 defines it."""
    values = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1])
def test_colors_are_legible_on_their_paper(mode):
    colors = {name: pair[mode] for name, pair in PALETTE.items()}
    for name, color in colors.items():
        if name in ("paper", "wash", "line"):
            continue
        text = name in ("ink", "muted", "blue", "orange", "green")
        least = 4.5 if text else 2.0 if name.startswith("level") else 3.0
        assert contrast(color, colors["paper"]) >= least, name


def test_colors_can_be_told_apart_in_an_svg():
    assert len({light for light, _ in PALETTE.values()}) == len(PALETTE)


def test_an_svg_takes_the_colors_of_the_page():
    svg = charts.to_svg(drawing(), name="one")
    assert svg.startswith("<svg")
    assert "var(--blue)" in svg
    assert "var(--ink)" in svg
    assert not re.search(r"#[0-9a-f]{3,6}\b(?!;)", svg.replace("url(#", ""))
    assert "a &amp; b" in svg
    assert "&lt;ticket&gt;" in svg
    assert "viewBox" in svg[: svg.index(">")]


def test_an_svg_is_the_same_each_time_and_has_names_of_its_own():
    clipped = drawing(domain=(0, 0.5))
    first, again, other = (charts.to_svg(clipped, name=n) for n in ("one", "one", "two"))
    assert first == again

    def names(svg):
        return set(re.findall(r'\bid="([^"]+)"', svg))

    assert names(first)
    assert not names(first) & names(other)
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', first)) <= names(first)


def test_points_speak_of_themselves():
    spoken = re.findall(r'<path aria-label="([^"]*)"', charts.to_svg(drawing(), name="a"))
    assert "&lt;ticket&gt;; x: 1; y: 1" in spoken
    panel = Panel(Axis("speed, logarithmic"), Axis(ticks={0: "zero"}))
    told = panel.described([{"x": -1234.5678, "y": 0, "low": 0, "high": 2.5, "name": "a"}])
    thin = "\N{NARROW NO-BREAK SPACE}"
    assert told[0]["description"] == f"a; speed: \N{MINUS SIGN}1{thin}235; zero (zero to 2.5)"


def test_a_png_is_on_white_paper(tmp_path, monkeypatch, dots_per_inch):
    monkeypatch.setattr(charts, "_DOTS_PER_INCH", dots_per_inch)
    (tmp_path / "a.png").write_bytes(charts.to_png(charts.to_svg(drawing(), name="a")))
    with Image.open(tmp_path / "a.png") as image:
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        assert image.width > 1000


def test_only_what_leaves_the_panel_is_clipped():
    assert "clip" not in layers(drawing(domain=(0, 1)), "line")[0]["mark"]
    assert layers(drawing(domain=(0, 0.5)), "line")[0]["mark"]["clip"]


def test_what_is_not_finite_is_missing():
    assert rows(x=np.array([1, 2]), y=[np.inf, np.nan], name="a") == [
        {"x": 1, "y": None, "name": "a"},
        {"x": 2, "y": None, "name": "a"},
    ]


def test_a_picture_is_as_dark_as_its_values():
    layer = pictures.picture(np.array([[0.0, 1.0], [np.nan, 0.5]]), width=20, height=20)
    address = layer["data"]["values"][0]["url"]
    image = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
    assert np.asarray(image)[..., 3].tolist() == [[0, 255], [0, 140]]


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 5, 10]), (1, [0]), (20, list(range(11)))])
def test_spread_out(count, expected):
    assert charts.spread_out(list(range(11)), count) == expected
    assert charts.spread_out([], count) == []


def test_the_density_axis_runs_from_dense_to_sparse():
    axis = charts.density_axis([0.8**level for level in range(20)])
    left, right = axis.domain
    assert left > 100 > 100 * 0.8**19 > right
    assert next(iter(axis.ticks.values())) == "100"
    assert len(axis.ticks) <= 10


def test_ticks_have_the_digits_they_need():
    svg = charts.to_svg(drawing(y=(97, 97.6), domain=(97, 97.6)), name="a")
    assert labels(svg)[:3] == ["97.0", "97.1", "97.2"]
    svg = charts.to_svg(drawing(y=(0, 4000), domain=(0, 4000)), name="a")
    assert labels(svg)[-1] == "4\N{NARROW NO-BREAK SPACE}000"


def test_labels_of_ticks_are_text_and_no_code():
    axis = {"ticks": {0: """a'"]+[b""", 1: "\\"}, "domain": (0, 1)}
    assert labels(charts.to_svg(drawing(**axis), name="a")) == ["a'\"]+[b", "\\"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.05, "0.05"),
        (20, "20"),
        (1e-3, "0.001"),
        (50_000, "50\N{NARROW NO-BREAK SPACE}000"),
        (1e6, "10⁶"),
        (2e-5, "2·10⁻⁵"),
    ],
)
def test_ticks_of_logarithmic_axes_are_plain(value, text):
    assert charts.power(value) == text


@pytest.mark.parametrize(("low", "high"), [(0.5, 2), (0.1, 40), (1e-9, 1e12)])
def test_a_logarithmic_axis_has_a_handful_of_ticks(low, high):
    axis = charts.log_axis("y", low, high)
    assert axis.log
    assert 2 <= len(axis.ticks) <= 12


def test_steps_are_counted_from_none_to_the_last():
    axis = charts.step_axis(15_000)
    assert axis.domain == (0, 15_000)
    assert axis.title == "iteration"
