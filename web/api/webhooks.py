"""Webhook deliveries of a job, and the signing secret."""

from __future__ import annotations

import re
from typing import cast

from flask import Blueprint, Response, jsonify

from shared.access.api_keys import Scope
from shared.domain.errors import NotFound
from shared.domain.times import rfc3339, rfc3339_or_none
from shared.jobs.deliveries import Attempt, Delivery
from shared.webhooks.signing_secrets import Secret
from web.auth.access import ANY_KEY, JOB_SCOPE, allow
from web.openapi.operation import Answer, operation
from web.schemas import responses
from web.schemas.serializers import failure_json
from web.state import caller, services

blueprint = Blueprint("webhooks", __name__)


@blueprint.get("/v1/jobs/<job_id>/deliveries")
@allow(ANY_KEY)
@operation({200: Answer(responses.DeliveryList)})
def deliveries(job_id: str) -> Response:
    """List the webhook deliveries of a job, newest first, with all attempts.

    There is one delivery each time the job finishes; a retried job finishes again.
    """
    found = services().deliveries.of_job(services().store.get(job_id))
    return jsonify({"data": [delivery_json(delivery) for delivery in found]})


@blueprint.post("/v1/jobs/<job_id>/deliveries/<delivery_id>/redeliver")
@allow(JOB_SCOPE)
@operation({202: Answer(responses.Delivery)})
def redeliver(job_id: str, delivery_id: str) -> tuple[Response, int]:
    """Redeliver a webhook immediately, with the same id.

    If the receiver fails, the delivery is retried on the same schedule as a new one.
    """
    job = services().store.get(job_id)
    if not re.fullmatch(rf"{job.id}-[0-9]{{1,9}}", delivery_id):
        raise NotFound(f"job {job.id} has no delivery {delivery_id[:64]!r}")
    services().deliveries.redeliver(delivery_id)
    return jsonify(delivery_json(services().deliveries.get(delivery_id))), 202


@blueprint.get("/v1/webhooks/secret")
@allow(ANY_KEY)
@operation({200: Answer(responses.WebhookSecret)})
def secret() -> Response:
    """Get the secret that signs the caller's webhooks; create one if there is none."""
    return _secret_response(services().webhook_secrets.get(caller().owner))


@blueprint.post("/v1/webhooks/secret")
@allow(Scope.SUBMIT)
@operation({200: Answer(responses.WebhookSecret)})
def replace_secret() -> Response:
    """Replace the signing secret.

    For one day, deliveries are signed with the previous secret too, so that receivers can switch.
    """
    return _secret_response(services().webhook_secrets.replace(caller().owner))


def delivery_json(delivery: Delivery) -> responses.Delivery:
    """Return the JSON of a delivery."""
    return {
        "id": delivery.id,
        "type": cast(responses.Event, f"job.{delivery.job.state}"),
        "state": delivery.state,
        "created_at": rfc3339(delivery.job.finished_at or 0),
        "next_attempt_at": rfc3339_or_none(delivery.next_attempt_at),
        "attempts": [_attempt_json(attempt) for attempt in delivery.attempts],
    }


def _attempt_json(attempt: Attempt) -> responses.Attempt:
    return {
        "at": rfc3339(attempt.at),
        "duration_s": attempt.duration_s,
        "status": attempt.status,
        "error": failure_json(attempt.failure),
    }


def _secret_response(found: Secret) -> Response:
    view: responses.WebhookSecret = {"secret": found.current, "previous_until": rfc3339_or_none(found.previous_until)}
    response = jsonify(view)
    response.headers["Cache-Control"] = "no-store"
    return response
