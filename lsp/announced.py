"""What is announced to the client for some languages only: with `initialize`, or later where the client takes part in
that, and taken back when the settings change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

if TYPE_CHECKING:
    from lsp.session import ForewordServer

Options = Callable[[str, tuple[str, ...]], Any]
"""The registration options of a method for these languages."""


class Announced:
    """Some methods, and for which languages the client knows of them now."""

    def __init__(self, server: ForewordServer, handlers: Mapping[str, Any], options: Options) -> None:
        self._server = server
        self._handlers = handlers
        self._options = options
        self._registered: tuple[str, ...] = ()
        self._settling = asyncio.Lock()

    def at_once(self, languages: tuple[str, ...], dynamic: Mapping[str, bool]) -> None:
        """During `initialize`: the methods that this client can be told of at no other time."""
        if languages:
            self._handle(method for method in self._handlers if not dynamic[method])

    async def settled(self, languages: tuple[str, ...], dynamic: Mapping[str, bool]) -> None:
        """Registers the others for these languages, and takes back what was registered before."""
        methods = [method for method in self._handlers if dynamic[method]]
        async with self._settling:
            if languages != self._registered and methods:
                await self._register(methods, languages)

    async def _register(self, methods: list[str], languages: tuple[str, ...]) -> None:
        try:
            if self._registered:
                gone = [types.Unregistration(id=method, method=method) for method in methods]
                await self._server.client_unregister_capability_async(types.UnregistrationParams(gone))
            self._registered = ()
            if languages:
                self._handle(methods)
                new = [
                    types.Registration(method, method, register_options=self._options(method, languages))
                    for method in methods
                ]
                await self._server.client_register_capability_async(types.RegistrationParams(new))
            self._registered = languages
        except JsonRpcException as refused:
            self._server.log_warning(f"The client did not take over which languages have symbols: {refused}")

    def _handle(self, methods: Iterable[str]) -> None:
        for method in methods:
            if method not in self._server.protocol.fm.features:
                self._server.feature(method)(self._handlers[method])
