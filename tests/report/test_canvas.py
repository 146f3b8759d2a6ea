import re

import matplotlib as mpl
import pytest
from PIL import Image

from tfticket.report import canvas


def drawing(title="a & b"):
    figure, axes = canvas.new_axes()
    axes.plot([0, 1], [0, 1], color=canvas.LIGHT["blue"], label="<ticket>")
    axes.set_title(title)
    axes.legend()
    return figure


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
    colors = {name: pair[mode] for name, pair in canvas.PALETTE.items()}
    for name, color in colors.items():
        if name in ("paper", "wash", "line"):
            continue
        text = name in ("ink", "muted", "blue", "orange", "green")
        least = 4.5 if text else 2.0 if name.startswith("level") else 3.0
        assert contrast(color, colors["paper"]) >= least, name


def test_colors_can_be_told_apart_in_an_svg():
    assert len({light for light, _ in canvas.PALETTE.values()}) == len(canvas.PALETTE)


def test_an_svg_takes_the_colors_of_the_page():
    with canvas.settings():
        svg = canvas.to_svg(drawing(), name="one")
    assert svg.startswith("<svg")
    assert "var(--blue)" in svg
    assert "var(--ink)" in svg
    assert canvas.LIGHT["blue"] not in svg
    assert "a &amp; b" in svg
    assert "&lt;ticket&gt;" in svg
    assert "<metadata>" not in svg
    head = svg[: svg.index(">")]
    assert "viewBox" in head
    assert " width=" not in head


def test_an_svg_is_the_same_each_time_and_has_names_of_its_own():
    with canvas.settings():
        first, again, other = (canvas.to_svg(drawing(), name=n) for n in ("one", "one", "two"))
    assert first == again

    def names(svg):
        return set(re.findall(r'\bid="([^"]+)"', svg))

    assert names(first)
    assert not names(first) & names(other)
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', first)) <= names(first)


def test_a_png_is_on_white_paper(tmp_path):
    with canvas.settings():
        (tmp_path / "a.png").write_bytes(canvas.to_png(drawing()))
    with Image.open(tmp_path / "a.png") as image:
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        assert image.size == (1120, 700)


def test_matplotlib_is_left_as_it_was():
    before = dict(mpl.rcParams)
    with canvas.settings():
        drawing()
    assert dict(mpl.rcParams) == before


def test_branches_keep_their_looks():
    branches = ("ticket", "reinit", "mine", "yours")
    styles = [tuple(canvas.branch_style(name, branches).values()) for name in branches]
    assert len(set(styles)) == 4
    assert canvas.branch_style("reinit", ("reinit",)) == canvas.branch_style("reinit", branches)


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 5, 10]), (1, [0]), (20, list(range(11)))])
def test_spread_out(count, expected):
    assert canvas.spread_out(list(range(11)), count) == expected
    assert canvas.spread_out([], count) == []


def test_the_density_axis_runs_from_dense_to_sparse():
    with canvas.settings():
        _, axes = canvas.new_axes()
        canvas.density_axis(axes, [0.8**level for level in range(20)])
        left, right = axes.get_xlim()
        labels = [label.get_text() for label in axes.get_xticklabels()]
    assert left > 1 > 0.8**19 > right
    assert labels[0] == "100"
    assert len(labels) <= 10


def test_percent_ticks_have_the_digits_they_need():
    with canvas.settings():
        figure, axes = canvas.new_axes()
        axes.set_ylim(0.97, 0.985)
        axes.set_yticks([0.97, 0.9725, 0.975])
        canvas.percent_axis(axes, "accuracy")
        figure.draw_without_rendering()
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["97.00", "97.25", "97.50"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.05, "0.05"),
        (20, "20"),
        (1e-3, "0.001"),
        (50_000, "50\N{NARROW NO-BREAK SPACE}000"),
        (1e6, "10⁶"),
        (2e-5, "2·10⁻⁵"),
        (0, ""),
    ],
)
def test_ticks_of_logarithmic_axes_are_plain(value, text):
    assert canvas.power(value) == text


@pytest.mark.parametrize(("low", "high"), [(0.5, 2), (0.1, 40), (1e-9, 1e12)])
def test_a_logarithmic_axis_has_a_handful_of_ticks(low, high):
    _, axes = canvas.grid(1, 2, width=6, height=3)
    axis = axes[0][1].yaxis
    axes[0][1].set_ylim(low, high)
    canvas.log_axis(axis)
    assert axes[0][1].get_yscale() == "log"
    ticks = [*axis.get_majorticklocs(), *axis.get_minorticklocs()]
    assert 2 <= len([tick for tick in ticks if low <= tick <= high]) <= 12


def test_steps_are_counted_from_none_to_the_last():
    _, axes = canvas.new_axes()
    canvas.step_axis(axes, 15_000)
    assert axes.get_xlim() == (0, 15_000)
    assert axes.get_xlabel() == "iteration"
