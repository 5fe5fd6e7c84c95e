"""What a new Job is pinned to: the champion of a Classifier, or a version that the request names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Request

from shared.domain.classifier import CIFAR10, Classifier
from shared.domain.errors import Fault, InvalidRequest, NotFound
from shared.models.registry import Registry
from shared.services import Services
from web.auth.access import visible_card
from web.state import caller
from web.uploads.multipart import Part

#: Names of the query parameters, JSON fields and parts.
PIN_FIELDS = ("classifier", "version")
#: Bytes of a part that are read: more than a name may have.
MAX_PART_BYTES = 1024


@dataclass(frozen=True)
class Pin:
    """A version of a Classifier."""

    classifier: Classifier
    version: str


def choose(services: Services, named: Mapping[str, str], place: str = "") -> Pin:
    """Return the `version` that is named, else the champion of the `classifier`, else that of the default Classifier.

    `place` is the beginning of the pointers to the names. Raise InvalidRequest if a name is unknown to the caller, or
    if the version does not belong to the Classifier.
    """
    found = _classifier(services.registry, named["classifier"], place) if "classifier" in named else None
    if "version" in named:
        return _version(named["version"], found, place)
    found = found or CIFAR10
    try:
        champion = services.registry.champion(found).version
    except NotFound as error:
        raise _wrong("classifier", place, str(error)) from error
    if found != CIFAR10:  # workers always have that one's champion
        services.classifiers.record_use(found)
    return Pin(found, champion)


def choose_in_query(services: Services, request: Request) -> Pin:
    """Return what the query names, else the champion of the default Classifier. Errors are those of `choose`."""
    return choose(services, {name: request.args[name] for name in PIN_FIELDS if name in request.args})


def refuse_pin_in_query(request: Request, reason: str) -> None:
    """Raise InvalidRequest, for this reason, if the query names a Classifier or a version."""
    for name in PIN_FIELDS:
        if name in request.args:
            raise _wrong(name, "", reason)


def text_of(part: Part) -> str:
    """Return the name in a part."""
    return part.text(MAX_PART_BYTES).decode(errors="replace").strip()


def too_late(name: str) -> InvalidRequest:
    """Return the error for a part that comes after files, on which work has started."""
    return _wrong(name, "/", "the part must come before the files")


def _classifier(registry: Registry, name: str, place: str) -> Classifier:
    try:
        return registry.classifier(name, caller().owner)
    except NotFound as error:
        raise _wrong("classifier", place, str(error)) from error


def _version(version: str, classifier: Classifier | None, place: str) -> Pin:
    try:
        card = visible_card(version)
    except NotFound as error:
        raise _wrong("version", place, str(error)) from error
    if classifier not in (None, card.belongs_to):
        raise _wrong("version", place, f"{version} is not a version of this classifier, but of {card.classifier}")
    return Pin(card.belongs_to, card.version)


def _wrong(name: str, place: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: {detail}", [Fault(f"{place}{name}", detail)])
