from .choosing import suited as suited
from .executor import Choice as Choice
from .executor import Executor as Executor
from .executor import Serial as Serial
from .pool import Processes as Processes
from .ray import RayCluster as RayCluster
