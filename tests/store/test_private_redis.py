import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError
from structlog.testing import capture_logs

from ari_app.errors import StoreUnavailable
from ari_app.service.redis_room import RedisRoom
from ari_app.store import server
from ari_app.store.connection import check_persistence, connect
from ari_app.store.server import private_redis

KILLED_SERVICE = """
import asyncio, os, signal, sys
from pathlib import Path
from ari_app.store.connection import connect
from ari_app.store.server import private_redis

async def serve():
    async with private_redis(Path(sys.argv[1]), own=True, temporary="temporary" in sys.argv) as url:
        await connect(url).set("kept", "yes")
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(serve())
"""


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Redis]:
    redis = connect(url)
    try:
        yield redis
    finally:
        await redis.aclose()


async def process_of(url: str) -> int:
    async with client(url) as redis:
        return int((await redis.info("server"))["process_id"])


async def socket_of(redis: Redis) -> Path:
    return Path((await redis.config_get("unixsocket"))["unixsocket"] or "")


async def answers(url: str) -> bool:
    async with client(url) as redis:
        try:
            return bool(await redis.ping())
        except (RedisError, OSError):
            return False


def is_running(data_dir: Path) -> bool:
    """Whether a redis-server lives on the data folder: it holds a lock of the kernel's."""
    with (data_dir / "redis" / "running").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


async def test_what_was_written_is_there_at_the_next_start(tmp_path: Path) -> None:
    async with private_redis(tmp_path, own=True) as url, client(url) as redis:
        await redis.set("kept", "yes")
    assert not is_running(tmp_path)
    async with private_redis(tmp_path, own=True) as url, client(url) as redis:
        assert await redis.get("kept") == b"yes"


async def test_it_keeps_everything_and_nobody_else_can_reach_it(tmp_path: Path) -> None:
    async with private_redis(tmp_path, own=True) as url, client(url) as redis:
        assert await check_persistence(redis) is None
        settings = await redis.config_get("*")
        assert (settings["appendonly"], settings["appendfsync"], settings["port"]) == ("yes", "everysec", "0")
        assert (tmp_path / "redis").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "redis" / "redis.sock").stat().st_mode & 0o777 == 0o700
        await redis.config_set("appendonly", "no")
        assert "appendonly yes" in (await check_persistence(redis) or "")


async def test_it_takes_so_much_memory_and_then_refuses_to_be_written_and_forgets_nothing(
    tmp_path: Path,
) -> None:
    async with private_redis(tmp_path, own=True, megabytes=16) as url, client(url) as redis:
        room = RedisRoom(redis)
        await room.look()
        assert room.problem is None
        await redis.set("first", "kept")
        with capture_logs() as log, suppress(OutOfMemoryError):
            for number in range(100):
                await redis.set(f"filling {number}", b"x" * 500_000)
                await room.look()
        assert 10 < await redis.dbsize() < 40
        assert await redis.get("first") == b"kept"
        assert room.problem is not None
        assert sum("% full" in line["event"] for line in log) == 1
        await redis.delete(*[f"filling {number}" for number in range(100)])
        await room.look()
        assert room.problem is None
    async with private_redis(tmp_path, own=True) as url, client(url) as redis:
        memory = await redis.info("memory")
        assert (memory["maxmemory"] >= 10**8, memory["maxmemory_policy"]) == (True, "noeviction")


async def test_a_command_uses_the_services_redis_and_leaves_it_running(tmp_path: Path) -> None:
    async with private_redis(tmp_path, own=True) as url:
        process = await process_of(url)
        async with private_redis(tmp_path, own=False) as same:
            assert await process_of(same) == process
        assert await answers(url)


async def test_a_command_that_started_redis_leaves_it_to_the_service_that_came_since(tmp_path: Path) -> None:
    command = private_redis(tmp_path, own=False)
    url = await command.__aenter__()
    async with private_redis(tmp_path, own=True):
        await command.__aexit__(None, None, None)
        assert await answers(url)
    assert not is_running(tmp_path)


async def test_a_service_started_twice_by_mistake_does_not_take_redis_from_the_first(tmp_path: Path) -> None:
    async with private_redis(tmp_path, own=True) as url:
        async with private_redis(tmp_path, own=True):
            pass
        assert await answers(url)


async def test_of_many_at_once_one_starts_it_and_the_last_one_ends_it(tmp_path: Path) -> None:
    processes = set()

    async def use() -> None:
        async with private_redis(tmp_path, own=False) as url, client(url) as redis:
            processes.add(await process_of(url))
            await redis.incr("users")

    await asyncio.gather(*(use() for _ in range(10)))
    assert len(processes) == 1
    assert not is_running(tmp_path)
    async with private_redis(tmp_path, own=False) as url, client(url) as redis:
        assert await redis.get("users") == b"10"


async def test_comings_and_goings_lose_nothing(tmp_path: Path) -> None:
    async def come_and_go() -> None:
        for _ in range(5):
            async with private_redis(tmp_path, own=False) as url, client(url) as redis:
                await redis.incr("visits")

    await asyncio.gather(*(come_and_go() for _ in range(4)))
    async with private_redis(tmp_path, own=False) as url, client(url) as redis:
        assert await redis.get("visits") == b"20"


async def test_redis_outlives_a_killed_service_and_the_next_one_takes_it_over(tmp_path: Path) -> None:
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED_SERVICE, str(tmp_path)], check=False, timeout=30
    )
    assert killed.returncode == -signal.SIGKILL
    assert is_running(tmp_path)
    async with private_redis(tmp_path, own=True) as url, client(url) as redis:
        assert await redis.get("kept") == b"yes"
    assert not is_running(tmp_path)


async def test_a_temporary_redis_dies_with_whoever_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_SERVICE, str(tmp_path), "temporary"]
    killed = await asyncio.to_thread(subprocess.run, command, check=False, timeout=30)
    assert killed.returncode == -signal.SIGKILL
    async with asyncio.timeout(60):
        while is_running(tmp_path):  # noqa: ASYNC110 - looking again: the timeout decides
            await asyncio.sleep(0.02)


async def test_the_service_starts_a_killed_redis_again(tmp_path: Path) -> None:
    async with private_redis(tmp_path, own=True) as url:
        async with client(url) as redis:
            await redis.set("kept", "yes")
            await redis.bgrewriteaof()  # what is written is on the disk when this is done
        first = await process_of(url)
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(60):
            while not await answers(url):  # noqa: ASYNC110 - looking again: the timeout decides
                await asyncio.sleep(0.02)
        assert await process_of(url) != first
        async with client(url) as redis:
            assert await redis.get("kept") == b"yes"
    assert not is_running(tmp_path)


async def test_a_redis_that_is_slow_to_answer_gets_no_rival_on_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with private_redis(tmp_path, own=False) as url:
        process = await process_of(url)
        os.kill(process, signal.SIGSTOP)
        try:
            monkeypatch.setattr(server, "SILENCE_SECONDS", 0.5)
            with pytest.raises(StoreUnavailable, match="runs but is silent"):
                async with private_redis(tmp_path, own=False):
                    pass
        finally:
            os.kill(process, signal.SIGCONT)
        assert await process_of(url) == process


async def test_a_damaged_file_is_said_and_not_tried_for_ever(tmp_path: Path) -> None:
    folder = tmp_path / "redis" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(StoreUnavailable, match=r"redis-server did not start: .*redis\.log"):
        async with private_redis(tmp_path, own=False):
            pass


async def test_a_machine_without_redis_server_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreUnavailable, match="apt-get install redis-server"):
        async with private_redis(tmp_path, own=False):
            pass


@pytest.mark.parametrize("name", ["d" * 150, "with space", "100%25?#", "данные"])
async def test_any_data_folder_will_do(tmp_path: Path, name: str) -> None:
    async with private_redis(tmp_path / name, own=False) as url, client(url) as redis:
        assert await redis.ping()
        assert (tmp_path / name / "redis" / "appendonlydir").is_dir()
        socket = await socket_of(redis)
        assert len(os.fsencode(socket)) <= server.LONGEST_SOCKET_PATH
    assert socket.parent == tmp_path / name / "redis" or not socket.parent.exists()


async def test_a_short_name_that_is_somebody_elses_is_not_used(tmp_path: Path) -> None:
    data_dir = tmp_path / ("d" * 150)
    async with private_redis(data_dir, own=False) as url, client(url) as redis:
        short = (await socket_of(redis)).parent
    short.symlink_to(tmp_path)
    try:
        with pytest.raises(StoreUnavailable, match="is not ours alone"):
            async with private_redis(data_dir, own=False):
                pass
    finally:
        short.unlink()
