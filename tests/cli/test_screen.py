import io

import pytest
from plans import network, search
from rich.console import Console
from rich.live import Live

from tfticket.cli.screen import Screen
from tfticket.runs.plan import Plan, Survivors
from tfticket.runs.runs import FinishedNetwork

PLAN = search(
    [Survivors({"kernel": 100 - 20 * level}, 100) for level in (0, 1)],
    {"ticket": (0, 1), "reinit": (1,)},
    steps_left=400,
    seconds=40.0,
    size_bytes=1_000_000,
)
MEASURED = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.7}
FINISHED = [
    FinishedNetwork("", 0, "ticket", level, {"accuracy_at_early_stop": 0.9}) for level in (0, 1)
]


class Terminal:
    """A screen on a terminal of a fixed size, drawn when it is asked for."""

    def __init__(self, width=80, height=24, finished=()):
        self.stream = io.StringIO()
        self.console = Console(file=self.stream, width=width, height=height)
        self.live = Live(console=self.console, auto_refresh=False)
        self.screen = Screen(self.live, finished, now=lambda: 0.0)
        self.live.update(self.screen)

    def bottom(self):
        """What stands below the lines that stay."""
        with self.console.capture() as captured:
            self.console.print(self.screen)
        return captured.get().splitlines()

    def above(self):
        return self.stream.getvalue().splitlines()


@pytest.fixture
def terminal():
    return Terminal(finished=FINISHED)


def test_a_plan_becomes_two_lines_and_a_table(terminal):
    assert terminal.bottom() == []
    terminal.screen.plan(PLAN)
    assert terminal.above() == [
        "Seeds 0, 1; 100 steps a level.",
        "400 of 600 steps left, about 40 s, about 1 MB on disk.",
    ]
    assert terminal.bottom() == [
        "",
        "level  weights left  seeds  test accuracy  reinit    state",
        "    0      100.00 %  1/2          90.00 %",
        "    1       80.00 %  1/2          90.00 %",
        "",
        "Starting",
        f"{13 * '━':<40}  33 %  40 s left",
    ]


def test_networks_that_are_trained_at_the_same_time_have_a_line_each(terminal):
    screen = terminal.screen
    screen.plan(PLAN)
    one, other = screen.part("seed 0, reinit"), screen.part("seed 1")
    one.begin(0, "reinit", 1, 100, 0.8)
    other.begin(1, "ticket", 0, 100, 1.0)
    one.update(50, MEASURED)
    assert terminal.bottom()[2:-1] == [
        "    0      100.00 %  1/2          90.00 %            training",
        "    1       80.00 %  1/2          90.00 %            training",
        "",
        "seed 0  reinit, level 1  step 50/100  validation accuracy 70.00 %",
        "seed 1  ticket, level 0  step 0/100",
    ]
    one.update(100, MEASURED)  # no more to tell of it
    assert terminal.bottom()[-2].startswith("seed 1")
    assert terminal.bottom()[-3] == ""
    one.end(0, "reinit", 1, {"accuracy_at_end": 0.5})
    assert terminal.bottom()[3].split() == ["1", "80.00", "%", "1/2", "90.00", "%", "50.00", "%"]
    assert "reinit" not in terminal.stream.getvalue()  # the table tells it, and no line


def test_messages_stay_above_and_are_broken_between_words(terminal):
    terminal.screen.message("word " * 30)
    assert all(line.split() == ["word"] * len(line.split()) for line in terminal.above())
    assert max(map(len, terminal.above())) <= 80


def test_when_all_are_trained_no_time_is_left_to_tell(terminal):
    terminal.screen.plan(PLAN)
    terminal.screen.begin(1, "ticket", 0, 400, 1.0)
    terminal.screen.update(400, MEASURED)
    assert terminal.bottom()[-1] == "All networks are trained."


def test_the_table_stays_alone_and_whole(terminal):
    terminal.console.height = 6
    screen = terminal.screen
    screen.plan(PLAN)
    screen.begin(1, "ticket", 0, 100, 1.0)
    assert "(" in "".join(terminal.bottom())
    screen.close()
    assert terminal.bottom() == [
        "",
        "level  weights left  seeds  test accuracy  reinit    state",
        "    0      100.00 %  1/2          90.00 %",
        "    1       80.00 %  1/2          90.00 %",
    ]
    assert not terminal.live.transient


def test_where_there_is_no_plan_nothing_stays(terminal):
    terminal.screen.message("exported")
    terminal.screen.close()
    assert terminal.bottom() == []
    assert terminal.live.transient


@pytest.mark.parametrize(("width", "height"), [(80, 24), (50, 16), (30, 10)])
def test_it_fits_the_terminal(width, height):
    levels = [Survivors({"kernel": 50_000}, 266_200)] * 25
    branches = {name: tuple(range(1, 25)) for name in ("reinit", "reinit_2", "reinit_3", "shuffle")}
    terminal = Terminal(width, height)
    terminal.screen.plan(search(levels, {"ticket": range(25), **branches}, steps_left=10**6))
    for seed in (0, 1):
        part = terminal.screen.part(f"seed {seed}")
        part.begin(seed, "ticket", 12 + 6 * seed, 50_000, 0.1)
        part.update(10_000, MEASURED)
    bottom = terminal.bottom()
    assert len(bottom) < height
    assert max(map(len, bottom)) <= width
    assert "…" not in "".join(bottom)
    assert any(line.startswith("seed 1  ticket, level 18") for line in bottom)


def test_a_study_of_another_kind_shows_its_networks():
    terminal = Terminal()
    conditions = (network("batch", 1, 100), network("none", 1, 100))
    terminal.screen.plan(Plan("Tiny", (0,), conditions, 200, None, 0, probes=4))
    terminal.screen.begin(0, "batch", 0, 100, 1.0)
    terminal.screen.update(50, {**MEASURED, "beta": 12.0})
    assert terminal.bottom()[1:] == [
        "network  seeds  test accuracy  state",
        "batch    0/1                   training",
        "none     0/1",
        "",
        "seed 0  batch  step 50/100  validation accuracy 70.00 %  validation loss 0.6000",
        f"{10 * '━':<40}  25 %  measuring the time left",
    ]
