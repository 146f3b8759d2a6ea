from .choice import audit_labels as audit_labels
from .labeled import LabeledData as LabeledData
from .networks import LabelAudit as LabelAudit
from .networks import Network as Network
from .rows import RowAudit as RowAudit
