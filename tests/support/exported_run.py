"""A run of the kind `lottery` as training leaves it, without any training."""

from helpers import random_mask
from tiny_recipe import recipe

from tfticket.files import write_json
from tfticket.lottery import Ticket
from tfticket.metrics import Row
from tfticket.recipe.parsing import resolve
from tfticket.runs.rundir import RunDir
from tfticket.sparsity import Mask
from tfticket.state import Snapshot, prunable_variables

CHANGES = ("model.width=0.1", "data.limit=300", 'export.formats=["int8"]')


def rows(seed, level, accuracy, step=100, branch="ticket"):
    """What is measured of a network that reaches its lowest validation loss at a step."""
    at = (seed, branch, level)
    return [
        *(Row(*at, each, 1.0, "validation", "loss", float(each < step)) for each in range(1, 501)),
        Row(*at, step, 1.0, "test", "accuracy_at_early_stop", accuracy),
        Row(*at, 300, 3.0, "test", "accuracy_at_end", accuracy),
        Row(*at, 300, 3.0, "summary", "density", 0.8**level),
        Row(*at, 300, 3.0, "summary", "remaining", 1000 * 0.8**level),
        Row(*at, 300, 3.0, "summary", "prunable", 1000),
        Row(*at, 300, 3.0, "summary", "seconds", 1.0),
    ]


def finish(run, experiment, seed, level, density, **provenance):
    """Leaves of a level what training leaves."""
    model = experiment.model(seed)
    final = Snapshot.capture(model, step=300, optimizer=False)
    mask = random_mask(model, density, seed=level)
    if level == 0:
        mask = Mask.ones({key: tuple(v.shape) for key, v in prunable_variables(model).items()})
    told = {"data_fingerprint": experiment.data.fingerprint, **provenance}
    Snapshot(mask.apply(final.variables), None, 300).save(run.final(seed, "ticket", level))
    run.append_rows(rows(seed, level, 0.5))
    Ticket(mask, final.variables, level, 0, told).save(run.ticket(seed, "ticket", level))


def write_run(path, experiment):
    """Seed 0 has level 0 and 1, seed 1 has all of them."""
    run = RunDir(path)
    run.path.mkdir()
    write_json(run.recipe_json, resolve(recipe(*CHANGES)))
    for seed, level in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]:
        finish(run, experiment, seed, level, 0.5)
    return run
