"""Exported files of methods that look at values inside: equal to the explainer, in an onnxruntime alone."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxruntime.quantization import quantize_dynamic

import onnxplain as ox
from onnxplain.errors import MethodError, NotExplainableError

#: Methods that make a map at a layer, and variants; signed, so that none is empty.
MAPS = {
    "grad_cam": ox.GradCam(relu_attributions=False),
    "grad_cam_plus_plus": ox.GradCamPlusPlus(relu_attributions=False),
    "hi_res_cam": ox.HiResCam(),
    "layer_cam": ox.LayerCam(relu_attributions=False),
    "x_grad_cam": ox.XGradCam(relu_attributions=False),
    "eigen_cam": ox.EigenCam(relu_attributions=False),
    "eigen_cam_centred": ox.EigenCam(center=True, relu_attributions=False),
    "shapley_cam": ox.ShapleyCam(relu_attributions=False),
    "guided_grad_cam": ox.GuidedGradCam(relu_attributions=False),
    "rectified": ox.LayerCam(),
    "nearest": ox.GradCam(interpolate_mode="nearest", relu_attributions=False),
}
LAYERS = {
    "layer_activation": ox.LayerActivation(layer=("s", "g")),
    "layer_gradient_x_activation": ox.LayerGradientXActivation(layer=("s", "g")),
    "layer_gradient": ox.LayerGradientXActivation(layer="r2", multiply_by_inputs=False),
    "input_gradient_x_activation": ox.LayerGradientXActivation(),
    "neuron_gradient": ox.NeuronGradient(),
    "visual_backprop": ox.VisualBackProp(),
}


def stock(made: ox.Exported, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """Run a file in an onnxruntime that knows nothing of this package."""
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    given = {k: v for k, v in feeds.items() if k in made.inputs}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, given), strict=True))


def close(a: np.ndarray, b: np.ndarray, rtol: float = 1e-5) -> None:
    assert a.dtype == b.dtype
    assert np.abs(b).max() > 0
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * float(np.abs(b).max()))


def compared(model, method, tmp_path, x, target, **options) -> None:
    """Compare all attributions, the maps and the predictions."""
    made = ox.export(model, tmp_path / "made.onnx", method=method, **options)
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    found = stock(made, x=x, target=target)
    expected = ox.explain(model, x, target.tolist(), method=method)
    close(found["y"], expected.predictions)
    for name, values in expected.arrays.items():
        close(found[f"attribution/{name}"], values)
    for name, values in expected.extras.get("map", {}).items():
        close(found[f"map/{name}"], values.astype(np.float32))


ON = [(case, "conv") for case in MAPS]
ON += [(k, "vgg") for k in ("grad_cam", "grad_cam_plus_plus", "x_grad_cam", "eigen_cam", "shapley_cam")]
ON += [(k, "channels_last") for k in ("grad_cam", "guided_grad_cam")]


@pytest.mark.parametrize(("case", "which"), ON)
def test_maps(case, which, models, tmp_path) -> None:
    model = models.conv(softmax=True) if which == "conv" else getattr(models, which)()
    shape = {"conv": (2, 8, 8), "vgg": (3, 8, 8), "channels_last": (8, 8, 2)}[which]
    compared(model, MAPS[case], tmp_path, models.random(3, *shape), np.arange(3) % 4)


@pytest.mark.parametrize("case", LAYERS)
def test_layers(case, models, tmp_path) -> None:
    model, x = models.conv(softmax=True), models.random(3, 2, 8, 8)
    compared(model, LAYERS[case], tmp_path, x, np.arange(3) % 4)


def test_cam_explains_what_enters_a_sigmoid(models, tmp_path) -> None:
    model = models.conv(softmax=True)
    model.graph.node[-1].op_type = "Sigmoid"
    compared(model, ox.Cam(), tmp_path, models.random(2, 2, 8, 8), np.array([3, 0]))
    with pytest.raises(NotExplainableError, match="met"):
        ox.export(models.vgg(), tmp_path / "made.onnx", method="cam")


@pytest.mark.parametrize("form", ["cpu", "cuda"])
def test_other_forms(form, models, tmp_path) -> None:
    x = models.random(3, 3, 8, 8)
    for method in (MAPS["guided_grad_cam"], ox.GradCam(layer="pool1", relu_attributions=False)):
        compared(models.vgg(), method, tmp_path, x, np.arange(3) % 4, form=form)


@pytest.mark.parametrize("layer", ["c1", "p1", "s"])
def test_other_layers(layer, models, tmp_path) -> None:
    model, x = models.conv(), models.random(2, 2, 8, 8)
    for method in (ox.GradCam(layer=layer, relu_attributions=False), ox.EigenCam(layer=layer)):
        compared(model, method, tmp_path, x, np.array([1, 2]))


def test_the_file_finds_the_predicted_class_itself(models, tmp_path) -> None:
    model, x = models.conv(softmax=True), models.random(5, 2, 8, 8)
    for method in (MAPS["guided_grad_cam"], MAPS["shapley_cam"], LAYERS["layer_gradient"]):
        made = ox.export(model, tmp_path / "made.onnx", method=method, target="predicted")
        assert made.inputs == ("x",)
        found, expected = stock(made, x=x), ox.explain(model, x, "predicted", method=method)
        np.testing.assert_array_equal(found["target"], expected.target[:, 0])
        for name, values in expected.arrays.items():
            close(found[f"attribution/{name}"], values)


def test_what_no_target_changes_asks_for_none(models, tmp_path) -> None:
    for method in (MAPS["eigen_cam"], LAYERS["layer_activation"]):
        assert ox.export(models.conv(), tmp_path / "made.onnx", method=method).inputs == ("x",)


def test_nodes_name_their_values(models, tmp_path) -> None:
    model = models.conv()
    model.graph.node[5].name = "the_sum"
    made = ox.export(model, tmp_path / "made.onnx", method="layer_activation", layer="the_sum")
    assert made.outputs == ("y", "attribution/s")


def test_lengths_that_only_a_run_tells_are_refused(models, tmp_path) -> None:
    model = models.conv()
    for k in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[k].dim_param = f"side{k}"
    with pytest.raises(MethodError, match=r"\(2, \?, \?\).*fixed"):
        ox.export(model, tmp_path / "made.onnx", method="grad_cam")


def test_neighbouring_points_of_a_quantised_model(models, tmp_path) -> None:
    """Gradients there go straight through rounding, as those at the row itself."""
    onnx.save(models.conv(), tmp_path / "float.onnx")
    logging.disable(logging.WARNING)
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "int8.onnx", reduce_range=True)
    logging.disable(logging.NOTSET)
    x = models.random(1, 2, 8, 8)
    relu = next(n.output[0] for n in models.conv().graph.node if n.op_type == "Relu")
    method = ox.ShapleyCam(layer=relu, relu_attributions=False)
    made = ox.export(tmp_path / "int8.onnx", tmp_path / "made.onnx", method=method)
    expected = ox.explain(tmp_path / "int8.onnx", x, 1, method=method).values
    found = stock(made, x=x, target=np.array([1]))["attribution/x"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))
