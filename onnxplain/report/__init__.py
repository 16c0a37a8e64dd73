"""One self-contained HTML page, and results in words."""

from onnxplain.report.grid import grid_of
from onnxplain.report.page import Grid, Group, Panel, Picture, Section, write_report
from onnxplain.report.sections import rules_of, sample_section
from onnxplain.report.tables import is_table, table_sections
from onnxplain.report.trust import write_trust_report

__all__ = [
    "Grid",
    "Group",
    "Panel",
    "Picture",
    "Section",
    "grid_of",
    "is_table",
    "rules_of",
    "sample_section",
    "table_sections",
    "write_report",
    "write_trust_report",
]
