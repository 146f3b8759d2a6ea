from .executor import Choice as Choice
from .executor import Executor as Executor
from .executor import Serial as Serial
from .joined import Joined as Joined
from .pool import Processes as Processes
from .pool import suited as suited
from .ray import RayCluster as RayCluster
