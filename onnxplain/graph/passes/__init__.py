"""Graph passes, one per file, in rooms by when they run.

Each changes a graph in place and says whether it did; a few that cannot return the model beside that.

:mod:`~onnxplain.graph.passes.normal`
    When a model is read (:mod:`onnxplain.graph.normalize`).
:mod:`~onnxplain.graph.passes.prepare`
    Before a walk, where a composite asks for it (:mod:`onnxplain.backward.preparation`); some of the first
    room run again.
:mod:`~onnxplain.graph.passes.lower`
    On a finished program, for a device (:func:`onnxplain.runtime.programs.lower`).
"""
