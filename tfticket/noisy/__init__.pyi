from tfticket.noise import *  # noqa: F403
from tfticket.noise import LabelIssues, find_label_issues

Suspects = LabelIssues
find_suspects = find_label_issues
