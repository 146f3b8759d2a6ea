"""Throws the coins."""

import json

import numpy as np

from tfticket import models
from tfticket.files import write_json
from tfticket.runs.plan import Plan, PlannedCondition, Task
from tfticket.studies.study import Study


class CoinStudy(Study):
    """A task for each seed."""

    def plan(self, run, *, timed):
        """See `Study`."""
        left = [task for task in self.tasks() if not self.finished(task, run)]
        return Plan(
            title=self.recipe.title,
            seeds=self.recipe.seeds,
            conditions=(PlannedCondition("coin", self.recipe.seeds, self.recipe.throws),),
            steps_left=self.recipe.throws * len(left),
            seconds=None,
            size_bytes=100,
        )

    def tasks(self):
        """See `Study`."""
        return tuple(Task(f"seed {seed}") for seed in self.recipe.seeds)

    def network(self):
        """See `Study`."""
        return models.build("lenet_300_100", self.data.input_shape, self.data.num_classes)

    def finished(self, task, run):
        """See `Study`."""
        return self._file(task, run).exists()

    def do(self, task, run, progress):
        """See `Study`."""
        seed = int(task.name.removeprefix("seed "))
        heads = int(np.random.default_rng(seed).integers(0, 2, self.recipe.throws).sum())
        write_json(self._file(task, run), {"heads": heads})

    def finish(self, run, progress):
        """See `Study`."""
        counts = [json.loads(self._file(task, run).read_text())["heads"] for task in self.tasks()]
        return {"heads": sum(counts)}

    @staticmethod
    def _file(task, run):
        return run.path / "coins" / f"{task.name.replace(' ', '_')}.json"
