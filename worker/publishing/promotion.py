"""Apply the promotion rule of a training job to its new version."""

from __future__ import annotations

from shared.domain.errors import Conflict, NotFound, PreconditionFailed
from shared.models.comparison import Decision, decide
from shared.models.registry import Registry


def promote(registry: Registry, rule: str, version: str) -> Decision:
    """Make `version` the champion if the rule allows it, and return the decision with its reason.

    Decides again if the champion changes in the meantime.
    """
    while True:
        alias = registry.alias()
        if alias.version == version:
            return Decision(True, "it is the champion")
        decision = _decide(registry, rule, alias.version, version)
        try:
            if decision.promoted:
                registry.promote(version, alias.revision)
            return decision
        except PreconditionFailed:
            continue


def _decide(registry: Registry, rule: str, champion: str, version: str) -> Decision:
    if rule != "if_better":
        return Decision(rule == "always", f"promote: {rule}")
    try:
        return decide(rule, registry.compare(champion, version))
    except (NotFound, Conflict) as error:
        return Decision(False, f"keep the champion: {error}")
