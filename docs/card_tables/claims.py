"""Claims of papers beside what came of them here: of one study, and of all papers in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from card_tables import devices, lottery, noise, norms
from card_tables.numbers import density, interval, paired, percent, points, table, times
from card_tables.studies import recipe, summary

_OF_KIND = {"lottery": lottery.claims, "edge": devices.claims, "norms": norms.claims}

TICKETS = "tickets"
NORMS = "batch norm"
PAIRS = "co-teaching"
INCV = "INCV"
ONE_D = "MNIST-1D"
DESCENT = "double descent"
CALIBRATION = "calibration"
EARLY = "early learning"
ALIGNED = "aligned masks"
SIGNS = "winning signs"
_README = "README of the program"


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Attributes:
        paper: One of the names above; `docs/claims.md` says which they are.
        claim: The claim, in our words.
        where: Section, figure or table.
        study: Published study that measures it; empty if there is none.
        measured: The paper's number, what came out here, and its reading: the beginning of a claim
            of the study's recipe, whose row it is, or a function that reads the summary.
        open: What is open.
    """

    paper: str
    claim: str
    where: str
    study: str = ""
    measured: str | Callable[[str], Sequence[str]] = ""
    open: str = ""


def claims(name: str) -> str:
    """The claims that the recipe of a study states, beside what came of them."""
    return _OF_KIND.get(str(recipe(name)["kind"]), noise.claims)(name)


def papers() -> str:
    """Every claim of the papers, what came of it, by which command, and what is open."""
    rows = []
    for each in CLAIMS:
        paper, here, reading = _measured(each)
        command = f"`tfticket recipe run {each.study}`" if each.study else ""
        where = f"{each.paper}, {each.where}"
        rows.append([each.claim, where, paper, here, reading, command, each.open])
    columns = ["claim", "where", "paper", "here", "reading", "command", "open"]
    return table(columns, rows)


def _measured(claim: Claim) -> Sequence[str]:
    if not claim.study:
        return "", "", "not measured"
    if callable(claim.measured):
        return claim.measured(claim.study)
    lines = [line.strip("| ").split(" | ") for line in claims(claim.study).splitlines()]
    header = lines[0]
    (row,) = (line for line in lines[2:] if line[0].startswith(claim.measured))
    found = dict(zip(header, row, strict=False))
    return found["paper"], found["here"], found.get("result") or found.get("reading", "")


def _smallest_winning(name: str) -> Sequence[str]:
    found = summary(name)["smallest_winning"]
    ours = found["against_dense"]
    return (
        "",
        f"{density(found['density'])} of the weights: {interval(points, ours['gain'])} points, "
        f"{interval(times, ours['speedup'])} times as fast",
        "shown",
    )


def _twin(name: str) -> Sequence[str]:
    """The reinitialized twin of the sparsest level that has one, against its ticket."""
    level = [v for v in summary(name)["verdicts"] if "reinit" in v["against_controls"]][-1]
    ours = level["against_controls"]["reinit"]
    found = f"ticket {interval(points, ours['gain'])} points, {interval(times, ours['speedup'])}"
    shown = ours["gain"]["lower"] > 0
    return (
        "",
        f"{found} times as fast, at {density(level['density'])}",
        "shown" if shown else "not significant",
    )


def _gain(noise_name: str, method: str, against: str) -> Callable[[str], Sequence[str]]:
    def read(name: str) -> Sequence[str]:
        found = {
            each["method"]: each["measures"]["accuracy_last"]
            for each in summary(name)["trainings"]
            if each["noise"] == noise_name
        }
        ours, other = found[method], found[against]
        change = paired(ours, other)
        reading = "shown" if change["lower"] > 0 else "not significant"
        return "", f"{interval(points, change)} points", reading

    return read


def _theory(name: str) -> Sequence[str]:
    """The largest distance of a measured mean from its closed form, over all noises."""
    distance = max(
        abs(each["observed_accuracy"]["mean"] - each["predicted_accuracy"]["mean"])
        for each in (training["measures"] for training in summary(name)["trainings"])
    )
    count = len(summary(name)["trainings"])
    return (
        "",
        f"within {points(distance, 1).lstrip('+')} points in {count} noises",
        "near, not equal",
    )


def _rates(name: str) -> Sequence[str]:
    known = [each for each in summary(name)["selections"] if each["identifiable"]]
    held = sum(each["holds"] for each in known)
    worst = max(abs(Decimal(each["rate"]) - each["true_rate"]) for each in known)
    return (
        "",
        f"at most {points(worst, 1).lstrip('+')} points off; {held} of {len(known)} intervals hold "
        "the rate",
        "shown" if held == len(known) else "mostly",
    )


def _selected(noise_name: str) -> Callable[[str], Sequence[str]]:
    def read(name: str) -> Sequence[str]:
        found = [each for each in summary(name)["selections"] if each["noise"] == noise_name]
        precision, recall = (
            [percent(each[measure], 1) for each in found] for measure in ("precision", "recall")
        )
        return (
            "",
            f"precision {', '.join(precision)}, recall {', '.join(recall)}, by seed",
            "no bound",
        )

    return read


CLAIMS = (
    Claim(
        TICKETS, "A dense network holds a subnetwork that, trained alone from its initial weights, "
        "is as accurate in at most as many iterations", "section 1", "lth_mnist", _smallest_winning,
        "the paper's 50,000 iterations (`lth_mnist_paper`)",
    ),
    Claim(TICKETS, "The same on other data", "section 1", "lth_mnist1d", _smallest_winning),
    Claim(TICKETS, "The same in a convolutional network", "section 3", "lth_cifar10",
          _smallest_winning, "the paper's width"),
    Claim(TICKETS, "LeNet at 21.1 %: minimum validation loss 38 % earlier", "section 2",
          "lth_mnist", "At 21.1 %", "in 3,000 iterations the minimum is often the last evaluation"),
    Claim(TICKETS, "LeNet at 13.5 %: more than 0.3 points more accurate", "section 2", "lth_mnist",
          "At 13.5 %"),
    Claim(TICKETS, "LeNet at 3.6 %: back at the dense network's accuracy", "section 2",
          "lth_mnist", "At 3.6 %"),
    Claim(TICKETS, "LeNet at 21 %: 2.51 times faster than reinitialized", "section 2", "lth_mnist",
          "At 21 % the ticket learns", "as above; by steps to a common loss it is shown"),
    Claim(TICKETS, "LeNet at 21 %: half a point more accurate than reinitialized", "section 2",
          "lth_mnist", "At 21 % the ticket is half"),
    Claim(TICKETS, "Reinitialized, a sparse ticket is slower and less accurate", "section 2",
          "lth_mnist", _twin),
    Claim(TICKETS, "Iterative pruning finds smaller tickets than one-shot pruning", "section 2",
          open="`tfticket recipe run lth_oneshot_vs_iterative` wasn't run in full"),
    Claim(TICKETS, "Conv-2: minimum validation loss 3.5 times sooner at 8.8 %", "section 3",
          "lth_cifar10", "At best the minimum", "sparser levels"),
    Claim(TICKETS, "Conv-2: 3.4 points more accurate at 4.6 %", "section 3", "lth_cifar10",
          "At best test accuracy", "sparser levels"),
    Claim(TICKETS, "Conv-2: more accurate than dense down to 2 %", "section 3", "lth_cifar10",
          "Test accuracy stays", "sparser levels"),
    Claim(TICKETS, "Conv-4 and Conv-6: 3.5 and 2.5 times sooner, 3.5 and 3.3 points more accurate",
          "section 3", open="no study; both networks are in `tfticket.models`"),
    Claim(TICKETS, "Dropout and pruning add up", "section 3", open="no study"),
    Claim(TICKETS, "ResNet-18 and VGG-19 need a low learning rate or warm-up", "section 4",
          open="no study; `lth_cifar10_resnet20` rewinds to a later step instead, on a GPU"),
    Claim(NORMS, "The loss varies less along the gradient with batch normalization", "figure 4(a)",
          "norms_cifar10", "The loss varies 3.6", "the paper's width and length "
          "(`norms_cifar10_paper`, on a GPU)"),
    Claim(NORMS, "The gradient is more predictive", "figure 4(b)", "norms_cifar10",
          "The band of gradient"),
    Claim(NORMS, "The effective beta is lower", "figure 4(c)", "norms_cifar10",
          "The effective beta", "beta is saturated in the paper's figure"),
    Claim(NORMS, "Batch normalization makes the VGG more accurate", "section 2", "norms_cifar10",
          "Test accuracy is 83 %"),
    Claim(NORMS, "Noise in the statistics, which brings covariate shift back, does no harm",
          "figure 2", "norms_cifar10", "Noisy batch", "more seeds"),
    Claim(NORMS, "Batch normalization doesn't lessen internal covariate shift", "figure 3",
          "norms_cifar10", "Batch normalization doesn't lessen"),
    Claim(NORMS, "Normalizing by the l1 norm does as well", "section 3.3", "norms_cifar10",
          "Normalizing by the l1", "more seeds"),
    Claim(NORMS, "Normalizing by the largest value does as well", "section 3.3", "norms_cifar10",
          "Normalizing by the largest", "more seeds"),
    Claim(NORMS, "Deep linear network: the loss varies less", "section 3.2, figure 9", "norms_dln",
          "The loss varies less", "more moments: few rule the mean"),
    Claim(NORMS, "Deep linear network: the gradient is typically more predictive",
          "section 3.2, figure 9", "norms_dln", "The gradient is typically", "more seeds"),
    Claim(NORMS, "Deep linear network: effective beta is lower", "section 3.2, figure 9",
          "norms_dln", "The gradient is smoother", "more seeds"),
    Claim(NORMS, "Deep linear network: covariate shift is larger", "figure 3", "norms_dln",
          "Covariate shift", "more seeds"),
    Claim(NORMS, "Deep linear network: the l1 norm does better than batch normalization",
          "section 3.3", open="no study"),
    Claim(NORMS, "Bounds on gradient and Hessian, and on the distance to the minimum",
          "section 4, theorems", open="proofs; `CurvatureTracker` measures sharpness"),
    Claim(PAIRS, "Co-teaching beats a standard network, half of the labels wrong, MNIST",
          "section 4", "coteaching_mnist", "Co-teaching beats a standard network where half",
          "cross-entropy stopped by noisy validation data does as well"),
    Claim(PAIRS, "The same with 45 % pair noise", "section 4", "coteaching_mnist",
          "Co-teaching beats a standard network where 45 %"),
    Claim(PAIRS, "97.71 % on MNIST with 20 % symmetric noise", _README, "coteaching_mnist",
          "Co-teaching ends at 97.71", "the paper's network of nine layers"),
    Claim(PAIRS, "91.68 % on MNIST with 50 % symmetric noise", _README, "coteaching_mnist",
          "Co-teaching ends at 91.68", "the paper's network of nine layers"),
    Claim(PAIRS, "87.58 % on MNIST with 45 % pair noise", _README, "coteaching_mnist",
          "Co-teaching ends at 87.58", "the paper's network of nine layers"),
    Claim(PAIRS, "Co-teaching beats a standard network, half of the labels wrong, CIFAR-10",
          "section 4", "coteaching_cifar10_sym50",
          _gain("symmetric0.5", "coteaching", "cross_entropy")),
    Claim(PAIRS, "74.49 % on CIFAR-10 with 50 % symmetric noise", _README,
          open="at the paper's size: `coteaching_cifar10_sym50_paper`, on a GPU"),
    Claim(PAIRS, "82.18 % on CIFAR-10 with 20 % symmetric, 72.85 % with 45 % pair noise; CIFAR-100",
          _README, open="no study"),
    Claim(INCV, "Held-out accuracy against given labels follows from the transition matrix",
          "section 3", "noise_theory", _theory, "networks that haven't memorized all"),
    Claim(INCV, "The noise rate can be read off that accuracy", "section 3", "noise_theory",
          _rates, "rates near (k - 1) / k, which are called not identifiable"),
    Claim(INCV, "INCV selects a set that is nearly clean, half of the labels wrong", "experiments",
          "incv_cifar10", _selected("symmetric0.5"), "the paper's size (`incv_cifar10_paper`)"),
    Claim(INCV, "INCV beats co-teaching by 0.66 points with 20 % symmetric noise",
          "table of results", "incv_cifar10", _gain("symmetric0.2", "incv", "coteaching"),
          "the paper's size"),
    Claim(INCV, "... by 2.66 points with 50 %", "table of results", "incv_cifar10",
          "INCV beats co-teaching where half", "the paper's size"),
    Claim(INCV, "... by 36 points with 80 %", "table of results", "incv_cifar10",
          "INCV beats co-teaching by 36", "the paper's size"),
    Claim(INCV, "... by 1.49 points with 40 % pair noise", "table of results", "incv_cifar10",
          "INCV beats co-teaching where 40 %", "the paper's size"),
    Claim(INCV, "It is ahead on WebVision and ImageNet", "table of results", open="no study"),
    Claim(ONE_D, "Tickets are more accurate than the dense network", "lottery tickets",
          "lth_mnist1d", _smallest_winning, "its residual network, pruned to 92 %"),
    *(
        Claim(ONE_D, claim, "lottery tickets", study, begins, "its residual network")
        for claim, study, begins in (
            ("With new initial weights, the mask does as well", "lth_mnist1d_structure",
             "With new weights the mask alone"),
            ("The same at the paper's learning rate", "lth_mnist1d_structure_fast",
             "With new weights the mask alone"),
            ("With new initial weights, the mask is more accurate than the dense network",
             "lth_mnist1d_structure", "With new weights the mask is more accurate than the dense"),
            ("The same at the paper's learning rate", "lth_mnist1d_structure_fast",
             "With new weights the mask is more accurate than the dense"),
            ("Inputs that survive are neighbors", "lth_mnist1d_structure",
             "Neighboring inputs survive"),
            ("A mask found on the signals helps on flipped ones, against the dense network",
             "lth_mnist1d_structure", "A mask found on the signals"),
            ("... on shuffled chunks, against a shuffled mask", "lth_mnist1d_structure",
             "On shuffled chunks"),
            ("... on shuffled signals, against a shuffled mask", "lth_mnist1d_structure",
             "On shuffled signals"),
        )
    ),
    *(
        Claim(paper, claim + on, "abstract", study, begins, open)
        for paper, claim, begins, open in (
            (DESCENT, "Under wrong labels, the sparser the network the less accurate, at first",
             "Worse: the sparsest", "the paper's networks"),
            (DESCENT, "... then the more accurate", "Better: a sparser", ""),
            (DESCENT, "... and at last less again", "Worse again", ""),
            (DESCENT, "A ticket need not win: new initial weights do as well",
             "A ticket need not win", ""),
            (CALIBRATION, "Under wrong labels, sparse networks are better calibrated",
             "Sparse networks are better calibrated", ""),
        )
        for on, study in (
            (", MNIST", "double_descent_under_noise_mnist"),
            (", MNIST-1D", "double_descent_under_noise"),
        )
    ),
    Claim(ALIGNED, "On a new initialization, a mask is more accurate when it is matched to it",
          "abstract", "lth_mnist1d_aligned", "At width 1, a matched mask of a sixth",
          "the paper's networks; rewinding to later steps"),
    Claim(ALIGNED, "In a wide network a matched mask comes near the ticket", "abstract",
          "lth_mnist1d_aligned", "In a wide network a matched", "wider networks; as above"),
    Claim(SIGNS, "With the signs after training, a mask works on new magnitudes", "abstract",
          "lth_mnist1d_aligned", "Signs after training", "the paper's way to find the signs"),
    Claim(SIGNS, "... as well as the ticket", "abstract", "lth_mnist1d_aligned",
          "... as well as the ticket"),
    Claim(EARLY, "Early-learning regularization beats cross-entropy with 40 % wrong labels",
          "table 1", "human_like_mnist", "Early-learning regularization beats cross-entropy",
          "the paper's network, data and noise"),
    Claim(EARLY, "The same on CIFAR-10", "table 1", "human_like_cifar10",
          "Early-learning regularization beats cross-entropy", "the paper's network and noise"),
)  # fmt: skip
