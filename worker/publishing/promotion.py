"""Apply the promotion rule of a training job to its new version."""

from __future__ import annotations

from collections.abc import Callable

from shared.domain.errors import Conflict, NotFound, PreconditionFailed
from shared.models.comparison import Comparison, Decision, decide
from shared.models.registry import Registry

#: Compares two versions, the second with the first. Raises NotFound and Conflict, with the reason, if it cannot.
Judge = Callable[[str, str], Comparison]


def promote(registry: Registry, rule: str, version: str, judge: Judge | None = None) -> Decision:
    """Make `version` the champion of its Classifier if the rule allows it, and return the decision with its reason.

    The first version of a Classifier becomes its champion unless the rule is `never`. Others are compared with the
    champion by `judge`; by default, by their answers to the test images that both were measured on. Decides again if
    the champion changes in the meantime.
    """
    classifier = registry.card(version).belongs_to
    while True:
        alias = registry.find_alias(classifier)
        if alias and alias.version == version:
            return Decision(True, "it is the champion")
        decision = _decide(judge or registry.compare, rule, alias.version if alias else None, version)
        try:
            if decision.promoted:
                registry.promote(version, alias.revision if alias else 0)
            return decision
        except PreconditionFailed:
            continue
        except NotFound as error:
            return Decision(False, str(error))


def _decide(judge: Judge, rule: str, champion: str | None, version: str) -> Decision:
    if champion is None and rule != "never":
        return Decision(True, "it is the first version of its classifier")
    if champion is None or rule != "if_better":
        return Decision(rule == "always", f"promote: {rule}")
    try:
        return decide(rule, judge(champion, version))
    except (NotFound, Conflict) as error:
        return Decision(False, f"the champion stays: {error}")
