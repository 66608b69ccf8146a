"""The thread that owns an engine. All others ask it, and wait for nothing but answers."""

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ltu.errors import Error, Interrupted

if TYPE_CHECKING:
    from ltu import _engine

T = TypeVar("T")
Work = Callable[["_engine.Engine"], T]

PATIENCE = 0.05  # s that a step waits for callers who are about to ask more, once each time they fall silent
CLOSED = "the model is closed; load it again"


_OWNERS: "weakref.WeakSet[Owner]" = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    """No engine may compute while the interpreter is taken apart; threads that wait end with it, unheard."""
    for owner in list(_OWNERS):
        owner.close(tell=False)


class Sink(Protocol):
    """Who gets what becomes of a query."""

    @property
    def done(self) -> bool: ...
    def deliver(self, events: "list[_engine.Event]") -> None: ...
    def fail(self, error: Exception) -> None: ...


class Reader(Protocol):
    """Who brings more queries as soon as the engine has room."""

    def reading_since(self) -> float | None:
        """The moment (time.monotonic) from which on it looks for its next query; None: it does not."""


class Owner:
    """Runs an engine's steps for as long as there is work, and callers' work between them.

    Its methods may be called from any thread. Raises Error once it is closed, and in the child of a fork,
    where the thread doesn't exist.
    """

    def __init__(self, engine: "_engine.Engine") -> None:
        self._engine = engine
        self.description = engine.description()  # as it was when the model was loaded
        self._process = os.getpid()
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._sinks: dict[int, Sink] = {}  # by the engine's id of a query; the thread's alone
        self._readers: set[Reader] = set()
        self._closed, self._tell = False, True
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ltu-engine", daemon=True)
        _OWNERS.add(self)
        self._thread.start()

    def call(self, work: Work[T]) -> T:
        """What `work` returns or raises; it runs between two steps. Ctrl-C stops it at once."""
        if threading.current_thread() is self._thread:
            return work(self._engine)
        job = _Job(work, self._engine)
        self._send(job.run)
        try:
            return job.result()
        except KeyboardInterrupt:
            job.abandoned = True
            self.interrupt()
            raise

    def submit(self, sink: Sink, add: Work[int]) -> None:
        """Asks a query: `add` gives it to the engine and returns its id. Failures go to the sink."""

        def run() -> None:
            if self._closed:
                return self._dismiss(sink)
            try:
                id = _again(add, self._engine)
            except Exception as error:
                sink.fail(error)
            else:
                self._sinks[id] = sink

        self._send(run)

    def cancel(self, sinks: Iterable[Sink], repeat: int | None = None, wait: bool = False) -> None:
        """Ends what sinks still wait for, or one repeat of it; waiting: it has ended on return."""
        wanted = set(map(id, sinks))

        def run(engine: "_engine.Engine") -> None:
            for number, sink in list(self._sinks.items()):
                if id(sink) in wanted:
                    self._deliver(engine.cancel(number, repeat))

        if self._closed or self._process != os.getpid():
            return  # nothing is asked any more
        if wait:
            self.call(run)
        else:
            self._send(lambda: run(self._engine))

    def interrupt(self) -> None:
        """Stops what is computed now; what others wait for is computed again."""
        self._engine.interrupt()

    def wait_for(self, reader: Reader) -> None:
        """From now on steps wait a moment for what the reader brings."""
        self._readers.add(reader)

    def leave(self, reader: Reader) -> None:
        """The reader brings no more."""
        self._readers.discard(reader)
        self.wake()

    def wake(self) -> None:
        """Lets the thread look whether it still has to wait for a reader."""
        self._commands.put(lambda: None)

    def close(self, tell: bool = True) -> None:
        """Ends the thread; whoever still waits gets an Error, if he is to be told."""
        if self._closed or self._process != os.getpid():
            return
        self._tell = tell
        with self._closing:
            self._closed = True
        self.wake()
        self._engine.interrupt()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _send(self, command: Callable[[], None]) -> None:
        if self._process != os.getpid():
            raise Error("this model was loaded before the process was forked; load it in each process")
        with self._closing:
            if self._closed:
                raise Error(CLOSED)
            self._commands.put(command)

    def _run(self) -> None:
        while not self._closed:
            self._take_commands()
            if not self._closed and not self._engine.idle():
                self._step()
        for sink in list(self._sinks.values()):
            self._dismiss(sink)
        self._sinks.clear()
        try:
            while True:  # whoever waits for one of them waits no longer
                self._commands.get_nowait()()
        except Empty:
            pass

    def _dismiss(self, sink: Sink) -> None:
        if self._tell:
            sink.fail(Error(CLOSED))

    def _step(self) -> None:
        try:
            events = self._engine.step()
        except Exception as error:  # no memory, say; what the engine reports of itself comes as events
            for id, sink in list(self._sinks.items()):
                self._engine.cancel(id)
                sink.fail(error)
            self._sinks.clear()
        else:
            self._deliver(events)

    def _take_commands(self) -> None:
        """Runs what callers sent; waits where there is nothing else to do, or a moment for readers."""
        try:
            while not self._closed:
                if self._engine.idle():
                    self._commands.get()()
                elif (patience := self._patience()) > 0:
                    self._commands.get(timeout=patience)()
                else:
                    self._commands.get_nowait()()
        except Empty:
            pass

    def _patience(self) -> float:
        now = time.monotonic()
        since = [moment for reader in list(self._readers) if (moment := reader.reading_since()) is not None]
        return max((PATIENCE - (now - moment) for moment in since), default=0.0)

    def _deliver(self, events: "list[_engine.Event]") -> None:
        of_query: dict[int, list[_engine.Event]] = {}
        for event in events:
            of_query.setdefault(event.query, []).append(event)
        for id, own in of_query.items():
            sink = self._sinks.get(id)
            if sink is None:
                continue
            if own[-1].kind == "failed":
                sink.fail(Error(own[-1].stop))
            else:
                sink.deliver(own)
            if sink.done:
                del self._sinks[id]


class _Job(Generic[T]):
    """Work that one thread waits for and the owner does."""

    def __init__(self, work: Work[T], engine: "_engine.Engine") -> None:
        self._work, self._engine = work, engine
        self._done = threading.Event()
        self._value: T
        self._error: BaseException | None = None
        self.abandoned = False

    def run(self) -> None:
        try:
            self._value = _again(self._work, self._engine, lambda: self.abandoned)
        except BaseException as error:
            self._error = error
        self._done.set()

    def result(self) -> T:
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value


def _again(work: Work[T], engine: "_engine.Engine", abandoned: Callable[[], bool] = lambda: False) -> T:
    """Once more when somebody else's work was to be stopped."""
    while True:
        try:
            return work(engine)
        except Interrupted:
            if abandoned():
                raise
