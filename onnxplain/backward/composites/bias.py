"""What the rules of a composite do with the share of biases: one option for all of them."""

from __future__ import annotations

from dataclasses import replace

from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.rules.base import Rule, SignalOnly
from onnxplain.backward.rules.formula import Bias
from onnxplain.backward.rules.lrp import LRPRule
from onnxplain.backward.rules.normalization import DetachedNorm
from onnxplain.errors import MethodError

__all__ = ["rule_with_bias", "with_bias"]


def with_bias(composite: Composite, bias: Bias | None) -> Composite:
    """Return a composite whose rules all do the same with biases.

    Parameters
    ----------
    composite
        Any composite.
    bias
        None leaves the composite as it is.

    Raises
    ------
    MethodError
        If no rule of the composite counts biases, or the rules leave them out by ``zero_params``, which says
        something else.
    """
    if bias is None:
        return composite
    if not any(_counts(rule) for _, rule in composite.rules):
        raise MethodError(f"composite '{composite.name}' has no rule that counts biases; leave bias out")
    rules = tuple((match, rule_with_bias(rule, bias)) for match, rule in composite.rules)
    return replace(composite, rules=rules, bias=bias)


def rule_with_bias(rule: Rule, bias: Bias) -> Rule:
    """Return a rule that does something else with biases; one that does not count any as it is."""
    if isinstance(rule, LRPRule) and rule.counts_bias:
        kept = tuple(name for name in rule.zero_params if name != "bias")
        return replace(rule, bias=bias, zero_params=kept)
    if isinstance(rule, DetachedNorm):
        return replace(rule, bias=bias)
    if isinstance(rule, SignalOnly):
        return replace(rule, rule=rule_with_bias(rule.rule, bias))
    return rule


def _counts(rule: Rule) -> bool:
    rule = rule.rule if isinstance(rule, SignalOnly) else rule
    return isinstance(rule, LRPRule) and rule.counts_bias
