from .report import render as render
from .summaries import Summary as Summary
from .summaries import summarize as summarize
