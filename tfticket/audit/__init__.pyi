from tfticket.noise import CleanSplit, LabeledData, LabelIssues, write_label_report
from tfticket.noise import Diagnosis as Diagnosis
from tfticket.noise import LabelAudit as LabelAudit
from tfticket.noise import Network as Network
from tfticket.noise import RowAudit as RowAudit
from tfticket.noise import compare_with_cleanlab as compare_with_cleanlab
from tfticket.noise import diagnose as diagnose

Subject = LabeledData
write_findings = write_label_report

def suspects_of(split: CleanSplit) -> LabelIssues: ...
