"""One self-contained HTML page, and results in words."""

from onnxplain.report.page import Group, Panel, Picture, Section, write_report
from onnxplain.report.sections import rules_of, sample_section
from onnxplain.report.tables import is_table, table_sections

__all__ = [
    "Group",
    "Panel",
    "Picture",
    "Section",
    "is_table",
    "rules_of",
    "sample_section",
    "table_sections",
    "write_report",
]
