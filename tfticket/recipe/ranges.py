"""Ranges of a recipe's keys, for a search of settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from tfticket.errors import RecipeError
from tfticket.recipe.overrides import Override, parse_override

if TYPE_CHECKING:
    import optuna

Scale = Literal["log", "linear", "int", "choice"]


@dataclass(frozen=True)
class Range:
    """The values that one key of a recipe may take.

    Attributes:
        key: The dotted key.
        scale: `log` or `linear` for real numbers, `int` for whole ones, `choice` for a few values.
        values: The lowest and the highest, or the choices.
    """

    key: str
    scale: Scale
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, text: str) -> Range:
        """Read `train.learning_rate=log:1e-4:1e-1`, `linear:`, `int:`, or `choice:A,B,C`.

        Raises:
            RecipeError: when it doesn't look like that.

        Example:
            >>> Range.parse("train.learning_rate=log:1e-4:1e-1").values
            (0.0001, 0.1)
        """
        key, _, value = (part.strip() for part in text.partition("="))
        scale, _, rest = value.partition(":")
        parts = rest.split("," if scale == "choice" else ":")
        if scale not in get_args(Scale) or not all(parts):
            raise cls._wrong(text)
        values = tuple(parse_override(f"{key}={part}").value for part in parts)
        if scale != "choice":
            kinds = int if scale == "int" else (int, float)
            numbers = [each for each in values if isinstance(each, kinds) and each is not True]
            ordered = len(numbers) == len(values) == 2 and numbers[0] < numbers[1]
            if not ordered or (scale == "log" and numbers[0] <= 0):
                raise cls._wrong(text)
        return cls(key, cast(Scale, scale), values)

    @staticmethod
    def _wrong(text: str) -> RecipeError:
        return RecipeError(
            "A parameter must look like `train.learning_rate=log:1e-4:1e-1`, with `log` (above 0), "
            "`linear` or `int` and two numbers, the lower first, or like "
            f"`train.batch_size=choice:32,64`. Received: {text!r:.80}."
        )

    def suggest(self, trial: optuna.Trial) -> Any:
        """Have Optuna choose a value."""
        if self.scale == "choice":
            return trial.suggest_categorical(self.key, self.values)
        low, high = self.values
        if self.scale == "int":
            return trial.suggest_int(self.key, low, high)
        return trial.suggest_float(self.key, low, high, log=self.scale == "log")

    def override(self, value: Any) -> Override:
        """Return the change of the recipe that a value is."""
        return Override(parse_override(f"{self.key}=0").key, value)
