import io
import itertools
from dataclasses import replace

import pytest
from plans import network as condition
from plans import search
from rich.console import Console
from rich.live import Live

from tfticket.cli.progress import Lines
from tfticket.cli.screen import Board, Screen
from tfticket.runs.plan import Plan, Survivors, Trial
from tfticket.runs.runs import FinishedNetwork

pytestmark = pytest.mark.slow

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
    one.begin(Trial(0, "reinit", 1), 100, 0.8)
    other.begin(Trial(1, "ticket", 0), 100, 1.0)
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
    one.end(Trial(0, "reinit", 1), {"accuracy_at_end": 0.5})
    assert terminal.bottom()[3].split() == ["1", "80.00", "%", "1/2", "90.00", "%", "50.00", "%"]
    assert "reinit" not in terminal.stream.getvalue()  # the table tells it, and no line


def test_messages_stay_above_and_are_broken_between_words(terminal):
    terminal.screen.message("word " * 30)
    assert all(line.split() == ["word"] * len(line.split()) for line in terminal.above())
    assert max(map(len, terminal.above())) <= 80


def test_when_all_are_trained_no_time_is_left_to_tell(terminal):
    terminal.screen.plan(PLAN)
    terminal.screen.begin(Trial(1, "ticket", 0), 400, 1.0)
    terminal.screen.update(400, MEASURED)
    assert terminal.bottom()[-1] == "All networks are trained."


def test_the_table_stays_alone_and_whole(terminal):
    terminal.console.height = 6
    screen = terminal.screen
    screen.plan(PLAN)
    screen.begin(Trial(1, "ticket", 0), 100, 1.0)
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
        part.begin(Trial(seed, "ticket", 12 + 6 * seed), 50_000, 0.1)
        part.update(10_000, MEASURED)
    bottom = terminal.bottom()
    assert len(bottom) < height
    assert max(map(len, bottom)) <= width
    assert "…" not in "".join(bottom)
    assert any(line.startswith("seed 1  ticket, level 18") for line in bottom)


def test_a_study_of_another_kind_shows_its_networks():
    terminal = Terminal()
    conditions = (condition("batch", 1, 100), condition("none", 1, 100))
    terminal.screen.plan(Plan("Tiny", (0,), conditions, 200, None, 0, probes=4))
    terminal.screen.begin(Trial(0, "batch", 0), 100, 1.0)
    terminal.screen.update(50, {**MEASURED, "beta": 12.0})
    assert terminal.bottom()[1:] == [
        "network  seeds  test accuracy  state",
        "batch    0/1                   training",
        "none     0/1",
        "",
        "seed 0  batch  step 50/100  validation accuracy 70.00 %  validation loss 0.6000",
        f"{10 * '━':<40}  25 %  measuring the time left",
    ]


def lottery(levels, seeds=(0, 1), controls=("reinit",)):
    survivors = [
        Survivors({"kernel": round(10_000 * 0.8**level)}, 10_000) for level in range(levels + 1)
    ]
    branches = {"ticket": range(levels + 1), **dict.fromkeys(controls, range(1, levels + 1))}
    return search(survivors, branches, seeds=tuple(seeds))


def study(*conditions, rows="networks"):
    return Plan("Tiny", (0, 1), conditions, 1000, None, 0, rows)


def network(seed, branch, level, structure="", **summary):
    return FinishedNetwork(structure, seed, branch, level, summary)


def part(board, seed, branch, level, name="seed 0"):
    """A network that has begun."""
    begun = Lines(None).part(name)
    begun.trial, begun.density = Trial(seed, branch, level), 0.8**level
    board.begin(begun)
    return begun


def test_a_search_has_a_row_a_level():
    board = Board(
        lottery(2),
        [
            network(0, "ticket", 0, accuracy_at_early_stop=0.9, accuracy_at_end=0.1),
            network(1, "ticket", 0, accuracy_at_early_stop=0.8),
            network(0, "ticket", 1, accuracy_at_end=0.7),
        ],
    )
    board.end(part(board, 0, "reinit", 1), {"accuracy_at_end": 0.6})
    part(board, 1, "ticket", 1)
    assert board.lines(80) == [
        "level  weights left  seeds  test accuracy  reinit    state",
        "    0      100.00 %  2/2          85.00 %            done",
        "    1       80.00 %  1/2          70.00 %   60.00 %  training",
        "    2       64.00 %  0/2",
    ]
    board.stop()
    assert "training" not in "\n".join(board.lines(80))


def test_a_study_has_a_row_a_network():
    board = Board(
        study(condition("batch-lr0.1", 2, 100), condition("none-lr0.1", 2, 100)),
        [
            network(0, "batch-lr0.1", 0, loss_at_end=1234.5),
            network(0, "none-lr0.1", 0, diverged_step=5.0),
        ],
    )
    board.end(part(board, 1, "none-lr0.1", 0), {"diverged_step": 3.0, "loss_at_end": 9e9})
    part(board, 1, "batch, searching at level 2", 2)  # has no row
    assert board.lines(80) == [
        "network      seeds  test loss  state",
        "batch-lr0.1  1/2        1,234",
        "none-lr0.1   2/2               2 diverged",
    ]


def test_searches_of_structures_have_a_row_each():
    searches = [
        replace(condition(f"search {name}", 2, 100), networks=3) for name in ("channel", "n_of_m")
    ]
    board = Board(study(*searches, rows="searches"), [network(0, "ticket", 1, "channel")])
    running = part(board, 0, "ticket", 2, name="structure n_of_m, seed 0")
    assert board.lines(80)[1:] == ["channel  1/6", "n_of_m   0/6       training"]
    board.end(running, {})
    assert board.lines(80)[2] == "n_of_m   1/6"


WIDE = [lottery(24, range(12), controls) for controls in ((), ("reinit", "shuffle", "random"))]
STUDY = study(*(condition(f"symmetric0.{n}-cross_entropy", 2, 100) for n in range(40)))


@pytest.mark.parametrize("plan", [*WIDE, STUDY], ids=["tickets", "controls", "study"])
@pytest.mark.parametrize("width", [80, 60, 40])
def test_nothing_is_cut_however_narrow_and_low_the_terminal_is(plan, width):
    board = Board(plan)
    is_search = plan.rows == "levels"
    rows = 25 if is_search else 40
    layouts = set()
    for number in range(rows):
        name = ("ticket", number) if is_search else (plan.conditions[number].branch, 0)
        board.end(part(board, 0, *name), {"accuracy_at_end": 1.0})
        running = part(board, 1, *name)
        for room in (4, 10, 20):
            lines = board.lines(width, room)
            assert len(lines) <= room
            assert max(map(len, lines)) <= width
            assert any("training" in line for line in lines) or "state" not in lines[0]
            layouts.add(lines[0])
        board.end(running, {"accuracy_at_end": 1.0})
    assert len(layouts) == 1  # no column comes and goes


def test_the_rows_around_those_in_training_and_the_dense_one_are_shown():
    board = Board(lottery(24))
    part(board, 0, "ticket", 5)
    part(board, 1, "ticket", 19)
    shown = [line.split()[0] for line in board.lines(80, 12)]
    assert shown == ["level", "0", "(2", "3", "4", "5", "6", "(11", "18", "19", "20", "(4"]
    assert len(board.lines(80)) == 26


def test_where_nothing_is_trained_the_first_unfinished_row_is_shown():
    done = [network(seed, "ticket", level) for seed in (0, 1) for level in range(18)]
    board = Board(lottery(24, controls=()), done)
    first, second, *_ = [line.split()[0] for line in board.lines(80, 8)][1:]
    assert (first, second) == ("0", "(15")
    assert "18" in [line.split()[0] for line in board.lines(80, 8)]


def test_gaps_say_how_many_rows_are_left_out():
    board = Board(lottery(24, controls=()))
    for room in range(2, 30):
        lines = board.lines(80, room)[1:]
        gaps = [int(line[1:].split()[0]) for line in lines if line.startswith("(")]
        assert sum(gaps) + len(lines) - len(gaps) == 25
        pairs = itertools.pairwise(lines)
        assert not any(before[0] == after[0] == "(" for before, after in pairs)
