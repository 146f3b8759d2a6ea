from .rundir import RunDir as RunDir
