"""Figures on narrow screens."""

from tfticket.display.charts import NARROW, WIDE, Axis, Panel, below, beside, rows
from tfticket.display.narrow import PANEL, ROOM, narrowed
from tfticket.display.palette import Look

LOOKS = {"ticket": Look("blue"), "dense": Look("ink")}


def panel(*, x="", y="", labels=True, width=WIDE / 3, **more):
    axes = Axis(x, (0, 1)), Axis(y, (0, 1), labels=labels)
    found = Panel(*axes, LOOKS, width=width, **more)
    return found.draw(found.line(rows(x=[0, 1], y=[0, 1], name="ticket")))


def encoding(figure, channel):
    return figure["layer"][0]["encoding"][channel]


def test_what_fits_is_left_as_it_is():
    assert narrowed(panel(width=PANEL)) is None
    assert narrowed(panel(width=NARROW)) is not None


def test_panels_with_axes_come_one_below_the_other_in_their_order():
    figure = below(
        beside(panel(title="loss"), panel(title="gradient", width=WIDE / 2)),
        beside(panel(), panel()),
    )
    column = narrowed(figure)["vconcat"]
    assert [each["title"] for each in column] == ["loss", "gradient", "loss", "gradient"]
    assert [each["width"] for each in column] == [WIDE / 3, PANEL, WIDE / 3, WIDE / 3]
    assert PANEL < ROOM


def test_an_axis_gets_back_what_it_shared_with_its_neighbors():
    figure = below(
        beside(panel(y="loss"), panel(labels=False)),
        beside(panel(x="step", y="beta"), panel(x="epoch", labels=False)),
    )
    column = narrowed(figure)["vconcat"]
    assert [encoding(each, "y")["title"] for each in column] == ["loss", "loss", "beta", "beta"]
    assert [encoding(each, "x")["title"] for each in column] == ["step", "epoch", "step", "epoch"]
    assert all(encoding(each, "y")["axis"]["labels"] for each in column)


def test_panels_without_axes_share_a_row_as_far_as_it_goes():
    tile = {"layer": [{"data": {"values": [{}]}, "mark": {"type": "image"}}], "width": 100}
    found = narrowed(beside(tile, tile, tile, tile))["vconcat"]
    assert [len(row.get("hconcat", [row])) for row in found] == [3, 1]


def test_a_figure_is_not_changed_by_its_narrow_form():
    figure = beside(panel(y="loss"), panel(labels=False))
    copy = beside(panel(y="loss"), panel(labels=False))
    narrowed(figure)
    assert figure == copy
