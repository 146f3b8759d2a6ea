__version__: str

from . import audit as audit
from . import channels as channels
from . import data as data
from . import errors as errors
from . import export as export
from . import interop as interop
from . import lottery as lottery
from . import metrics as metrics
from . import models as models
from . import noise as noise
from . import norms as norms
from . import recipe as recipe
from . import report as report
from . import schedules as schedules
from . import sparsity as sparsity
from . import state as state
from . import statistics as statistics
from .lottery.search import TicketSearch as TicketSearch
from .lottery.ticket import Ticket as Ticket
from .norms.landscape import LandscapeTracker as LandscapeTracker
from .norms.landscape import ShiftTracker as ShiftTracker
from .norms.swap import swap_norm as swap_norm
from .sparsity.convert import sparsify as sparsify
from .sparsity.convert import strip as strip
from .sparsity.mask import Mask as Mask
from .sparsity.wrapper import Masked as Masked
