"""Old name of `tfticket.noise`: every public name of that package can be imported from here too."""

from typing import Any

from tfticket import noise

_RENAMED = {"Suspects": "LabelIssues", "find_suspects": "find_label_issues"}
__all__ = [*noise.__all__, *_RENAMED]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(noise, _RENAMED.get(name, name))


def __dir__() -> list[str]:
    return __all__
