from .choosing import suited as suited
from .executor import Choice as Choice
from .executor import Executor as Executor
from .executor import Serial as Serial
from .processes import Processes as Processes
from .ray_cluster import RayCluster as RayCluster
