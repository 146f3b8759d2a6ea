import pytest

from tfticket.display import words
from tfticket.report.reading import read_run
from tfticket.studies.lottery import page
from tfticket.studies.lottery.anatomy import dissect

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def anatomy(run):
    return dissect(read_run(run), [0, 6])


def column(table, name):
    assert {len(row) for row in table.rows} == {len(table.columns)}
    place = table.columns.index(name)
    return [row[place].text for row in table.rows]


def test_the_levels_that_were_opened(anatomy):
    table = page.anatomy_table(anatomy, {0: 1.0, 6: 0.26})
    thin = words.THIN
    assert column(table, "weights left") == [f"100{thin}%", f"26.0{thin}%"]
    assert column(table, "on a path to the output")[0] == f"100{thin}%"
    ratios = [found.ratio for found in anatomy.levels[1].overlaps]
    assert column(table, "in common with another seed, of chance") == [
        f"1.00{words.TIMES}",
        words.factor(sum(ratios) / 3),
    ]


def test_a_ticket_layer_by_layer(anatomy):
    level = anatomy.levels[1]
    table = page.layer_table(level)
    assert column(table, "<layer") == list(level.mask)
    assert column(table, "kept") == [words.number(kept) for kept in level.mask.counts().values()]
    assert column(table, "<shape")[0] == f"64{words.TIMES}32"
    # Nothing comes after the output layer.
    assert column(table, "nothing goes out")[-1] == words.NONE


def test_exports_say_what_is_known():
    table = page.export_table(
        [
            {
                "path": "a.tflite",
                "format": "int8",
                "size_bytes": 273288,
                "gzip_bytes": 31877,
                "verification": {"accuracy": 0.98, "keras_accuracy": 0.981, "agreement": None},
                "latency": {"microseconds": 21.0, "speedup": 1.5},
            },
            {"path": "b.tflite", "latency": None},
        ]
    )
    texts = [[cell.text for cell in row] for row in table.rows]
    thin, dash = words.THIN, words.NONE
    assert texts[0][1:] == [
        "int8",
        f"273.3{thin}kB",
        f"31.9{thin}kB",
        f"98.00{thin}%",
        f"98.10{thin}%",
        dash,
        f"21.0{thin}\N{MICRO SIGN}s",
    ]
    assert texts[1] == ["b.tflite", "", *[dash] * 6]
