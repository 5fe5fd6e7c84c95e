"""A hundred clients that wait, and other requests meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from shared.settings import Settings
from tests.conftest import NO_TLS, PATIENCE_S, Service
from tests.integration.helpers import open_job, png, put
from tests.proxies_kit import with_settings
from web.app import waiting_places

CLIENTS, WAIT_S = 100, 30
#: Threads of each web process, fewer than usual, and clients that may wait at a time.
THREADS = 40
PLACES = Settings().web_processes * waiting_places(THREADS)
#: Seconds for any other request. Less than WAIT_S: if waiting clients held all threads, it would only be answered when
#: the first of them gives up.
PROMPT_S = 25
#: Requests of each kind that are made while the others wait.
ROUNDS = 5
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def crowded(service, tmp_path_factory):
    with with_settings(service, tmp_path_factory.mktemp("waiting"), web_threads=str(THREADS)) as crowded:
        yield crowded


@pytest.fixture
def http(crowded):
    with crowded.client() as client:
        yield client


@contextlib.asynccontextmanager
async def client_of(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    limits, timeout = httpx.Limits(max_connections=None), WAIT_S + PATIENCE_S
    async with httpx.AsyncClient(
        base_url=service.url, limits=limits, timeout=timeout, trust_env=False, verify=NO_TLS
    ) as client:
        yield client


class Waiting:
    """Clients that follow a job to its end. Half of them first wait for the result of a picture."""

    def __init__(self, client: httpx.AsyncClient, job: str) -> None:
        self._client, self._job = client, job
        self._turned_away: set[int] = set()

    async def settled(self) -> None:
        """Wait until all have asked; those without a place were answered at once."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self._turned_away) < CLIENTS - PLACES:
                await asyncio.sleep(0.1)

    async def follow(self, number: int) -> str:
        """Follow the job; return its final state."""
        if number % 2:
            await self._submit()
        while not (job := await self._ask())["done"]:
            self._turned_away.add(number)
            await asyncio.sleep(1)  # the Retry-After of an open job
        return str(job["state"])

    async def _ask(self) -> dict:
        answer = await self._client.get(f"/v1/jobs/{self._job}", params={"wait": WAIT_S})
        assert answer.status_code == 200, answer.text
        assert answer.json()["done"] or answer.headers["Retry-After"] == "1"
        return answer.json()

    async def _submit(self) -> None:
        headers = {**PNG, "Prefer": f"wait={WAIT_S}"}
        answer = await self._client.post("/v1/jobs", content=png(), headers=headers)
        assert answer.status_code == (200 if answer.json()["done"] else 202), answer.text


async def ask_for_other_things(client: httpx.AsyncClient, job: str) -> None:
    """Request a status, a classification and a health check, several times."""
    for _ in range(ROUNDS):
        for method, path, content in (
            ("GET", f"/v1/jobs/{job}", None),
            ("POST", "/v1/jobs", png()),
            ("GET", "/healthz", None),
        ):
            answer = await client.request(method, path, content=content, headers=PNG, timeout=PROMPT_S)
            assert answer.status_code in (200, 202)
        await asyncio.sleep(0.3)  # clients without a place retry meanwhile


async def wait_and_ask(service: Service, job: str) -> list[str]:
    """Let the clients wait, send other requests, then end the job; return the states that the clients saw."""
    async with client_of(service) as client, client_of(service) as other:
        waiting = Waiting(client, job)
        clients = [asyncio.create_task(waiting.follow(number)) for number in range(CLIENTS)]
        await waiting.settled()
        await ask_for_other_things(other, job)
        assert not any(one.done() for one in clients)
        (await other.post(f"/v1/jobs/{job}/seal")).raise_for_status()
        async with asyncio.timeout(PROMPT_S):
            return await asyncio.gather(*clients)


def test_a_hundred_waiting_clients_do_not_block_others(crowded, http):
    """Given an open job that 100 clients follow, then other requests are answered; when it ends, all clients know."""
    job = open_job(http)
    put(http, job, "a", png())
    with ThreadPoolExecutor(1) as thread:  # Playwright has an event loop in this one, where browser tests ran before
        states = thread.submit(asyncio.run, wait_and_ask(crowded, job)).result()
    assert states == ["succeeded"] * CLIENTS
