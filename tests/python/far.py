"""A relay to one port that makes it lie far away: what passes arrives later, and in order.

It answers for nobody: connections are accepted at once, bytes and ends of streams take their time.
"""

import asyncio
import contextlib
import threading


class Relay:
    """Listens on a port that the system picks until `stop`."""

    def __init__(self, target, there_and_back):
        self.target = target
        self.one_way = there_and_back / 2
        self.port = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._listening = threading.Event()
        self._thread.start()
        assert self._listening.wait(10)

    def stop(self):
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self):
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self):
        self._ended = asyncio.Event()
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._ended.wait()
        server.close()
        own = asyncio.current_task()
        relaying = [task for task in asyncio.all_tasks() if task is not own]
        for task in relaying:
            task.cancel()
        await asyncio.gather(*relaying, return_exceptions=True)

    async def _relay(self, reader, writer):
        with contextlib.closing(writer):
            try:
                there = await asyncio.open_connection("127.0.0.1", self.target)
            except OSError:
                return
            with contextlib.closing(there[1]):
                await asyncio.gather(self._way(reader, there[1]), self._way(there[0], writer))

    async def _way(self, source, sink):
        """What comes in goes out one way's time later, the end of the stream too."""
        held = asyncio.Queue()
        delivering = asyncio.create_task(self._deliver(held, sink))
        data = True
        while data:
            try:
                data = await source.read(1 << 16)
            except OSError:
                data = b""
            held.put_nowait((self._loop.time() + self.one_way, data))
        await delivering

    async def _deliver(self, held, sink):
        data = True
        while data:
            due, data = await held.get()
            await asyncio.sleep(due - self._loop.time())
            sink.write(data)
        sink.close()
