from estimates import estimate as interval

from tfticket.display.words import MINUS
from tfticket.report.estimate import Estimate
from tfticket.studies.norms.headline import band, difference, headline
from tfticket.studies.norms.networks import NormCondition
from tfticket.studies.norms.results import BatchLoss, Contrast


def branch(norm, subnetwork="dense"):
    return NormCondition(norm, 100, (0,), norm, norm, 0.1, 128, subnetwork)


def say(*contrasts, subnetworks=(), losses=(), expectations=(), first=1.0, trained=True):
    return headline(contrasts, subnetworks, losses, expectations, first=first, trained=trained)


def test_a_band_is_narrower_wider_or_cant_be_told():
    assert band("loss band", interval(2.06, 3.2, 4.9)) == (
        "the loss band is 3.2 times narrower (2.1 to 4.9)"
    )
    assert band("loss band", interval(0.25, 0.4, 0.5)) == (
        "the loss band is 2.5 times wider (2.0 to 4.0)"
    )
    assert band("loss band", interval(0.7, 1.3, 2.4)) == (
        "the loss band is not significantly narrower or wider (1.30 times, 0.70 to 2.4)"
    )
    assert band("loss band", Estimate.of_ratio({0: 3.0}, {0: 1.0})) == (
        "the loss band is 3.0 times narrower"
    )


def test_the_bands_are_told_with_their_seeds_and_their_part_of_training():
    measures = {"predictiveness": interval(3.9, 5.1, 6.6), "loss_band": interval(0.7, 1.3, 2.4)}
    contrast = Contrast(branch("batch"), measures, branch("none"))
    assert say(contrast, first=0.667) == (
        "With batch norm instead of none, the gradient-predictiveness band is 5.1 times narrower "
        "(3.9 to 6.6) and the loss band is not significantly narrower or wider (1.30 times, "
        "0.70 to 2.4) over the first two thirds of training (3 seeds)."
    )


def test_batch_norm_is_spoken_of_first_and_accuracy_follows():
    measures = {"predictiveness": interval(2, 3, 4), "accuracy": interval(0.01, 0.025, 0.04)}
    said = say(
        Contrast(branch("group"), measures, branch("none")),
        Contrast(branch("batch"), measures, branch("none")),
    )
    assert said.startswith("With batch norm instead of none, ")
    assert said.endswith("Its test accuracy is 2.50 points higher (+1.00 to +4.00).")
    other = say(Contrast(branch("group"), measures, branch("batch")))
    assert other.startswith("With group norm, against batch norm, ")


def test_accuracy_alone_names_its_sides():
    measures = {"accuracy": interval(0.01, 0.025, 0.04)}
    assert say(Contrast(branch("group"), measures, branch("batch"))) == (
        "With group norm, against batch norm, the test accuracy is 2.50 points higher "
        "(+1.00 to +4.00)."
    )


def test_one_seed_is_called_luck():
    measures = {"loss_band": Estimate.of_ratio({0: 4.0}, {0: 1.0})}
    assert "One seed can't tell that from luck." in say(
        Contrast(branch("batch"), measures, branch("none"))
    )


def test_a_mean_that_few_moments_rule_is_said():
    measures = {
        "predictiveness": interval(800, 1000, 1200),
        "predictiveness_median": interval(3, 4, 5),
    }
    assert "in its median width, the band is 4.0 times narrower (3.0 to 5.0)." in say(
        Contrast(branch("batch"), measures, branch("none"))
    )


def test_a_relative_band_that_hides_the_loss_is_said():
    measures = {"loss_band": interval(0.9, 1.02, 1.2), "loss_width": interval(4, 5, 6)}
    assert "in units of the loss, it is 5.0 times narrower (4.0 to 6.0)." in say(
        Contrast(branch("batch"), measures, branch("none"))
    )


def test_a_difference_of_accuracy():
    assert difference(interval(0.01, 0.031, 0.05)) == "3.10 points higher (+1.00 to +5.00)"
    assert difference(interval(-0.05, -0.031, -0.01)) == (
        f"3.10 points lower ({MINUS}5.00 to {MINUS}1.00)"
    )
    assert difference(interval(-0.01, 0.001, 0.012)) == (
        f"not significantly different (+0.10 points, {MINUS}1.00 to +1.20)"
    )
    assert difference(Estimate.of({0: 0.02})) == "2.00 points higher in the only seed"


def test_a_norm_with_another_largest_batch_says_so():
    losses = [
        BatchLoss("group", 2, 32, interval(0.01, 0.02, 0.03), None),
        BatchLoss("batch", 2, 64, interval(0.09, 0.12, 0.15), None),
    ]
    said = say(losses=losses)
    assert said.startswith(
        "From batches of 64 to batches of 2, test accuracy changes by "
        f"{MINUS}2.00 points ({MINUS}3.00 to {MINUS}1.00) with group norm from 32; "
    )
    assert f"by {MINUS}12.00 points ({MINUS}15.00 to {MINUS}9.00) with batch norm" in said


def test_small_batches_are_told_norm_by_norm():
    losses = [
        BatchLoss("batch", 8, 64, interval(0.01, 0.02, 0.03), None),
        BatchLoss("batch", 2, 64, interval(0.09, 0.12, 0.15), interval(0.05, 0.07, 0.09)),
        BatchLoss("group", 2, 64, interval(-0.01, 0.0, 0.01), None),
        BatchLoss("layer", 2, 64, interval(-0.03, -0.02, -0.01), None),
    ]
    assert say(losses=losses) == (
        f"From batches of 64 to batches of 2, test accuracy changes by {MINUS}12.00 points "
        f"({MINUS}15.00 to {MINUS}9.00) with batch norm; by +2.00 points (+1.00 to +3.00) with "
        "layer norm; not significantly with group norm (3 seeds). With statistics taken again, "
        "batch norm's accuracy changes by +7.00 points."
    )


def test_tickets_are_told_by_norm():
    found = [
        Contrast(branch(norm, "ticket"), {"predictiveness": ratio}, branch(norm))
        for norm, ratio in (("batch", interval(1.1, 1.4, 1.8)), ("group", interval(0.8, 1, 1.2)))
    ]
    assert say(subnetworks=found) == (
        "Against its dense network, the ticket's gradient-predictiveness band is 1.40 times "
        "narrower (1.10 to 1.80) with batch norm and not significantly narrower or wider "
        "(1.00 times, 0.80 to 1.20) with group norm, over all of training."
    )


def test_nothing_to_tell_is_said():
    assert say(trained=False) == "No network is trained yet: there is nothing to tell."
    assert say() == "Nothing that could be compared is finished yet."
