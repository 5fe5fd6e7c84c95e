"""The parts of the service, built from the settings, for the web process, the workers and the reconciler."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from shared.access.key_store import KeyStore
from shared.code import ServiceCode
from shared.datasets.imports import DatasetImports
from shared.datasets.labels import DatasetLabels
from shared.datasets.pictures import DatasetPictures
from shared.datasets.store import DatasetStore
from shared.datasets.sweep import DatasetSweep
from shared.domain.entities import blob_key, job_folder
from shared.domain.errors import Unavailable
from shared.jobs.chunks import ChunkStore
from shared.jobs.corrections import Corrections
from shared.jobs.deliveries import DeliveryStore
from shared.jobs.heatmaps import HeatmapQueue
from shared.jobs.job_list import JobList
from shared.jobs.messenger import Messenger
from shared.jobs.metrics import JobMetrics
from shared.jobs.queue_stats import QueueStats
from shared.jobs.results import Results
from shared.jobs.rounds import Rounds
from shared.jobs.skipped import SkippedFiles
from shared.jobs.store import JobStore
from shared.jobs.trainings import TrainingStore
from shared.jobs.workers import Workers
from shared.models.classifiers import Classifiers
from shared.models.exports import Exports
from shared.models.import_queue import ImportQueue
from shared.models.registry import SHIPPED, Registry
from shared.models.versions import PublishedVersions
from shared.redis import keys
from shared.redis.connection import Client, connect
from shared.redis.work_queue import WorkQueue
from shared.settings import Settings
from shared.storage.blobs import WORKER_PATIENCE, BlobStore, Patience
from shared.storage.disk import Disk
from shared.storage.identity import StorageIdentity
from shared.training.speeds import TrainingSpeeds
from shared.webhooks.resolver import Resolver
from shared.webhooks.signing_secrets import WebhookSecrets

#: Where models from the blob store are kept on this machine, in the data folder.
MODEL_CACHE = "cache/models"


@dataclass(frozen=True)
class Services:
    """One of each part for a process. Nothing connects before it is used."""

    settings: Settings
    redis: Client
    store: JobStore
    job_list: JobList
    results: Results
    skipped: SkippedFiles
    corrections: Corrections
    chunks: ChunkStore
    trainings: TrainingStore
    workers: Workers
    rounds: Rounds
    queues: QueueStats
    meters: JobMetrics
    keys: KeyStore
    blobs: BlobStore
    storage_identity: StorageIdentity
    code: ServiceCode
    disk: Disk
    classifiers: Classifiers
    registry: Registry
    imports: ImportQueue
    exports: Exports
    messenger: Messenger
    speeds: TrainingSpeeds
    deliveries: DeliveryStore
    webhook_secrets: WebhookSecrets
    resolver: Resolver
    datasets: DatasetStore
    dataset_labels: DatasetLabels
    dataset_pictures: DatasetPictures
    dataset_imports: DatasetImports
    dataset_sweep: DatasetSweep
    reports: WorkQueue
    heatmaps: HeatmapQueue

    @classmethod
    def build(cls, settings: Settings, patience: Patience = WORKER_PATIENCE) -> Services:
        """Build the parts. Raise ConfigError for settings that cannot work."""
        client = connect(settings.resolved_redis_url())
        meters = JobMetrics(client)
        blobs = BlobStore.open(settings.storage_url, settings.data_dir, patience, meters.count_request)
        published = PublishedVersions(blobs, settings.data_dir / MODEL_CACHE)
        classifiers = Classifiers(client)
        registry = Registry(SHIPPED, published, classifiers)
        return cls(
            settings=settings,
            redis=client,
            store=JobStore(client),
            job_list=JobList(client),
            results=Results(client),
            skipped=SkippedFiles(client),
            corrections=Corrections(client, lambda version: registry.card(version).labels),
            chunks=ChunkStore(client),
            trainings=TrainingStore(client),
            workers=Workers(client),
            rounds=Rounds(client),
            queues=QueueStats(client),
            meters=meters,
            keys=KeyStore(client),
            blobs=blobs,
            storage_identity=StorageIdentity(client, blobs),
            code=ServiceCode(client),
            disk=Disk(settings.data_dir),
            classifiers=classifiers,
            registry=registry,
            imports=ImportQueue(client, blobs),
            exports=Exports(client, blobs),
            messenger=Messenger(settings.resolved_broker_url()),
            speeds=TrainingSpeeds(client),
            deliveries=DeliveryStore(client),
            webhook_secrets=WebhookSecrets(client),
            resolver=Resolver(settings.webhooks_allowed),
            datasets=DatasetStore(client),
            dataset_labels=DatasetLabels(client),
            dataset_pictures=DatasetPictures(client),
            dataset_imports=DatasetImports(client),
            dataset_sweep=DatasetSweep(client, blobs),
            reports=WorkQueue(client, keys.REPORTS),
            heatmaps=HeatmapQueue(client),
        )

    def close(self) -> None:
        """Close the connections; count what is not counted yet, if Redis can be reached."""
        with suppress(Unavailable):
            self.meters.flush()
        self.redis.close()
        self.dataset_pictures.close()
        self.messenger.close()

    def delete_bytes(self, job_id: str) -> None:
        """Delete every stored byte of a removed job, then forget it. Safe to repeat after a crash."""
        self.blobs.delete_all(job_folder(job_id))
        self.store.forget(job_id)

    def picture(self, job_id: str, stored_as: str) -> bytes:
        """Return the bytes of a picture that a job has under this name. Raise NotFound."""
        return self.blobs.get(blob_key(job_id, stored_as))
