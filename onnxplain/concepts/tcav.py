"""Testing with concept activation vectors (Kim et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field

from onnxplain._types import ArrayLike, FloatArray
from onnxplain.concepts.examples import Counterparts, activations, by_sample, check_concepts, counterparts
from onnxplain.concepts.result import ConceptScore, TCAVResult
from onnxplain.concepts.vectors import Vector, check_classifier, learn
from onnxplain.errors import DataInputError, MethodError
from onnxplain.explainer import Explainer
from onnxplain.graph.load import ModelSource
from onnxplain.methods import LayerGradientXActivation
from onnxplain.options import Seed, check_option

__all__ = ["tcav"]

_Runs: TypeAlias = Annotated[int, Field(ge=3, le=10**4, description="a whole number from 3 to 10,000")]
_Level: TypeAlias = Annotated[float, Field(gt=0, lt=1, description="a number between 0 and 1")]


def tcav(
    model: Explainer | ModelSource,
    inputs: ArrayLike,
    target: Any = None,
    *,
    layer: str | Sequence[str],
    concepts: dict[str, ArrayLike],
    random: ArrayLike | Sequence[ArrayLike],
    n_runs: int = 20,
    alpha: float = 0.05,
    classifier: Any = None,
    seed: int = 0,
    output: str | None = None,
    internal_batch_size: int | None = None,
) -> TCAVResult:
    """Test whether a score depends on concepts that are shown by examples (TCAV, Kim et al. 2018).

    In each run a linear classifier learns to tell a concept's activations at a layer from those of random
    examples; its normal v, of length 1, is the concept activation vector.  The sensitivity of an input is the
    directional derivative ``s = dS/dy v`` there, and the TCAV score is the share of the inputs with
    ``s > 0``.  The scores of all runs are compared with those of vectors that tell random examples from other
    random examples, by Welch's two-sided t-test; p-values are corrected by Bonferroni for the number of
    concepts times layers.

    This is the published test, and it is too easily passed: it takes the runs for independent, but all share
    the concept's examples.  Give sets of random examples as further concepts, and believe a concept only
    where these do not pass, and where its accuracy is far from 1/2.

    This explains a class of inputs by examples, and no single input by its parts, so it is a function and no
    method of :data:`~onnxplain.METHODS`.  All activations of examples are held at once.

    Parameters
    ----------
    model
        An explainer, or what it takes.
    inputs, target, output, internal_batch_size
        The inputs of the class, and the score, as :meth:`Explainer.__call__` takes them.
    layer
        Name of a value inside the model (or of its node), or several.
    concepts
        Examples by the concept's name, as the model takes them; at least 3 each.
    random
        Examples of anything, of which each run draws as many as the largest concept has (or half of them);
        the more there are, the less the runs depend on each other.  Or a list with a set for each run.
    n_runs
        How many vectors there are for each concept (with a list of sets, one for each).
    alpha
        Level of the test.
    classifier
        A linear classifier of scikit-learn's kind, with ``coef_``.  None: logistic regression with L2
        penalty, both classes of the same weight.  Kim et al. and Captum use ``SGDClassifier(alpha=0.01)``.
    seed
        Same seed, same result.

    Returns
    -------
    TCAVResult
        Its ``table()``, ``plot()``, ``p_values``, and all runs.

    Raises
    ------
    DataInputError
        If there is no such layer, or there are no or too few examples, or of other sizes.
    MethodError
        If a parameter makes no sense.
    """
    layers = (layer,) if isinstance(layer, str) else tuple(layer)
    if not layers or not all(isinstance(name, str) for name in layers):
        raise DataInputError(f"layer is {layer!a:.60}; name a value inside the model, or several")
    n_runs = check_option("n_runs", n_runs, _Runs, MethodError)
    alpha = check_option("alpha", alpha, _Level, MethodError)
    seed = check_option("seed", seed, Seed, MethodError)
    made = check_classifier(classifier)
    explainer = model if isinstance(model, Explainer) else Explainer(model)
    options: dict[str, Any] = {"output": output, "internal_batch_size": internal_batch_size}
    examples = {
        name: activations(explainer, given, layers, f"concept '{name}'", **options)
        for name, given in check_concepts(concepts).items()
    }
    most = max(len(rows) for found in examples.values() for rows in found.values())
    others = counterparts(explainer, random, layers, most, n_runs, seed, **options)
    method = LayerGradientXActivation(layer=layers, multiply_by_inputs=False)
    slopes = by_sample(explainer(inputs, target, method, **options))
    _refuse_other_sizes(slopes, {**examples, "random": others.layers})
    between = {name: _random_vectors(made, others, name, seed) for name in slopes}
    null = {name: _share(slopes[name] @ _stacked(between[name]).T) for name in slopes}
    vectors = {
        (name, concept): [
            learn(made, rows[name], others.layers[name][own], seed + k) for k, own in enumerate(others.sets)
        ]
        for name in slopes
        for concept, rows in examples.items()
    }
    directions = {key: _stacked(found) for key, found in vectors.items()}
    sensitivities = {key: directions[key] @ slopes[key[0]].T for key in directions}
    scores = {key: _share(s.T) for key, s in sensitivities.items()}
    accuracies = {key: np.array([v.accuracy for v in found]) for key, found in vectors.items()}
    rows = []
    for key, own in scores.items():
        p = min(1.0, _p_value(own, null[key[0]]) * len(scores))
        rows.append(
            ConceptScore(
                *key,
                float(own.mean()),
                float(own.std(ddof=1)),
                float(null[key[0]].mean()),
                float(sensitivities[key].mean()),
                float(accuracies[key].mean()),
                p,
                p < alpha,
            )
        )
    return TCAVResult(tuple(rows), scores, accuracies, null, sensitivities, directions, alpha)


def _random_vectors(classifier: Any, others: Counterparts, layer: str, seed: int) -> list[Vector]:
    held = others.layers[layer]
    return [learn(classifier, held[a], held[b], seed + k) for k, (a, b) in enumerate(others.pairs)]


def _stacked(vectors: Sequence[Vector]) -> FloatArray:
    return np.stack([v.direction for v in vectors])


def _share(sensitivities: FloatArray) -> FloatArray:
    """Return the share of inputs, the rows, that are sensitive, for each of the columns."""
    share: FloatArray = (sensitivities > 0).mean(0)
    return share


def _p_value(a: FloatArray, b: FloatArray) -> float:
    """Return the p-value of Welch's two-sided t-test; certainty where neither side varies."""
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return float(a[0] == b[0])
    from scipy.stats import ttest_ind_from_stats

    moments = [m for x in (a, b) for m in (x.mean(), x.std(ddof=1), len(x))]
    return float(ttest_ind_from_stats(*moments, equal_var=False).pvalue)


def _refuse_other_sizes(slopes: dict[str, FloatArray], examples: dict[str, Any]) -> None:
    """Refuse examples of which a layer makes more or fewer numbers than of the inputs."""
    for name, found in examples.items():
        for layer, rows in found.items():
            if rows.shape[1] != slopes[layer].shape[1]:
                raise DataInputError(
                    f"'{layer}' makes {rows.shape[1]} numbers of an example of {name!r}, and "
                    f"{slopes[layer].shape[1]} of an input; give examples of the inputs' size"
                )
