"""From a request for a training to its job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.access.api_keys import Scope
from shared.domain.entities import Queue, WebhookTarget
from shared.domain.errors import Fault, InvalidRequest, NotFound
from shared.models.registry import Registry
from shared.services import Services
from shared.training.datasets import LEAST_CORRECTIONS, WITH_CORRECTIONS, corrected_pictures, too_few
from web.auth.access import require
from web.middleware.rate_limits import most_open_jobs
from web.middleware.request_log import about_job, request_id


def submit_training(
    services: Services, owner: str, given: Mapping[str, Any], metadata: Any, webhook: WebhookTarget | None = None
) -> str:
    """Queue a training with these parameters for its owner and return its job's id.

    Raises InvalidRequest with a Fault for each wrong parameter, NotAllowed where it is to be promoted and the key may
    not do that, and Unavailable where nobody has ever said what can be
    trained.
    """
    params = services.catalogue.resolve(given)
    if params["promote"] != "never":
        require(Scope.ADMIN)  # it may change what serves everybody
    _check_base(services.registry, params)
    _check_corrections(services, owner, params)
    retention_s = services.settings.retention_hours * 3600
    job_id = services.store.submit_training(
        params,
        metadata,
        retention_s=retention_s,
        owner=owner,
        max_unfinished=most_open_jobs(),
        request_id=request_id(),
        webhook=webhook,
    )
    about_job(job_id)
    services.messenger.wake_for_items(Queue.TRAIN, 1)
    return job_id


def _check_base(registry: Registry, params: Mapping[str, Any]) -> None:
    """Raise InvalidRequest where the version to continue from is not there, or is another preset's."""
    base = params["base"]
    if base is None:
        return
    try:
        preset = registry.card(base).preset
    except NotFound as error:
        raise _wrong_base(f"there is no model version {base}") from error
    if preset != params["preset"]:
        raise _wrong_base(f"{base} is of preset {preset}: its weights do not fit {params['preset']}")


def _check_corrections(services: Services, owner: str, params: Mapping[str, Any]) -> None:
    """Raise InvalidRequest where the data set wants corrected pictures and the owner has too few of them."""
    if params["dataset"] != WITH_CORRECTIONS:
        return
    count = len(corrected_pictures(services.corrections.all(owner)))
    if count < LEAST_CORRECTIONS:
        raise InvalidRequest(f"dataset: {too_few(count)}.", [Fault("/params/dataset", too_few(count))])


def _wrong_base(detail: str) -> InvalidRequest:
    return InvalidRequest(f"base: {detail}.", [Fault("/params/base", detail)])
