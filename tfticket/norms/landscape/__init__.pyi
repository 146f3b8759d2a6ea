from .records import ShiftRecord as ShiftRecord
from .records import SmoothnessRecord as SmoothnessRecord
from .trackers import LandscapeTracker as LandscapeTracker
from .trackers import ShiftTracker as ShiftTracker
