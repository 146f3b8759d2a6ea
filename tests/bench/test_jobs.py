from tfticket.bench.jobs import StudyTask, study
from tfticket.runner import Processes


def test_a_study_takes_the_time_of_the_processes_that_do_it():
    task = StudyTask(study("digits", seeds=1, levels=1, steps=4), Processes(1))
    spent = task()
    assert spent.wall > 0
    assert spent.cpu > 1  # importing TensorFlow alone takes longer, in the other process
