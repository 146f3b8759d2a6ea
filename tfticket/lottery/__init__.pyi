from .controls import Control as Control
from .controls import OneShotPruning as OneShotPruning
from .controls import RandomMask as RandomMask
from .controls import RandomReinit as RandomReinit
from .controls import ShuffledMask as ShuffledMask
from .search import TicketSearch as TicketSearch
from .ticket import Ticket as Ticket
from .trial import TrialResult as TrialResult
