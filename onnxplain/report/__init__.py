"""One self-contained HTML page, and results in words."""

from onnxplain.report.page import Group, Panel, Picture, Section, write_report
from onnxplain.report.sections import rules_of, sample_section

__all__ = ["Group", "Panel", "Picture", "Section", "rules_of", "sample_section", "write_report"]
