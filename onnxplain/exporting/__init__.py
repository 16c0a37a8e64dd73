"""A model and its explanations as one graph: walks beside the model, plans as loops, maps.

:mod:`~onnxplain.exporting.method_graph` writes one method, :mod:`~onnxplain.exporting.together` joins
several; the others are the kinds of method, and the file's inputs and outputs.
"""
