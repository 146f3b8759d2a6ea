from .tfmot import ImportedModel as ImportedModel
from .tfmot import ImportReport as ImportReport
from .tfmot import import_tfmot as import_tfmot
