"""The lottery ticket hypothesis: find winning tickets and prove them."""

from tfticket._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Control": "tfticket.lottery.controls",
        "OneShotPruning": "tfticket.lottery.controls",
        "RandomMask": "tfticket.lottery.controls",
        "RandomReinit": "tfticket.lottery.controls",
        "ShuffledMask": "tfticket.lottery.controls",
        "Ticket": "tfticket.lottery.ticket",
        "TicketSearch": "tfticket.lottery.search",
        "TrialResult": "tfticket.lottery.trial",
    },
)
