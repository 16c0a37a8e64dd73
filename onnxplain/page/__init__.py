"""A static site that predicts and explains in the browser."""

from onnxplain.page.writing import Page, write_page

__all__ = ["Page", "write_page"]
