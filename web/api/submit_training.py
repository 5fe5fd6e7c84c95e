"""From a request for a training to its job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.access.api_keys import Scope
from shared.domain.entities import Queue, WebhookTarget
from shared.domain.errors import Fault, InvalidRequest, NotFound
from shared.services import Services
from shared.training.datasets import CIFAR10, MIN_CORRECTIONS, WITH_CORRECTIONS, corrected_pictures, too_few_corrections
from shared.training.own_datasets import too_thin
from shared.training.params import parse
from shared.training.presets import DistilParams, FinetuneParams, HeadParams, Params
from web.auth.access import require, visible_card
from web.middleware.rate_limits import most_open_jobs
from web.middleware.request_log import about_job, request_id

#: Presets that learn from a Dataset only, from the Backbone on.
OWN_ONLY = (HeadParams, FinetuneParams)


def submit_training(
    services: Services, owner: str, given: Mapping[str, Any], metadata: Any, webhook: WebhookTarget | None = None
) -> str:
    """Queue a training with these parameters and return its job's id.

    Raise InvalidRequest with a Fault for each wrong parameter, NotAllowed if the key may not promote, and Unavailable.
    """
    params = parse(given)
    dataset = _own_dataset(services, owner, params)
    if params.promote != "never" and dataset is None:
        require(Scope.ADMIN)  # promotion changes what serves all owners
    _check_base(params)
    if isinstance(params, OWN_ONLY):
        params = _with_backbone(services, params)
    if isinstance(params, DistilParams):
        params = _with_teacher(services, owner, params)
    _check_corrections(services, owner, params)
    job_id = services.store.submit_training(
        params.model_dump(),
        metadata,
        retention_s=services.settings.retention_hours * 3600,
        owner=owner,
        max_unfinished=most_open_jobs(),
        request_id=request_id(),
        webhook=webhook,
        dataset=dataset,
    )
    about_job(job_id)
    if dataset is not None:
        services.datasets.add_job(dataset, job_id)
    services.messenger.wake_for_items(Queue.TRAIN, 1)
    return job_id


def _own_dataset(services: Services, owner: str, params: Params) -> str | None:
    """Return the id of the owner's Dataset that the training names, or None if it is CIFAR-10.

    Raise InvalidRequest if there is no such Dataset, or if it is too small.
    """
    if params.dataset in (CIFAR10, WITH_CORRECTIONS):
        if isinstance(params, OWN_ONLY):
            raise _wrong("dataset", f"{params.preset} needs a dataset of your own, not {params.dataset}")
        return None
    try:
        dataset = services.datasets.find(owner, params.dataset)
    except NotFound as error:
        raise _wrong("dataset", str(error)) from error
    if reason := too_thin({label.name: label.pictures for label in services.datasets.get(dataset).labels}):
        raise _wrong("dataset", reason)
    return dataset


def _check_base(params: Params) -> None:
    """Raise InvalidRequest if the version to start from does not exist or is of another preset."""
    if params.base is None:
        return
    if isinstance(params, OWN_ONLY):
        raise _wrong("base", f"{params.preset} starts from the pretrained network, not from a version")
    try:
        preset = visible_card(params.base).preset
    except NotFound as error:
        raise _wrong("base", f"there is no model version {params.base}") from error
    if preset != params.preset:
        raise _wrong("base", f"{params.base} is of preset {preset}: its weights do not fit {params.preset}")


def _with_backbone(services: Services, params: HeadParams | FinetuneParams) -> Params:
    """Return the parameters with the version of the Backbone that they name.

    Raise InvalidRequest if there is no such Backbone.
    """
    try:
        if services.registry.exists(params.backbone):
            visible_card(params.backbone)  # a version of another owner is not there
        card = services.registry.backbone(params.backbone)
    except NotFound as error:
        raise _wrong("backbone", str(error)) from error
    return params.model_copy(update={"backbone": card.version})


def _with_teacher(services: Services, owner: str, params: DistilParams) -> DistilParams:
    """Return the parameters with the teacher that they name, else with the version that serves now.

    Raise InvalidRequest if that version does not exist.
    """
    try:
        if params.teacher is not None:
            return params.model_copy(update={"teacher": visible_card(params.teacher).version})
        name = CIFAR10 if params.dataset == WITH_CORRECTIONS else params.dataset
        alias = services.registry.alias(services.registry.classifier(name, owner))
    except NotFound as error:
        raise _wrong("teacher", str(error)) from error
    return params.model_copy(update={"teacher": alias.version})


def _check_corrections(services: Services, owner: str, params: Params) -> None:
    """Raise InvalidRequest if the training needs more corrected pictures than the owner has."""
    if params.dataset != WITH_CORRECTIONS:
        return
    count = len(corrected_pictures(services.corrections.all(owner)))
    if count < MIN_CORRECTIONS:
        raise _wrong("dataset", too_few_corrections(count))


def _wrong(name: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: {detail}.", [Fault(f"/params/{name}", detail)])
