"""The hub: what pages hear, and what a page that does not listen costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from casvault.panel.hub import Hub


async def heard(stream: AsyncIterator[str], count: int) -> list[str]:
    return [await anext(stream) for _ in range(count)]


def test_a_page_hears_what_is_published() -> None:
    async def listen() -> list[str]:
        hub = Hub()
        hub.publish("vault", {"number": 0})
        stream = hub.stream()
        (hello,) = await heard(stream, 1)
        assert hello.startswith("retry: ")
        assert "event: hello\n" in hello
        assert hub.listeners == 1
        await asyncio.to_thread(hub.publish, "vault", {"text": "a\nb\u2028</script>é"})
        hub.publish("job", {"id": 1}, "1")
        return await heard(stream, 2)

    one, other = asyncio.run(listen())
    assert one == 'event: vault\ndata: {"text": "a\\nb\\u2028</script>\\u00e9"}\n\n'
    assert other == 'event: job\ndata: {"id": 1}\n\n'


def test_of_what_waits_only_the_newest_of_each_subject_is_kept() -> None:
    async def listen() -> list[str]:
        hub = Hub()
        stream = hub.stream()
        await heard(stream, 1)
        for number in range(10_000):
            hub.publish("job", {"done": number}, "a")
            hub.publish("vault", {})
        hub.publish("job", {"done": 1}, "b")
        told = await heard(stream, 3)
        hub.close()
        assert [rest async for rest in stream] == []
        assert hub.listeners == 0
        return told

    assert asyncio.run(listen()) == [
        'event: job\ndata: {"done": 9999}\n\n',
        "event: vault\ndata: {}\n\n",
        'event: job\ndata: {"done": 1}\n\n',
    ]


def test_a_closed_hub_ends_what_begins() -> None:
    async def listen() -> int:
        hub = Hub()
        hub.close()
        return len([text async for text in hub.stream()])

    assert asyncio.run(listen()) == 1


def test_the_oldest_page_ends_where_there_are_too_many() -> None:
    async def listen() -> tuple[int, list[str]]:
        hub = Hub()
        streams = [hub.stream() for _ in range(65)]
        for stream in streams:
            await heard(stream, 1)
        first = [text async for text in streams[0]]
        return hub.listeners, first

    assert asyncio.run(listen()) == (64, [])
