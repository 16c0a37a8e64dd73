"""Words as players of models that take token ids."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.features.words import split_words

IDS = {"good": [3], "film": [4, 5], "bad": [6], ",": [7], "isn't": [8, 9, 10]}


def words(**options) -> ox.Words:
    return ox.Words.of(["good film, good", "bad"], lambda w: IDS[w], ids="ids", mask="mask", **options)


def test_texts_are_laid_out() -> None:
    made = words(first=[1], last=[2], length=9)
    assert made.words == (("good", "film", ",", "good"), ("bad",))
    assert made.inputs["ids"].tolist() == [[1, 3, 4, 5, 7, 3, 2, 0, 0], [1, 6, 2, 0, 0, 0, 0, 0, 0]]
    assert made.inputs["mask"].tolist() == [[1] * 7 + [0] * 2, [1] * 3 + [0] * 6]
    assert made.feature_mask["ids"].tolist() == [[-1, 0, 1, 1, 2, 3, -1, -1, -1], [-1, 0, *[-1] * 7]]
    assert split_words("It isn't a well-made film!") == ["It", "isn't", "a", "well-made", "film", "!"]


@pytest.mark.parametrize("instead", [None, 11])
@pytest.mark.parametrize("method", ["feature_ablation", "lime"])
def test_words_leave_with_their_tokens(method, instead, models) -> None:
    explainer, made = ox.Explainer(models.tokens()), words(instead=instead)
    chosen = ox.Lime(50, alpha=0.0) if method == "lime" else ox.method(method)
    found = explainer(made.inputs, 1, chosen, **made.players)
    named = made.named(found)
    assert [w for w, _ in named[0]] == ["good", "film", ",", "good"]
    np.testing.assert_array_equal(found.arrays["ids"][0, 1], found.arrays["ids"][0, 2])
    if method == "feature_ablation":
        without = {k: v.copy() for k, v in made.inputs.items()}
        without["ids"][0, 1:3] = 0 if instead is None else instead
        if instead is None:
            without["mask"][0, 1:3] = 0
        lost = explainer.predict(made.inputs)["y"] - explainer.predict(without)["y"]
        np.testing.assert_allclose(named[0][1][1], lost[0, 1], rtol=1e-4, atol=1e-6)
    alone = ox.Words.of("bad", lambda w: IDS[w], ids="ids", mask="mask", instead=instead, length=5)
    np.testing.assert_allclose(
        made.named(found)[1][0][1], alone.named(explainer(alone.inputs, 1, chosen, **alone.players))[0][0][1],
        rtol=1e-3, atol=1e-6,
    )  # fmt: skip


def test_tokens_add_up_to_words(models) -> None:
    explainer, made = ox.Explainer(models.tokens()), words()
    found = explainer(made.inputs, 1, "integrated_gradients")
    named = made.named(found)
    np.testing.assert_allclose(named[0][1][1], found.values[0, 1:3].sum(), rtol=1e-5)
    np.testing.assert_allclose(sum(v for _, v in named[0]), found.values[0].sum(), rtol=1e-5)


def test_what_makes_no_words() -> None:
    with pytest.raises(ox.errors.DataInputError, match=r"' ' has no words"):
        ox.Words.of([" "], lambda w: [1])
    with pytest.raises(ox.errors.DataInputError, match=r"gives str for 'good'.*list of ids"):
        ox.Words.of("good", lambda w: "a")
    with pytest.raises(ox.errors.DataInputError, match=r"5 tokens and length is 3"):
        words(length=3)
    with pytest.raises(ox.errors.DataInputError, match=r"texts are a str"):
        ox.Words.of([], lambda w: [1])


@pytest.mark.parametrize("method", ["feature_ablation", "kernel_shap"])
def test_tokens_that_play_by_themselves_add_up(method, models) -> None:
    explainer, made = ox.Explainer(models.tokens()), words()
    found = explainer(made.inputs, 1, method)
    tokens = found.values[0, 1:3].astype(float)
    assert tokens[0] != tokens[1]
    np.testing.assert_allclose(made.named(found)[0][1][1], tokens.sum(), rtol=1e-6)


def test_numbers_of_embeddings(models) -> None:
    explainer, made = ox.Explainer(models.tokens()), words()
    owner = made.feature_mask["ids"]
    options = {"wrt": "e", "baselines": 0}
    found = explainer(made.inputs, 1, "feature_ablation", feature_mask=owner[..., None], **options)
    np.testing.assert_allclose(made.named(found)[0][1][1], found.values[0, 1, 0], rtol=1e-6)
    apart = explainer(made.inputs, 1, "integrated_gradients", **options)
    np.testing.assert_allclose(made.named(apart)[0][1][1], apart.values[0, 1:3].sum(), rtol=1e-6)
    with pytest.raises(ox.errors.DataInputError, match=r"explains h, not 'ids'.*words\.inputs"):
        made.named(explainer(made.inputs, 1, "integrated_gradients", wrt="h"))
