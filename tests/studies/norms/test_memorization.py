import json

import pytest
from estimates import interval
from synthetic_runs import cell, write_norms

from tfticket.display.words import THIN
from tfticket.lottery.comparison import t_interval
from tfticket.report.reading import read_run
from tfticket.studies.norms.memorization import summarize_memorization
from tfticket.studies.norms.networks import read_study
from tfticket.studies.norms.results import summarize_conditions


def summarized(study):
    return summarize_memorization(study, summarize_conditions(study, first=1.0))


def memorization_of(path, *subnetworks, seeds=(0, 1, 2), **options):
    cells = [cell("batch", subnetwork=kind, seeds=seeds) for kind in subnetworks]
    return summarized(read_study(read_run(write_norms(path, cells, shift=False, **options))))


@pytest.fixture(scope="module")
def found(noise_study):
    return summarized(noise_study)


def test_each_subnetwork_is_held_against_the_others_of_its_norm(found):
    assert [(c.condition.name, c.against.name) for c in found.contrasts[:3]] == [
        ("batch-lr0.1-b128-ticket", "batch-lr0.1-b128-dense"),
        ("batch-lr0.1-b128-random", "batch-lr0.1-b128-dense"),
        ("batch-lr0.1-b128-ticket", "batch-lr0.1-b128-random"),
    ]
    assert len(found.contrasts) == 6


def test_differences_are_paired_by_seed_and_leave_out_what_diverged(found, noise_study):
    ticket, random = found.contrasts[3], found.contrasts[4]
    own, other = (
        {seed: network.results["memorized_last"] for seed, network in noise_study.of(each).items()}
        for each in (ticket.condition, ticket.against)
    )
    expected = t_interval([own[seed] - other[seed] for seed in (0, 1, 2)])
    assert interval(ticket.measures["memorized_last"]) == expected
    assert random.measures["memorized_last"].seeds == 2


def test_the_noise_is_told_as_asked_for_and_as_it_came_out(found):
    assert found.noise == f"symmetric noise of 40{THIN}%"
    assert found.realized.mean == pytest.approx(0.398)
    assert found.last == 3
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_answer_is_no_where_the_ticket_memorizes_more(found):
    question, batch, clean, *_ = found.sentences
    assert question == (
        f"Does a ticket found under symmetric noise of 40{THIN}% memorize less than its dense "
        "network? (Means of the last 3 evaluations.)"
    )
    assert batch.startswith("With batch norm, no: it memorizes 99.")
    assert "a random subnetwork with as many weights 83." in batch
    assert clean.startswith("The ticket's accuracy on clean test data is ")
    assert "lower" in clean


def test_the_answer_is_yes_where_it_memorizes_less(tmp_path):
    # The dense network's numbers under the name of a ticket, and the ticket's as dense ones.
    run = write_norms(
        tmp_path,
        [cell("batch", subnetwork=kind, name=kind) for kind in ("ticket", "dense")],
        noise=True,
        shift=False,
    )
    swapped = json.loads((run / "cells.json").read_text())
    for each in swapped["cells"]:
        each["subnetwork"] = {"ticket": "dense", "dense": "ticket"}[each["subnetwork"]]
    (run / "cells.json").write_text(json.dumps(swapped))
    sentences = summarized(read_study(read_run(run))).sentences
    assert sentences[1].startswith("With batch norm, yes: ")


def test_seeds_that_disagree_cant_tell_and_sooner_is_told_apart(tmp_path):
    run = write_norms(
        tmp_path,
        [cell("batch", subnetwork=kind) for kind in ("dense", "ticket")],
        noise=True,
        shift=False,
    )
    lines = (run / "metrics.csv").read_text().splitlines()
    ends = {("0", "dense"): 0.99, ("1", "dense"): 1.0, ("2", "dense"): 0.98}
    for place, line in enumerate(lines):
        seed, branch, *_, name, value = line.split(",")
        if name == "memorized_last":
            kept = ends.get((seed, branch.rpartition("-")[2]), 0.99)
            lines[place] = line.removesuffix(value) + str(kept)
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    _, batch, sooner, _ = summarized(read_study(read_run(run))).sentences
    assert batch.startswith("With batch norm, not significantly: ")
    assert sooner.startswith("In the mean of all evaluations, which tells who is sooner, ")
    assert "points higher" in sooner


def test_one_seed_cant_tell(tmp_path):
    found = memorization_of(tmp_path, "dense", "ticket", seeds=(0,), noise=True)
    _, batch, clean = found.sentences
    assert batch.startswith("With batch norm, one seed can't tell: ")
    assert clean.endswith("lower in the only seed.")


def test_without_tickets_each_network_is_told(tmp_path):
    found = memorization_of(tmp_path, "dense", noise=True)
    assert found.contrasts == ()
    (said,) = found.sentences
    assert "of the wrong labels are memorized: 97." in said
    assert "by batch-lr0.1-b128-dense" in said


def test_a_run_without_noise_has_none(tmp_path):
    assert memorization_of(tmp_path, "dense", "ticket") is None
