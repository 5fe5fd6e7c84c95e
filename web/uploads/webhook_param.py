"""The webhook that a request for a job names: in its JSON, in a part of its form, or in its address."""

from __future__ import annotations

from flask import Request

from shared.domain.entities import WebhookTarget
from shared.domain.errors import Fault, InvalidRequest
from shared.services import Services
from shared.webhooks import target
from shared.webhooks.target import MAX_URL
from web.uploads.multipart import Part

#: Bytes of a part that are read: more than a URL has, so that one that is too long is told from one that is not.
MAX_PART_BYTES = 4 * MAX_URL


def webhook_in_field(services: Services, url: str | None) -> WebhookTarget | None:
    """The webhook in a field of a JSON body. Raises InvalidRequest."""
    return None if url is None else _checked(services, url, "/webhook")


def webhook_in_part(services: Services, part: Part) -> WebhookTarget:
    """The webhook in a part of a form. Raises InvalidRequest, TooLarge."""
    return _checked(services, part.text(MAX_PART_BYTES).decode(errors="replace"), "/webhook")


def webhook_in_address(services: Services, request: Request) -> WebhookTarget | None:
    """The webhook in the query of a request whose body is one file. Raises InvalidRequest."""
    url = request.args.get("webhook")
    return None if url is None else _checked(services, url, "webhook")


def refuse_in_address(request: Request, place: str) -> None:
    """Raise InvalidRequest where the query names a webhook but the body has a `place` for it."""
    if "webhook" in request.args:
        raise _wrong(f"belongs into {place}: in the address it is only for a body that is one file", "webhook")


def _checked(services: Services, url: str, pointer: str) -> WebhookTarget:
    try:
        return target.check(url, services.resolver)
    except ValueError as error:
        raise _wrong(str(error), pointer) from error


def _wrong(detail: str, pointer: str) -> InvalidRequest:
    return InvalidRequest(f"webhook {detail}", [Fault(pointer, detail)])
