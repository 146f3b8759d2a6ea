import subprocess
from importlib.metadata import version

from tfticket.runs.environment import _git_commit, record_start
from tfticket.runs.rundir import RunDir


def test_the_first_start_says_with_what_the_run_was_made(tmp_path):
    run = RunDir(tmp_path)
    record_start(run, command=["tfticket", "recipe", "run", "lth_digits"])
    facts = run.environment_facts()
    assert facts["command"] == ["tfticket", "recipe", "run", "lth_digits"]
    assert facts["versions"]["numpy"] == version("numpy")
    assert facts["cpus"] >= 1
    assert facts.keys() >= {"started", "platform", "processor", "git_commit"}


def test_later_starts_are_added(tmp_path):
    run = RunDir(tmp_path)
    for number in range(3):
        record_start(run, command=[str(number)])
    facts = run.environment_facts()
    assert facts["command"] == ["0"]
    assert [start["command"] for start in facts["resumed"]] == [["1"], ["2"]]


def test_the_commit_is_marked_when_files_differ_from_it(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True)

    assert _git_commit(tmp_path) is None
    git("init", "--quiet")
    assert _git_commit(tmp_path) is None
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "--quiet", "-m", "first")
    clean = _git_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "file").write_text("2")
    assert _git_commit(tmp_path) == f"{clean}+"
