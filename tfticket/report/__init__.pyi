from .page import render as render
from .summary import Summary as Summary
from .summary import summarize as summarize
