"""Transactions, publishing, and questions about commands themselves."""

from __future__ import annotations

from tests.interop.grammar.maker import Given, Grammar, Maker

transactions = Grammar("transactions", 0.5)
connection = Grammar("connection", 0.3)

transactions.simple(
    multi=lambda m: [],
    exec=lambda m: [],
    discard=lambda m: [],
    watch=lambda m: m.keys("string", foreign=0.5),
    unwatch=lambda m: [],
)


def _channel(maker: Maker) -> str:
    return maker.some("news", "other", "", "é")


connection.simple(
    ping=lambda m: m.maybe(m.text(), chance=0.5),
    echo=lambda m: [m.text()],
    publish=lambda m: [_channel(m), m.text()],
    spublish=lambda m: [_channel(m), m.text()],
    pubsub_channels=lambda m: m.maybe("n*"),
    pubsub_numsub=lambda m: m.maybe("news", "other"),
    pubsub_numpat=lambda m: [],
    pubsub_shardchannels=lambda m: m.maybe("n*"),
    pubsub_shardnumsub=lambda m: m.maybe("news", "other"),
    lastsave=lambda m: ["x"],
    time=lambda m: ["x"],
)
connection.command("WAIT", mutable=False)(lambda m: [m.some("0", "-1", "x"), m.some("0", "1", "-1", "x")])
connection.command("WAITAOF", mutable=False)(
    lambda m: [m.some("0", "-1", "x", "2"), m.some("0", "-1"), m.some("-1", "x")]
)


@transactions.scene("MULTI", 2)
def refused(maker: Maker) -> list[Given]:
    """A transaction with a command that is not queued."""
    return [["MULTI"], maker.some(["NOSUCH"], ["GET"], ["SET", "s1"], ["INCR", "s1"], ["XGROUP", "NO", "x"]), ["EXEC"]]
