"""Concept activation vectors: the normals of planes that tell a concept's examples from others."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.errors import MethodError

__all__ = ["Vector", "check_classifier", "learn"]

_HELD_OUT = 1 / 3


@dataclass(frozen=True, eq=False)
class Vector:
    """One concept activation vector.

    Attributes
    ----------
    direction
        (d,): of length 1, towards the concept.
    accuracy
        How many of the examples that were held out it tells right, 0 to 1.
    """

    direction: FloatArray
    accuracy: float


def check_classifier(given: Any) -> Any:
    """Return the classifier to fit copies of: the one given, or logistic regression.

    Raises
    ------
    MethodError
        If it is none of scikit-learn's kind.
    """
    if given is None:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(class_weight="balanced", max_iter=1000)
    if isinstance(given, type) or not all(hasattr(given, k) for k in ("fit", "predict", "get_params")):
        raise MethodError(
            f"classifier is {given!r:.60}; give a linear classifier of scikit-learn's kind, such as "
            "SGDClassifier(alpha=0.01)"
        )
    return given


def learn(classifier: Any, concept: FloatArray, others: FloatArray, seed: int) -> Vector:
    """Fit a copy of a classifier to two thirds of the examples, and try it on the others.

    Activations are divided by their root mean square first, so that the classifier's penalty means the same
    in every layer; the direction is that of the activations themselves.

    Parameters
    ----------
    classifier
        What to copy.
    concept, others
        Activations (n, d) and (m, d).
    seed
        Which are held out, and the classifier's own random numbers.

    Raises
    ------
    MethodError
        If the classifier has no ``coef_``, or does not tell anything apart.
    """
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split

    x = np.concatenate([concept, others]).astype(np.float64)
    x /= np.sqrt((x**2).mean()) or 1.0
    y = np.repeat([1, 0], [len(concept), len(others)])
    seed32 = int(np.random.default_rng(seed).integers(2**31))
    xs, held, ys, truth = train_test_split(x, y, test_size=_HELD_OUT, stratify=y, random_state=seed32)
    made = clone(classifier)
    if "random_state" in made.get_params():
        made.set_params(random_state=seed32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        made.fit(xs, ys)
    normal = np.asarray(getattr(made, "coef_", ())).ravel()
    if normal.shape != x.shape[1:]:
        raise MethodError(f"classifier {type(made).__name__} has no coef_ with a weight for each entry")
    length = float(np.linalg.norm(normal))
    return Vector(normal / (length or 1.0), float((made.predict(held) == truth).mean()))
