"""The fake gateway: plays scripts on a real socket, and through respx."""

from onpaper.gateway.answering import Answer, Unanswerable
from onpaper.gateway.entry import Entry
from onpaper.gateway.gateway import Gateway, RespxGateway
from onpaper.gateway.journal import Journal, closed_by_client, ended
from onpaper.gateway.limits import Limits
from onpaper.gateway.server import CannotListen, Server
from onpaper.gateway.thread import ServerThread

__all__ = [
    "Answer",
    "CannotListen",
    "Entry",
    "Gateway",
    "Journal",
    "Limits",
    "RespxGateway",
    "Server",
    "ServerThread",
    "Unanswerable",
    "closed_by_client",
    "ended",
]
