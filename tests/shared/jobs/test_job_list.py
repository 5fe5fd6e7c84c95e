"""Lists of jobs, expiry and complete removal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.entities import JobKind, JobState
from shared.domain.errors import Conflict, InvalidRequest, NotFound
from shared.jobs.cursors import encode_cursor
from shared.jobs.job_list import READ_BATCH, JobList
from shared.redis import keys
from shared.redis.connection import now_ms
from tests.shared.kit import HOUR_MS, REFUSED, Kit, upload, uploads


def listed(kit: Kit, limit: int, **wanted) -> list[str]:
    """Return the job ids of all pages."""
    found, cursor = [], None
    while True:
        page, cursor = JobList(kit.redis).page(limit, after=cursor, **wanted)
        assert len(page) == limit or cursor is None
        assert not {job.id for job in page} & set(found)
        found += [job.id for job in page]
        if cursor is None:
            return found


def aged(kit: Kit, count: int) -> list[str]:
    """Create `count` jobs in different milliseconds and return them newest first."""
    jobs = [kit.open_job() for _ in range(count)]
    for age, job in enumerate(jobs):
        _set_created(kit, job, now_ms(kit.redis) - age * 1000)
    return jobs


def _set_created(kit: Kit, job: str, at: int) -> None:
    kit.redis.hset(keys.job(job), "created_at", at)
    kit.redis.zadd(keys.JOBS, {job: at})


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
def test_jobs_are_listed_newest_first_and_once(kit: Kit, limit: int) -> None:
    jobs = aged(kit, 7)
    assert listed(kit, limit) == jobs


def test_a_list_spans_several_reads(kit: Kit) -> None:
    jobs = {kit.open_job() for _ in range(READ_BATCH + 3)}
    found = listed(kit, READ_BATCH + 1)
    assert len(found) == len(jobs)
    assert set(found) == jobs


def test_lists_can_be_filtered(kit: Kit) -> None:
    training = kit.store.create(JobKind.TRAINING, retention_s=1)
    waiting, done = kit.open_job(), kit.sealed_job([upload("bad", failure=REFUSED)])
    assert listed(kit, 1, kind="training") == [training]
    assert listed(kit, 1, state="succeeded") == [done]
    assert listed(kit, 1, kind="classification", state="open") == [waiting]
    assert listed(kit, 1, kind="training", state="succeeded") == []


def test_an_owners_list_has_only_their_jobs(kit: Kit) -> None:
    anns = [kit.sealed_job(uploads(1), owner="ann"), kit.open_job(owner="ann")]
    bobs = kit.store.submit_training({}, retention_s=1, owner="bob")
    assert set(listed(kit, 1, owner="ann")) == set(anns)
    assert listed(kit, 1, owner="bob") == [bobs]
    assert listed(kit, 1, owner="local") == []
    assert set(listed(kit, 1)) == {*anns, bobs}
    assert kit.store.get(bobs).owner == "bob"
    assert kit.store.get(kit.open_job()).owner == "local"
    kit.store.remove(bobs, force=True)
    assert listed(kit, 1, owner="bob") == []


def test_an_unlisted_job_is_listed_when_sealed(kit: Kit) -> None:
    job = kit.open_job(uploads(1), listed=False)
    assert not kit.store.is_listed(job)
    assert listed(kit, 10) == []
    kit.store.seal(job)
    assert kit.store.is_listed(job)
    assert listed(kit, 10) == [job]


@pytest.mark.parametrize("same_moment", [False, True])
def test_a_cursor_survives_the_deletion_of_its_job(kit: Kit, same_moment: bool) -> None:
    jobs = aged(kit, 6)
    if same_moment:
        at = now_ms(kit.redis)
        for job in jobs:
            _set_created(kit, job, at)
        jobs = listed(kit, 10)
    page, cursor = JobList(kit.redis).page(3)
    assert [job.id for job in page] == jobs[:3]
    kit.store.remove(jobs[2], force=True)
    assert [job.id for job in JobList(kit.redis).page(10, after=cursor)[0]] == jobs[3:]
    kit.store.remove(jobs[0], force=True)
    assert [job.id for job in JobList(kit.redis).page(10, after=cursor)[0]] == jobs[3:]


def test_new_jobs_do_not_move_a_cursor(kit: Kit) -> None:
    jobs = aged(kit, 4)
    _, cursor = JobList(kit.redis).page(2)
    new = kit.open_job()
    _set_created(kit, new, now_ms(kit.redis) + 1000)
    assert [job.id for job in JobList(kit.redis).page(10, after=cursor)[0]] == jobs[2:]


def test_other_cursors_are_invalid_requests(kit: Kit) -> None:
    kit.open_job()

    @settings(max_examples=150)
    @given(st.one_of(st.text(), st.builds(lambda text: encode_cursor("job", text), st.text(st.characters(codec=None)))))
    def check(cursor: str) -> None:
        try:
            JobList(kit.redis).page(5, after=cursor)
        except InvalidRequest as error:
            assert error.faults[0].pointer == "after"

    check()


@pytest.mark.parametrize("position", ["٣ x", "12\ud800 x", "1 \ud800", "", "x y", "-1 x", "inf x", "²"])
def test_cursors_with_odd_positions_are_invalid_requests(kit: Kit, position: str) -> None:
    with pytest.raises(InvalidRequest):
        JobList(kit.redis).page(5, after=encode_cursor("job", position))


def test_open_jobs_expire_and_each_item_extends_them(kit: Kit) -> None:
    job, other = kit.open_job(), kit.open_job()
    for each in (job, other):
        kit.redis.zadd(keys.EXPIRING, {each: now_ms(kit.redis) - 1})
    assert {each.id for each in kit.store.expired(10)} == {job, other}
    assert len(kit.store.expired(1)) == 1
    kit.store.add(job, uploads(1), 10)
    assert [each.id for each in kit.store.expired(10)] == [other]
    assert kit.redis.zscore(keys.EXPIRING, job) == pytest.approx(now_ms(kit.redis) + 24 * HOUR_MS, abs=5000)
    assert kit.store.get(job).expires_at == kit.redis.zscore(keys.EXPIRING, job) / 1000


def test_only_finished_jobs_expire(kit: Kit) -> None:
    job = kit.sealed_job(uploads(1), retention_s=0)
    assert kit.redis.zscore(keys.EXPIRING, job) is None
    kit.work_off()
    assert [each.id for each in kit.store.expired(10)] == [job]
    assert [each.state for each in kit.store.expired(10)] == [JobState.SUCCEEDED]


def test_a_retried_job_does_not_expire(kit: Kit) -> None:
    job = kit.sealed_job(uploads(1), retention_s=0)
    kit.store.cancel(job)
    kit.store.retry(job)
    assert kit.store.expired(10) == []


def test_an_unfinished_job_is_removed_only_by_force(kit: Kit) -> None:
    jobs = [kit.open_job(uploads(1)), kit.sealed_job(uploads(1))]
    for job in jobs:
        with pytest.raises(Conflict, match="unfinished"):
            kit.store.remove(job)
        assert kit.counted(job).total == 1
        kit.store.remove(job, force=True)
        assert kit.traces(job) == {keys.REMOVING}


def test_removal_leaves_only_a_marker_until_forget(kit: Kit) -> None:
    job = kit.sealed_job([*uploads(3), upload("bad", failure=REFUSED)])
    kit.store.cancel(job)
    kit.store.remove(job)
    assert kit.traces(job) == {keys.REMOVING}
    assert (kit.store.removing(), listed(kit, 10)) == ([job], [])
    with pytest.raises(NotFound):
        kit.store.get(job)
    kit.store.remove(job)  # a repeat, as after a crash
    kit.store.forget(job)
    kit.store.forget(job)
    assert kit.traces(job) == set()
    assert kit.store.removing() == []
    with pytest.raises(NotFound):
        kit.store.remove(job)


def test_removal_does_not_touch_other_jobs(kit: Kit) -> None:
    kept, gone = kit.sealed_job(uploads(2)), kit.sealed_job(uploads(2))
    kit.store.remove(gone, force=True)
    assert kit.claim().job_id == kept
    assert kit.counted(kept).total == 2
