"""Who does the tasks of a run: this process, others beside it, or a cluster."""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Choice": "tfticket.recipe.executors.executor",
        "Executor": "tfticket.recipe.executors.executor",
        "Processes": "tfticket.recipe.executors.processes",
        "RayCluster": "tfticket.recipe.executors.ray_cluster",
        "suited": "tfticket.recipe.executors.choosing",
        "Serial": "tfticket.recipe.executors.executor",
    },
)
