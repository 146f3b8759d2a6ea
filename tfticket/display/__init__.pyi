from .chart import Chart as Chart
from .displayable import Displayable as Displayable
