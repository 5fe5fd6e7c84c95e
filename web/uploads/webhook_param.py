"""The webhook of a new Job, given in a JSON field, in a part of a form, or in the query."""

from __future__ import annotations

from flask import Request

from shared.domain.entities import WebhookTarget
from shared.domain.errors import Fault, InvalidRequest
from shared.webhooks import target
from shared.webhooks.resolver import Resolver
from shared.webhooks.target import MAX_URL
from web.uploads.multipart import Part

#: Bytes of a part that are read: more than a URL may have, so that a URL that is too long is refused for that.
MAX_PART_BYTES = 4 * MAX_URL


def webhook_in_field(url: str | None, resolver: Resolver) -> WebhookTarget | None:
    """Return the webhook in a field of a JSON body. Raise InvalidRequest."""
    return None if url is None else _checked(url, resolver, "/webhook")


def webhook_in_part(part: Part, resolver: Resolver) -> WebhookTarget:
    """Return the webhook in a part of a form. Raise InvalidRequest, TooLarge."""
    return _checked(part.text(MAX_PART_BYTES).decode(errors="replace"), resolver, "/webhook")


def webhook_in_query(request: Request, resolver: Resolver) -> WebhookTarget | None:
    """Return the webhook in the query of a request whose body is one file. Raise InvalidRequest."""
    url = request.args.get("webhook")
    return None if url is None else _checked(url, resolver, "webhook")


def refuse_in_query(request: Request, place: str) -> None:
    """Raise InvalidRequest if the query names a webhook although the body has a `place` for it."""
    if "webhook" in request.args:
        raise _wrong(f"belongs in {place}: the query is only for a body that is one file", "webhook")


def _checked(url: str, resolver: Resolver, pointer: str) -> WebhookTarget:
    try:
        return target.check(url, resolver)
    except ValueError as error:
        raise _wrong(str(error), pointer) from error


def _wrong(detail: str, pointer: str) -> InvalidRequest:
    return InvalidRequest(f"webhook {detail}", [Fault(pointer, detail)])
