from .calibration import expected_calibration_error as expected_calibration_error
from .evaluation import batch_statistics as batch_statistics
from .evaluation import eval_norm as eval_norm
from .evaluation import predict as predict
from .moments import KeepsScale as KeepsScale
from .moments import normalizes_by_batch as normalizes_by_batch
from .population import recalibrate as recalibrate
