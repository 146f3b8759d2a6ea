from .flow import Flow as Flow
from .groups import channel_groups as channel_groups
from .shrinking import LayerChange as LayerChange
from .shrinking import Shrunk as Shrunk
from .shrinking import shrink as shrink
