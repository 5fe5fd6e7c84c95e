"""Imports of pictures into Datasets: Jobs of kind `import`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from shared.access.api_keys import Scope
from shared.datasets.entities import DatasetRecord
from shared.domain.entities import JobKind
from web.api.jobs import ACCEPTED, WAITED_FOR, open_job, opened, submitted
from web.auth.access import allow
from web.openapi.operation import JSON, MULTIPART, Answer, operation
from web.schemas import responses
from web.schemas.datasets import LABEL_TEXT
from web.schemas.requests import UploadQuery, json_body, query
from web.state import caller, services
from web.uploads.imports import FOLDERS, backbone, import_params, labelling, submit_import
from web.uploads.request_files import ARCHIVE_TYPES, UNKNOWN_TYPE
from web.uploads.webhook_param import refuse_in_query, webhook_in_field

blueprint = Blueprint("dataset_imports", __name__, url_prefix="/v1/datasets")

LabelOption = Annotated[
    str | None, Field(max_length=LABEL_TEXT, description="Label of all pictures; a new one is added to the dataset.")
]
Layout = Annotated[
    Literal["folders", "flat"],
    Field(description="folders: without another label, the folder that holds a picture is its label."),
]


class ImportQuery(UploadQuery):
    """`POST /v1/datasets/{dataset}/imports`."""

    label: LabelOption = None
    layout: Layout = "folders"
    webhook: str | None = Field(
        None, description="URL to call when the import finishes; only if the body is a single file."
    )


class NewImport(BaseModel):
    """An open import, to be filled and sealed."""

    model_config = ConfigDict(extra="forbid")

    label: LabelOption = None
    layout: Layout = "folders"
    metadata: Any = None
    webhook: str | None = Field(None, description="URL to call when the import finishes.")


class ImportParts(TypedDict):
    """A whole import in one request."""

    files: Annotated[list[bytes], Field(min_length=1, description="pictures, `.zip`, `.tar`, also compressed")]
    labels: NotRequired[
        Annotated[responses.JsonText, Field(description="list with a label or null for each file, in order")]
    ]
    label: NotRequired[Annotated[str, Field(description="label of all pictures; before the files")]]
    layout: NotRequired[Annotated[str, Field(description="`folders` or `flat`; before the files")]]
    metadata: NotRequired[Annotated[Any, Field(description="any JSON value; it stays with the job")]]
    webhook: NotRequired[Annotated[str, Field(description="a URL that is called when the job ends")]]


@blueprint.post("/<dataset>/imports")
@allow(Scope.TRAIN)
@operation(
    {
        201: Answer(responses.Job, ["Location", "Retry-After", "ETag"], about="An open import, to be filled."),
        202: ACCEPTED,
        200: WAITED_FOR,
    },
    body={
        JSON: NewImport,
        MULTIPART: ImportParts,
        "image/*": None,
        **dict.fromkeys([*sorted(ARCHIVE_TYPES), UNKNOWN_TYPE]),
    },
    query=ImportQuery,
    headers=["Prefer"],
)
def create(dataset: str) -> Response:
    """Import pictures: those in the request, or into an open import to fill later.

    The label of a picture is `label`, or its entry in the part `labels`, or in a file `labels.csv` (columns `file` and
    `label`) in its archive, or the name of the folder that holds it. A picture that the dataset has already is not
    added again.
    """
    asked = query(ImportQuery, request)
    record = services().datasets.get(services().datasets.find(caller().owner, dataset))
    if request.mimetype == "application/json":
        return _open(record, asked)
    given = {"label": asked.label, "layout": asked.layout, "names": asked.names}
    job_id = submit_import(services(), caller().owner, record, request, given)
    services().datasets.add_job(record.id, job_id)
    return submitted(job_id)


def _open(dataset: DatasetRecord, asked: ImportQuery) -> Response:
    refuse_in_query(request, "the JSON")
    wanted = json_body(NewImport, request)
    layout = wanted.layout if wanted.layout != FOLDERS else asked.layout
    params = import_params(dataset.name, wanted.label or asked.label, layout)
    labelling(params)
    webhook = webhook_in_field(wanted.webhook, services().resolver)
    fields = {"dataset": dataset.id, "params": params, "model": backbone(services())}
    job_id = open_job(JobKind.IMPORT, webhook, metadata=wanted.metadata, **fields)
    services().datasets.add_job(dataset.id, job_id)
    return opened(job_id)
