from .chunked import ChunkedFit as ChunkedFit
from .dataset import DataSet as DataSet
from .dataset import Split as Split
from .feed import AUGMENTATIONS as AUGMENTATIONS
from .feed import Feed as Feed
from .loading import load as load
from .loading import load_whole as load_whole
from .ordered import batches as batches
