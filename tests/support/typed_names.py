"""What a type checker sees of the public names. mypy fails where an ignored line is no error."""

from tfticket import TicketSearch, nonsense  # type: ignore[attr-defined]
from tfticket.noise import CoTeaching

TicketSearch("nonsense", 3, 4, 5)  # type: ignore[call-arg, arg-type]
CoTeaching(nonsense, nonsense)  # type: ignore[call-arg]
